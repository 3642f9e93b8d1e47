/* Posted rows as a stream: one JSON object, an array of objects, or one object a line (NDJSON);
 * bytes in, BSON documents out.
 *
 * Columns with a type are read by it; all other fields as the Extended JSON of docs/MESSAGE.md: a
 * number with a point or exponent is a double, any other an int64, {"$numberDecimal"}, {"$date"}
 * and their like are what they say. The first thing that is wrong fails the whole post. */
#ifndef SL_FORMAT_JSON_ROWS_H
#define SL_FORMAT_JSON_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "format/columns.h"

/* Views in it are valid until the callback returns. */
struct sl_json_row {
    struct sl_str doc;     /* BSON */
    uint64_t number;       /* from 1 */
    uint32_t line, column; /* where the row begins, from 1; the column in characters */
};

/* What is wrong with the post. */
struct sl_json_rows_fault {
    uint64_t row;          /* from 1; 0: before the first, or not a row's fault */
    const char *column;    /* the top field that is wrong; "": none in particular */
    const char *reason;    /* to be shown to whoever posted it; names the column too */
    uint32_t line, offset; /* where it was seen: line, and character in it, from 1 */
};

struct sl_json_rows_handler {
    /* Whether the column of that name has a type: *ret lives as long as the parser, or is NULL.
     * What is not SL_OK (SL_REJECTED, with why) refuses the post. May be NULL: none has. */
    int (*column)(void *ctx, struct sl_str name, const struct sl_column **ret, struct sl_err *err);
    /* May suspend the fiber; what is not SL_OK stops the parser, and feed or end returns it. */
    int (*row)(void *ctx, const struct sl_json_row *row, struct sl_err *err);
    /* Called once, before feed or end fails with SL_REJECTED; may be NULL. */
    void (*fault)(void *ctx, const struct sl_json_rows_fault *fault);
};

struct sl_json_rows_options {
    bool lines;           /* one object a line; else one object, or an array of them */
    size_t max_row_bytes; /* of a document */
};

struct sl_json_rows;

/* Borrows handler and ctx as long as the parser lives. */
struct sl_json_rows *sl_json_rows_new(const struct sl_json_rows_options *options,
                                      const struct sl_json_rows_handler *handler, void *ctx);
void sl_json_rows_free(struct sl_json_rows *rows);

/* The next bytes, of any size. Fails with SL_REJECTED ("line 3, row 2: column 'price': …") or with
 * what a callback returned; the parser is of no more use then. */
int sl_json_rows_feed(struct sl_json_rows *rows, const void *bytes, size_t size,
                      struct sl_err *err);

/* The post has ended. Fails likewise. A post of no lines, or of an empty array, has no rows. */
int sl_json_rows_end(struct sl_json_rows *rows, struct sl_err *err);

/* Rows given so far. */
uint64_t sl_json_rows_count(const struct sl_json_rows *rows);

#endif
