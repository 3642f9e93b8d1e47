#include "sink/mongo.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/names.h"
#include "loop/fiber.h"
#include "mongo/error.h"
#include "sink/mongo_write.h"

enum {
    REFUSED_FOR_MS = 15 * 1000,  /* then the others go on without it */
    REFUSED_ANEW_MS = 60 * 1000, /* without a refusal: the next one has nothing to do with it */
    INDEX_WAIT_MS = 2 * 1000,    /* of a batch; of a large collection it takes hours */
    INDEX_AGAIN_MS = 30 * 1000,
};

struct mongo_sink {
    struct sl_sink sink;
    struct sl_mongo *mongo;
    struct sl_mongo_settings settings; /* only the names of the databases */
    uint64_t tombstone_ttl_ms;
    sl_route_fn *route;
    const void *context;
    struct sl_overtaken *overtaken;
    struct sl_metric *inserted, *refused;
    struct sl_mongo_collection *collections;
};

/* --- collections --- */

const char *sl_sink_mongo_place_wrong(const struct sl_mongo_settings *settings,
                                      const struct sl_origin *origin)
{
    const char *database = origin->database;
    if (sl_mongo_database_wrong(database))
        return "its database has a name that MongoDB does not take, or keeps for itself";
    if (!strcmp(database, settings->state_database)) {
        if (strcmp(database, settings->database) != 0)
            return "its database is mongo.state_database, which is not for rows";
        if (sl_mongo_state_has(origin->collection))
            return "its collection is one of sluice's own in mongo.state_database";
    }
    return sl_collection_wrong(origin->collection) ? "its collection has no name for one" : NULL;
}

/* Where the batch's rows go: whoever read them has said so, since the configuration of this process
 * may be another one (docs/adr/0040-where-rows-go.md). */
static int find_place(const struct mongo_sink *sink, const struct sl_origin *origin,
                      const char **ret_database, const char **ret_name, struct sl_err *err)
{
    const char *wrong = NULL;
    *ret_database = origin->collection ? origin->database : sink->settings.database;
    *ret_name = origin->collection ? origin->collection
                                   : sink->route(sink->context, origin->feed, origin->entity);
    if (!*ret_name)
        return sl_err_set(err, SL_NOTFOUND,
                          "the message does not say where the rows of entity '%s' of feed '%s' go, "
                          "and the configuration does not name them",
                          origin->entity, origin->feed);
    if (origin->collection)
        wrong = sl_sink_mongo_place_wrong(&sink->settings, origin);
    if (wrong)
        return sl_err_set(err, SL_NOTFOUND, "the message says that its rows go into '%s.%s': %s",
                          *ret_database, *ret_name, wrong);
    return SL_OK;
}

static struct sl_mongo_collection *
find_collection(struct mongo_sink *sink, const struct sl_origin *origin, struct sl_err *err)
{
    const char *database, *name;
    if (find_place(sink, origin, &database, &name, err) != SL_OK)
        return NULL;
    for (struct sl_mongo_collection *one = sink->collections; one; one = one->next)
        if (strcmp(one->name, name) == 0 && strcmp(one->database, database) == 0)
            return one;
    struct sl_mongo_collection *one = SL_NEW(struct sl_mongo_collection);
    one->database = sl_strdup(database);
    one->name = sl_strdup(name);
    one->new_wanted = 1;
    one->next = sink->collections;
    sink->collections = one;
    return one;
}

static bool has_deletions(const struct sl_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->records[i].op == SL_DELETE)
            return true;
    return false;
}

/* Before the first batch, and before each that brings tombstones, since the collection may have
 * been dropped meanwhile, and any upsert made it anew without. */
static bool wants_index(const struct sl_mongo_collection *collection, const struct sl_batch *batch)
{
    return sl_loop_now_ms() >= collection->index_after_ms &&
           (!collection->ready || has_deletions(batch));
}

/* Makes the index by which the server removes expired tombstones. Suspends. */
static int make_index(const struct mongo_sink *sink, const struct sl_mongo_collection *collection,
                      uint64_t deadline_ms, struct sl_err *err)
{
    bson_t reply;
    bson_t *command =
        BCON_NEW("createIndexes", BCON_UTF8(collection->name), "indexes", "[", "{", "key", "{",
                 "_sluice.expires_at", BCON_INT32(1), "}", "name", "sluice_tombstones",
                 "expireAfterSeconds", BCON_INT32(0), "sparse", BCON_BOOL(true), "}", "]");
    sl_mongo_append_durable(command, deadline_ms);
    int rc = sl_mongo_write(sink->mongo, collection->database, command, &reply, deadline_ms, err);
    bson_destroy(&reply);
    bson_destroy(command);
    return rc;
}

/* The rows need no index: where it takes long they go before it. The server goes on with it, and
 * only now and then one of them looks whether it is there. */
static void leave_index(struct sl_mongo_collection *collection, const struct sl_err *err)
{
    if (!collection->index_after_ms)
        sl_log(SL_WARN,
               "the index sluice_tombstones takes long; rows are written meanwhile, and their "
               "tombstones expire once it is there",
               SL_T("database", collection->database), SL_T("collection", collection->name),
               SL_T("error", err->message));
    collection->index_after_ms = sl_deadline_in(INDEX_AGAIN_MS);
}

/* Suspends. */
static int prepare_collection(const struct mongo_sink *sink, struct sl_mongo_collection *collection,
                              const struct sl_batch *batch, uint64_t deadline_ms,
                              struct sl_err *err)
{
    enum { OTHER_OPTIONS = 85, OTHER_KEYS = 86 }; /* an index of that name or key is there */

    if (!wants_index(collection, batch))
        return SL_OK;
    if (collection->index_after_ms) /* this one asks, the others go past it */
        collection->index_after_ms = sl_deadline_in(INDEX_AGAIN_MS);
    uint64_t soon_ms = sl_deadline_in(INDEX_WAIT_MS);
    int rc = make_index(sink, collection, soon_ms < deadline_ms ? soon_ms : deadline_ms, err);
    if (rc == SL_TIMEOUT) {
        collection->ready = false;
        leave_index(collection, err);
        return SL_OK;
    }
    collection->index_after_ms = 0;
    if (rc != SL_OK && (err->cause == OTHER_OPTIONS || err->cause == OTHER_KEYS)) {
        if (!collection->ready)
            sl_log(SL_WARN,
                   "an index on _sluice.expires_at is there with other options, and is kept",
                   SL_T("collection", collection->name), SL_T("error", err->message));
        rc = SL_OK;
    }
    collection->ready = rc == SL_OK;
    return rc == SL_OK ? SL_OK : sl_err_wrap(err, "cannot prepare '%s'", collection->name);
}

/* --- the sink --- */

/* What cannot be anybody's fault but the collection's: a name that is refused, a view, an index
 * that a capped collection cannot have. */
static bool is_of_collection(int cause)
{
    enum { CANNOT_CREATE_INDEX = 67, BAD_OPTIONS = 72, BAD_NAME = 73, IS_VIEW = 166 };
    return cause == CANNOT_CREATE_INDEX || cause == BAD_OPTIONS || cause == BAD_NAME ||
           cause == IS_VIEW;
}

/* Whether another one was written by a write that began after this one had been refused, and has
 * not been refused since. */
static bool is_alone(const struct mongo_sink *sink, const struct sl_mongo_collection *collection)
{
    for (const struct sl_mongo_collection *one = sink->collections; one; one = one->next)
        if (one != collection && one->taken_ms > collection->refused_ms)
            return true;
    return false;
}

/* Batches of one collection that the server itself refuses (cause is 0 where it did not let us in)
 * would fill the lane, and no other feed went on: after a while they have no destination. What may
 * be the login's or the database's fault, such as a right that is missing, has to be refused while
 * others are written (docs/adr/0009-set-aside.md). begun_ms: when the write began, loop clock. */
static int judge(const struct mongo_sink *sink, struct sl_mongo_collection *collection,
                 uint64_t begun_ms, int rc, struct sl_err *err)
{
    uint64_t now_ms = sl_loop_now_ms();
    if (rc == SL_OK) {
        collection->refused_ms = 0;
        collection->taken_ms = begun_ms;
    }
    if (rc != SL_CONFIG)
        return rc;
    collection->taken_ms = 0;
    if (!err->cause)
        return rc;
    if (!collection->refused_ms || now_ms - collection->refused_last_ms >= REFUSED_ANEW_MS)
        collection->refused_ms = now_ms;
    collection->refused_last_ms = now_ms;
    bool concerns_it = is_of_collection(err->cause) || is_alone(sink, collection);
    if (concerns_it && now_ms - collection->refused_ms >= REFUSED_FOR_MS)
        rc = err->code = SL_NOTFOUND;
    return rc;
}

static int mongo_write(struct sl_sink *base, struct sl_batch *batch, uint64_t deadline_ms,
                       struct sl_result *ret, struct sl_err *err)
{
    struct mongo_sink *sink = (struct mongo_sink *)base;
    struct sl_err local = {0}; /* causes are read here, so there must be one */
    struct sl_err *fault = err ? err : &local;
    uint64_t begun_ms = sl_loop_now_ms();

    if (!batch->count) {
        *ret = (struct sl_result){0};
        return SL_OK;
    }
    struct sl_mongo_collection *collection = find_collection(sink, &batch->origin, fault);
    if (!collection)
        return SL_NOTFOUND;
    int rc = prepare_collection(sink, collection, batch, deadline_ms, fault);
    if (rc != SL_OK)
        return judge(sink, collection, begun_ms, rc == SL_REJECTED ? SL_CONFIG : rc, fault);

    const struct sl_mongo_target target = {
        .mongo = sink->mongo,
        .collection = collection,
        .tombstone_ttl_ms = sink->tombstone_ttl_ms,
        .overtaken = sink->overtaken,
        .inserted = sink->inserted,
        .refused = sink->refused,
    };
    rc = sl_mongo_write_batch(&target, batch, deadline_ms, ret, fault);
    if (rc != SL_OK)
        sl_err_wrap(fault, "cannot write to '%s.%s'", collection->database, collection->name);
    return judge(sink, collection, begun_ms, rc, fault);
}

static int mongo_ping(struct sl_sink *base, uint64_t deadline_ms, struct sl_err *err)
{
    return sl_mongo_ping(((struct mongo_sink *)base)->mongo, deadline_ms, err);
}

static void mongo_close(struct sl_sink *base)
{
    struct mongo_sink *sink = (struct mongo_sink *)base;
    while (sink->collections) {
        struct sl_mongo_collection *one = sink->collections;
        sink->collections = one->next;
        free(one->database);
        free(one->name);
        free(one);
    }
    free(sink->settings.database);
    free(sink->settings.state_database);
    free(sink);
}

static const struct sl_sink_type type = {
    .name = "mongo",
    .summary = "MongoDB: guarded bulk upserts, the newest version wins",
    .write = mongo_write,
    .ping = mongo_ping,
    .close = mongo_close,
};

static struct sl_metric *insertions(const char *outcome)
{
    return sl_counter("insertions_total", "Rows that were taken for new, by what became of them.",
                      "outcome=\"%s\"", outcome);
}

struct sl_sink *sl_sink_mongo_new(struct sl_mongo *mongo, const struct sl_mongo_settings *settings,
                                  sl_route_fn *route, const void *context,
                                  struct sl_overtaken *overtaken)
{
    struct mongo_sink *sink = SL_NEW(struct mongo_sink);
    sink->sink = (struct sl_sink){.type = &type, .name = "mongo"};
    sink->mongo = mongo;
    sink->settings.database = sl_strdup(settings->database);
    sink->settings.state_database = sl_strdup(settings->state_database);
    sink->tombstone_ttl_ms = settings->tombstone_ttl_ms;
    sink->route = route;
    sink->context = context;
    sink->overtaken = overtaken;
    sink->inserted = insertions("inserted");
    sink->refused = insertions("refused");
    return &sink->sink;
}
