#include "dmf/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "format/bson_writer.h"
#include "format/key.h"
#include "format/own_name.h"
#include "format/typed.h"

enum {
    ROW_MAX = (1 << SL_VERSION_ROW_BITS) - 1,
    RAW_BYTES = SL_SIZE(64 * 1024, 64), /* how much of a bad row is kept */
};

struct column {
    struct sl_bson_key key;
    enum sl_type type;
};

struct sl_rows {
    const struct sl_entity_config *entity;
    const char *file;
    int64_t counter;
    struct sl_arena arena;  /* the header and its names */
    struct sl_str header;   /* the line as it came; empty when it is too long for a letter */
    struct column *columns; /* NULL until the header came */
    uint32_t column_count;
    struct sl_key_part key_parts[SL_CONFIG_KEY_COLUMNS_MAX];
    uint32_t key_cells[SL_CONFIG_KEY_COLUMNS_MAX]; /* which cell is which part of the key */
    bool own_name;                                 /* a column is called as a field of sluice's */
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

/* A whole package says the same each time it is fetched: it waits for somebody to act. */
static int misfit(struct sl_err *err)
{
    if (err)
        err->retry_after_ms = SL_DMF_MISFIT_PAUSE_MS;
    return SL_CONFIG;
}

static int missing(const struct sl_rows *rows, const char *column, const char *role,
                   struct sl_err *err)
{
    sl_err_set(err, SL_CONFIG,
               "file '%s' has no column '%s', which the configuration names as %s of entity '%s'; "
               "correct the configuration or the data project, and start again",
               rows->file, column, role, rows->entity->name);
    return misfit(err);
}

/* As a rule the header was written by another encoding or delimiter than it is read by. */
static int unreadable(const struct sl_rows *rows, const char *why, struct sl_err *err)
{
    sl_err_set(err, SL_CONFIG,
               "file '%s': %s; correct file_encoding or delimiter of the feed, or the data "
               "project, and start again",
               rows->file, why);
    return misfit(err);
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
    char why[160];
    if (!name.length || memchr(name.at, 0, name.length) || !sl_utf8_valid(name.at, name.length)) {
        snprintf(why, sizeof why, "the name of column %u is empty or not UTF-8", at + 1);
        return unreadable(rows, why, err);
    }
    for (uint32_t i = 0; i < at; i++)
        if (sl_str_equal(header->cells[i], name)) {
            snprintf(why, sizeof why, "it has two columns '%.*s'",
                     (int)sl_utf8_cut(name.at, name.length, 80), name.at);
            return unreadable(rows, why, err);
        }
    return SL_OK;
}

int sl_rows_header(struct sl_rows *rows, const struct sl_csv_row *header, struct sl_err *err)
{
    if (header->raw.length <= RAW_BYTES)
        rows->header = (struct sl_str){
            sl_arena_copy(&rows->arena, header->raw.at, header->raw.length), header->raw.length};
    rows->columns = sl_calloc(header->count, sizeof *rows->columns);
    rows->column_count = header->count;
    for (uint32_t i = 0; i < header->count; i++) {
        int rc = check_name(rows, header, i, err);
        if (rc != SL_OK)
            return rc;
        rows->own_name |= sl_name_is_own(header->cells[i]);
        rows->columns[i].key = sl_bson_key_make(&rows->arena, header->cells[i]);
    }
    int rc = match_key(rows, header, err);
    return rc == SL_OK ? match_types(rows, header, err) : rc;
}

/* --- rows --- */

static int64_t row_version(const struct sl_rows *rows)
{
    uint64_t number = rows->row_number < ROW_MAX ? rows->row_number : ROW_MAX;
    return rows->counter << SL_VERSION_ROW_BITS | (int64_t)number;
}

/* The header in the batch's arena; once a batch, which is of one file. */
static struct sl_str keep_header(const struct sl_rows *rows, struct sl_batch *batch)
{
    if (batch->dead_count && batch->dead[batch->dead_count - 1].header.length)
        return batch->dead[batch->dead_count - 1].header;
    return sl_batch_keep(batch, rows->header);
}

/* A row that cannot be delivered goes to the dead letters as it was read. */
static int bury(struct sl_rows *rows, struct sl_batcher *batcher, const struct sl_csv_row *row,
                bool whole, const char *code, const char *reason, struct sl_err *err)
{
    struct sl_batch *batch;
    int rc = sl_batcher_open(batcher, &batch, err);
    if (rc != SL_OK)
        return rc;
    size_t raw = row->raw.length < RAW_BYTES ? row->raw.length : RAW_BYTES;
    struct sl_dead dead = {
        .code = code,
        .reason = sl_batch_keep(batch, sl_str_of(reason)),
        .file = batch->origin.file,
        .line = row->line,
        .row_number = rows->row_number,
        .row = sl_batch_keep(batch, (struct sl_str){row->raw.at, raw}),
        .row_cut = !whole || raw < row->raw.length,
        .header = keep_header(rows, batch),
        .versioned = true,
        .op = SL_UPSERT,
        .version = row_version(rows),
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
    /* Quotes and delimiters are ASCII: of a row that is UTF-8 every cell is, too. */
    bool utf8 = row->raw.length && sl_utf8_valid(row->raw.at, row->raw.length);
    for (uint32_t i = 0; i < row->count && rc == SL_OK; i++) {
        struct column column = rows->columns[i];
        if (utf8 && column.type == SL_TYPE_STRING)
            sl_bson_add_utf8(&writer, column.key, row->cells[i].at, row->cells[i].length);
        else
            rc = sl_typed_append(&writer, column.key, column.type, row->cells[i], ret_code, err);
    }
    *ret = sl_bson_end(&writer);
    return rc;
}

int sl_rows_type(const struct sl_rows *rows, struct sl_arena *arena, const struct sl_csv_row *row,
                 struct sl_record *record, const char **ret_code, struct sl_err *why)
{
    /* Before the columns are counted: those of other rows may be among them. */
    if (row->tail) {
        *ret_code = "bad_quotes";
        return sl_err_set(why, SL_REJECTED, "text follows the closing quote of cell %u", row->tail);
    }
    if (row->count != rows->column_count) {
        *ret_code = "wrong_columns";
        return sl_err_set(why, SL_REJECTED, "the row has %u columns, the header %u", row->count,
                          rows->column_count);
    }
    *ret_code = "untypable";
    record->op = SL_UPSERT;
    record->sound = !rows->own_name;
    int rc = row_key(rows, arena, row, &record->id, ret_code, why);
    return rc == SL_OK ? row_doc(rows, arena, row, &record->doc, ret_code, why) : rc;
}

static int take_row(struct sl_rows *rows, struct sl_batcher *batcher, const struct sl_csv_row *row,
                    struct sl_err *err)
{
    struct sl_batch *batch;
    int rc = sl_batcher_open(batcher, &batch, err);
    if (rc != SL_OK)
        return rc;
    /* From here to sl_batcher_add nothing suspends: the batch stays open. */
    const char *code;
    struct sl_err why = {0};
    struct sl_record record = {.version = row_version(rows), .line = row->line};
    rc = sl_rows_type(rows, &batch->arena, row, &record, &code, &why);
    if (rc != SL_OK)
        return bury(rows, batcher, row, true, code, why.message, err);
    return sl_batcher_add(batcher, &record, err);
}

bool sl_rows_begun(const struct sl_rows *rows)
{
    return rows->columns != NULL;
}

int sl_rows_take(struct sl_rows *rows, struct sl_batcher *batcher, enum sl_csv_result result,
                 const struct sl_csv_row *row, struct sl_err *err)
{
    if (!rows->columns) {
        if (result != SL_CSV_ROW || row->tail)
            return unreadable(rows, "its header line is broken", err);
        return sl_rows_header(rows, row, err);
    }
    rows->row_number++;
    if (result == SL_CSV_OVERSIZE)
        return bury(rows, batcher, row, false, "too_large", "the row is larger than limits.max_row",
                    err);
    if (result == SL_CSV_UNCLOSED)
        return bury(rows, batcher, row, false, "unclosed_quote",
                    "the file ends inside the quotes that this row opened", err);
    return take_row(rows, batcher, row, err);
}
