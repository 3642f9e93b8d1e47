/* A document into a row: its key, its version, whether it is a deletion. Names are matched exactly
 * first, then without case. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "format/bson_reader.h"
#include "format/extjson.h"
#include "format/number.h"
#include "ingest/rows_own.h"

#define VERSION_MAX ((INT64_C(1) << 53) - 1)

/* What a document has of the columns that matter. */
struct found {
    struct sl_bson_element key[SL_CONFIG_KEY_COLUMNS_MAX];
    struct sl_bson_element version, deletion;
};

/* Takes the element when its name is wanted, unless there is one with exactly that name. type 0:
 * none yet. */
static void match(struct sl_bson_element *slot, const struct sl_bson_element *element,
                  const char *wanted)
{
    bool exact = sl_str_is(element->key, wanted);
    if (exact || (!slot->type && sl_str_equal_nocase(element->key, sl_str_of(wanted))))
        *slot = *element;
}

static int find(const struct sl_ingest_plan *plan, struct sl_str doc, struct found *ret,
                struct sl_err *err)
{
    struct sl_bson_reader reader;
    struct sl_bson_element element;
    *ret = (struct found){0};
    int rc = sl_bson_open(&reader, doc, err);
    while (rc == SL_OK && (rc = sl_bson_next(&reader, &element, err)) == SL_OK) {
        for (size_t i = 0; i < plan->entity->key_count; i++)
            match(&ret->key[i], &element, plan->entity->key[i]);
        if (plan->version)
            match(&ret->version, &element, plan->version);
        if (sl_str_is(element.key, SL_INGEST_DELETE))
            ret->deletion = element;
    }
    return rc == SL_END ? SL_OK : rc;
}

/* --- the key --- */

/* The value as a part of the key; storage holds what is not a text. NULL, or what is wrong. */
static const char *key_text(const struct sl_bson_element *element, char storage[SL_NUMBER_BYTES],
                            struct sl_str *ret)
{
    *ret = (struct sl_str){storage, 0};
    switch (element->type) {
    case 0:
    case SL_BSON_NULL:
        return "is missing";
    case SL_BSON_UTF8:
        *ret = sl_bson_text(element);
        return NULL;
    case SL_BSON_INT32:
        ret->length = sl_int64_format(sl_bson_int32(element), storage);
        return NULL;
    case SL_BSON_INT64:
        ret->length = sl_int64_format(sl_bson_int64(element), storage);
        return NULL;
    case SL_BSON_BOOL:
        *ret = sl_str_of(*element->value.at ? "true" : "false");
        return NULL;
    case SL_BSON_DATE:
        if (!sl_extjson_has_moment(sl_bson_int64(element))) /* two might become one text */
            return "must be a date of the years 1 to 9999";
        sl_iso_format(sl_bson_int64(element), storage);
        *ret = sl_str_of(storage);
        return NULL;
    default:
        return "must be a text, a whole number, a date or a truth value";
    }
}

static int shape_key(struct sl_ingest_reading *reading, const struct found *found, uint64_t row,
                     uint32_t line, struct sl_str *ret, struct sl_err *err)
{
    const struct sl_ingest_plan *plan = reading->plan;
    struct sl_str values[SL_CONFIG_KEY_COLUMNS_MAX];
    char storage[SL_CONFIG_KEY_COLUMNS_MAX][SL_NUMBER_BYTES];
    for (size_t i = 0; i < plan->entity->key_count; i++) {
        const char *column = plan->entity->key[i];
        const char *wrong = key_text(&found->key[i], storage[i], &values[i]);
        if (!wrong && !values[i].length)
            wrong = "is empty";
        if (wrong) {
            char reason[160];
            snprintf(reason, sizeof reason, "column '%.80s': the key %s", column, wrong);
            return sl_ingest_refuse(reading, row, line, sl_str_of(column), reason, err);
        }
    }
    int rc = sl_key_join(&reading->arena, plan->parts, values, (uint32_t)plan->entity->key_count,
                         ret, NULL, err);
    return rc == SL_OK ? rc
                       : sl_ingest_refuse(reading, row, line, sl_str_of(""), err->message, err);
}

/* --- the version --- */

/* NULL, or what is wrong. */
static const char *version_of(const struct sl_bson_element *element, int64_t *ret)
{
    static const char kind[] = "must be a whole number or a date";
    struct sl_str text;
    switch (element->type) {
    case 0:
    case SL_BSON_NULL:
        return "is missing";
    case SL_BSON_INT32:
        *ret = sl_bson_int32(element);
        break;
    case SL_BSON_INT64:
    case SL_BSON_DATE:
        *ret = sl_bson_int64(element);
        break;
    case SL_BSON_UTF8:
        text = sl_bson_text(element);
        if (!text.length)
            return "is empty";
        if (sl_int64_parse(text.at, text.length, ret) != SL_NUMBER_OK &&
            !sl_iso_parse(text.at, text.length, ret))
            return kind;
        break;
    default:
        return kind;
    }
    return *ret < 0             ? "must not be negative"
           : *ret > VERSION_MAX ? "must be below 9007199254740992 (2^53)"
                                : NULL;
}

static int shape_version(struct sl_ingest_reading *reading, const struct found *found, uint64_t row,
                         uint32_t line, int64_t *ret, struct sl_err *err)
{
    const char *column = reading->plan->version, *wrong;
    *ret = -1;
    if (!column || !(wrong = version_of(&found->version, ret)))
        return SL_OK;
    char reason[160];
    snprintf(reason, sizeof reason, "column '%.80s': the version %s", column, wrong);
    return sl_ingest_refuse(reading, row, line, sl_str_of(column), reason, err);
}

/* --- the row --- */

/* The document without that field. */
static struct sl_str without(struct sl_arena *arena, struct sl_str doc,
                             const struct sl_bson_element *element)
{
    size_t from = (size_t)(element->key.at - 1 - doc.at); /* its type stands before the name */
    size_t to = (size_t)(element->value.at + element->value.length - doc.at);
    char *copy = sl_arena_alloc(arena, doc.length);
    struct sl_str rest = {copy, doc.length - (to - from)};
    int32_t length = (int32_t)rest.length;
    memcpy(copy, doc.at, from);
    memcpy(copy + from, doc.at + to, doc.length - to);
    memcpy(copy, &length, sizeof length); /* BSON is little-endian, as is every machine we run on */
    return rest;
}

int sl_ingest_shape(struct sl_ingest_reading *reading, struct sl_str doc, uint64_t row,
                    uint32_t line, struct sl_err *err)
{
    struct found found;
    struct sl_ingest_row shaped = {.op = SL_UPSERT, .line = line};
    int rc = find(reading->plan, doc, &found, err);
    if (rc == SL_REJECTED)
        return sl_ingest_refuse(reading, row, line, sl_str_of(""), err->message, err);
    if (rc == SL_OK)
        rc = shape_key(reading, &found, row, line, &shaped.id, err);
    if (rc == SL_OK)
        rc = shape_version(reading, &found, row, line, &shaped.version, err);
    if (rc != SL_OK)
        return rc;
    if (found.deletion.type == SL_BSON_BOOL && *found.deletion.value.at)
        shaped.op = SL_DELETE;
    else
        shaped.doc = found.deletion.type ? without(&reading->arena, doc, &found.deletion) : doc;
    if (shaped.id.length > SL_ID_BYTES_MAX ||
        shaped.id.length + shaped.doc.length > reading->plan->max_row_bytes)
        return sl_ingest_refuse(reading, row, line, sl_str_of(""),
                                "the row is larger than limits.max_row, or its key than 1 MiB",
                                err);
    reading->rows++;
    if (reading->reader->row)
        rc = reading->reader->row(reading->reader->ctx, &shaped, err);
    sl_arena_done(&reading->arena);
    return rc;
}
