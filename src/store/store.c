#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/fiber.h"
#include "mongo/error.h"
#include "mongo/fields.h"
#include "store/store_own.h"

uint64_t sl_store_deadline(const struct sl_store *store)
{
    return sl_deadline_in(store->timeout_ms);
}

/* --- commands --- */

static void append_array_or_document(bson_t *to, const char *name, const bson_t *value)
{
    bson_iter_t at;
    bool is_array = bson_iter_init(&at, value) && bson_iter_next(&at) && BSON_ITER_IS_KEY(&at, "0");
    if (is_array)
        BSON_APPEND_ARRAY(to, name, value);
    else
        BSON_APPEND_DOCUMENT(to, name, value);
}

void sl_store_append_majority(bson_t *command)
{
    bson_t concern;
    BSON_APPEND_DOCUMENT_BEGIN(command, "readConcern", &concern);
    BSON_APPEND_UTF8(&concern, "level", "majority");
    bson_append_document_end(command, &concern);
}

int sl_store_index(struct sl_store *store, bool *ready, const char *collection,
                   const bson_t *indexes, struct sl_err *err)
{
    enum { OTHER_OPTIONS = 85 }; /* it is there, and keeps for another time: by collMod */

    if (*ready)
        return SL_OK;
    bson_t command = BSON_INITIALIZER, reply;
    uint64_t deadline_ms = sl_store_deadline(store);
    BSON_APPEND_UTF8(&command, "createIndexes", collection);
    BSON_APPEND_ARRAY(&command, "indexes", indexes);
    sl_mongo_append_durable(&command, deadline_ms);

    int rc = sl_mongo_write(store->mongo, store->database, &command, &reply, deadline_ms, err);
    if (rc != SL_OK && err->cause == OTHER_OPTIONS)
        rc = SL_OK;
    *ready = rc == SL_OK;
    bson_destroy(&reply);
    bson_destroy(&command);
    return rc == SL_OK ? rc : sl_err_wrap(err, "cannot make the indexes of '%s'", collection);
}

int sl_store_update(struct sl_store *store, const char *collection, const bson_t *query,
                    const bson_t *change, bool upsert, int64_t *ret_matched, struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER, updates, update, reply;
    uint64_t deadline_ms = sl_store_deadline(store);
    BSON_APPEND_UTF8(&command, "update", collection);
    SL_ARRAY_BEGIN(&command, "updates", &updates);
    BSON_APPEND_DOCUMENT_BEGIN(&updates, "0", &update);
    BSON_APPEND_DOCUMENT(&update, "q", query);
    append_array_or_document(&update, "u", change);
    BSON_APPEND_BOOL(&update, "upsert", upsert);
    bson_append_document_end(&updates, &update);
    bson_append_array_end(&command, &updates);
    sl_mongo_append_durable(&command, deadline_ms);

    int rc = sl_mongo_write(store->mongo, store->database, &command, &reply, deadline_ms, err);
    if (rc == SL_OK && ret_matched)
        *ret_matched = sl_field_int64(&reply, "n", 0);
    bson_destroy(&reply);
    bson_destroy(&command);
    return rc;
}

/* The document, unless a newer epoch wrote it. */
static bson_t *owned_by(const char *id, int64_t epoch)
{
    return BCON_NEW("_id", BCON_UTF8(id), "epoch", "{", "$not", "{", "$gt", BCON_INT64(epoch), "}",
                    "}");
}

/* A duplicate _id: the document is there, and its epoch did not fit. */
static int explain_owned(struct sl_store *store, const char *collection, const char *id,
                         int64_t epoch, struct sl_err *err)
{
    bson_t document;
    bson_t *query = owned_by(id, epoch);
    int rc = sl_store_find(store, collection, query, NULL, &document, err);
    bson_destroy(query);
    if (rc == SL_NOTFOUND)
        return sl_err_set(err, SL_REJECTED,
                          "'%s' belongs to another process by now: its epoch is above %lld", id,
                          (long long)epoch);
    if (rc != SL_OK)
        return rc;
    bson_destroy(&document);
    return sl_err_set(err, SL_CLOSED, "'%s' was made by another process at the same moment", id);
}

int sl_store_modify(struct sl_store *store, const char *collection, const bson_t *query,
                    const bson_t *change, bool upsert, bson_t *ret_document, struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER, reply, value;
    uint64_t deadline_ms = sl_store_deadline(store);
    BSON_APPEND_UTF8(&command, "findAndModify", collection);
    BSON_APPEND_DOCUMENT(&command, "query", query);
    append_array_or_document(&command, "update", change);
    BSON_APPEND_BOOL(&command, "new", true);
    BSON_APPEND_BOOL(&command, "upsert", upsert);
    sl_mongo_append_durable(&command, deadline_ms);

    int rc = sl_mongo_write(store->mongo, store->database, &command, &reply, deadline_ms, err);
    if (rc == SL_REJECTED && err && err->cause == SL_MONGO_DUPLICATE_KEY)
        rc = err->code = SL_CLOSED; /* two processes made the document at once: try again */
    if (rc == SL_OK) {
        if (sl_field_document(&reply, "value", &value))
            bson_copy_to(&value, ret_document);
        else
            rc = sl_err_set(err, SL_NOTFOUND, "nothing found in '%s'", collection);
    }
    bson_destroy(&reply);
    bson_destroy(&command);
    return rc;
}

int sl_store_update_owned(struct sl_store *store, const char *collection, const char *id,
                          const bson_t *change, int64_t epoch, bson_t *ret_document,
                          struct sl_err *err)
{
    struct sl_err local = {0}; /* its cause is read below */
    struct sl_err *fault = err ? err : &local;
    bson_t *query = owned_by(id, epoch);
    int rc = ret_document
                 ? sl_store_modify(store, collection, query, change, true, ret_document, fault)
                 : sl_store_update(store, collection, query, change, true, NULL, fault);
    bson_destroy(query);
    if (rc != SL_OK && fault->cause == SL_MONGO_DUPLICATE_KEY)
        return explain_owned(store, collection, id, epoch, fault);
    return rc;
}

int sl_store_find(struct sl_store *store, const char *collection, const bson_t *query,
                  const bson_t *sort, bson_t *ret_document, struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&command, "find", collection);
    BSON_APPEND_DOCUMENT(&command, "filter", query);
    if (sort)
        BSON_APPEND_DOCUMENT(&command, "sort", sort);
    BSON_APPEND_INT32(&command, "limit", 1);
    BSON_APPEND_BOOL(&command, "singleBatch", true);
    sl_store_append_majority(&command);
    int rc = sl_mongo_first(store->mongo, store->database, &command, ret_document,
                            sl_store_deadline(store), err);
    bson_destroy(&command);
    return rc;
}

int sl_store_find_many(struct sl_store *store, const struct sl_store_query *query,
                       struct sl_store_rows *ret, struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&command, "find", query->collection);
    BSON_APPEND_DOCUMENT(&command, "filter", query->filter);
    if (query->sort)
        BSON_APPEND_DOCUMENT(&command, "sort", query->sort);
    if (query->fields)
        BSON_APPEND_DOCUMENT(&command, "projection", query->fields);
    if (query->hint)
        BSON_APPEND_DOCUMENT(&command, "hint", query->hint);
    BSON_APPEND_INT64(&command, "limit", query->limit);
    BSON_APPEND_INT64(&command, "batchSize", query->limit); /* else the first batch ends at 101 */
    BSON_APPEND_BOOL(&command, "singleBatch", true);
    sl_store_append_majority(&command);
    ret->any = false;
    int rc = sl_mongo_command(store->mongo, query->database, &command, &ret->reply,
                              sl_store_deadline(store), err);
    bson_destroy(&command);
    bson_iter_t at;
    if (rc == SL_OK)
        ret->any = bson_iter_init(&at, &ret->reply) &&
                   bson_iter_find_descendant(&at, "cursor.firstBatch", &at) &&
                   BSON_ITER_HOLDS_ARRAY(&at) && bson_iter_recurse(&at, &ret->at);
    else
        bson_destroy(&ret->reply);
    return rc;
}

bool sl_store_rows_next(struct sl_store_rows *rows, bson_t *ret_view)
{
    const uint8_t *data;
    uint32_t length;
    while (rows->any && bson_iter_next(&rows->at))
        if (BSON_ITER_HOLDS_DOCUMENT(&rows->at)) {
            bson_iter_document(&rows->at, &length, &data);
            return bson_init_static(ret_view, data, length);
        }
    return false;
}

void sl_store_rows_done(struct sl_store_rows *rows)
{
    bson_destroy(&rows->reply);
}

int sl_store_aggregate(struct sl_store *store, const char *database, const char *collection,
                       const bson_t *pipeline, uint64_t deadline_ms, bson_t *ret_document,
                       struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER, cursor;
    BSON_APPEND_UTF8(&command, "aggregate", collection);
    BSON_APPEND_ARRAY(&command, "pipeline", pipeline);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "cursor", &cursor);
    bson_append_document_end(&command, &cursor);
    sl_store_append_majority(&command);
    int rc = sl_mongo_first(store->mongo, database, &command, ret_document, deadline_ms, err);
    bson_destroy(&command);
    return rc;
}

/* --- the state --- */

static int store_ping(struct sl_state *state, struct sl_err *err)
{
    struct sl_store *store = sl_store_of(state);
    return sl_mongo_ping(store->mongo, sl_store_deadline(store), err);
}

static void store_close(struct sl_state *state)
{
    struct sl_store *store = sl_store_of(state);
    free(store->database);
    free(store->data_database);
    free(store);
}

static const struct sl_state_type type = {
    .run_newest = sl_store_run_newest,
    .run_latest = sl_store_run_latest,
    .run_ended = sl_store_run_ended,
    .run_save = sl_store_run_save,
    .run_unsettled = sl_store_run_unsettled,
    .runs_open = sl_store_runs_open,
    .runs_expire = sl_store_runs_expire,
    .runs_abandon = sl_store_runs_abandon,
    .suspect_set = sl_store_suspect_set,
    .suspect_get = sl_store_suspect_get,
    .counter_take = sl_store_counter_take,
    .counter_renew = sl_store_counter_renew,
    .lease_hold = sl_store_lease_hold,
    .leases_renew = sl_store_leases_renew,
    .lease_drop = sl_store_lease_drop,
    .member_beat = sl_store_member_beat,
    .member_leave = sl_store_member_leave,
    .member_name = sl_store_member_name,
    .ledger_put = sl_store_ledger_put,
    .ledger_sum = sl_store_ledger_sum,
    .dead_put = sl_store_dead_put,
    .letters_find = sl_store_letters_find,
    .letters_count = sl_store_letters_count,
    .letters_feeds = sl_store_letters_feeds,
    .letters_remove = sl_store_letters_remove,
    .audit = sl_store_audit,
    .checkpoint_load = sl_store_checkpoint_load,
    .checkpoint_take = sl_store_checkpoint_take,
    .checkpoint_save = sl_store_checkpoint_save,
    .mark_get = sl_store_mark_get,
    .mark_raise = sl_store_mark_raise,
    .clock_reserve = sl_store_clock_reserve,
    .version_line = sl_store_version_line,
    .version_max = sl_store_version_max,
    .stranger_find = sl_store_stranger_find,
    .unseen_count = sl_store_unseen_count,
    .unseen_ids = sl_store_unseen_ids,
    .mark_sign = sl_store_mark_sign,
    .mark_reset = sl_store_mark_reset,
    .refresh_ask = sl_store_refresh_ask,
    .refresh_get = sl_store_refresh_get,
    .refresh_save = sl_store_refresh_save,
    .refreshes_open = sl_store_refreshes_open,
    .overtake = sl_store_overtake,
    .overtake_get = sl_store_overtake_get,
    .overtakes = sl_store_overtakes,
    .ping = store_ping,
    .close = store_close,
};

static void make_owner(char *owner, size_t size)
{
    char host[64] = "unknown";
    uint64_t chance;
    gethostname(host, sizeof host - 1);
    arc4random_buf(&chance, sizeof chance);
    snprintf(owner, size, "%s:%d:%016llx", host, (int)getpid(), (unsigned long long)chance);
}

struct sl_state *sl_store_new(struct sl_mongo *mongo, const struct sl_mongo_settings *settings,
                              struct sl_err *err)
{
    const char *names[] = {settings->database, settings->state_database};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *wrong = sl_mongo_database_wrong(names[i]);
        if (wrong) {
            sl_err_set(err, SL_CONFIG, "mongo.%s \"%s\" %s", i ? "state_database" : "database",
                       names[i] ? names[i] : "", wrong);
            return NULL;
        }
    }
    struct sl_store *store = SL_NEW(struct sl_store);
    store->state.type = &type;
    store->state.lease_ms = settings->lease_ms;
    store->state.write_ms = settings->write_timeout_ms;
    store->mongo = mongo;
    store->database = sl_strdup(settings->state_database);
    store->data_database = sl_strdup(settings->database);
    store->state.database = store->data_database;
    store->timeout_ms = settings->write_timeout_ms;
    store->dead_ttl_ms = settings->dead_ttl_ms;
    make_owner(store->owner, sizeof store->owner);
    sl_process_mark(store->process);
    return &store->state;
}

const char *sl_store_owner(const struct sl_state *state)
{
    return ((const struct sl_store *)state)->owner;
}
