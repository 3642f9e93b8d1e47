/* Three bytes are four characters. */
#include "format/base64.h"

#include <stdint.h>
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void sl_base64_encode(struct sl_buf *out, const void *bytes, size_t size)
{
    const uint8_t *in = bytes;
    char *at = sl_buf_reserve(out, (size + 2) / 3 * 4);
    for (size_t i = 0; i < size; i += 3) {
        size_t count = size - i < 3 ? size - i : 3;
        uint32_t group = (uint32_t)in[i] << 16;
        if (count > 1)
            group |= (uint32_t)in[i + 1] << 8;
        if (count > 2)
            group |= in[i + 2];
        *at++ = letters[group >> 18];
        *at++ = letters[group >> 12 & 63];
        *at++ = count > 1 ? letters[group >> 6 & 63] : '=';
        *at++ = count > 2 ? letters[group & 63] : '=';
    }
    sl_buf_commit(out, (size + 2) / 3 * 4);
}

void sl_base64url_encode(struct sl_buf *out, const void *bytes, size_t size)
{
    size_t start = out->length;
    sl_base64_encode(out, bytes, size);
    while (out->length > start && out->data[out->length - 1] == '=')
        out->data[--out->length] = 0;
    for (char *at = out->data + start; *at; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
}

static int value_of(char c)
{
    const char *found = c ? strchr(letters, c) : NULL;
    return found ? (int)(found - letters) : -1;
}

bool sl_base64_decode(struct sl_buf *out, const char *text, size_t length)
{
    size_t padding = 0;
    if (length % 4)
        return false;
    while (padding < 2 && length > padding && text[length - 1 - padding] == '=')
        padding++;

    uint32_t group = 0;
    char *at = sl_buf_reserve(out, length / 4 * 3);
    for (size_t i = 0; i < length; i++) {
        int value = i < length - padding ? value_of(text[i]) : 0;
        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            *at++ = (char)(group >> 16);
            *at++ = (char)(group >> 8);
            *at++ = (char)group;
        }
    }
    if (padding && (group & (padding == 1 ? 0xffu : 0xffffu)))
        return false;
    sl_buf_commit(out, length / 4 * 3 - padding);
    return true;
}

void sl_hex_encode(struct sl_buf *out, const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = bytes;
    char *at = sl_buf_reserve(out, 2 * size);
    for (size_t i = 0; i < size; i++) {
        at[2 * i] = digits[in[i] >> 4];
        at[2 * i + 1] = digits[in[i] & 15];
    }
    sl_buf_commit(out, 2 * size);
}

int sl_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
