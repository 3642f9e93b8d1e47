/* BSON as Extended JSON that any consumer can read, and back.
 *
 * An int64 is a plain integer, a double always has a point or an exponent; what JSON has no word
 * for is wrapped: $numberDecimal, $date (ISO text; {"$numberLong"} outside the years 1 to 9999),
 * $numberDouble (NaN and infinities), $numberInt (int32), $oid, $binary. Types that sluice does not
 * carry (regular expressions, code, …) are refused. BSON → JSON → BSON gives the same bytes. */
#ifndef SL_FORMAT_EXTJSON_H
#define SL_FORMAT_EXTJSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "format/bson_writer.h"
#include "format/extjson_value.h"
#include "format/json_stream.h"

enum { SL_EXTJSON_DEPTH_MAX = 64 };

/* Appends a BSON document as JSON text. Every length is checked. Fails with SL_REJECTED when it is
 * malformed, deeper than SL_EXTJSON_DEPTH_MAX, of a type not carried, not UTF-8, or when an
 * embedded document begins with one of the wrapping keys; out then has its old length again. */
int sl_extjson_write(struct sl_buf *out, const void *bson, size_t size, struct sl_err *err);

/* Appends text in quotes, escaped. False when it is not UTF-8 (nothing is appended). */
bool sl_extjson_write_text(struct sl_buf *out, const char *text, size_t length);

/* Appends a moment as "2026-11-22T03:10:00.120Z" (no quotes); false outside the years 1 to 9999. */
bool sl_extjson_write_moment(struct sl_buf *out, int64_t wall_ms);
bool sl_extjson_has_moment(int64_t wall_ms); /* false outside those years */

/* The way back: a builder that is fed the events of any JSON parser, for a whole text or for one
 * object inside a larger one. Its fields are private, but for writer, err
 * and checked. */
struct sl_extjson_builder {
    struct sl_bson_writer writer; /* between two fields, the caller may add one to it himself,
                                     instead of by its key's and value's events */
    struct sl_arena *arena;
    struct sl_err *err; /* of the next event */
    bool checked;       /* texts and keys of the events are known to be UTF-8 */
    int state;
    enum sl_extjson_word word; /* of the wrapped value being read */
    struct sl_buf key;         /* the pending field's prepared key */
    struct sl_buf text;        /* base64 of a $binary */
    int subtype;               /* of a $binary; -1: not seen */
    int part;                  /* of a $binary: 0 base64, 1 subType */
    bool have_text;            /* the inner object has brought its value */
    uint32_t depth;            /* open objects and arrays */
    uint64_t in_array;         /* bit d: the one at depth d + 1 is an array */
    bool own;                  /* an outermost field has a name of sluice's own */
    struct sl_str doc;
};

void sl_extjson_builder_init(struct sl_extjson_builder *builder);
void sl_extjson_builder_done(struct sl_extjson_builder *builder);

/* The next events describe one document; it is built at the end of arena. Both are borrowed until
 * the document ends. */
void sl_extjson_begin(struct sl_extjson_builder *builder, struct sl_arena *arena,
                      struct sl_err *err);

/* Events. True: go on. False: stop, err (SL_REJECTED) says why. The first must be start_map. */
bool sl_extjson_start_map(struct sl_extjson_builder *builder);
bool sl_extjson_end_map(struct sl_extjson_builder *builder);
bool sl_extjson_start_array(struct sl_extjson_builder *builder);
bool sl_extjson_end_array(struct sl_extjson_builder *builder);
bool sl_extjson_key(struct sl_extjson_builder *builder, const char *text, size_t length);
bool sl_extjson_string(struct sl_extjson_builder *builder, const char *text, size_t length);
bool sl_extjson_number(struct sl_extjson_builder *builder, const char *text, size_t length);
bool sl_extjson_bool(struct sl_extjson_builder *builder, bool value);
bool sl_extjson_null(struct sl_extjson_builder *builder);

/* The event as json_stream.h has it, whichever it is. */
bool sl_extjson_event(struct sl_extjson_builder *builder, enum sl_json_event event,
                      struct sl_str text);

/* True after the end_map of the outermost object: the document is there, in the arena. */
bool sl_extjson_complete(const struct sl_extjson_builder *builder, struct sl_str *ret_doc);

/* Of the document that is there: has it an outermost field of a name that is sluice's own
 * (format/own_name.h)? */
bool sl_extjson_has_own(const struct sl_extjson_builder *builder);

#endif
