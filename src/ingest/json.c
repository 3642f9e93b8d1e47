/* JSON and NDJSON into documents. Columns with a type are known by their exact spelling; another
 * one is learnt when it is first seen. */
#include "format/json_rows.h"
#include "ingest/rows_own.h"

/* A column's type. One that the post spells in another case than the configuration is learnt. */
static int on_column(void *ctx, struct sl_str name, const struct sl_column **ret,
                     struct sl_err *err)
{
    struct sl_ingest_plan *plan = ((struct sl_ingest_reading *)ctx)->plan;
    bool found;
    *ret = sl_columns_find(&plan->columns, name);
    if (*ret)
        return SL_OK;
    enum sl_type type = sl_ingest_type_of(plan, name, &found);
    if (!found)
        return SL_OK;
    if (plan->spelling_count == SL_INGEST_SPELLINGS_MAX)
        return sl_err_set(err, SL_REJECTED, "it is spelt in too many ways");
    plan->spelling_count++;
    *ret = sl_columns_add(&plan->columns, name, type, true);
    return SL_OK;
}

static int on_row(void *ctx, const struct sl_json_row *row, struct sl_err *err)
{
    return sl_ingest_shape(ctx, row->doc, row->number, row->line, err);
}

static void on_fault(void *ctx, const struct sl_json_rows_fault *fault)
{
    struct sl_ingest_reading *reading = ctx;
    bool behind = fault->row && fault->row == reading->rows; /* that one was taken */
    sl_ingest_refuse(reading, fault->row + behind, fault->line, sl_str_of(fault->column),
                     fault->reason, NULL);
}

static int feed(struct sl_ingest_reading *reading, struct sl_json_rows *rows, struct sl_err *err)
{
    const struct sl_ingest_reader *reader = reading->reader;
    struct sl_str left = reading->body;
    for (;;) {
        size_t size = left.length < SL_INGEST_PIECE_BYTES ? left.length : SL_INGEST_PIECE_BYTES;
        int rc = sl_json_rows_feed(rows, left.at, size, err);
        left = (struct sl_str){left.at + size, left.length - size};
        if (rc != SL_OK)
            return rc;
        if (!left.length)
            return sl_json_rows_end(rows, err);
        rc = reader->pause(reader->ctx, err);
        if (rc != SL_OK)
            return rc;
    }
}

int sl_ingest_read_json(struct sl_ingest_reading *reading, bool lines, struct sl_err *err)
{
    static const struct sl_json_rows_handler handler = {
        .column = on_column, .row = on_row, .fault = on_fault};
    const struct sl_json_rows_options options = {
        .lines = lines,
        .max_row_bytes = reading->plan->max_row_bytes,
    };
    struct sl_json_rows *rows = sl_json_rows_new(&options, &handler, reading);
    int rc = feed(reading, rows, err);
    sl_json_rows_free(rows);
    return rc;
}
