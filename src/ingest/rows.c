#include "ingest/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ingest/rows_own.h"

enum { BLANK_BYTES = 4096 };

bool sl_ingest_form_of(const char *content_type, enum sl_ingest_form *ret)
{
    static const struct {
        const char *type;
        enum sl_ingest_form form;
    } known[] = {
        {"application/json",     SL_INGEST_JSON },
        {"application/x-ndjson", SL_INGEST_LINES},
        {"application/ndjson",   SL_INGEST_LINES},
        {"text/csv",             SL_INGEST_CSV  },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(content_type, known[i].type)) {
            *ret = known[i].form;
            return true;
        }
    return false;
}

/* --- the plan --- */

struct sl_ingest_plan *sl_ingest_plan_new(const struct sl_entity_config *entity,
                                          const char *version, size_t max_row_bytes)
{
    struct sl_ingest_plan *plan = SL_NEW(struct sl_ingest_plan);
    plan->entity = entity;
    plan->version = version;
    plan->max_row_bytes = max_row_bytes;
    sl_columns_init(&plan->columns);
    for (size_t i = 0; i < entity->column_count; i++)
        sl_columns_add(&plan->columns, sl_str_of(entity->columns[i].name), entity->columns[i].type,
                       true);
    sl_columns_add(&plan->columns, sl_str_of(SL_INGEST_DELETE), SL_TYPE_BOOL, false);
    for (size_t i = 0; i < entity->key_count; i++)
        plan->parts[i] = sl_key_part_of(entity->key[i]);
    return plan;
}

void sl_ingest_plan_free(struct sl_ingest_plan *plan)
{
    if (!plan)
        return;
    sl_columns_done(&plan->columns);
    free(plan);
}

enum sl_type sl_ingest_type_of(const struct sl_ingest_plan *plan, struct sl_str column,
                               bool *ret_found)
{
    const struct sl_entity_config *entity = plan->entity;
    *ret_found = true;
    for (size_t i = 0; i < entity->column_count; i++)
        if (sl_str_equal_nocase(column, sl_str_of(entity->columns[i].name)))
            return entity->columns[i].type;
    *ret_found = sl_str_is(column, SL_INGEST_DELETE);
    return *ret_found ? SL_TYPE_BOOL : SL_TYPE_STRING;
}

/* --- reading --- */

int sl_ingest_refuse(struct sl_ingest_reading *reading, uint64_t row, uint32_t line,
                     struct sl_str column, const char *reason, struct sl_err *err)
{
    struct sl_ingest_fault *fault = reading->fault;
    size_t length = sl_utf8_cut(column.at, column.length, sizeof fault->column - 1);
    fault->row = row;
    fault->line = line;
    if (length)
        memcpy(fault->column, column.at, length);
    fault->column[length] = 0;
    snprintf(fault->reason, sizeof fault->reason, "%s", reason);
    sl_text_clean(fault->reason);
    return sl_err_set(err, SL_REJECTED, "%s", fault->reason);
}

/* Whether there is nothing in it; one that is full of blanks is left to the parser, which pauses.
 */
static bool is_blank(struct sl_str body)
{
    if (body.length > BLANK_BYTES)
        return false;
    while (body.length && strchr(" \t\r\n", *body.at) && *body.at)
        body = (struct sl_str){body.at + 1, body.length - 1};
    return !body.length;
}

int sl_ingest_read(struct sl_ingest_plan *plan, enum sl_ingest_form form, struct sl_str body,
                   const struct sl_ingest_reader *reader, uint64_t *ret_rows,
                   struct sl_ingest_fault *ret_fault, struct sl_err *err)
{
    struct sl_ingest_reading reading = {
        .plan = plan, .body = body, .reader = reader, .fault = ret_fault};
    *ret_fault = (struct sl_ingest_fault){0};
    if (ret_rows)
        *ret_rows = 0;
    if (is_blank(body))
        return SL_OK;
    sl_arena_init(&reading.arena, SL_ARENA_BLOCK_BYTES);
    int rc = form == SL_INGEST_CSV ? sl_ingest_read_csv(&reading, err)
                                   : sl_ingest_read_json(&reading, form == SL_INGEST_LINES, err);
    sl_arena_done(&reading.arena);
    if (ret_rows)
        *ret_rows = reading.rows;
    return rc;
}
