#include "sink/mongo.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "mongo/error.h"
#include "sink/mongo_command.h"
#include "sink/mongo_reply.h"

enum { SLICE_ROWS = 100 }; /* built between two yields */

/* A collection that was written to, or is about to be. */
struct collection {
    struct collection *next;
    bool ready; /* its tombstones expire */
    char name[];
};

struct mongo_sink {
    struct sl_sink sink;
    struct sl_mongo *mongo;
    char *database;
    uint64_t tombstone_ttl_ms;
    sl_route_fn *route;
    void *context;
    struct sl_overtaken *overtaken;
    struct collection *collections;
};

/* One batch on its way. */
struct writing {
    const struct mongo_sink *sink;
    struct sl_batch *batch;
    const char *collection;
    uint64_t deadline_ms;
    struct sl_mongo_stamp stamp;
    struct sl_buf command;
    uint32_t *rows; /* indices of the records that can be written */
    uint32_t count;
    uint32_t unmade; /* rows of the command that may not make their document */
    struct sl_result result;
    uint32_t reject_capacity;
};

/* --- collections --- */

static struct collection *find_collection(struct mongo_sink *sink, const struct sl_origin *origin,
                                          struct sl_err *err)
{
    const char *name = sink->route(sink->context, origin->feed, origin->entity);
    if (!name) {
        sl_err_set(err, SL_NOTFOUND,
                   "no route for entity '%s' of feed '%s': is this process's configuration older "
                   "than the ingest side's?",
                   origin->entity, origin->feed);
        return NULL;
    }
    for (struct collection *one = sink->collections; one; one = one->next)
        if (strcmp(one->name, name) == 0)
            return one;
    struct collection *one = sl_calloc(1, sizeof *one + strlen(name) + 1);
    memcpy(one->name, name, strlen(name) + 1);
    one->next = sink->collections;
    sink->collections = one;
    return one;
}

/* Makes the index by which the server removes expired tombstones. Suspends. */
static int prepare_collection(const struct mongo_sink *sink, struct collection *collection,
                              uint64_t deadline_ms, struct sl_err *err)
{
    enum { OTHER_OPTIONS = 85, OTHER_KEYS = 86 }; /* an index of that name or key is there */

    if (collection->ready)
        return SL_OK;
    bson_t reply;
    bson_t *command =
        BCON_NEW("createIndexes", BCON_UTF8(collection->name), "indexes", "[", "{", "key", "{",
                 "_sluice.expires_at", BCON_INT32(1), "}", "name", "sluice_tombstones",
                 "expireAfterSeconds", BCON_INT32(0), "sparse", BCON_BOOL(true), "}", "]");
    sl_mongo_append_durable(command, deadline_ms);
    int rc = sl_mongo_write(sink->mongo, sink->database, command, &reply, deadline_ms, err);
    if (rc != SL_OK && (err->cause == OTHER_OPTIONS || err->cause == OTHER_KEYS)) {
        sl_log(SL_WARN, "an index on _sluice.expires_at is there with other options, and is kept",
               SL_T("collection", collection->name), SL_T("error", err->message));
        rc = SL_OK;
    }
    collection->ready = rc == SL_OK;
    bson_destroy(&reply);
    bson_destroy(command);
    return rc == SL_OK ? SL_OK : sl_err_wrap(err, "cannot prepare '%s'", collection->name);
}

/* --- rejects --- */

static void reject(struct writing *writing, uint32_t index, const char *code, const char *reason)
{
    struct sl_result *result = &writing->result;
    struct sl_arena *arena = &writing->batch->arena;
    if (result->reject_count == writing->reject_capacity) {
        uint32_t capacity = writing->reject_capacity ? writing->reject_capacity * 2 : 16;
        struct sl_reject *more = sl_arena_alloc(arena, capacity * sizeof *more);
        if (result->reject_count)
            memcpy(more, result->rejects, result->reject_count * sizeof *more);
        result->rejects = more;
        writing->reject_capacity = capacity;
    }
    size_t length = strlen(reason);
    result->rejects[result->reject_count++] = (struct sl_reject){
        .index = index, .code = code, .reason = {sl_arena_text(arena, reason, length), length}
    };
}

/* Sets aside what cannot be written at all. */
static int sort_rows(struct writing *writing, struct sl_err *err)
{
    const struct sl_batch *batch = writing->batch;
    int64_t since_ms = sl_wall_ms() - (int64_t)writing->sink->tombstone_ttl_ms;
    for (uint32_t i = 0; i < batch->count; i++) {
        const char *reason = NULL;
        const char *code =
            sl_mongo_record_fault(&batch->records[i], batch->origin.read_at_ms, since_ms, &reason);
        if (code)
            reject(writing, i, code, reason);
        else
            writing->rows[writing->count++] = i;
        if (i % (10 * SLICE_ROWS) == 10 * SLICE_ROWS - 1 && sl_fiber_yield() != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled while a batch was built");
    }
    return SL_OK;
}

/* --- one command --- */

static void append_head(bson_t *head, const struct writing *writing)
{
    uint64_t now_ms = sl_loop_now_ms();
    uint64_t left_ms = writing->deadline_ms > now_ms ? writing->deadline_ms - now_ms : 1;
    BSON_APPEND_UTF8(head, "update", writing->collection);
    BSON_APPEND_BOOL(head, "ordered", false);
    BSON_APPEND_INT64(head, "maxTimeMS", left_ms < INT32_MAX ? (int64_t)left_ms : INT32_MAX);
    sl_mongo_append_durable(head, writing->deadline_ms);
}

/* Whether the row may make its document, or only change it. late: those of its batch may not. */
static bool may_insert(const struct writing *writing, const struct sl_record *record, bool late)
{
    if (record->op == SL_DELETE || !writing->sink->overtaken)
        return true;
    return !(record->letter ? sl_overtaken_has(writing->sink->overtaken, &writing->batch->origin,
                                               record->letter)
                            : late);
}

/* Builds a command of the rows from first on, at most count, as many as fit. Yields. */
static int build(struct writing *writing, uint32_t first, uint32_t count, uint32_t *ret_count,
                 struct sl_err *err)
{
    struct sl_overtaken *overtaken = writing->sink->overtaken;
    int rc = overtaken ? sl_overtaken_refresh(overtaken, err) : SL_OK;
    if (rc != SL_OK)
        return rc;
    bson_t head = BSON_INITIALIZER;
    append_head(&head, writing);
    sl_mongo_command_begin(&writing->command, &head);
    bson_destroy(&head);

    bool late = overtaken && sl_overtaken_has(overtaken, &writing->batch->origin, NULL);
    uint32_t built = 0;
    writing->unmade = 0;
    while (built < count && built < SL_MONGO_COMMAND_ROWS) {
        const struct sl_record *record = &writing->batch->records[writing->rows[first + built]];
        size_t more = record->doc.length + record->id.length;
        if (built && writing->command.length + more > SL_MONGO_COMMAND_BYTES)
            break;
        bool insert = may_insert(writing, record, late);
        sl_mongo_command_add(&writing->command, &writing->stamp, record, insert, built);
        writing->unmade += !insert;
        built++;
        if (built % SLICE_ROWS == 0 && sl_fiber_yield() != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled while a batch was built");
    }
    sl_mongo_command_end(&writing->command);
    *ret_count = built;
    return SL_OK;
}

static int count_reply(struct writing *writing, const bson_t *reply, uint32_t first, uint32_t count,
                       struct sl_err *err)
{
    struct sl_mongo_tally tally;
    int rc = sl_mongo_reply_check(reply, count, writing->unmade, &tally, err);
    if (rc != SL_OK)
        return rc;
    struct sl_mongo_refusals walk = {0};
    struct sl_mongo_refusal refusal;
    while (sl_mongo_refusals_next(&walk, reply, &refusal)) {
        char reason[SL_ERR_TEXT_BYTES];
        if (refusal.index >= count)
            return sl_err_set(err, SL_CLOSED, "MongoDB refused row %u of %u", refusal.index, count);
        sl_mongo_reason(refusal.server_code, refusal.message, reason, sizeof reason);
        reject(writing, writing->rows[first + refusal.index], "refused", reason);
    }
    writing->result.applied += tally.inserted + tally.modified;
    writing->result.stale += tally.matched - tally.inserted - tally.modified + tally.missing;
    return SL_OK;
}

/* The server thinks for longer than the command takes to get there, and it is built anew should it
 * have to be sent again. */
static void forget_command(void *ctx)
{
    sl_buf_done(&((struct writing *)ctx)->command);
}

static int send_rows(struct writing *writing, uint32_t first, uint32_t count, struct sl_err *err)
{
    bson_t command, reply;
    if (!bson_init_static(&command, (const uint8_t *)writing->command.data,
                          writing->command.length))
        return sl_err_set(err, SL_REJECTED, "the command that was built is not BSON");
    const struct sl_mongo_sent sent = {forget_command, writing};
    int rc = sl_mongo_command_once(writing->sink->mongo, writing->sink->database, &command, &sent,
                                   &reply, writing->deadline_ms, err);
    if (rc == SL_OK)
        rc = count_reply(writing, &reply, first, count, err);
    bson_destroy(&reply);
    return rc;
}

/* Writes the rows from first on. A command that the server refuses as a whole because of one row's
 * content (nested too deep, say) is halved until that row stands alone. */
static int write_rows(struct writing *writing, uint32_t first, uint32_t count, struct sl_err *err)
{
    while (count) {
        uint32_t sent = 0;
        int rc = build(writing, first, count, &sent, err);
        if (rc == SL_OK)
            rc = send_rows(writing, first, sent, err);
        if (rc == SL_REJECTED && sent == 1) {
            reject(writing, writing->rows[first], "refused", err->message);
            rc = SL_OK;
        } else if (rc == SL_REJECTED && sent > 1) {
            rc = write_rows(writing, first, sent / 2, err);
            if (rc == SL_OK)
                rc = write_rows(writing, first + sent / 2, sent - sent / 2, err);
        }
        if (rc != SL_OK)
            return rc;
        first += sent;
        count -= sent;
    }
    return SL_OK;
}

/* --- the sink --- */

static int write_batch(struct writing *writing, struct sl_err *err)
{
    int rc = sort_rows(writing, err);
    if (rc != SL_OK || !writing->count)
        return rc;
    sl_mongo_command_reserve(&writing->command, &writing->stamp, writing->batch->bytes,
                             writing->count);
    return write_rows(writing, 0, writing->count, err);
}

static int mongo_write(struct sl_sink *base, struct sl_batch *batch, uint64_t deadline_ms,
                       struct sl_result *ret, struct sl_err *err)
{
    struct mongo_sink *sink = (struct mongo_sink *)base;
    struct sl_err local = {0}; /* causes are read here, so there must be one */
    struct sl_err *fault = err ? err : &local;

    if (!batch->count) {
        *ret = (struct sl_result){0};
        return SL_OK;
    }
    struct collection *collection = find_collection(sink, &batch->origin, fault);
    if (!collection)
        return SL_NOTFOUND;
    int rc = prepare_collection(sink, collection, deadline_ms, fault);
    if (rc != SL_OK)
        return rc == SL_REJECTED ? SL_CONFIG : rc;

    struct writing writing = {.sink = sink,
                              .batch = batch,
                              .collection = collection->name,
                              .deadline_ms = deadline_ms,
                              .rows = sl_alloc(batch->count * sizeof(uint32_t))};
    sl_mongo_stamp_init(&writing.stamp, &batch->origin, sl_wall_ms(), sink->tombstone_ttl_ms);
    sl_buf_init(&writing.command);
    rc = write_batch(&writing, fault);
    sl_buf_done(&writing.command);
    sl_mongo_stamp_done(&writing.stamp);
    free(writing.rows);
    if (rc != SL_OK) {
        sl_err_wrap(fault, "cannot write to '%s.%s'", sink->database, collection->name);
        return rc;
    }
    *ret = writing.result;
    return SL_OK;
}

static int mongo_ping(struct sl_sink *base, uint64_t deadline_ms, struct sl_err *err)
{
    return sl_mongo_ping(((struct mongo_sink *)base)->mongo, deadline_ms, err);
}

static void mongo_close(struct sl_sink *base)
{
    struct mongo_sink *sink = (struct mongo_sink *)base;
    while (sink->collections) {
        struct collection *one = sink->collections;
        sink->collections = one->next;
        free(one);
    }
    free(sink->database);
    free(sink);
}

static const struct sl_sink_type type = {
    .name = "mongo",
    .summary = "MongoDB: guarded bulk upserts, the newest version wins",
    .write = mongo_write,
    .ping = mongo_ping,
    .close = mongo_close,
};

struct sl_sink *sl_sink_mongo_new(struct sl_mongo *mongo, const struct sl_mongo_settings *settings,
                                  sl_route_fn *route, void *context, struct sl_overtaken *overtaken)
{
    struct mongo_sink *sink = SL_NEW(struct mongo_sink);
    sink->sink = (struct sl_sink){.type = &type, .name = "mongo"};
    sink->mongo = mongo;
    sink->database = sl_strdup(settings->database);
    sink->tombstone_ttl_ms = settings->tombstone_ttl_ms;
    sink->route = route;
    sink->context = context;
    sink->overtaken = overtaken;
    return &sink->sink;
}
