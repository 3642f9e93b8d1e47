#include "flow/letter.h"

#include <stdlib.h>
#include <string.h>

#include "format/number.h"

enum { KEY_MARK = '=' };

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c >= 0x80;
}

static void add_encoded(struct sl_buf *out, struct sl_str text)
{
    bool utf8 = sl_utf8_valid(text.at, text.length);
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (is_plain(c) && (utf8 || c < 0x80))
            sl_buf_add_char(out, (char)c);
        else
            sl_buf_printf(out, "%%%02X", c);
    }
}

void sl_letter_name_format(const struct sl_letter_name *name, struct sl_buf *out)
{
    add_encoded(out, name->run);
    sl_buf_add_char(out, '/');
    add_encoded(out, name->entity);
    sl_buf_add_char(out, '/');
    if (name->key.length) {
        sl_buf_add_char(out, KEY_MARK);
        add_encoded(out, name->key);
    } else {
        sl_buf_printf(out, "%llu", (unsigned long long)name->row_number);
    }
}

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool decode(struct sl_arena *arena, const char *text, size_t length, struct sl_str *ret)
{
    char *out = sl_arena_alloc(arena, length + 1);
    size_t size = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < length ? digit_of(text[i + 1]) : -1;
            int low = i + 2 < length ? digit_of(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[size++] = c;
    }
    out[size] = 0;
    *ret = (struct sl_str){out, size};
    return size > 0;
}

bool sl_letter_name_parse(const char *text, struct sl_arena *arena, struct sl_letter_name *ret)
{
    const char *first = strchr(text, '/');
    const char *second = first ? strchr(first + 1, '/') : NULL;
    struct sl_letter_name name = {0};
    if (!second || strchr(second + 1, '/') ||
        !decode(arena, text, (size_t)(first - text), &name.run) ||
        !decode(arena, first + 1, (size_t)(second - first - 1), &name.entity))
        return false;
    const char *row = second + 1;
    int64_t number;
    if (*row == KEY_MARK) {
        if (!decode(arena, row + 1, strlen(row + 1), &name.key))
            return false;
    } else if (sl_int64_parse(row, strlen(row), &number) == SL_NUMBER_OK && number >= 0) {
        name.row_number = (uint64_t)number;
    } else {
        return false;
    }
    *ret = name;
    return true;
}
