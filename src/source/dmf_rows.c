#include "source/dmf_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/bson_writer.h"
#include "format/key.h"
#include "format/typed.h"

enum {
    ROW_MAX = (1 << SL_VERSION_ROW_BITS) - 1,
    RAW_BYTES = 64 * 1024, /* how much of a bad row is kept */
    MISFIT_PAUSE_MS = 5 * 60 * 1000,
};

struct column {
    struct sl_bson_key key;
    enum sl_type type;
};

struct sl_rows {
    const struct sl_entity_config *entity;
    const char *file;
    int64_t counter;
    struct sl_arena arena;  /* the header's names */
    struct column *columns; /* NULL until the header came */
    uint32_t column_count;
    struct sl_key_part key_parts[SL_CONFIG_KEY_COLUMNS_MAX];
    uint32_t key_cells[SL_CONFIG_KEY_COLUMNS_MAX]; /* which cell is which part of the key */
    uint64_t row_number;                           /* 1 = first row after the header */
};

struct sl_rows *sl_rows_new(const struct sl_entity_config *entity, const char *file,
                            int64_t counter)
{
    struct sl_rows *rows = SL_NEW(struct sl_rows);
    rows->entity = entity;
    rows->file = file;
    rows->counter = counter;
    sl_arena_init(&rows->arena, 4096);
    return rows;
}

void sl_rows_free(struct sl_rows *rows)
{
    if (!rows)
        return;
    sl_arena_done(&rows->arena);
    free(rows->columns);
    free(rows);
}

/* --- the header --- */

static const uint32_t NONE = UINT32_MAX;

/* The cell whose name is wanted, without case; NONE when there is none. */
static uint32_t find_column(const struct sl_csv_row *header, const char *wanted)
{
    for (uint32_t i = 0; i < header->count; i++)
        if (sl_str_equal_nocase(header->cells[i], sl_str_of(wanted)))
            return i;
    return NONE;
}

static int missing(const struct sl_rows *rows, const char *column, const char *role,
                   struct sl_err *err)
{
    sl_err_set(err, SL_CONFIG,
               "file '%s' has no column '%s', which the configuration names as %s of entity '%s'; "
               "correct the configuration or the data project, and start again",
               rows->file, column, role, rows->entity->name);
    if (err) /* the same package will say the same, until somebody acts */
        err->retry_after_ms = MISFIT_PAUSE_MS;
    return SL_CONFIG;
}

static int match_key(struct sl_rows *rows, const struct sl_csv_row *header, struct sl_err *err)
{
    const struct sl_entity_config *entity = rows->entity;
    for (uint32_t i = 0; i < entity->key_count; i++) {
        uint32_t cell = find_column(header, entity->key[i]);
        if (cell == NONE)
            return missing(rows, entity->key[i], "a key", err);
        rows->key_parts[i] = sl_key_part_of(entity->key[i]);
        rows->key_cells[i] = cell;
    }
    return SL_OK;
}

static int match_types(struct sl_rows *rows, const struct sl_csv_row *header, struct sl_err *err)
{
    const struct sl_entity_config *entity = rows->entity;
    for (size_t i = 0; i < entity->column_count; i++) {
        uint32_t cell = find_column(header, entity->columns[i].name);
        if (cell == NONE)
            return missing(rows, entity->columns[i].name, "a typed column", err);
        rows->columns[cell].type = entity->columns[i].type;
    }
    return SL_OK;
}

static int check_name(const struct sl_rows *rows, const struct sl_csv_row *header, uint32_t at,
                      struct sl_err *err)
{
    struct sl_str name = header->cells[at];
    if (!name.length || memchr(name.at, 0, name.length) || !sl_utf8_valid(name.at, name.length))
        return sl_err_set(err, SL_REJECTED,
                          "file '%s': the name of column %u is empty or not UTF-8", rows->file,
                          at + 1);
    for (uint32_t i = 0; i < at; i++)
        if (sl_str_equal(header->cells[i], name))
            return sl_err_set(err, SL_REJECTED, "file '%s' has two columns '" SL_STR_FORMAT "'",
                              rows->file, SL_STR_ARGS(name));
    return SL_OK;
}

static int take_header(struct sl_rows *rows, const struct sl_csv_row *header, struct sl_err *err)
{
    rows->columns = sl_calloc(header->count, sizeof *rows->columns);
    rows->column_count = header->count;
    for (uint32_t i = 0; i < header->count; i++) {
        int rc = check_name(rows, header, i, err);
        if (rc != SL_OK)
            return rc;
        rows->columns[i].key = sl_bson_key_make(&rows->arena, header->cells[i]);
    }
    int rc = match_key(rows, header, err);
    return rc == SL_OK ? match_types(rows, header, err) : rc;
}

/* --- rows --- */

/* A row that cannot be delivered goes to the dead letters as it was read. */
static int bury(struct sl_rows *rows, struct sl_batcher *batcher, const struct sl_csv_row *row,
                const char *code, const char *reason, struct sl_err *err)
{
    struct sl_batch *batch;
    int rc = sl_batcher_open(batcher, &batch, err);
    if (rc != SL_OK)
        return rc;
    struct sl_arena *arena = &batch->arena;
    size_t length = strlen(reason);
    size_t raw = row->raw.length < RAW_BYTES ? row->raw.length : RAW_BYTES;
    struct sl_dead dead = {
        .code = code,
        .reason = {sl_arena_text(arena, reason,      length), length},
        .file = batch->origin.file,
        .line = row->line,
        .row_number = rows->row_number,
        .row = {sl_arena_copy(arena, row->raw.at, raw),    raw   },
    };
    return sl_batcher_add_dead(batcher, &dead, err);
}

static int row_key(const struct sl_rows *rows, struct sl_arena *arena, const struct sl_csv_row *row,
                   struct sl_str *ret, const char **ret_code, struct sl_err *err)
{
    struct sl_str values[SL_CONFIG_KEY_COLUMNS_MAX];
    uint32_t count = (uint32_t)rows->entity->key_count;
    for (uint32_t i = 0; i < count; i++)
        values[i] = row->cells[rows->key_cells[i]];
    return sl_key_join(arena, rows->key_parts, values, count, ret, ret_code, err);
}

static int row_doc(const struct sl_rows *rows, struct sl_arena *arena, const struct sl_csv_row *row,
                   struct sl_str *ret, const char **ret_code, struct sl_err *err)
{
    struct sl_bson_writer writer;
    sl_bson_begin(&writer, arena);
    int rc = SL_OK;
    for (uint32_t i = 0; i < row->count && rc == SL_OK; i++)
        rc = sl_typed_append(&writer, rows->columns[i].key, rows->columns[i].type, row->cells[i],
                             ret_code, err);
    *ret = sl_bson_end(&writer);
    return rc;
}

static int take_row(struct sl_rows *rows, struct sl_batcher *batcher, const struct sl_csv_row *row,
                    struct sl_err *err)
{
    if (row->count != rows->column_count) {
        char reason[120];
        snprintf(reason, sizeof reason, "the row has %u columns, the header %u", row->count,
                 rows->column_count);
        return bury(rows, batcher, row, "wrong_columns", reason, err);
    }

    struct sl_batch *batch;
    int rc = sl_batcher_open(batcher, &batch, err);
    if (rc != SL_OK)
        return rc;
    /* From here to sl_batcher_add nothing suspends: the batch stays open. */
    const char *code = "untypable";
    struct sl_err why = {0};
    uint64_t number = rows->row_number < ROW_MAX ? rows->row_number : ROW_MAX;
    struct sl_record record = {
        .op = SL_UPSERT,
        .version = rows->counter << SL_VERSION_ROW_BITS | (int64_t)number,
        .line = row->line,
    };
    rc = row_key(rows, &batch->arena, row, &record.id, &code, &why);
    if (rc == SL_OK)
        rc = row_doc(rows, &batch->arena, row, &record.doc, &code, &why);
    if (rc != SL_OK)
        return bury(rows, batcher, row, code, why.message, err);
    return sl_batcher_add(batcher, &record, err);
}

int sl_rows_take(struct sl_rows *rows, struct sl_batcher *batcher, enum sl_csv_result result,
                 const struct sl_csv_row *row, struct sl_err *err)
{
    if (!rows->columns) {
        if (result != SL_CSV_ROW)
            return sl_err_set(err, SL_REJECTED, "file '%s': its header line is broken", rows->file);
        return take_header(rows, row, err);
    }
    rows->row_number++;
    if (result == SL_CSV_OVERSIZE)
        return bury(rows, batcher, row, "too_large", "the row is larger than limits.max_row", err);
    if (result == SL_CSV_UNCLOSED)
        return bury(rows, batcher, row, "unclosed_quote",
                    "the file ends inside the quotes that this row opened", err);
    return take_row(rows, batcher, row, err);
}
