/* Leases: one owner at a time for a feed or a collection. Time is the server's, so that clocks of
 * machines need not agree. The epoch rises whenever the owner changes. A lease of a process that
 * has certainly ended, because it was killed on this machine, is taken at once. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "mongo/fields.h"
#include "store/process.h"
#include "store/store_own.h"

static const char LEASES[] = "leases";

enum {
    OWNER_BYTES = 256,
    /* A shutdown gives back many in a row, and has ten seconds for all: one that MongoDB does not
     * answer to stands for the next ones. They expire. */
    DROP_MS = 1000,
    DROP_AGAIN_MS = 5000,
    RETRY_MAX_MS = 5000, /* a standby looks so often: an owner that was killed is seen soon */
};

/* The process, and who within it: "host:pid:random", or "host:pid:random/feed-fiber". */
static void name_owner(const struct sl_store *store, const struct sl_lease *lease,
                       char out[OWNER_BYTES])
{
    snprintf(out, OWNER_BYTES, "%s%s%s", store->owner, *lease->holder ? "/" : "", lease->holder);
}

/* One $set stage; every condition in it sees the document as it was before.
 *   mine: I am the owner (perhaps too late, but nobody came in between);
 *   vacant: there is no owner, or its time is over. */
static bson_t *hold_pipeline(const char *owner, const char *process, int64_t ttl_ms)
{
    // clang-format off
    bson_t *mine = BCON_NEW("$eq", "[", "$owner", "{", "$literal", BCON_UTF8(owner), "}", "]");
    bson_t *vacant = BCON_NEW(
        "$lte", "[", "{", "$ifNull", "[", "$expires_at", BCON_DATE_TIME(0), "]", "}", "$$NOW", "]");
    bson_t *taking = BCON_NEW(
        "$and", "[", "{", "$not", "[", BCON_DOCUMENT(mine), "]", "}", BCON_DOCUMENT(vacant), "]");
    bson_t *holding = BCON_NEW(
        "$or", "[", BCON_DOCUMENT(mine), BCON_DOCUMENT(vacant), "]");
    bson_t *pipeline = BCON_NEW(
        "0", "{", "$set", "{",
            "epoch", "{", "$add", "[",
                "{", "$ifNull", "[", "$epoch", BCON_INT64(0), "]", "}",
                "{", "$cond", "[", BCON_DOCUMENT(taking), BCON_INT64(1), BCON_INT64(0), "]", "}", "]", "}",
            "owner", "{", "$cond", "[", BCON_DOCUMENT(holding),
                "{", "$literal", BCON_UTF8(owner), "}", "$owner", "]", "}",
            "process", "{", "$cond", "[", BCON_DOCUMENT(holding),
                "{", "$literal", BCON_UTF8(process), "}", "$process", "]", "}",
            "expires_at", "{", "$cond", "[", BCON_DOCUMENT(holding),
                "{", "$add", "[", "$$NOW", BCON_INT64(ttl_ms), "]", "}", "$expires_at", "]", "}",
        "}", "}");
    // clang-format on
    bson_destroy(mine);
    bson_destroy(vacant);
    bson_destroy(taking);
    bson_destroy(holding);
    return pipeline;
}

/* Takes the owner from the lease, if it is still that one. */
static int vacate(struct sl_store *store, const char *name, const char *owner, struct sl_err *err)
{
    bson_t *query = BCON_NEW("_id", BCON_UTF8(name), "owner", BCON_UTF8(owner));
    bson_t *change = BCON_NEW("$unset", "{", "owner", BCON_INT32(1), "process", BCON_INT32(1),
                              "expires_at", BCON_INT32(1), "}");
    int rc = sl_store_update(store, LEASES, query, change, false, NULL, err);
    bson_destroy(query);
    bson_destroy(change);
    return rc;
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
    bson_t *pipeline = hold_pipeline(me, store->process, (int64_t)ttl_ms);
    lease->asked = true; /* a command that was cancelled may still have been carried out */
    int rc = sl_store_modify(store, LEASES, query, pipeline, true, &document, err);
    bson_destroy(query);
    bson_destroy(pipeline);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot hold the lease '%s'", lease->name);

    sl_field_text(&document, "owner", ret_owner, OWNER_BYTES);
    sl_field_text(&document, "process", ret_process, SL_PROCESS_BYTES);
    lease->asked = false;
    lease->held = strcmp(ret_owner, me) == 0;
    if (lease->held)
        lease->epoch = sl_field_int64(&document, "epoch", 0);
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

void sl_store_lease_drop(struct sl_state *state, struct sl_lease *lease)
{
    struct sl_store *store = sl_store_of(state);
    struct sl_err err = {0};
    if (!lease->held && !lease->asked)
        return;
    char me[OWNER_BYTES];
    name_owner(store, lease, me);
    struct sl_store hurried = *store;
    if (hurried.timeout_ms > DROP_MS)
        hurried.timeout_ms = DROP_MS;
    int rc = sl_loop_now_ms() < store->no_drop_until_ms
                 ? sl_err_set(&err, SL_TIMEOUT, "MongoDB did not answer a moment ago")
                 : vacate(&hurried, lease->name, me, &err);
    if (sl_code_transient(rc))
        store->no_drop_until_ms = sl_deadline_in(DROP_AGAIN_MS);
    bool again = rc == SL_CANCELED; /* by a fiber that ends: whoever closes the holder drops it */
    lease->held = lease->held && again;
    lease->asked = lease->asked && again;
    if (rc != SL_OK && rc != SL_CANCELED)
        sl_log(SL_INFO, "a lease was not given back and will expire", SL_T("lease", lease->name),
               SL_T("error", err.message));
}
