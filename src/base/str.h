/* Views of bytes, and a growing buffer. */
#ifndef SL_BASE_STR_H
#define SL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view: bytes that somebody else owns, not ended by NUL. */
struct sl_str {
    const char *at;
    size_t length;
};

#define SL_STR_FORMAT "%.*s"
#define SL_STR_ARGS(s) (int)(s).length, (s).at

struct sl_str sl_str_of(const char *text); /* text may be NULL: the empty view */
bool sl_str_equal(struct sl_str a, struct sl_str b);
bool sl_str_equal_nocase(struct sl_str a, struct sl_str b); /* ASCII letters only */
bool sl_str_is(struct sl_str s, const char *text);

/* FNV-1a, 64 bits: for hash tables, not for security. */
uint64_t sl_hash(const void *bytes, size_t size);

/* True when the bytes are well-formed UTF-8 (no surrogates, no overlong forms, no NUL check). */
bool sl_utf8_valid(const char *at, size_t length);

/* What a text does that is not valid, for a message: "is not valid UTF-8" or more precisely. */
const char *sl_utf8_fault(const char *at, size_t length);

/* How long text may stay to be at most limit bytes, without a character cut in two. */
size_t sl_utf8_cut(const char *text, size_t length, size_t limit);

/* Control characters become spaces: for messages to a person. */
void sl_text_clean(char *text);

/* A growing buffer; data is always followed by a NUL that length does not count. */
struct sl_buf {
    char *data;
    size_t length;
    size_t capacity;
    bool secret; /* memory that it leaves is wiped */
};

void sl_buf_init(struct sl_buf *buf);
void sl_buf_init_secret(struct sl_buf *buf); /* sl_buf_take ends the secrecy: the caller wipes */
void sl_buf_done(struct sl_buf *buf);
void sl_buf_clear(struct sl_buf *buf);             /* keeps the memory */
void sl_buf_grow(struct sl_buf *buf, size_t size); /* private: for sl_buf_reserve */

/* Makes room for size more bytes and returns where they go; sl_buf_commit counts what was written.
 * These four are on the path of every field of every row. */
static inline char *sl_buf_reserve(struct sl_buf *buf, size_t size)
{
    if (buf->capacity - buf->length <= size)
        sl_buf_grow(buf, size);
    return buf->data + buf->length;
}

static inline void sl_buf_commit(struct sl_buf *buf, size_t size)
{
    buf->length += size;
    buf->data[buf->length] = 0;
}

static inline void sl_buf_add(struct sl_buf *buf, const void *bytes, size_t size)
{
    char *at = sl_buf_reserve(buf, size);
    if (size)
        memcpy(at, bytes, size);
    sl_buf_commit(buf, size);
}

static inline void sl_buf_add_char(struct sl_buf *buf, char c)
{
    *sl_buf_reserve(buf, 1) = c;
    sl_buf_commit(buf, 1);
}

void sl_buf_add_text(struct sl_buf *buf, const char *text);
void sl_buf_printf(struct sl_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends text as the inside of a JSON string (no quotes around it); bytes that are not UTF-8
 * become U+FFFD. */
void sl_buf_add_json(struct sl_buf *buf, const char *text, size_t length);
/* The whole JSON string: the same, in quotes. */
void sl_buf_add_json_text(struct sl_buf *buf, const char *text);
/* Gives the bytes to the caller (free()); the buffer is empty afterwards. */
char *sl_buf_take(struct sl_buf *buf);
struct sl_str sl_buf_view(const struct sl_buf *buf);

#endif
