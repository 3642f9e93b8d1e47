/* Finding dead letters, and removing them when their rows are safe or not wanted. */
#include <string.h>

#include "loop/fiber.h"
#include "mongo/fields.h"
#include "store/letter_document.h"
#include "store/store_own.h"

static const char DEAD[] = "dead";

enum { REMOVED_AT_ONCE = 500 };

/* --- which --- */

static void append_text(bson_t *query, const char *field, const char *text)
{
    if (text)
        BSON_APPEND_UTF8(query, field, text);
}

static void append_times(bson_t *query, const struct sl_letter_filter *filter)
{
    bson_t range;
    if (!filter->since_ms && !filter->until_ms)
        return;
    BSON_APPEND_DOCUMENT_BEGIN(query, "at", &range);
    if (filter->since_ms)
        BSON_APPEND_DATE_TIME(&range, "$gte", filter->since_ms);
    if (filter->until_ms)
        BSON_APPEND_DATE_TIME(&range, "$lt", filter->until_ms);
    bson_append_document_end(query, &range);
}

static void append_behind(bson_t *query, struct sl_str after)
{
    bson_t range, id;
    if (!bson_init_static(&id, (const uint8_t *)after.at, after.length))
        return;
    BSON_APPEND_DOCUMENT_BEGIN(query, "_id", &range);
    BSON_APPEND_DOCUMENT(&range, "$gt", &id);
    bson_append_document_end(query, &range);
}

/* after and a name exclude each other: a name is one letter, and there is nothing behind it. */
static bson_t *make_query(const struct sl_letter_filter *filter, struct sl_str after)
{
    bson_t *query = bson_new();
    append_text(query, "feed", filter->feed);
    append_text(query, "entity", filter->entity);
    append_text(query, "code", filter->code);
    append_text(query, "_id.run", filter->run);
    append_times(query, filter);
    if (filter->name)
        sl_letter_append_name(query, filter->name);
    else if (after.length)
        append_behind(query, after);
    else /* a walk could not go on behind anything else */
        BCON_APPEND(query, "_id", "{", "$type", BCON_UTF8("object"), "}");
    return query;
}

/* --- finding --- */

int sl_store_letters_find(struct sl_state *state, const struct sl_letter_query *query,
                          struct sl_arena *arena, struct sl_letter *ret, unsigned *ret_count,
                          struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    struct sl_store_rows rows;
    unsigned count = 0;
    *ret_count = 0;
    if (!query->max || (query->after.length && query->filter->name))
        return SL_OK;
    bson_t document, *filter = make_query(query->filter, query->after);
    bson_t *by_name = BCON_NEW("_id", BCON_INT32(1));
    bson_t *by_age = BCON_NEW("at", BCON_INT32(-1), "_id", BCON_INT32(1));
    bson_t *brief_fields = BCON_NEW("row", BCON_INT32(0), "header", BCON_INT32(0));
    int rc =
        sl_store_find_many(store,
                           &(struct sl_store_query){.database = store->database,
                                                    .collection = DEAD,
                                                    .filter = filter,
                                                    .sort = query->newest ? by_age : by_name,
                                                    .fields = query->brief ? brief_fields : NULL,
                                                    .limit = query->max},
                           &rows, err);
    bson_destroy(filter);
    bson_destroy(by_name);
    bson_destroy(by_age);
    bson_destroy(brief_fields);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot read dead letters");
    while (count < query->max && sl_store_rows_next(&rows, &document))
        sl_letter_from_document(&document, arena, &ret[count++]);
    sl_store_rows_done(&rows);
    *ret_count = count;
    return SL_OK;
}

/* Groups what the filter lets through by a field; gives the groups, largest first. */
static int group(struct sl_store *store, const struct sl_letter_filter *filter, const char *field,
                 unsigned max, bson_t *ret_groups, struct sl_err *err)
{
    bson_t *query = make_query(filter, sl_str_of(""));
    bson_t *pipeline =
        BCON_NEW("0", "{", "$match", BCON_DOCUMENT(query), "}", "1", "{", "$group", "{", "_id",
                 BCON_UTF8(field), "letters", "{", "$sum", BCON_INT64(1), "}", "}", "}", "2", "{",
                 "$sort", "{", "letters", BCON_INT32(-1), "_id", BCON_INT32(1), "}", "}", "3", "{",
                 "$limit", BCON_INT64(max), "}", "4", "{", "$group", "{", "_id", BCON_NULL,
                 "groups", "{", "$push", "$$ROOT", "}", "}", "}");
    int rc = sl_store_aggregate(store, store->database, DEAD, pipeline, sl_store_deadline(store),
                                ret_groups, err);
    bson_destroy(query);
    bson_destroy(pipeline);
    return rc;
}

static bool next_group(bson_iter_t *at, bson_t *ret)
{
    const uint8_t *data;
    uint32_t length;
    if (!bson_iter_next(at) || !BSON_ITER_HOLDS_DOCUMENT(at))
        return false;
    bson_iter_document(at, &length, &data);
    return bson_init_static(ret, data, length);
}

static bool first_group(const bson_t *groups, bson_iter_t *ret)
{
    bson_iter_t at;
    return bson_iter_init_find(&at, groups, "groups") && BSON_ITER_HOLDS_ARRAY(&at) &&
           bson_iter_recurse(&at, ret);
}

int sl_store_letters_count(struct sl_state *state, const struct sl_letter_filter *filter,
                           struct sl_letter_count ret[SL_LETTER_CODES_MAX], unsigned *ret_count,
                           struct sl_err *err)
{
    bson_t groups, one;
    bson_iter_t at;
    *ret_count = 0;
    int rc = group(sl_store_of(state), filter, "$code", SL_LETTER_CODES_MAX, &groups, err);
    if (rc == SL_NOTFOUND)
        return SL_OK;
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot count dead letters");
    if (first_group(&groups, &at))
        while (*ret_count < SL_LETTER_CODES_MAX && next_group(&at, &one)) {
            struct sl_letter_count *count = &ret[(*ret_count)++];
            sl_field_text(&one, "_id", count->code, sizeof count->code);
            count->letters = (uint64_t)sl_field_int64(&one, "letters", 0);
        }
    bson_destroy(&groups);
    return SL_OK;
}

int sl_store_letters_feeds(struct sl_state *state, const struct sl_letter_filter *filter,
                           unsigned max, struct sl_arena *arena, const char **ret,
                           unsigned *ret_count, struct sl_err *err)
{
    bson_t groups, one;
    bson_iter_t at;
    *ret_count = 0;
    int rc = group(sl_store_of(state), filter, "$feed", max, &groups, err);
    if (rc == SL_NOTFOUND)
        return SL_OK;
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot find the feeds of dead letters");
    if (first_group(&groups, &at))
        while (*ret_count < max && next_group(&at, &one)) {
            char feed[SL_NAME_MAX];
            sl_field_text(&one, "_id", feed, sizeof feed);
            ret[(*ret_count)++] = sl_arena_text(arena, feed, strlen(feed));
        }
    bson_destroy(&groups);
    return SL_OK;
}

/* --- removing --- */

/* A letter that was written again meanwhile is another one, and stays. */
static void append_remove(bson_t *deletes, uint32_t index, const struct sl_letter *letter)
{
    bson_t one, query, id;
    sl_array_begin_document(deletes, index, &one);
    BSON_APPEND_DOCUMENT_BEGIN(&one, "q", &query);
    if (bson_init_static(&id, (const uint8_t *)letter->id.at, letter->id.length))
        BSON_APPEND_DOCUMENT(&query, "_id", &id);
    BSON_APPEND_DATE_TIME(&query, "at", letter->at_ms);
    if (*letter->replay)
        BSON_APPEND_UTF8(&query, "replay", letter->replay);
    else
        BSON_APPEND_NULL(&query, "replay"); /* absent */
    bson_append_document_end(&one, &query);
    BSON_APPEND_INT32(&one, "limit", 1);
    bson_append_document_end(deletes, &one);
}

int sl_store_letters_remove(struct sl_state *state, const struct sl_letter *letters, unsigned count,
                            uint64_t *ret_removed, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    *ret_removed = 0;
    while (count) {
        unsigned part = count < REMOVED_AT_ONCE ? count : REMOVED_AT_ONCE;
        bson_t command = BSON_INITIALIZER, deletes, reply;
        uint64_t deadline_ms = sl_store_deadline(store);
        BSON_APPEND_UTF8(&command, "delete", DEAD);
        SL_ARRAY_BEGIN(&command, "deletes", &deletes);
        for (unsigned i = 0; i < part; i++)
            append_remove(&deletes, i, &letters[i]);
        bson_append_array_end(&command, &deletes);
        sl_mongo_append_durable(&command, deadline_ms);
        int rc = sl_mongo_write(store->mongo, store->database, &command, &reply, deadline_ms, err);
        if (rc == SL_OK)
            *ret_removed += (uint64_t)sl_field_int64(&reply, "n", 0);
        bson_destroy(&reply);
        bson_destroy(&command);
        if (rc != SL_OK)
            return sl_err_wrap(err, "cannot remove dead letters");
        letters += part;
        count -= part;
    }
    return SL_OK;
}
