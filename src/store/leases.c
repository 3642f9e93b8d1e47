/* Leases: one owner at a time for a feed or a collection. Time is the server's, so that clocks of
 * machines need not agree. The epoch rises whenever the owner changes. A lease of a process that
 * has certainly ended, because it was killed on this machine, is taken at once. One that is older
 * than its owner knows it to be comes from a backup: he takes it anew, above all epochs he knows
 * of, so that everything is taken up that was restored with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "mongo/fields.h"
#include "store/process.h"
#include "store/store_own.h"

static const char LEASES[] = "leases";

enum {
    OWNER_BYTES = 256,
    /* A shutdown gives back many in a row, and has ten seconds for all: one that MongoDB does not
     * answer to stands for the next ones. They expire. */
    DROP_AGAIN_MS = 5000,
    RETRY_MAX_MS = 5000, /* a standby looks so often: an owner that was killed is seen soon */
};

/* The process, and who within it: "host:pid:random", or "host:pid:random/feed-fiber". */
static void name_owner(const struct sl_store *store, const struct sl_lease *lease,
                       char out[OWNER_BYTES])
{
    snprintf(out, OWNER_BYTES, "%s%s%s", store->owner, *lease->holder ? "/" : "", lease->holder);
}

/* Until when it is held. A command takes the time when it begins, and statements of a round of
 * renewals wait for one another: what begins later may be done first, and is not taken back. Of a
 * server whose clock went back that is believed for one term more. */
static bson_t *until(int64_t ttl_ms)
{
    // clang-format off
    return BCON_NEW(
        "$min", "[", "{", "$add", "[", "$$NOW", BCON_INT64(2 * ttl_ms), "]", "}",
                     "{", "$max", "[", "$expires_at",
                         "{", "$add", "[", "$$NOW", BCON_INT64(ttl_ms), "]", "}", "]", "}", "]");
    // clang-format on
}

/* One $set stage; every condition in it sees the document as it was before.
 *   mine: I am the owner (perhaps too late, but nobody came in between);
 *   kept: it is mine, and no older than I know it to be;
 *   vacant: nobody had it for as long as patience asks. */
static bson_t *hold_pipeline(const struct sl_lease *lease, const char *owner, const char *process,
                             int64_t ttl_ms)
{
    // clang-format off
    bson_t *mine = BCON_NEW("$eq", "[", "$owner", "{", "$literal", BCON_UTF8(owner), "}", "]");
    bson_t *kept = BCON_NEW(
        "$and", "[", BCON_DOCUMENT(mine),
                     "{", "$gte", "[", "$expires_at", BCON_DATE_TIME(lease->expires_ms), "]", "}", "]");
    bson_t *vacant = BCON_NEW(
        "$lte", "[", "{", "$ifNull", "[", "$expires_at", BCON_DATE_TIME(0), "]", "}",
                     "{", "$subtract", "[", "$$NOW", BCON_INT64((int64_t)lease->patience_ms), "]", "}", "]");
    bson_t *holding = BCON_NEW(
        "$or", "[", BCON_DOCUMENT(mine), BCON_DOCUMENT(vacant), "]");
    bson_t *taking = BCON_NEW(
        "$and", "[", "{", "$not", "[", BCON_DOCUMENT(kept), "]", "}", BCON_DOCUMENT(holding), "]");
    bson_t *epoch = BCON_NEW("$ifNull", "[", "$epoch", BCON_INT64(0), "]");
    bson_t *later = until(ttl_ms);
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$set", "{",
            "epoch", "{", "$cond", "[", BCON_DOCUMENT(taking),
                "{", "$add", "[", "{", "$max", "[", BCON_DOCUMENT(epoch), BCON_INT64(lease->epoch), "]", "}",
                                  BCON_INT64(1), "]", "}",
                BCON_DOCUMENT(epoch), "]", "}",
            "owner", "{", "$cond", "[", BCON_DOCUMENT(holding),
                "{", "$literal", BCON_UTF8(owner), "}", "$owner", "]", "}",
            "process", "{", "$cond", "[", BCON_DOCUMENT(holding),
                "{", "$literal", BCON_UTF8(process), "}", "$process", "]", "}",
            "expires_at", "{", "$cond", "[", BCON_DOCUMENT(holding),
                BCON_DOCUMENT(later), "$expires_at", "]", "}",
        "}", "}");
    // clang-format on
    bson_destroy(mine);
    bson_destroy(kept);
    bson_destroy(vacant);
    bson_destroy(holding);
    bson_destroy(taking);
    bson_destroy(epoch);
    bson_destroy(later);
    return pipeline;
}

/* Takes the owner from the lease, if it is still that one. From now on it is vacant. */
static int vacate(struct sl_store *store, const char *name, const char *owner, struct sl_err *err)
{
    bson_t *query = BCON_NEW("_id", BCON_UTF8(name), "owner", BCON_UTF8(owner));
    bson_t *change = BCON_NEW("0", "{", "$set", "{", "expires_at", "$$NOW", "}", "}", "1", "{",
                              "$unset", "[", "owner", "process", "]", "}");
    int rc = sl_store_update(store, LEASES, query, change, false, NULL, err);
    bson_destroy(query);
    bson_destroy(change);
    return rc;
}

static void learn(struct sl_lease *lease, const bson_t *document, bool held)
{
    int64_t known = lease->epoch;
    lease->epoch = sl_field_int64(document, "epoch", 0);
    /* After another owner there would be two more. */
    if (held && lease->expires_ms && lease->epoch == known + 1)
        sl_log(SL_WARN, "a lease was older than known: was MongoDB restored from a backup?",
               SL_T("lease", lease->name), SL_N("epoch", lease->epoch));
    lease->expires_ms = held ? sl_field_date_ms(document, "expires_at") : 0;
    lease->held = held;
}

/* Whoever holds the lease after the attempt: ret_owner, and the mark of its process. */
static int try_hold(struct sl_store *store, struct sl_lease *lease, uint64_t ttl_ms,
                    char ret_owner[OWNER_BYTES], char ret_process[SL_PROCESS_BYTES],
                    struct sl_err *err)
{
    char me[OWNER_BYTES];
    name_owner(store, lease, me);
    bson_t document;
    bson_t *query = BCON_NEW("_id", BCON_UTF8(lease->name));
    bson_t *pipeline = hold_pipeline(lease, me, store->process, (int64_t)ttl_ms);
    lease->asked = true; /* a command that was cancelled may still have been carried out */
    int rc = sl_store_modify(store, LEASES, query, pipeline, true, &document, err);
    bson_destroy(query);
    bson_destroy(pipeline);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot hold the lease '%s'", lease->name);

    sl_field_text(&document, "owner", ret_owner, OWNER_BYTES);
    sl_field_text(&document, "process", ret_process, SL_PROCESS_BYTES);
    lease->asked = false;
    learn(lease, &document, !strcmp(ret_owner, me));
    bson_destroy(&document);
    return SL_OK;
}

int sl_store_lease_hold(struct sl_state *state, struct sl_lease *lease, uint64_t ttl_ms,
                        struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    char owner[OWNER_BYTES], process[SL_PROCESS_BYTES];
    int rc = try_hold(store, lease, ttl_ms, owner, process, err);
    if (rc == SL_OK && !lease->held && sl_process_has_ended(process)) {
        sl_log(SL_INFO, "the owner of a lease has ended without giving it back",
               SL_T("lease", lease->name), SL_T("owner", owner));
        rc = vacate(store, lease->name, owner, err);
        if (rc == SL_OK)
            rc = try_hold(store, lease, ttl_ms, owner, process, err);
    }
    if (rc != SL_OK || lease->held)
        return rc;
    sl_err_set(err, SL_THROTTLED, "the lease '%s' is held by %s", lease->name, owner);
    if (err)
        err->retry_after_ms = (uint32_t)(ttl_ms < RETRY_MAX_MS ? ttl_ms : RETRY_MAX_MS);
    return SL_THROTTLED;
}

/* --- many at once --- */

/* A statement for each: it changes nothing where somebody else is the owner, or nobody, or where
 * the document is older than it was. */
static void append_renewals(const struct sl_store *store, const struct sl_lease *leases,
                            size_t count, int64_t ttl_ms, bson_t *command)
{
    bson_t updates;
    bson_t *end = until(ttl_ms);
    bson_t *later = BCON_NEW("0", "{", "$set", "{", "expires_at", BCON_DOCUMENT(end), "}", "}");
    bson_destroy(end);
    SL_ARRAY_BEGIN(command, "updates", &updates);
    for (size_t i = 0; i < count; i++) {
        char me[OWNER_BYTES];
        bson_t update, query, expires;
        name_owner(store, &leases[i], me);
        sl_array_begin_document(&updates, i, &update);
        BSON_APPEND_DOCUMENT_BEGIN(&update, "q", &query);
        BSON_APPEND_UTF8(&query, "_id", leases[i].name);
        BSON_APPEND_UTF8(&query, "owner", me);
        BSON_APPEND_DOCUMENT_BEGIN(&query, "expires_at", &expires);
        BSON_APPEND_DATE_TIME(&expires, "$gte", leases[i].expires_ms);
        bson_append_document_end(&query, &expires);
        bson_append_document_end(&update, &query);
        BSON_APPEND_ARRAY(&update, "u", later);
        bson_append_document_end(&updates, &update);
    }
    bson_append_array_end(command, &updates);
    bson_destroy(later);
}

/* ret_renewed: how many of them. */
static int renew(struct sl_store *store, const struct sl_lease *leases, size_t count,
                 uint64_t ttl_ms, int64_t *ret_renewed, struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    uint64_t deadline_ms = sl_store_deadline(store);
    BSON_APPEND_UTF8(&command, "update", LEASES);
    append_renewals(store, leases, count, (int64_t)ttl_ms, &command);
    BSON_APPEND_BOOL(&command, "ordered", false);
    sl_mongo_append_durable(&command, deadline_ms);
    int rc = sl_mongo_write(store->mongo, store->database, &command, &reply, deadline_ms, err);
    if (rc == SL_OK)
        *ret_renewed = sl_field_int64(&reply, "n", 0);
    bson_destroy(&reply);
    bson_destroy(&command);
    return rc;
}

static bson_t *named(const struct sl_lease *leases, size_t count)
{
    bson_t *filter = bson_new(), id, names;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &id);
    SL_ARRAY_BEGIN(&id, "$in", &names);
    for (size_t i = 0; i < count; i++)
        sl_array_append_text(&names, i, leases[i].name);
    bson_append_array_end(&id, &names);
    bson_append_document_end(filter, &id);
    return filter;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct sl_lease *const *)a)->name,
                  (*(const struct sl_lease *const *)b)->name);
}

static struct sl_lease **sort_by_name(struct sl_lease *leases, size_t count)
{
    struct sl_lease **sorted = sl_calloc(count + 1, sizeof(struct sl_lease *));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &leases[i];
    qsort(sorted, count, sizeof(struct sl_lease *), by_name);
    return sorted;
}

/* The first of that name. Feeds of one process may hold one collection's lease, one after the
 * other. */
static size_t first_named(struct sl_lease *const *sorted, size_t count, const char *name)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (strcmp(sorted[middle]->name, name) < 0)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

/* What became of them. all: of each. Else those that are another's by now were not, nor those that
 * are older than they were. */
static int find_held(struct sl_store *store, struct sl_lease *leases, size_t count, bool all,
                     bool *ret_held, struct sl_err *err)
{
    struct sl_store_rows rows;
    bson_t document, *filter = named(leases, count);
    bson_t *fields = BCON_NEW("owner", BCON_INT32(1), "expires_at", BCON_INT32(1));
    const struct sl_store_query query = {.database = store->database,
                                         .collection = LEASES,
                                         .filter = filter,
                                         .fields = fields,
                                         .limit = (unsigned)count};
    int rc = sl_store_find_many(store, &query, &rows, err);
    bson_destroy(filter);
    bson_destroy(fields);
    if (rc != SL_OK)
        return rc;
    struct sl_lease **sorted = sort_by_name(leases, count);
    memset(ret_held, 0, count * sizeof *ret_held);
    while (sl_store_rows_next(&rows, &document)) {
        char name[SL_NAME_MAX], owner[OWNER_BYTES], me[OWNER_BYTES];
        sl_field_text(&document, "_id", name, sizeof name);
        sl_field_text(&document, "owner", owner, sizeof owner);
        int64_t expires_ms = sl_field_date_ms(&document, "expires_at");
        for (size_t i = first_named(sorted, count, name);
             i < count && !strcmp(sorted[i]->name, name); i++) {
            name_owner(store, sorted[i], me);
            bool held = !strcmp(me, owner) && (all || expires_ms >= sorted[i]->expires_ms);
            ret_held[sorted[i] - leases] = held;
            if (held)
                sorted[i]->expires_ms = expires_ms;
        }
    }
    sl_store_rows_done(&rows);
    free(sorted);
    return SL_OK;
}

int sl_store_leases_renew(struct sl_state *state, struct sl_lease *leases, size_t count,
                          uint64_t ttl_ms, bool *ret_held, struct sl_err *err)
{
    struct sl_store hurried = *sl_store_of(state);
    int64_t renewed = 0;
    if (hurried.timeout_ms > ttl_ms / 3)
        hurried.timeout_ms = ttl_ms / 3;
    int rc = renew(&hurried, leases, count, ttl_ms, &renewed, err);
    if (rc == SL_OK)
        rc = find_held(&hurried, leases, count, renewed == (int64_t)count, ret_held, err);
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot renew leases");
}

void sl_store_lease_drop(struct sl_state *state, struct sl_lease *lease)
{
    struct sl_store *store = sl_store_of(state);
    struct sl_err err = {0};
    if (!lease->held && !lease->asked)
        return;
    char me[OWNER_BYTES];
    name_owner(store, lease, me);
    lease->held = false; /* at once: a renewal that does not find it has lost nothing */
    lease->asked = true;
    struct sl_store hurried = *store;
    if (hurried.timeout_ms > SL_STORE_DROP_MS)
        hurried.timeout_ms = SL_STORE_DROP_MS;
    int rc = sl_loop_now_ms() < store->no_drop_until_ms
                 ? sl_err_set(&err, SL_TIMEOUT, "MongoDB did not answer a moment ago")
                 : vacate(&hurried, lease->name, me, &err);
    if (sl_code_transient(rc))
        store->no_drop_until_ms = sl_deadline_in(DROP_AGAIN_MS);
    lease->asked = rc == SL_CANCELED; /* by a fiber that ends: whoever closes the holder drops it */
    if (!lease->asked)
        lease->expires_ms = 0;
    if (rc != SL_OK && rc != SL_CANCELED)
        sl_log(SL_INFO, "a lease was not given back and will expire", SL_T("lease", lease->name),
               SL_T("error", err.message));
}
