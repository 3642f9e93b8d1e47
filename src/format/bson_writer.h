/* Writes BSON straight into an arena or a buffer: one document at a time, field after field.
 *
 *     sl_bson_begin(&w, &batch->arena);
 *     sl_bson_add_utf8(&w, key, "V-1001", 6);
 *     doc = sl_bson_end(&w);
 *
 * A key is prepared once (a column) and then costs one memcpy a field. The writer checks neither
 * UTF-8 nor repeated keys: its callers do. Layout: bsonspec.org, version 1.1. */
#ifndef SL_FORMAT_BSON_WRITER_H
#define SL_FORMAT_BSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "format/number.h"

enum {
    SL_BSON_DEPTH_MAX = 64, /* documents inside documents; more is the caller's mistake */
    SL_BSON_OLD_BINARY = 2, /* an obsolete subtype of binary, with a second length: not carried */
};

/* Type bytes of the format. */
enum sl_bson_type {
    SL_BSON_DOUBLE = 0x01,
    SL_BSON_UTF8 = 0x02,
    SL_BSON_DOC = 0x03,
    SL_BSON_ARRAY = 0x04,
    SL_BSON_BINARY = 0x05,
    SL_BSON_OID = 0x07,
    SL_BSON_BOOL = 0x08,
    SL_BSON_DATE = 0x09,
    SL_BSON_NULL = 0x0a,
    SL_BSON_INT32 = 0x10,
    SL_BSON_INT64 = 0x12,
    SL_BSON_DECIMAL = 0x13,
};

/* A prepared key: room for the type byte, the name, NUL. */
struct sl_bson_key {
    const char *bytes;
    uint32_t size; /* of all three */
};

/* The key of a text without NUL inside, in the arena's memory; or of a literal, at no cost:
 * SL_BSON_KEY("rows"). */
struct sl_bson_key sl_bson_key_make(struct sl_arena *arena, struct sl_str name);
#define SL_BSON_KEY(literal) ((struct sl_bson_key){"\0" literal, sizeof("\0" literal)})

/* The name alone, ended by NUL. */
static inline const char *sl_bson_key_name(struct sl_bson_key key)
{
    return key.bytes + 1;
}

/* In the caller's storage, nothing to free. All fields are private. */
struct sl_bson_writer {
    struct sl_arena *arena; /* the one or the other */
    struct sl_buf *buf;
    size_t start; /* in buf: where the document begins */
    uint8_t *data;
    size_t size, capacity;
    uint32_t depth;
    uint32_t open[SL_BSON_DEPTH_MAX + 1];  /* where each open document begins */
    uint32_t index[SL_BSON_DEPTH_MAX + 1]; /* next index of an open array */
};

/* Begins a document at the arena's end. Other allocations meanwhile are allowed but cost a copy. */
void sl_bson_begin(struct sl_bson_writer *writer, struct sl_arena *arena);

/* Begins a document that is appended to buf. Do not touch buf until the end. */
void sl_bson_begin_buf(struct sl_bson_writer *writer, struct sl_buf *buf);

/* Ends the document and returns it: a view into the arena, or into buf. */
struct sl_str sl_bson_end(struct sl_bson_writer *writer);

void sl_bson_add_double(struct sl_bson_writer *writer, struct sl_bson_key key, double value);
void sl_bson_add_utf8(struct sl_bson_writer *writer, struct sl_bson_key key, const char *text,
                      size_t length);
void sl_bson_add_binary(struct sl_bson_writer *writer, struct sl_bson_key key, uint8_t subtype,
                        const void *bytes, size_t size);
void sl_bson_add_oid(struct sl_bson_writer *writer, struct sl_bson_key key, const uint8_t oid[12]);
void sl_bson_add_bool(struct sl_bson_writer *writer, struct sl_bson_key key, bool value);
void sl_bson_add_date(struct sl_bson_writer *writer, struct sl_bson_key key, int64_t wall_ms);
void sl_bson_add_null(struct sl_bson_writer *writer, struct sl_bson_key key);
void sl_bson_add_int32(struct sl_bson_writer *writer, struct sl_bson_key key, int32_t value);
void sl_bson_add_int64(struct sl_bson_writer *writer, struct sl_bson_key key, int64_t value);
void sl_bson_add_decimal(struct sl_bson_writer *writer, struct sl_bson_key key,
                         struct sl_decimal value);
/* A finished BSON document as a field. */
void sl_bson_add_doc(struct sl_bson_writer *writer, struct sl_bson_key key, struct sl_str doc);

/* An embedded document or array; fields go into it until sl_bson_close. */
void sl_bson_open_doc(struct sl_bson_writer *writer, struct sl_bson_key key);
void sl_bson_open_array(struct sl_bson_writer *writer, struct sl_bson_key key);
void sl_bson_close(struct sl_bson_writer *writer);

/* The key of the next element of the innermost array ("0", "1", …), made in storage. */
struct sl_bson_key sl_bson_next_index(struct sl_bson_writer *writer, char storage[16]);

/* Forgets what came after size, which sl_bson_size gave between two fields of the outermost
 * document. */
void sl_bson_cut(struct sl_bson_writer *writer, size_t size);

/* Bytes written so far. */
size_t sl_bson_size(const struct sl_bson_writer *writer);

#endif
