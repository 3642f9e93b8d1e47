/* The ledger: what became of each batch. An entry belongs to (run, attempt, entity, batch), so a
 * batch that is delivered again overwrites its own. */
#include "base/clock.h"
#include "loop/fiber.h"
#include "mongo/fields.h"
#include "store/store_own.h"

static const char LEDGER[] = "ledger";

static int make_index(struct sl_store *store, struct sl_err *err)
{
    bson_t *indexes = BCON_NEW("0", "{", "name", "expiry", "key", "{", "at", BCON_INT32(1), "}",
                               "expireAfterSeconds", BCON_INT64(SL_LEDGER_KEPT_MS / 1000), "}");
    int rc = sl_store_index(store, &store->ledger_ready, LEDGER, indexes, err);
    bson_destroy(indexes);
    return rc;
}

/* One of the command's updates: q by _id, u the rest. */
static void append_entry(bson_t *updates, size_t index, const struct sl_booking *booking)
{
    const struct sl_batch *batch = booking->batch;
    const struct sl_origin *origin = &batch->origin;
    bson_t update;
    sl_array_begin_document(updates, index, &update);
    BCON_APPEND(&update, "q", "{", "_id", "{", "run", BCON_UTF8(origin->run), "attempt",
                BCON_INT64(origin->attempt), "entity", BCON_UTF8(origin->entity), "batch",
                BCON_INT64(origin->number), "}", "}");
    BCON_APPEND(&update, "u", "{", "$set", "{", "feed", BCON_UTF8(origin->feed), "read",
                BCON_INT64((int64_t)batch->count + batch->superseded), "rows",
                BCON_INT64(batch->count), "applied", BCON_INT64(booking->applied), "stale",
                BCON_INT64(booking->stale), "dead", BCON_INT64(booking->dead), "superseded",
                BCON_INT64(batch->superseded), "last", BCON_BOOL(origin->last), "at",
                BCON_DATE_TIME(sl_wall_ms()), "}", "}", "upsert", BCON_BOOL(true));
    bson_append_document_end(updates, &update);
}

int sl_store_ledger_put(struct sl_state *state, const struct sl_booking *bookings, size_t count,
                        struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    int rc = make_index(store, err);
    if (rc != SL_OK)
        return rc;
    bson_t command = BSON_INITIALIZER, updates, reply;
    uint64_t deadline_ms = sl_store_deadline(store);
    BSON_APPEND_UTF8(&command, "update", LEDGER);
    BSON_APPEND_BOOL(&command, "ordered", false);
    SL_ARRAY_BEGIN(&command, "updates", &updates);
    for (size_t i = 0; i < count; i++)
        append_entry(&updates, i, &bookings[i]);
    bson_append_array_end(&command, &updates);
    sl_mongo_append_durable(&command, deadline_ms);
    rc = sl_mongo_write(store->mongo, store->database, &command, &reply, deadline_ms, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    if (rc == SL_OK)
        return SL_OK;
    const struct sl_origin *origin = &bookings[0].batch->origin;
    return sl_err_wrap(err, "cannot enter batch %u of '%s' in the ledger", origin->number,
                       origin->run);
}

/* The entries of one entity lie side by side in the order of _id: no other index is needed. */
static bson_t *sum_pipeline(const char *run, uint32_t attempt, const char *entity)
{
    return BCON_NEW(
        "0", "{", "$match", "{", "_id", "{", "$gte", "{", "run", BCON_UTF8(run), "attempt",
        BCON_INT64(attempt), "entity", BCON_UTF8(entity), "batch", BCON_INT64(0), "}", "$lte", "{",
        "run", BCON_UTF8(run), "attempt", BCON_INT64(attempt), "entity", BCON_UTF8(entity), "batch",
        BCON_INT64(INT64_MAX), "}", "}", "}", "}", "1", "{", "$group", "{", "_id", BCON_NULL,
        "batches", "{", "$sum", BCON_INT64(1), "}", "rows", "{", "$sum", "$rows", "}", "applied",
        "{", "$sum", "$applied", "}", "stale", "{", "$sum", "$stale", "}", "dead", "{", "$sum",
        "$dead", "}", "superseded", "{", "$sum", "$superseded", "}", "}", "}");
}

int sl_store_ledger_sum(struct sl_state *state, const char *run, uint32_t attempt,
                        const char *entity, struct sl_ledger_sum *ret, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    bson_t sum;
    bson_t *pipeline = sum_pipeline(run, attempt, entity);
    int rc = sl_store_aggregate(store, store->database, LEDGER, pipeline, sl_store_deadline(store),
                                &sum, err);
    bson_destroy(pipeline);
    if (rc == SL_NOTFOUND) {
        *ret = (struct sl_ledger_sum){0};
        return SL_OK;
    }
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot add up the ledger of '%s'", run);
    *ret = (struct sl_ledger_sum){
        .batches = (uint32_t)sl_field_int64(&sum, "batches", 0),
        .rows = (uint64_t)sl_field_int64(&sum, "rows", 0),
        .applied = (uint64_t)sl_field_int64(&sum, "applied", 0),
        .stale = (uint64_t)sl_field_int64(&sum, "stale", 0),
        .dead = (uint64_t)sl_field_int64(&sum, "dead", 0),
        .superseded = (uint64_t)sl_field_int64(&sum, "superseded", 0),
    };
    bson_destroy(&sum);
    return SL_OK;
}
