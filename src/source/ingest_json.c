/* JSON and NDJSON into documents. Columns with a type are known by their exact spelling; another
 * one is learnt when it is first seen, and the body read again. */
#include "format/bson_reader.h"
#include "format/json_rows.h"
#include "source/ingest_rows_own.h"

/* Looks for typed columns that the post spells in another case. */
static int learn(struct sl_ingest_reading *reading, const struct sl_json_row *row,
                 struct sl_err *err)
{
    struct sl_ingest_plan *plan = reading->plan;
    struct sl_bson_reader reader;
    struct sl_bson_element element;
    if (!plan->entity->column_count)
        return SL_OK;
    int rc = sl_bson_open(&reader, row->doc, err);
    while (rc == SL_OK && (rc = sl_bson_next(&reader, &element, err)) == SL_OK) {
        bool found;
        if (sl_columns_find(&plan->columns, element.key))
            continue;
        enum sl_type type = sl_ingest_type_of(plan, element.key, &found);
        if (!found || type == SL_TYPE_STRING)
            continue;
        if (++plan->spelling_count > SL_INGEST_SPELLINGS_MAX)
            return sl_ingest_refuse(reading, row->number, row->line, element.key,
                                    "the column is spelt in too many ways", err);
        sl_columns_add(&plan->columns, element.key, type, true);
        reading->learnt = true;
    }
    return rc == SL_END ? SL_OK : rc;
}

static int on_row(void *ctx, const struct sl_json_row *row, struct sl_err *err)
{
    struct sl_ingest_reading *reading = ctx;
    int rc = learn(reading, row, err);
    if (rc == SL_OK && reading->learnt)
        rc = sl_err_set(err, SL_THROTTLED, "a spelling was learnt");
    return rc == SL_OK ? sl_ingest_shape(reading, row->doc, row->number, row->line, err) : rc;
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
    static const struct sl_json_rows_handler handler = {.row = on_row, .fault = on_fault};
    const struct sl_json_rows_options options = {
        .columns = &reading->plan->columns,
        .lines = lines,
        .max_row_bytes = reading->plan->max_row_bytes,
    };
    struct sl_json_rows *rows = sl_json_rows_new(&options, &handler, reading);
    int rc = feed(reading, rows, err);
    sl_json_rows_free(rows);
    return rc;
}
