/* The columns that a table is known to have: found by name, each with its BSON key ready. */
#ifndef SL_FORMAT_COLUMNS_H
#define SL_FORMAT_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "format/json.h"
#include "format/typed.h"

struct sl_column {
    struct sl_str name; /* followed by NUL */
    struct sl_bson_key key;
    enum sl_type type;
    bool any;       /* it has no type: a value is what JSON says, objects and arrays too */
    bool keep;      /* false: it is read, but not put into the document */
    uint32_t index; /* in the order of adding, from 0 */
};

struct sl_column_slot {
    struct sl_column *column; /* NULL: free */
};

/* In the caller's storage. All fields but count are private. */
struct sl_columns {
    struct sl_arena arena;
    struct sl_column_slot *slots; /* open addressing; a power of two of them */
    uint32_t slot_count;
    uint32_t count; /* read-only */
};

void sl_columns_init(struct sl_columns *set);
void sl_columns_done(struct sl_columns *set);

/* The column of exactly that name, or NULL. It lives, and stays where it is, as long as the set. */
const struct sl_column *sl_columns_find(const struct sl_columns *set, struct sl_str name);

/* Adds a column, or gives the one of that name a new type and keep. Borrows name, which holds no
 * NUL. */
const struct sl_column *sl_columns_add(struct sl_columns *set, struct sl_str name,
                                       enum sl_type type, bool keep);

/* The same without a type. */
const struct sl_column *sl_columns_add_any(struct sl_columns *set, struct sl_str name, bool keep);

/* Appends a JSON scalar as a field of the column's type (it has one): numbers are read from their
 * text, exactly; a text may hold a number, a date, or true and false; a number in a string column
 * stays the text that it was; null is BSON's null; an empty text in a column that is no string adds
 * nothing. kind is none of SL_JSON_LIST, SL_JSON_MAP; text is "true" or "false" for SL_JSON_BOOL.
 * Fails with SL_REJECTED: *ret_code (may be NULL) becomes "untypable" or "bad_utf8", the message
 * names the column, the type and a glimpse of the value, and nothing is appended. */
int sl_column_append(struct sl_bson_writer *writer, const struct sl_column *column,
                     enum sl_json_kind kind, struct sl_str text, const char **ret_code,
                     struct sl_err *err);

#endif
