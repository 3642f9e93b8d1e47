/* The journal of runs. A run is written whole; the epoch of the writer's lease keeps a process that
 * lost its feed from overwriting what its successor wrote. */
#include "mongo/error.h"
#include "mongo/fields.h"
#include "store/run_document.h"
#include "store/store_own.h"

static const char RUNS[] = "runs";

static int make_index(struct sl_store *store, struct sl_err *err)
{
    bson_t *keys = BCON_NEW("feed", BCON_INT32(1), "number", BCON_INT32(-1));
    int rc = sl_store_index(store, &store->runs_ready, RUNS, "feed_newest", keys, 0, err);
    bson_destroy(keys);
    return rc;
}

int sl_store_run_newest(struct sl_state *state, const char *feed, struct sl_run *ret,
                        struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    int rc = make_index(store, err);
    if (rc != SL_OK)
        return rc;
    bson_t document;
    bson_t *query = BCON_NEW("feed", BCON_UTF8(feed));
    bson_t *sort = BCON_NEW("number", BCON_INT32(-1));
    rc = sl_store_find(store, RUNS, query, sort, &document, err);
    bson_destroy(query);
    bson_destroy(sort);
    if (rc != SL_OK)
        return sl_err_wrap(err, "newest run of feed '%s'", feed);
    rc = sl_run_from_document(&document, ret, err);
    bson_destroy(&document);
    return rc;
}

int sl_store_run_save(struct sl_state *state, const struct sl_run *run, int64_t epoch,
                      struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    struct sl_err local = {0}; /* its cause is read below */
    struct sl_err *fault = err ? err : &local;
    int rc = make_index(store, fault);
    if (rc != SL_OK)
        return rc;

    bson_t document = BSON_INITIALIZER;
    sl_run_to_document(run, epoch, &document);
    bson_t *query =
        BCON_NEW("_id", BCON_UTF8(run->id), "epoch", "{", "$lte", BCON_INT64(epoch), "}");
    rc = sl_store_update(store, RUNS, query, &document, true, NULL, fault);
    bson_destroy(query);
    bson_destroy(&document);
    /* Nothing matched and it cannot be inserted: it is there, with a higher epoch. */
    if (rc == SL_REJECTED && fault->cause == SL_MONGO_DUPLICATE_KEY)
        return sl_err_set(fault, SL_REJECTED,
                          "run '%s' belongs to another process by now: its epoch is above %lld",
                          run->id, (long long)epoch);
    return rc == SL_OK ? rc : sl_err_wrap(fault, "cannot save run '%s'", run->id);
}
