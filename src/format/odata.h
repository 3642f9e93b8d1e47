/* Answers of Dataverse's Web API as a stream: bytes in, rows out, each as a BSON document.
 *
 * Reads pages of a table and of its changes, {"value":[…],"@odata.nextLink":…,"@odata.deltaLink":…}
 * with the members in any order, or one row. Memory is bounded by max_row_bytes, not by the answer.
 * Source: OData JSON Format 4.0; Dataverse's documentation of change tracking. */
#ifndef SL_FORMAT_ODATA_H
#define SL_FORMAT_ODATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/size.h"
#include "base/str.h"
#include "format/columns.h"

enum { SL_ODATA_RAW_BYTES = SL_SIZE(64 * 1024, 128) }; /* of a bad row's raw_doc, at most */

/* Views in it are valid until the callback returns. */
struct sl_odata_row {
    bool deleted;
    struct sl_str id;      /* not empty; a GUID is in lower case */
    int64_t version;       /* of the etag W/"n", else of version_column; -1: none */
    int64_t changed_at_ms; /* wall clock; 0: not known */
    struct sl_str doc;     /* BSON; empty when deleted */
};

/* Each may suspend the fiber; the parser must not be fed or freed meanwhile. What is not SL_OK
 * stops the parser, and sl_odata_feed returns it. */
struct sl_odata_handler {
    int (*row)(void *ctx, const struct sl_odata_row *row, struct sl_err *err);
    /* A row that cannot be taken: "untypable", "bad_utf8", "too_large", "empty_key". id is empty
     * when it has none; raw_doc is as much of the document as could be read, offending values as
     * text. */
    int (*bad)(void *ctx, struct sl_str id, const char *code, const char *reason,
               struct sl_str raw_doc, struct sl_err *err);
    /* A column that is not in columns, once a name and parser; may be NULL. */
    void (*unknown_column)(void *ctx, struct sl_str name);
};

/* All borrowed; they live as long as the parser. */
struct sl_odata_options {
    const struct sl_columns *columns; /* may grow meanwhile; the next parser knows the new ones */
    const char *id_column;
    const char *version_column; /* used when there is no etag with a number; may be NULL */
    const char *changed_column; /* "modifiedon", or NULL */
    size_t max_row_bytes;       /* of a document */
    bool single;                /* the answer is one row, not {"value":[…]} */
};

struct sl_odata;

/* Borrows handler and ctx as long as the parser lives. */
struct sl_odata *sl_odata_new(const struct sl_odata_options *options,
                              const struct sl_odata_handler *handler, void *ctx);
void sl_odata_free(struct sl_odata *odata);

/* The next bytes of the answer, of any size. Fails with SL_REJECTED when they are not JSON or not
 * such an answer ("… near byte N"), or with what a callback returned; the parser is of no more use
 * then. */
int sl_odata_feed(struct sl_odata *odata, const void *bytes, size_t size, struct sl_err *err);

/* The answer has ended. Fails with SL_REJECTED when it was cut off or has no rows' array. */
int sl_odata_end(struct sl_odata *odata, struct sl_err *err);

/* The links, as they came; NULL: none. Live as long as the parser; complete after sl_odata_end. */
const char *sl_odata_next_link(const struct sl_odata *odata);
const char *sl_odata_delta_link(const struct sl_odata *odata);

/* Rows seen so far, deletions and bad ones included. */
uint64_t sl_odata_rows(const struct sl_odata *odata);

#endif
