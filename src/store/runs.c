/* The journal of runs. A run is written whole; the epoch of the writer's lease keeps a process that
 * lost its feed from overwriting what its successor wrote. */
#include "base/clock.h"
#include "mongo/fields.h"
#include "store/run_document.h"
#include "store/store_own.h"

static const char RUNS[] = "runs";

/* By feed, the newest first; the few that are open, of feeds that have a run every ten seconds; the
 * one that lets the server remove those whose time is over; the few that are unsettled; and by
 * feed, the latest first. */
static int make_index(struct sl_store *store, struct sl_err *err)
{
    // clang-format off
    bson_t *indexes = BCON_NEW(
        "0", "{", "name", "feed_newest",
            "key", "{", "feed", BCON_INT32(1), "number", BCON_INT32(-1), "}", "}",
        "1", "{", "name", "feed_open",
            "key", "{", "feed", BCON_INT32(1), "number", BCON_INT32(1), "}",
            "partialFilterExpression", "{", "state", "published", "}", "}",
        "2", "{", "name", "feed_begun",
            "key", "{", "feed", BCON_INT32(1), "epoch", BCON_INT32(1), "}",
            "partialFilterExpression", "{", "state", "streaming", "}", "}",
        "3", "{", "name", "expiry",
            "key", "{", "expires_at", BCON_INT32(1), "}", "expireAfterSeconds", BCON_INT64(0), "}",
        "4", "{", "name", "feed_unsettled",
            "key", "{", "feed", BCON_INT32(1), "unsettled", BCON_INT32(1),
                        "number", BCON_INT32(1), "}",
            "partialFilterExpression", "{", "unsettled", BCON_BOOL(true), "}", "}",
        "5", "{", "name", "feed_latest",
            "key", "{", "feed", BCON_INT32(1), "created_at", BCON_INT32(-1), "}", "}");
    // clang-format on
    int rc = sl_store_index(store, &store->runs_ready, RUNS, indexes, err);
    bson_destroy(indexes);
    return rc;
}

/* The first one that the query finds, by that field: 1 the lowest, -1 the greatest. Takes query. */
static int find_run(struct sl_store *store, bson_t *query, const char *by, int order,
                    struct sl_run *ret, struct sl_err *err)
{
    bson_t document;
    bson_t *sort = BCON_NEW(by, BCON_INT32(order));
    int rc = make_index(store, err);
    if (rc == SL_OK)
        rc = sl_store_find(store, RUNS, query, sort, &document, err);
    bson_destroy(query);
    bson_destroy(sort);
    if (rc != SL_OK)
        return rc;
    rc = sl_run_from_document(&document, ret, err);
    bson_destroy(&document);
    return rc;
}

int sl_store_run_newest(struct sl_state *state, const char *feed, struct sl_run *ret,
                        struct sl_err *err)
{
    bson_t *query = BCON_NEW("feed", BCON_UTF8(feed));
    int rc = find_run(sl_store_of(state), query, "number", -1, ret, err);
    return rc == SL_OK ? rc : sl_err_wrap(err, "newest run of feed '%s'", feed);
}

int sl_store_run_latest(struct sl_state *state, const char *feed, struct sl_run *ret,
                        struct sl_err *err)
{
    bson_t *query = BCON_NEW("feed", BCON_UTF8(feed));
    int rc = find_run(sl_store_of(state), query, "created_at", -1, ret, err);
    return rc == SL_OK ? rc : sl_err_wrap(err, "latest run of feed '%s'", feed);
}

int sl_store_run_ended(struct sl_state *state, const char *feed, struct sl_run *ret,
                       struct sl_err *err)
{
    bson_t *query = BCON_NEW("feed", BCON_UTF8(feed), "state", "{", "$in", "[",
                             BCON_UTF8(sl_run_state_name(SL_RUN_DONE)),
                             BCON_UTF8(sl_run_state_name(SL_RUN_FAILED)), "]", "}");
    int rc = find_run(sl_store_of(state), query, "number", -1, ret, err);
    return rc == SL_OK ? rc : sl_err_wrap(err, "last run that ended of feed '%s'", feed);
}

int sl_store_run_save(struct sl_state *state, const struct sl_run *run, int64_t epoch,
                      struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    int rc = make_index(store, err);
    if (rc != SL_OK)
        return rc;
    bson_t document = BSON_INITIALIZER;
    sl_run_to_document(run, epoch, &document);
    rc = sl_store_update_owned(store, RUNS, run->id, &document, epoch, NULL, err);
    bson_destroy(&document);
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot save run '%s'", run->id);
}

int sl_store_run_unsettled(struct sl_state *state, const char *feed, int64_t after,
                           struct sl_run *ret, struct sl_err *err)
{
    bson_t *query = BCON_NEW("feed", BCON_UTF8(feed), "unsettled", BCON_BOOL(true), "number", "{",
                             "$gt", BCON_INT64(after), "}");
    int rc = find_run(sl_store_of(state), query, "number", 1, ret, err);
    return rc == SL_OK ? rc : sl_err_wrap(err, "unsettled runs of feed '%s'", feed);
}

int sl_store_runs_open(struct sl_state *state, const char *feed, int64_t after, struct sl_run *ret,
                       unsigned max, unsigned *ret_count, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    int rc = make_index(store, err);
    if (rc != SL_OK)
        return rc;
    struct sl_store_rows rows;
    bson_t *filter =
        BCON_NEW("feed", BCON_UTF8(feed), "state", BCON_UTF8(sl_run_state_name(SL_RUN_PUBLISHED)));
    if (after) /* else the newest runs, which are all numbered, could be walked instead */
        BCON_APPEND(filter, "number", "{", "$gt", BCON_INT64(after), "}");
    bson_t *sort = BCON_NEW("number", BCON_INT32(1));
    rc = sl_store_find_many(store,
                            &(struct sl_store_query){.database = store->database,
                                                     .collection = RUNS,
                                                     .filter = filter,
                                                     .sort = sort,
                                                     .limit = max},
                            &rows, err);
    bson_destroy(filter);
    bson_destroy(sort);
    if (rc != SL_OK)
        return sl_err_wrap(err, "open runs of feed '%s'", feed);

    unsigned count = 0;
    bson_t document;
    while (rc == SL_OK && count < max && sl_store_rows_next(&rows, &document))
        rc = sl_run_from_document(&document, &ret[count++], err);
    sl_store_rows_done(&rows);
    if (rc == SL_OK)
        *ret_count = count;
    return rc;
}

static bson_t *begun_filter(const char *feed, int64_t epoch, int64_t saved_before_ms)
{
    bson_t *filter =
        BCON_NEW("feed", BCON_UTF8(feed), "state", BCON_UTF8(sl_run_state_name(SL_RUN_STREAMING)));
    if (epoch)
        BCON_APPEND(filter, "epoch", "{", "$lt", BCON_INT64(epoch), "}");
    else
        BCON_APPEND(filter, "state_at", "{", "$lt", BCON_DATE_TIME(saved_before_ms), "}");
    return filter;
}

/* Sets the fields of change in all runs that the filter finds, by that index (NULL: the server
 * chooses). Takes both documents. */
static int change_runs(struct sl_store *store, bson_t *filter, bson_t *change, const char *index,
                       struct sl_err *err)
{
    uint64_t deadline_ms = sl_store_deadline(store);
    bson_t reply;
    int rc = make_index(store, err);
    if (rc == SL_OK) {
        bson_t *update = BCON_NEW("q", BCON_DOCUMENT(filter), "u", "{", "$set",
                                  BCON_DOCUMENT(change), "}", "multi", BCON_BOOL(true));
        if (index)
            BSON_APPEND_UTF8(update, "hint", index);
        bson_t *command =
            BCON_NEW("update", BCON_UTF8(RUNS), "updates", "[", BCON_DOCUMENT(update), "]");
        sl_mongo_append_durable(command, deadline_ms);
        rc = sl_mongo_write(store->mongo, store->database, command, &reply, deadline_ms, err);
        bson_destroy(&reply);
        bson_destroy(command);
        bson_destroy(update);
    }
    bson_destroy(change);
    bson_destroy(filter);
    return rc;
}

int sl_store_runs_abandon(struct sl_state *state, const char *feed, int64_t epoch,
                          int64_t saved_before_ms, const char *why, struct sl_err *err)
{
    bson_t *filter = begun_filter(feed, epoch, saved_before_ms);
    bson_t *change = BCON_NEW("state", BCON_UTF8(sl_run_state_name(SL_RUN_ABANDONED)), "state_at",
                              BCON_DATE_TIME(sl_wall_ms()), "error", BCON_UTF8(why));
    if (epoch)
        BSON_APPEND_INT64(change, "epoch", epoch);
    int rc = change_runs(sl_store_of(state), filter, change, NULL, err);
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot close the runs of feed '%s'", feed);
}

int sl_store_runs_expire(struct sl_state *state, const char *feed, int64_t before,
                         struct sl_err *err)
{
    bson_t *filter =
        BCON_NEW("expires_at", BCON_NULL, "feed", BCON_UTF8(feed), "number", "{", "$lt",
                 BCON_INT64(before), "}", "unsettled", "{", "$ne", BCON_BOOL(true), "}");
    bson_t *change = BCON_NEW("expires_at", BCON_DATE_TIME(sl_wall_ms() + SL_LEDGER_KEPT_MS));
    /* Those without expires_at are few, those of the feed may be millions. */
    int rc = change_runs(sl_store_of(state), filter, change, "expiry", err);
    return rc == SL_OK ? rc : sl_err_wrap(err, "old runs of feed '%s'", feed);
}
