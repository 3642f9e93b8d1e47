#include "sim/form.h"

#include <string.h>

int sim_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that two hexadecimal digits are, or -1. */
static int escaped_byte(const char *digits)
{
    int high = sim_hex_value(digits[0]);
    int low = sim_hex_value(digits[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Decodes one form value of len bytes; out has room for size. */
static void decode_value(const char *bytes, size_t len, char *out, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < len && at + 1 < size; i++) {
        int byte = bytes[i] == '%' && i + 2 < len ? escaped_byte(bytes + i + 1) : -1;
        if (byte >= 0)
            i += 2;
        out[at++] = byte >= 0 ? (char)byte : bytes[i] == '+' ? ' ' : bytes[i];
    }
    out[at] = '\0';
}

void sim_form_value(const char *form, size_t form_len, const char *name, char *out, size_t size)
{
    out[0] = '\0';
    const char *at = form;
    const char *end = at + form_len;
    size_t name_len = strlen(name);
    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        if (!stop)
            stop = end;
        if ((size_t)(stop - at) > name_len && at[name_len] == '=' &&
            memcmp(at, name, name_len) == 0)
            decode_value(at + name_len + 1, (size_t)(stop - at) - name_len - 1, out, size);
        at = stop + 1;
    }
}
