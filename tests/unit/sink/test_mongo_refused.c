/* A sink on a real server that refuses, or takes long: what waits, what goes on, what gives way. */
#include "sink/mongo_sink.h"

static uint64_t ahead_ms;

/* In place of libuv's: the loop's clock, some time ahead. */
uint64_t uv_now(const uv_loop_t *loop)
{
    return loop->time + ahead_ms;
}

/* --- an index that takes long --- */

enum { ASKED_AGAIN_MS = 30 * 1000 };

static void hold_indexes(struct sl_mongo *mongo, bool hold)
{
    char json[128];
    snprintf(json, sizeof json,
             "{\"configureFailPoint\": \"hangAfterStartingIndexBuild\", \"mode\": \"%s\"}",
             hold ? "alwaysOn" : "off");
    live_run(mongo, "admin", json, NULL);
}

static int64_t indexes_asked_for(struct sl_mongo *mongo)
{
    bson_t reply;
    live_run(mongo, "admin", "{\"serverStatus\": 1}", &reply);
    int64_t count = sl_field_int64(&reply, "metrics.commands.createIndexes.total", -1);
    bson_destroy(&reply);
    return count;
}

static void expect_taken(struct sl_sink *sink, struct sl_batch *batch)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.applied + result.stale, batch->count);
}

/* Rows do not wait for it, and few of them ask. */
static void do_slow_index(struct sl_mongo *mongo)
{
    struct sl_sink *sink = open_sink(mongo, "grown");
    struct sl_batch *row = new_batch("r-1", false), *deletion = new_batch("r-2", false);
    add_json(row, "k", 1, "{\"a\": 1}");
    add_json(deletion, "k", 2, NULL);
    live_run(mongo, live_data, "{\"insert\": \"grown\", \"documents\": [{\"_id\": \"old\"}]}",
             NULL);
    hold_indexes(mongo, true);
    int64_t before = indexes_asked_for(mongo);
    expect_taken(sink, row);
    expect_taken(sink, row);
    expect_taken(sink, deletion);
    EXPECT_INT(indexes_asked_for(mongo) - before, 1);
    ahead_ms += ASKED_AGAIN_MS;
    expect_taken(sink, row);
    expect_taken(sink, row);
    EXPECT_INT(indexes_asked_for(mongo) - before, 2);

    hold_indexes(mongo, false);
    ahead_ms += ASKED_AGAIN_MS;
    expect_taken(sink, row);
    expect_taken(sink, row);
    EXPECT_INT(indexes_asked_for(mongo) - before, 3);
    expect_taken(sink, deletion);
    EXPECT_INT(indexes_asked_for(mongo) - before, 4);
    ahead_ms = 0;
    sl_batch_free(row);
    sl_batch_free(deletion);
    sink->type->close(sink);
}

static void test_slow_index(void **state)
{
    (void)state;
    live(do_slow_index);
}

/* --- a collection that is refused --- */

enum {
    LONG_ENOUGH_MS = 15 * 1000, /* for the others to go on without it */
    FORGOTTEN_MS = 60 * 1000,   /* a refusal is, without another one */
};

static void make_mirror(struct sl_mongo *mongo)
{
    live_run(mongo, live_data, "{\"create\": \"mirror\", \"viewOn\": \"glass\", \"pipeline\": []}",
             NULL);
}

static void drop_mirror(struct sl_mongo *mongo)
{
    live_run(mongo, live_data, "{\"drop\": \"mirror\"}", NULL);
}

/* That it was refused before it took a batch does not count. */
static void do_refused(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    struct sl_sink *sink = open_sink(mongo, "mirror");
    struct sl_batch *batch = new_batch("r-1", false);
    add_json(batch, "k", 1, "{\"a\": 1}");
    make_mirror(mongo);
    EXPECT_INT(write_batch(sink, batch, &result, &err), SL_CONFIG);
    drop_mirror(mongo);
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    drop_mirror(mongo);
    make_mirror(mongo);
    ahead_ms += LONG_ENOUGH_MS;
    EXPECT_INT(write_batch(sink, batch, &result, &err), SL_CONFIG);
    ahead_ms += LONG_ENOUGH_MS;
    EXPECT_INT(write_batch(sink, batch, &result, &err), SL_NOTFOUND);
    ahead_ms = 0;
    sl_batch_free(batch);
    sink->type->close(sink);
}

static void test_refused(void **state)
{
    (void)state;
    live(do_refused);
}

#define APP_NAME "refused" /* of the sink's connections: the others may set it up */

/* As without the right to it. NULL: to any. */
static void refuse(struct sl_mongo *mongo, const char *collection)
{
    char json[320], space[128] = "";
    if (collection)
        snprintf(space, sizeof space, ", \"namespace\": \"%s.%s\"", live_data, collection);
    snprintf(json, sizeof json,
             "{\"configureFailPoint\": \"failCommand\", \"mode\": \"alwaysOn\", \"data\": "
             "{\"errorCode\": 13, \"failCommands\": [\"update\"], \"appName\": \"%s\"%s}}",
             APP_NAME, space);
    live_run(mongo, "admin", json, NULL);
}

struct writer {
    struct sl_sink *sink;
    struct sl_batch *batch;
};

static int write_by(const struct writer *writer)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    return write_batch(writer->sink, writer->batch, &result, &err);
}

static void write_refused(void *arg)
{
    EXPECT_INT(write_by(arg), SL_CONFIG);
}

/* What makes it the collection's own fault: a write elsewhere that began after the refusal, and
 * nothing there that was refused since. The sink has one connection, for which the other's first
 * write waits, so that it ends after the refusal. */
static void do_refused_alone(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_mongo_settings settings = live_settings();
    char url[256];
    snprintf(url, sizeof url, "%s&appName=" APP_NAME, live_url());
    settings.url = url;
    settings.max_clients = 1;
    struct sl_mongo *narrow = sl_mongo_new(&settings, &err);
    struct sl_sink *sink = open_sink(narrow, "unused");
    struct writer one = {sink, batch_into("one")}, other = {sink, batch_into("other")};
    EXPECT_INT(write_by(&one), SL_OK);
    EXPECT_INT(write_by(&other), SL_OK);

    refuse(mongo, "one");
    sl_fiber_spawn("refused", write_refused, &one);
    EXPECT(sl_fiber_yield() == SL_OK);
    EXPECT_INT(write_by(&other), SL_OK);
    ahead_ms += LONG_ENOUGH_MS;
    EXPECT_INT(write_by(&one), SL_CONFIG);
    EXPECT_INT(write_by(&other), SL_OK);
    EXPECT_INT(write_by(&one), SL_NOTFOUND);

    refuse(mongo, NULL);
    EXPECT_INT(write_by(&other), SL_CONFIG);
    EXPECT_INT(write_by(&one), SL_CONFIG);

    refuse(mongo, "one");
    EXPECT_INT(write_by(&other), SL_OK);
    EXPECT_INT(write_by(&one), SL_NOTFOUND);
    ahead_ms += FORGOTTEN_MS;
    EXPECT_INT(write_by(&other), SL_OK);
    EXPECT_INT(write_by(&one), SL_CONFIG);
    ahead_ms += LONG_ENOUGH_MS;
    EXPECT_INT(write_by(&other), SL_OK);
    EXPECT_INT(write_by(&one), SL_NOTFOUND);

    live_run(mongo, "admin", "{\"configureFailPoint\": \"failCommand\", \"mode\": \"off\"}", NULL);
    ahead_ms = 0;
    sl_batch_free(one.batch);
    sl_batch_free(other.batch);
    sink->type->close(sink);
    sl_mongo_free(narrow);
}

static void test_refused_alone(void **state)
{
    (void)state;
    live(do_refused_alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_index),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
