/* A hash table of columns, and scalars by a column's type. */
#include "format/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { FIRST_SLOTS = 64, BLOCK_BYTES = 4096, SHOWN_BYTES = 40 };

void sl_columns_init(struct sl_columns *set)
{
    memset(set, 0, sizeof *set);
    sl_arena_init(&set->arena, BLOCK_BYTES);
}

void sl_columns_done(struct sl_columns *set)
{
    free(set->slots);
    sl_arena_done(&set->arena);
    memset(set, 0, sizeof *set);
}

/* Where the column of that name is, or would go. There is always an empty slot. */
static struct sl_column_slot *slot_of(const struct sl_columns *set, struct sl_str name)
{
    uint32_t mask = set->slot_count - 1;
    uint32_t at = (uint32_t)sl_hash(name.at, name.length) & mask;
    while (set->slots[at].column && !sl_str_equal(set->slots[at].column->name, name))
        at = (at + 1) & mask;
    return &set->slots[at];
}

const struct sl_column *sl_columns_find(const struct sl_columns *set, struct sl_str name)
{
    return set->slot_count ? slot_of(set, name)->column : NULL;
}

static void grow(struct sl_columns *set)
{
    struct sl_column_slot *old = set->slots;
    uint32_t old_count = set->slot_count;
    set->slot_count = old_count ? 2 * old_count : FIRST_SLOTS;
    set->slots = sl_calloc(set->slot_count, sizeof *set->slots);
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i].column)
            *slot_of(set, old[i].column->name) = old[i];
    free(old);
}

static const struct sl_column *add(struct sl_columns *set, struct sl_str name, enum sl_type type,
                                   bool any, bool keep)
{
    if (2 * (set->count + 1) > set->slot_count)
        grow(set);
    struct sl_column_slot *slot = slot_of(set, name);
    if (!slot->column) {
        struct sl_column *column = sl_arena_alloc(&set->arena, sizeof *column);
        column->key = sl_bson_key_make(&set->arena, name);
        column->name = (struct sl_str){sl_bson_key_name(column->key), name.length};
        column->index = set->count++;
        slot->column = column;
    }
    slot->column->type = type;
    slot->column->any = any;
    slot->column->keep = keep;
    return slot->column;
}

const struct sl_column *sl_columns_add(struct sl_columns *set, struct sl_str name,
                                       enum sl_type type, bool keep)
{
    return add(set, name, type, false, keep);
}

const struct sl_column *sl_columns_add_any(struct sl_columns *set, struct sl_str name, bool keep)
{
    return add(set, name, SL_TYPE_STRING, true, keep);
}

static int refuse(const struct sl_column *column, struct sl_str text, const char *why,
                  struct sl_err *err)
{
    size_t length = sl_utf8_cut(text.at, text.length, SHOWN_BYTES);
    const char *more = length < text.length ? "..." : "";
    if (!sl_utf8_valid(text.at, length))
        length = 0;
    return sl_err_set(err, SL_REJECTED, "column '%.80s': '%.*s%s' is no %s: %s", column->name.at,
                      (int)length, text.at, more, sl_type_name(column->type), why);
}

/* As the text of a string column, or of a column of another type that had to be a text. */
static int append_text(struct sl_bson_writer *writer, const struct sl_column *column,
                       struct sl_str text, const char **ret_code, struct sl_err *err)
{
    if (!sl_utf8_valid(text.at, text.length)) {
        char why[80];
        *ret_code = "bad_utf8";
        snprintf(why, sizeof why, "it %s", sl_utf8_fault(text.at, text.length));
        return refuse(column, text, why, err);
    }
    sl_bson_add_utf8(writer, column->key, text.at, text.length);
    return SL_OK;
}

static int append_date(struct sl_bson_writer *writer, const struct sl_column *column,
                       struct sl_str text, struct sl_err *err)
{
    int64_t wall_ms;
    if (!text.length)
        return SL_OK;
    if (!sl_iso_parse(text.at, text.length, &wall_ms))
        return refuse(column, text, "expected ISO 8601, as 2026-11-22 or 2026-11-22T03:10:00Z",
                      err);
    sl_bson_add_date(writer, column->key, wall_ms);
    return SL_OK;
}

int sl_column_append(struct sl_bson_writer *writer, const struct sl_column *column,
                     enum sl_json_kind kind, struct sl_str text, const char **ret_code,
                     struct sl_err *err)
{
    const char *code = "untypable";
    int rc;
    if (kind == SL_JSON_NULL) {
        sl_bson_add_null(writer, column->key);
        return SL_OK;
    }
    if (kind == SL_JSON_BOOL && column->type != SL_TYPE_BOOL)
        rc = refuse(column, text, "it is a truth value", err);
    else if (kind == SL_JSON_BOOL)
        rc = (sl_bson_add_bool(writer, column->key, *text.at == 't'), SL_OK);
    else if (column->type == SL_TYPE_STRING)
        rc = append_text(writer, column, text, &code, err);
    else if (column->type == SL_TYPE_DATE && kind == SL_JSON_NUMBER)
        rc = refuse(column, text, "it is a number", err);
    else if (column->type == SL_TYPE_DATE)
        rc = append_date(writer, column, text, err);
    else
        rc = sl_typed_append(writer, column->key, column->type, text, &code, err);
    if (rc != SL_OK && ret_code)
        *ret_code = code;
    return rc;
}
