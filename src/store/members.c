/* Members: the processes that share feeds, each with a sign of life by the server's time. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mongo/fields.h"
#include "store/store_own.h"

static const char MEMBERS[] = "members";

enum { MEMBERS_MAX = 1000, HOLDINGS_MAX = 20000, SEEN_FIRST = 8 };

/* Room for one more, zeroed. */
static void *grow(void *array, size_t count, size_t size)
{
    size_t room = count < SEEN_FIRST ? SEEN_FIRST : count; /* doubled at each power of two */
    if (!count || (count >= SEEN_FIRST && !(count & (count - 1))))
        array = sl_realloc(array, (count ? room * 2 : room) * size);
    memset((char *)array + count * size, 0, size);
    return array;
}

static int make_index(struct sl_store *store, struct sl_err *err)
{
    bson_t *indexes = BCON_NEW("0", "{", "name", "expiry", "key", "{", "expires_at", BCON_INT32(1),
                               "}", "expireAfterSeconds", BCON_INT64(3600), "}");
    int rc = sl_store_index(store, &store->members_ready, MEMBERS, indexes, err);
    bson_destroy(indexes);
    return rc;
}

/* --- the sign of life --- */

static bson_t *beat_pipeline(const struct sl_store *store, const char *const *wants, size_t count,
                             int64_t ttl_ms)
{
    bson_t list = BSON_INITIALIZER;
    for (size_t i = 0; i < count; i++)
        sl_array_append_text(&list, i, wants[i]);
    // clang-format off
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$set", "{",
            "since", "{", "$cond", "[", "{", "$gt", "[", "$expires_at", "$$NOW", "]", "}",
                "$since", "$$NOW", "]", "}", /* one that was taken for dead begins anew */
            "at", "$$NOW",
            "expires_at", "{", "$cond", "[", "$left", "$expires_at", /* a late beat of one that left */
                "{", "$add", "[", "$$NOW", BCON_INT64(ttl_ms), "]", "}", "]", "}",
            "process", "{", "$literal", BCON_UTF8(store->process), "}",
            "wants", "{", "$literal", BCON_ARRAY(&list), "}",
        "}", "}");
    // clang-format on
    bson_destroy(&list);
    return pipeline;
}

static int beat(struct sl_store *store, const char *const *wants, size_t count, uint64_t ttl_ms,
                struct sl_err *err)
{
    bson_t *query = BCON_NEW("_id", BCON_UTF8(store->owner));
    bson_t *pipeline = beat_pipeline(store, wants, count, (int64_t)ttl_ms);
    int rc = sl_store_update(store, MEMBERS, query, pipeline, true, NULL, err);
    bson_destroy(query);
    bson_destroy(pipeline);
    return rc;
}

/* --- who else is there --- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_wants(const bson_t *document, struct sl_member *member)
{
    bson_iter_t at, one;
    size_t room = 0;
    if (!bson_iter_init_find(&at, document, "wants") || !BSON_ITER_HOLDS_ARRAY(&at) ||
        !bson_iter_recurse(&at, &one))
        return;
    while (bson_iter_next(&one)) {
        if (!BSON_ITER_HOLDS_UTF8(&one))
            continue;
        if (member->want_count == room) {
            room = room ? room * 2 : 16;
            member->wants = sl_realloc(member->wants, room * sizeof *member->wants);
        }
        member->wants[member->want_count++] = sl_strdup(bson_iter_utf8(&one, NULL));
    }
    if (member->want_count)
        qsort(member->wants, member->want_count, sizeof(char *), by_text);
}

/* Both lists are found by what is not over by the server's time. */
static bson_t *not_over(void)
{
    return BCON_NEW("$expr", "{", "$gt", "[", "$expires_at", "$$NOW", "]", "}");
}

static int find(struct sl_store *store, const char *collection, const bson_t *filter,
                const bson_t *fields, unsigned limit, struct sl_store_rows *ret, struct sl_err *err)
{
    bson_t *by_id = BCON_NEW("_id", BCON_INT32(1));
    const struct sl_store_query query = {.database = store->database,
                                         .collection = collection,
                                         .filter = filter,
                                         .sort = by_id,
                                         .fields = fields,
                                         .limit = limit};
    int rc = sl_store_find_many(store, &query, ret, err);
    bson_destroy(by_id);
    return rc;
}

static int find_members(struct sl_store *store, struct sl_members *ret, struct sl_err *err)
{
    struct sl_store_rows rows;
    bson_t document, *filter = not_over();
    int rc = find(store, MEMBERS, filter, NULL, MEMBERS_MAX, &rows, err);
    bson_destroy(filter);
    if (rc != SL_OK)
        return rc;
    while (ret->member_count < MEMBERS_MAX && sl_store_rows_next(&rows, &document)) {
        char process[SL_PROCESS_BYTES];
        ret->members = grow(ret->members, ret->member_count, sizeof *ret->members);
        struct sl_member *member = &ret->members[ret->member_count];
        sl_field_text(&document, "process", process, sizeof process);
        if (strcmp(process, store->process) != 0 && sl_process_has_ended(process))
            continue; /* looking costs a dozen system calls: not for ourselves */
        sl_field_text(&document, "_id", member->name, sizeof member->name);
        member->age_ms = sl_field_date_ms(&document, "at") - sl_field_date_ms(&document, "since");
        read_wants(&document, member);
        ret->member_count++;
    }
    sl_store_rows_done(&rows);
    return SL_OK;
}

static int find_holdings(struct sl_store *store, struct sl_members *ret, struct sl_err *err)
{
    struct sl_store_rows rows;
    bson_t document, *filter = BCON_NEW("_id", BCON_REGEX("^(feed|source):", ""));
    bson_t *fields = BCON_NEW("owner", BCON_INT32(1), "epoch", BCON_INT32(1));
    int rc = find(store, "leases", filter, fields, HOLDINGS_MAX, &rows, err);
    bson_destroy(filter);
    bson_destroy(fields);
    if (rc != SL_OK)
        return rc;
    while (ret->holding_count < HOLDINGS_MAX && sl_store_rows_next(&rows, &document)) {
        ret->holdings = grow(ret->holdings, ret->holding_count, sizeof *ret->holdings);
        struct sl_holding *holding = &ret->holdings[ret->holding_count++];
        sl_field_text(&document, "_id", holding->lease, sizeof holding->lease);
        sl_field_text(&document, "owner", holding->holder, sizeof holding->holder);
        holding->holder[strcspn(holding->holder, "/")] = '\0'; /* who within it */
        holding->epoch = sl_field_int64(&document, "epoch", 0);
    }
    sl_store_rows_done(&rows);
    return SL_OK;
}

int sl_store_member_beat(struct sl_state *state, const char *const *wants, size_t count,
                         uint64_t ttl_ms, struct sl_members *ret, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    struct sl_members found = {0};
    int rc = make_index(store, err);
    if (rc == SL_OK)
        rc = beat(store, wants, count, ttl_ms, err);
    if (rc == SL_OK)
        rc = find_members(store, &found, err);
    if (rc == SL_OK)
        rc = find_holdings(store, &found, err);
    if (rc != SL_OK) {
        sl_members_done(&found);
        return sl_err_wrap(err, "cannot tell others of this process");
    }
    *ret = found;
    return SL_OK;
}

void sl_store_member_leave(struct sl_state *state)
{
    struct sl_store *store = sl_store_of(state);
    struct sl_err err = {0};
    bson_t *query = BCON_NEW("_id", BCON_UTF8(store->owner));
    bson_t *change =
        BCON_NEW("0", "{", "$set", "{", "expires_at", "$$NOW", "left", BCON_BOOL(true), "}", "}");
    struct sl_store hurried = *store;
    if (hurried.timeout_ms > SL_STORE_DROP_MS)
        hurried.timeout_ms = SL_STORE_DROP_MS;
    /* Also when it is not there: a beat that was cancelled may be carried out later than this. */
    sl_store_update(&hurried, MEMBERS, query, change, true, NULL, &err); /* else it expires */
    bson_destroy(query);
    bson_destroy(change);
}

const char *sl_store_member_name(const struct sl_state *state)
{
    return sl_store_owner(state);
}
