#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct sl_str sl_str_of(const char *text)
{
    return (struct sl_str){text ? text : "", text ? strlen(text) : 0};
}

bool sl_str_equal(struct sl_str a, struct sl_str b)
{
    return a.length == b.length && (!a.length || !memcmp(a.at, b.at, a.length));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool sl_str_equal_nocase(struct sl_str a, struct sl_str b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++) /* strncasecmp would stop at a NUL */
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool sl_str_is(struct sl_str s, const char *text)
{
    return sl_str_equal(s, sl_str_of(text));
}

uint64_t sl_hash(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

void sl_text_clean(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
        if (text[0] == '\xc2' && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0)
            text[0] = text[1] = ' '; /* U+0080 to U+009F: U+009B starts an escape sequence */
    }
}

/* Length of the well-formed sequence at s (1-4), or 0. Unicode 15, table 3-7. */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    size_t need = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
                  : (s[0] & 0xf0) == 0xe0        ? 3
                  : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                 : 0;
    if (!need || left < need)
        return 0;
    unsigned char low = 0x80, high = 0xbf;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

static const uint64_t TOPS = 0x8080808080808080u;

static inline uint64_t word_at(const unsigned char *s)
{
    uint64_t word;
    memcpy(&word, s, sizeof word);
    return word;
}

static inline uint32_t half_at(const unsigned char *s)
{
    uint32_t half;
    memcpy(&half, s, sizeof half);
    return half;
}

enum { SHORT_BYTES = 64 };

/* Are all bytes ASCII? Of a short text that is asked first, and nearly always the end of it: words
 * that overlap, no loop over single bytes. */
static bool all_ascii(const unsigned char *s, size_t length)
{
    uint64_t seen = 0;
    if (length < 4)
        return !length || !((s[0] | s[length / 2] | s[length - 1]) & 0x80);
    if (length < 8)
        return !((half_at(s) | half_at(s + length - 4)) & (uint32_t)TOPS);
    for (; length > 32; s += 32, length -= 32)
        seen |= word_at(s) | word_at(s + 8) | word_at(s + 16) | word_at(s + 24);
    for (; length > 8; s += 8, length -= 8)
        seen |= word_at(s);
    /* 1 to 8 are left, and there were 8 or more: the last word may begin before s. */
    return !((seen | word_at(s + length - 8)) & TOPS);
}

/* How many ASCII bytes s begins with. */
static size_t ascii_run(const unsigned char *s, size_t length)
{
    size_t i = 0;
    while (
        length - i >= 32 &&
        !((word_at(s + i) | word_at(s + i + 8) | word_at(s + i + 16) | word_at(s + i + 24)) & TOPS))
        i += 32;
    for (; length - i >= 8; i += 8) {
        uint64_t tops = word_at(s + i) & TOPS;
        if (tops)
            return i + (size_t)__builtin_ctzll(tops) / 8; /* little-endian: format/bson_writer.c */
    }
    while (i < length && s[i] < 0x80)
        i++;
    return i;
}

bool sl_utf8_valid(const char *at, size_t length)
{
    const unsigned char *s = (const unsigned char *)at;
    if (length <= SHORT_BYTES && all_ascii(s, length))
        return true;
    for (size_t i = ascii_run(s, length); i < length; i += ascii_run(s + i, length - i)) {
        do {
            size_t step = utf8_sequence(s + i, length - i);
            if (!step)
                return false;
            i += step;
        } while (i < length && s[i] >= 0x80);
    }
    return true;
}

const char *sl_utf8_fault(const char *at, size_t length)
{
    const char *end = at + length;
    while ((at = memchr(at, 0xed, (size_t)(end - at))) && ++at < end)
        if ((unsigned char)*at >= 0xa0 && (unsigned char)*at < 0xc0)
            return "holds half of a surrogate pair (half a character)";
    return "is not valid UTF-8";
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t sl_utf8_cut(const char *text, size_t length, size_t limit)
{
    if (length <= limit)
        return length;
    size_t cut = limit;
    while (cut && limit - cut < 3 && continues(text[cut]))
        cut--;
    return continues(text[cut]) ? limit : cut; /* no character is longer: it is not UTF-8 */
}

void sl_buf_init(struct sl_buf *buf)
{
    memset(buf, 0, sizeof *buf);
}

void sl_buf_init_secret(struct sl_buf *buf)
{
    sl_buf_init(buf);
    buf->secret = true;
}

static void wipe(struct sl_buf *buf)
{
    if (buf->secret && buf->data)
        sl_wipe(buf->data, buf->capacity);
}

void sl_buf_done(struct sl_buf *buf)
{
    wipe(buf);
    free(buf->data);
    sl_buf_init(buf);
}

void sl_buf_clear(struct sl_buf *buf)
{
    buf->length = 0;
    if (buf->data)
        buf->data[0] = 0;
}

void sl_buf_grow(struct sl_buf *buf, size_t size)
{
    size_t wanted = buf->length + size + 1; /* at once when that is known, else by doubling */
    size_t capacity = buf->capacity ? 2 * buf->capacity : 64;
    if (capacity < wanted)
        capacity = (wanted + 63) & ~(size_t)63;
    if (buf->secret) { /* realloc() would leave a copy behind */
        char *data = sl_alloc(capacity);
        if (buf->data)
            memcpy(data, buf->data, buf->length + 1);
        wipe(buf);
        free(buf->data);
        buf->data = data;
    } else {
        buf->data = sl_realloc(buf->data, capacity);
    }
    buf->capacity = capacity;
}

void sl_buf_add_text(struct sl_buf *buf, const char *text)
{
    sl_buf_add(buf, text, strlen(text));
}

void sl_buf_printf(struct sl_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size >= 0) {
        vsnprintf(sl_buf_reserve(buf, (size_t)size), (size_t)size + 1, format, again);
        sl_buf_commit(buf, (size_t)size);
    }
    va_end(again);
}

void sl_buf_add_json(struct sl_buf *buf, const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t plain = 0; /* start of the run that needs no escape */

    for (size_t i = 0; i < length;) {
        size_t step = utf8_sequence(s + i, length - i);
        if (step && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\') {
            i += step;
            continue;
        }
        sl_buf_add(buf, text + plain, i - plain);
        if (!step)
            sl_buf_add_text(buf, "\xef\xbf\xbd");
        else if (s[i] == '"' || s[i] == '\\')
            sl_buf_printf(buf, "\\%c", s[i]);
        else if (s[i] == '\n')
            sl_buf_add_text(buf, "\\n");
        else
            sl_buf_printf(buf, "\\u%04x", s[i]);
        plain = ++i;
    }
    sl_buf_add(buf, text + plain, length - plain);
}

void sl_buf_add_json_text(struct sl_buf *buf, const char *text)
{
    sl_buf_add_char(buf, '"');
    sl_buf_add_json(buf, text, strlen(text));
    sl_buf_add_char(buf, '"');
}

char *sl_buf_take(struct sl_buf *buf)
{
    char *data = buf->data ? buf->data : sl_strdup("");
    sl_buf_init(buf);
    return data;
}

struct sl_str sl_buf_view(const struct sl_buf *buf)
{
    return (struct sl_str){buf->data ? buf->data : "", buf->length};
}
