/* A MongoDB sink on a real server, and batches for it. */
#ifndef SL_TEST_SINK_MONGO_SINK_H
#define SL_TEST_SINK_MONGO_SINK_H

#include "mongo/live.h"

#include "sink/mongo.h"

static inline const char *route(const void *context, const char *feed, const char *entity)
{
    (void)feed;
    return strcmp(entity, "unknown") == 0 ? NULL : context;
}

static inline struct sl_sink *open_sink_with(struct sl_mongo *mongo, const char *collection,
                                             struct sl_overtaken *overtaken)
{
    struct sl_mongo_settings settings = live_settings();
    return sl_sink_mongo_new(mongo, &settings, route, collection, overtaken);
}

static inline struct sl_sink *open_sink(struct sl_mongo *mongo, const char *collection)
{
    return open_sink_with(mongo, collection, NULL);
}

static inline struct sl_batch *new_batch(const char *run, bool full)
{
    struct sl_batch *batch = sl_batch_new(NULL, 0);
    struct sl_origin origin = {.feed = "vendors",
                               .entity = "VendorsV3",
                               .run = run,
                               .file = "",
                               .attempt = 1,
                               .batches = -1,
                               .full = full};
    sl_batch_set_origin(batch, &origin);
    return batch;
}

static inline void add(struct sl_batch *batch, const char *id, int64_t version, const bson_t *doc)
{
    struct sl_record *record = sl_batch_add(batch);
    size_t length = strlen(id);
    *record = (struct sl_record){.op = doc ? SL_UPSERT : SL_DELETE, .version = version};
    record->id = (struct sl_str){sl_arena_text(&batch->arena, id, length), length};
    if (doc)
        record->doc =
            (struct sl_str){sl_arena_copy(&batch->arena, bson_get_data(doc), doc->len), doc->len};
}

static inline void add_json(struct sl_batch *batch, const char *id, int64_t version,
                            const char *json)
{
    bson_t *doc = json ? bson_new_from_json((const uint8_t *)json, -1, NULL) : NULL;
    EXPECT(!json || doc);
    add(batch, id, version, doc);
    bson_destroy(doc);
}

/* A batch of one row, whose reader says where it goes. */
static inline struct sl_batch *batch_into(const char *collection)
{
    struct sl_batch *batch = new_batch("r-1", false);
    batch->origin.database = live_data;
    batch->origin.collection = collection;
    add_json(batch, "k", 1, "{\"a\": 1}");
    return batch;
}

static inline int write_batch(struct sl_sink *sink, struct sl_batch *batch, struct sl_result *ret,
                              struct sl_err *err)
{
    return sink->type->write(sink, batch, sl_deadline_in(20000), ret, err);
}

/* Adds rows that nobody has written yet: enough for a batch from which the sink may guess. */
enum { FILLERS = 100 };

static inline void fill(struct sl_batch *batch)
{
    static unsigned number;
    for (unsigned i = 0; i < FILLERS; i++) {
        char id[32];
        snprintf(id, sizeof id, "filler-%u", number++);
        add_json(batch, id, 1, "{\"a\": 1}");
    }
}

/* Has the sink see that the collection is being filled: what comes next is inserted first. */
static inline void teach(struct sl_sink *sink)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    struct sl_batch *batch = new_batch("r-0", false);
    fill(batch);
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.applied, FILLERS);
    sl_batch_free(batch);
}

/* How often the server was asked to "insert" into a collection, or to "update" it. */
static inline int64_t asked_to(struct sl_mongo *mongo, const char *kind, const char *collection)
{
    char name[160];
    int64_t count = 0;
    bson_t reply;
    bson_iter_t at, spaces, space, one;
    struct sl_err err = {0};
    bson_t *command = BCON_NEW("top", BCON_INT32(1));
    snprintf(name, sizeof name, "%s.%s", live_data, collection);
    EXPECT_OK(sl_mongo_command(mongo, "admin", command, &reply, sl_deadline_in(20000), &err), &err);
    if (bson_iter_init_find(&at, &reply, "totals") && bson_iter_recurse(&at, &spaces) &&
        bson_iter_find(&spaces, name) && bson_iter_recurse(&spaces, &space) &&
        bson_iter_find(&space, kind) && bson_iter_recurse(&space, &one) &&
        bson_iter_find(&one, "count"))
        count = bson_iter_as_int64(&one);
    bson_destroy(&reply);
    bson_destroy(command);
    return count;
}

#endif
