/* The BSON writer. Lengths are written when a document ends; all numbers are little-endian, as the
 * format and the processors we run on are. */
#include "format/bson_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "numbers are copied as they lie in memory: BSON wants them little-endian"
#endif

enum { FIRST_BYTES = 512, SIZE_MAX_BYTES = 0x7fffffff };

struct sl_bson_key sl_bson_key_make(struct sl_arena *arena, struct sl_str name)
{
    char *bytes = sl_arena_alloc(arena, name.length + 2);
    bytes[0] = 0;
    if (name.length)
        memcpy(bytes + 1, name.at, name.length);
    bytes[name.length + 1] = 0;
    return (struct sl_bson_key){bytes, (uint32_t)name.length + 2};
}

static void make_room(struct sl_bson_writer *w, size_t size)
{
    size_t wanted = w->capacity ? w->capacity : FIRST_BYTES;
    while (wanted - w->size < size)
        wanted *= 2;
    if (wanted > SIZE_MAX_BYTES) { /* callers bound their input far below this */
        fprintf(stderr, "sluice: a BSON document of more than 2 GiB\n");
        abort();
    }
    if (w->buf) { /* it knows how to grow, and may have room already */
        w->buf->length = w->start + w->size;
        w->data = (uint8_t *)sl_buf_reserve(w->buf, size) - w->size;
        w->buf->length = w->start;
        w->capacity = w->buf->capacity - w->start - 1;
    } else {
        w->data = sl_arena_grow(w->arena, w->data, w->capacity, wanted);
        w->capacity = wanted;
    }
}

/* Room for size bytes, counted as written. */
static inline uint8_t *take(struct sl_bson_writer *w, size_t size)
{
    if (w->capacity - w->size < size)
        make_room(w, size);
    uint8_t *at = w->data + w->size;
    w->size += size;
    return at;
}

/* Type, key, and room for a value of size bytes, which is where the result points. */
static inline uint8_t *field(struct sl_bson_writer *w, enum sl_bson_type type,
                             struct sl_bson_key key, size_t size)
{
    uint8_t *at = take(w, key.size + size);
    memcpy(at, key.bytes, key.size);
    at[0] = (uint8_t)type;
    return at + key.size;
}

static inline void put32(uint8_t *at, size_t value)
{
    uint32_t bits = (uint32_t)value;
    memcpy(at, &bits, sizeof bits);
}

static void open_here(struct sl_bson_writer *w)
{
    if (w->depth > SL_BSON_DEPTH_MAX)
        abort();
    w->open[w->depth] = (uint32_t)w->size;
    w->index[w->depth++] = 0;
    put32(take(w, 4), 0);
}

static void close_here(struct sl_bson_writer *w)
{
    *take(w, 1) = 0;
    size_t begin = w->open[--w->depth];
    put32(w->data + begin, w->size - begin);
}

static void begin(struct sl_bson_writer *w, struct sl_arena *arena, struct sl_buf *buf)
{
    w->arena = arena;
    w->buf = buf;
    w->start = buf ? buf->length : 0;
    w->data = NULL;
    w->size = w->capacity = 0;
    w->depth = 0;
    open_here(w);
}

void sl_bson_begin(struct sl_bson_writer *writer, struct sl_arena *arena)
{
    begin(writer, arena, NULL);
}

void sl_bson_begin_buf(struct sl_bson_writer *writer, struct sl_buf *buf)
{
    begin(writer, NULL, buf);
}

struct sl_str sl_bson_end(struct sl_bson_writer *writer)
{
    close_here(writer);
    if (writer->buf)
        sl_buf_commit(writer->buf, writer->size);
    else
        sl_arena_trim(writer->arena, writer->data, writer->capacity, writer->size);
    return (struct sl_str){(const char *)writer->data, writer->size};
}

void sl_bson_add_double(struct sl_bson_writer *writer, struct sl_bson_key key, double value)
{
    memcpy(field(writer, SL_BSON_DOUBLE, key, 8), &value, 8);
}

void sl_bson_add_utf8(struct sl_bson_writer *writer, struct sl_bson_key key, const char *text,
                      size_t length)
{
    uint8_t *at = field(writer, SL_BSON_UTF8, key, 4 + length + 1);
    put32(at, length + 1);
    if (length)
        memcpy(at + 4, text, length);
    at[4 + length] = 0;
}

void sl_bson_add_binary(struct sl_bson_writer *writer, struct sl_bson_key key, uint8_t subtype,
                        const void *bytes, size_t size)
{
    uint8_t *at = field(writer, SL_BSON_BINARY, key, 4 + 1 + size);
    put32(at, size);
    at[4] = subtype;
    if (size)
        memcpy(at + 5, bytes, size);
}

void sl_bson_add_oid(struct sl_bson_writer *writer, struct sl_bson_key key, const uint8_t oid[12])
{
    memcpy(field(writer, SL_BSON_OID, key, 12), oid, 12);
}

void sl_bson_add_bool(struct sl_bson_writer *writer, struct sl_bson_key key, bool value)
{
    *field(writer, SL_BSON_BOOL, key, 1) = value;
}

void sl_bson_add_date(struct sl_bson_writer *writer, struct sl_bson_key key, int64_t wall_ms)
{
    memcpy(field(writer, SL_BSON_DATE, key, 8), &wall_ms, 8);
}

void sl_bson_add_null(struct sl_bson_writer *writer, struct sl_bson_key key)
{
    field(writer, SL_BSON_NULL, key, 0);
}

void sl_bson_add_int32(struct sl_bson_writer *writer, struct sl_bson_key key, int32_t value)
{
    memcpy(field(writer, SL_BSON_INT32, key, 4), &value, 4);
}

void sl_bson_add_int64(struct sl_bson_writer *writer, struct sl_bson_key key, int64_t value)
{
    memcpy(field(writer, SL_BSON_INT64, key, 8), &value, 8);
}

void sl_bson_add_decimal(struct sl_bson_writer *writer, struct sl_bson_key key,
                         struct sl_decimal value)
{
    uint8_t *at = field(writer, SL_BSON_DECIMAL, key, 16);
    memcpy(at, &value.low, 8);
    memcpy(at + 8, &value.high, 8);
}

void sl_bson_add_doc(struct sl_bson_writer *writer, struct sl_bson_key key, struct sl_str doc)
{
    memcpy(field(writer, SL_BSON_DOC, key, doc.length), doc.at, doc.length);
}

void sl_bson_open_doc(struct sl_bson_writer *writer, struct sl_bson_key key)
{
    field(writer, SL_BSON_DOC, key, 0);
    open_here(writer);
}

void sl_bson_open_array(struct sl_bson_writer *writer, struct sl_bson_key key)
{
    field(writer, SL_BSON_ARRAY, key, 0);
    open_here(writer);
}

void sl_bson_close(struct sl_bson_writer *writer)
{
    close_here(writer);
}

struct sl_bson_key sl_bson_next_index(struct sl_bson_writer *writer, char storage[16])
{
    char digits[SL_NUMBER_BYTES];
    size_t length = sl_int64_format(writer->index[writer->depth - 1]++, digits);
    storage[0] = 0;
    memcpy(storage + 1, digits, length + 1);
    return (struct sl_bson_key){storage, (uint32_t)length + 2};
}

void sl_bson_cut(struct sl_bson_writer *writer, size_t size)
{
    writer->size = size;
    writer->depth = 1;
}

size_t sl_bson_size(const struct sl_bson_writer *writer)
{
    return writer->size;
}
