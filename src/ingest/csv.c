/* CSV into documents: a header line, then rows; comma-separated, RFC 4180. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/bson_writer.h"
#include "format/csv.h"
#include "ingest/rows_own.h"

struct table {
    struct sl_ingest_reading *reading;
    struct sl_columns names;
    const struct sl_column **columns; /* in the header's order; NULL until it came */
    uint32_t column_count;
    uint64_t row; /* from 1, the header not counted */
};

/* --- the header --- */

static int refuse_header(struct table *table, const struct sl_csv_row *header, struct sl_str column,
                         const char *wrong, struct sl_err *err)
{
    char reason[200];
    snprintf(reason, sizeof reason, "the header %s '%.*s'", wrong,
             (int)sl_utf8_cut(column.at, column.length, 80), column.at);
    return sl_ingest_refuse(table->reading, 0, header->line, column, reason, err);
}

static int check_name(struct table *table, const struct sl_csv_row *header, uint32_t at,
                      struct sl_err *err)
{
    struct sl_str name = header->cells[at];
    if (!name.length || memchr(name.at, 0, name.length) || !sl_utf8_valid(name.at, name.length)) {
        char reason[80];
        snprintf(reason, sizeof reason, "the name of column %u is empty or not UTF-8", at + 1);
        return sl_ingest_refuse(table->reading, 0, header->line, sl_str_of(""), reason, err);
    }
    if (sl_str_is(name, "_id") || sl_str_is(name, "_sluice"))
        return refuse_header(table, header, name, "has a name that is sluice's own:", err);
    if (sl_columns_find(&table->names, name))
        return refuse_header(table, header, name, "names twice the column", err);
    return SL_OK;
}

static bool has(const struct sl_csv_row *header, const char *column)
{
    for (uint32_t i = 0; i < header->count; i++)
        if (sl_str_equal_nocase(header->cells[i], sl_str_of(column)))
            return true;
    return false;
}

static int take_header(struct table *table, const struct sl_csv_row *header, struct sl_err *err)
{
    const struct sl_ingest_plan *plan = table->reading->plan;
    table->columns = sl_calloc(header->count, sizeof(struct sl_column *));
    table->column_count = header->count;
    for (uint32_t i = 0; i < header->count; i++) {
        bool found;
        int rc = check_name(table, header, i, err);
        if (rc != SL_OK)
            return rc;
        enum sl_type type = sl_ingest_type_of(plan, header->cells[i], &found);
        table->columns[i] = sl_columns_add(&table->names, header->cells[i], type, true);
    }
    for (size_t i = 0; i < plan->entity->key_count; i++)
        if (!has(header, plan->entity->key[i]))
            return refuse_header(table, header, sl_str_of(plan->entity->key[i]),
                                 "lacks the key column", err);
    if (plan->version && !has(header, plan->version))
        return refuse_header(table, header, sl_str_of(plan->version), "lacks the version column",
                             err);
    return SL_OK;
}

/* --- rows --- */

static int take_row(struct table *table, const struct sl_csv_row *row, struct sl_err *err)
{
    struct sl_ingest_reading *reading = table->reading;
    struct sl_bson_writer writer;
    if (row->count != table->column_count) {
        char reason[120];
        snprintf(reason, sizeof reason, "the row has %u columns, the header %u", row->count,
                 table->column_count);
        return sl_ingest_refuse(reading, table->row, row->line, sl_str_of(""), reason, err);
    }
    sl_bson_begin(&writer, &reading->arena);
    for (uint32_t i = 0; i < row->count; i++) {
        const struct sl_column *column = table->columns[i];
        if (sl_typed_append(&writer, column->key, column->type, row->cells[i], NULL, err) != SL_OK)
            return sl_ingest_refuse(reading, table->row, row->line, column->name, err->message,
                                    err);
    }
    return sl_ingest_shape(reading, sl_bson_end(&writer), table->row, row->line, err);
}

/* Text behind a closing quote: what the cell is, and how far it goes, cannot be told. */
static int refuse_tail(struct table *table, const struct sl_csv_row *row, struct sl_err *err)
{
    bool named = table->columns && row->tail <= table->column_count;
    char reason[80];
    snprintf(reason, sizeof reason, "text follows the closing quote of cell %u", row->tail);
    return sl_ingest_refuse(table->reading, table->row, row->line,
                            named ? table->columns[row->tail - 1]->name : sl_str_of(""), reason,
                            err);
}

static int take(struct table *table, enum sl_csv_result result, const struct sl_csv_row *row,
                struct sl_err *err)
{
    bool header = !table->columns;
    table->row += !header;
    if (result == SL_CSV_OVERSIZE)
        return sl_ingest_refuse(table->reading, table->row, row->line, sl_str_of(""),
                                "the row is larger than limits.max_row, or has over 16384 columns",
                                err);
    if (result == SL_CSV_UNCLOSED)
        return sl_ingest_refuse(table->reading, table->row, row->line, sl_str_of(""),
                                "the post ends inside the quotes that this row opened", err);
    if (row->tail)
        return refuse_tail(table, row, err);
    return header ? take_header(table, row, err) : take_row(table, row, err);
}

static int feed(struct table *table, struct sl_csv *csv, struct sl_err *err)
{
    const struct sl_ingest_reader *reader = table->reading->reader;
    struct sl_str left = table->reading->body;
    struct sl_csv_row row;
    enum sl_csv_result result;
    int rc = SL_OK;
    while ((result = sl_csv_next(csv, &row)) != SL_CSV_END) {
        if (result != SL_CSV_MORE) {
            rc = take(table, result, &row, err);
        } else if (!left.length) {
            sl_csv_finish(csv);
        } else {
            size_t size, most = SL_INGEST_PIECE_BYTES;
            if (left.at != table->reading->body.at)
                rc = reader->pause(reader->ctx, err);
            char *space = sl_csv_space(csv, &size);
            size = size < most ? size : most;
            size = size < left.length ? size : left.length;
            memcpy(space, left.at, size);
            sl_csv_filled(csv, size);
            left = (struct sl_str){left.at + size, left.length - size};
        }
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

int sl_ingest_read_csv(struct sl_ingest_reading *reading, struct sl_err *err)
{
    struct table table = {.reading = reading};
    struct sl_csv *csv = sl_csv_new(',', reading->plan->max_row_bytes);
    sl_columns_init(&table.names);
    int rc = feed(&table, csv, err);
    sl_csv_free(csv);
    sl_columns_done(&table.names);
    free(table.columns);
    return rc;
}
