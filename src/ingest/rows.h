/* The rows of a post: its body, in any of three forms, read against a feed's configuration. The
 * first thing that is wrong refuses the whole post. docs/INGEST.md says what people may send. */
#ifndef SL_INGEST_ROWS_H
#define SL_INGEST_ROWS_H

#include "config/config.h"
#include "flow/record.h"

enum sl_ingest_form { SL_INGEST_JSON, SL_INGEST_LINES, SL_INGEST_CSV };

/* The form that a content type (lower case, without parameters) stands for; false: none. */
bool sl_ingest_form_of(const char *content_type, enum sl_ingest_form *ret);

/* What the rows of a feed look like. */
struct sl_ingest_plan;

/* version: the column that holds it; NULL: order of arrival. Borrows both as long as it lives. */
struct sl_ingest_plan *sl_ingest_plan_new(const struct sl_entity_config *entity,
                                          const char *version, size_t max_row_bytes);
void sl_ingest_plan_free(struct sl_ingest_plan *plan);

/* A row; its views are valid until the callback returns. */
struct sl_ingest_row {
    enum sl_op op;
    struct sl_str id, doc; /* as in a record: doc is empty for a deletion */
    int64_t version;       /* from its column; -1: order of arrival */
    uint32_t line;
};

enum { SL_INGEST_COLUMN_BYTES = 128 };

/* What is wrong with a post. */
struct sl_ingest_fault {
    uint64_t row; /* from 1; 0: not a row's fault */
    uint32_t line;
    char column[SL_INGEST_COLUMN_BYTES]; /* its beginning; "": none in particular */
    char reason[SL_ERR_TEXT_BYTES];
};

struct sl_ingest_reader {
    int (*row)(void *ctx, const struct sl_ingest_row *row,
               struct sl_err *err); /* NULL: just check */
    /* Between two pieces of a long body: let others run. */
    int (*pause)(void *ctx, struct sl_err *err);
    void *ctx;
};

/* Reads the body and counts its rows (ret_rows may be NULL); suspends as the callbacks do. Fails
 * with SL_REJECTED and the fault, or with what a callback returned. What was read once without a
 * fault gives the same rows again. */
int sl_ingest_read(struct sl_ingest_plan *plan, enum sl_ingest_form form, struct sl_str body,
                   const struct sl_ingest_reader *reader, uint64_t *ret_rows,
                   struct sl_ingest_fault *ret_fault, struct sl_err *err);

#endif
