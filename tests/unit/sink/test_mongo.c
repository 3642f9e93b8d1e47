/* Batches of guarded upserts against a real server: rejects, size, rivals, time, and what is not
 * the rows' fault. */
#include "mongo/turns.h"
#include "sink/mongo_sink.h"

/* --- rejects, by index --- */

static void do_rejects(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    live_run(mongo, live_data,
             "{\"create\": \"strict\", \"validator\": {\"size\": {\"$not\": {\"$gt\": 100}}}}",
             NULL);
    live_run(mongo, live_data,
             "{\"createIndexes\": \"strict\", \"indexes\": [{\"key\": {\"mail\": 1}, \"name\": "
             "\"mail_1\", "
             "\"unique\": true, \"partialFilterExpression\": {\"mail\": {\"$exists\": true}}}]}",
             NULL);
    struct sl_sink *sink = open_sink(mongo, "strict");
    struct sl_batch *batch = new_batch("r-1", false);
    add_json(batch, "a", 1, "{\"mail\": \"m4711\"}");
    add_json(batch, "b", 1, "{\"mail\": \"m4711\"}"); /* not unique */
    add_json(batch, "c", 1, "{\"size\": 1}");
    add_json(batch, "d", 1, "{\"size\": 4711}"); /* against the validator */
    add_json(batch, "e", 1, "{\"_id\": \"mine\"}");
    add_json(batch, "f", 1, "{\"x\": 1, \"_sluice\": 2}");
    add_json(batch, "g", 1, NULL);
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.applied, 3);
    EXPECT_INT(result.stale, 0);
    EXPECT_INT(result.reject_count, 4);
    static const char *const codes[] = {
        NULL, "refused", NULL, "refused", "reserved_column", "reserved_column", NULL};
    unsigned seen = 0;
    for (uint32_t i = 0; i < result.reject_count; i++) {
        const struct sl_reject *one = &result.rejects[i];
        if (!EXPECT(one->index < 7 && codes[one->index] && !strcmp(codes[one->index], one->code)))
            continue;
        seen |= 1U << one->index;
        EXPECT(one->reason.length > 0 && !strstr(one->reason.at, "4711"));
        if (one->index == 1)
            EXPECT(strstr(one->reason.at, "mail_1") != NULL);
    }
    EXPECT_INT(seen, 0x3a);
    sl_batch_free(batch);
    sink->type->close(sink);
}

static void test_rejects(void **state)
{
    (void)state;
    live(do_rejects);
}

/* --- rows that an index cannot take --- */

static const struct {
    const char *index, *row;
} unindexable[] = {
    {"{\"a\": 1, \"b\": 1}",  "{\"a\": [1, 2], \"b\": [1, 2]}"           },
    {"{\"g\": \"2dsphere\"}", "{\"g\": \"nowhere\"}"                     },
    {"{\"g\": \"2d\"}",       "{\"g\": [500, 500]}"                      },
    {"{\"g\": \"2d\"}",       "{\"g\": [1]}"                             },
    {"{\"g\": \"2d\"}",       "{\"g\": [\"a\", \"b\"]}"                  },
    {"{\"h\": \"hashed\"}",   "{\"h\": [1, 2]}"                          },
    {"{\"t\": \"text\"}",     "{\"t\": \"x\", \"language\": 5}"          },
    {"{\"t\": \"text\"}",     "{\"t\": \"x\", \"language\": \"klingon\"}"},
};

/* All rows of the batch, and by inserting as well as by updating. */
static void do_unindexable(struct sl_mongo *mongo)
{
    for (size_t i = 0; i < sizeof unindexable / sizeof *unindexable; i++) {
        struct sl_err err = {0};
        struct sl_result result = {0};
        char name[16], command[160];
        snprintf(name, sizeof name, "odd%zu", i);
        snprintf(command, sizeof command,
                 "{\"createIndexes\": \"%s\", \"indexes\": [{\"key\": %s, \"name\": \"one\"}]}",
                 name, unindexable[i].index);
        live_run(mongo, live_data, command, NULL);
        struct sl_sink *sink = open_sink(mongo, name);
        for (int again = 0; again < 2; again++) {
            struct sl_batch *batch = new_batch("r-1", false);
            add_json(batch, "a", 1 + again, unindexable[i].row);
            add_json(batch, "b", 1 + again, unindexable[i].row);
            EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
            EXPECT_INT(result.reject_count, 2);
            sl_batch_free(batch);
        }
        sink->type->close(sink);
    }
}

static void test_unindexable(void **state)
{
    (void)state;
    live(do_unindexable);
}

/* Of a command of more than 48 MB the server says nothing, and hangs up. */
static void do_huge(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    const size_t size = 49 << 20;
    char *text = malloc(size);
    memset(text, 'x', size);
    bson_t huge = BSON_INITIALIZER;
    bson_append_utf8(&huge, "text", -1, text, (int)size);
    struct sl_sink *sink = open_sink(mongo, "huge");
    struct sl_batch *batch = new_batch("r-1", false);
    add(batch, "huge", 1, &huge);
    add_json(batch, "small", 1, "{\"a\": 1}");
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.applied, 1);
    if (EXPECT(result.reject_count == 1))
        EXPECT(!strcmp(result.rejects[0].code, "too_large"));
    sl_batch_free(batch);
    bson_destroy(&huge);
    free(text);
    sink->type->close(sink);
}

static void test_huge(void **state)
{
    (void)state;
    live(do_huge);
}

/* A row nested deeper than the server takes makes it refuse the whole command. */
static void do_deep(struct sl_mongo *mongo)
{
    enum { ROWS = 37, DEEP = 23, LEVELS = 210 };
    struct sl_err err = {0};
    struct sl_result result = {0};
    bson_t deep = BSON_INITIALIZER;
    BSON_APPEND_INT32(&deep, "end", 1);
    for (int i = 0; i < LEVELS; i++) {
        bson_t outer = BSON_INITIALIZER;
        BSON_APPEND_DOCUMENT(&outer, "d", &deep);
        bson_destroy(&deep);
        bson_copy_to(&outer, &deep);
        bson_destroy(&outer);
    }
    struct sl_sink *sink = open_sink(mongo, "deep");
    struct sl_batch *batch = new_batch("r-1", false);
    for (int i = 0; i < ROWS; i++) {
        char id[16];
        snprintf(id, sizeof id, "k%d", i);
        if (i == DEEP)
            add(batch, id, 1, &deep);
        else
            add_json(batch, id, 1, "{\"a\": 1}");
    }
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.applied + result.stale, ROWS - 1);
    if (EXPECT(result.reject_count == 1))
        EXPECT_INT(result.rejects[0].index, DEEP);
    EXPECT_INT(live_count(mongo, live_data, "deep"), ROWS - 1);
    sl_batch_free(batch);
    bson_destroy(&deep);
    sink->type->close(sink);
}

static void test_deep(void **state)
{
    (void)state;
    live(do_deep);
}

/* --- big batches --- */

static void do_large(struct sl_mongo *mongo)
{
    enum { ROWS = 6000, WIDE = 3 };
    struct sl_err err = {0};
    struct sl_result result = {0};
    struct sl_sink *sink = open_sink(mongo, "large");
    struct sl_batch *batch = new_batch("r-1", false);
    static char text[3 * 1024 * 1024];
    memset(text, 'x', sizeof text - 1);
    bson_t wide = BSON_INITIALIZER, narrow = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&wide, "text", text);
    text[700] = '\0';
    BSON_APPEND_UTF8(&narrow, "text", text);
    for (int i = 0; i < ROWS; i++) {
        char id[16];
        snprintf(id, sizeof id, "k%d", i);
        add(batch, id, 1, i % (ROWS / WIDE) == 7 ? &wide : &narrow);
    }
    turns_watch();
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    double longest_ms = turns_longest_ms();
    if (!EXPECT(longest_ms < 100)) /* with sanitizers; without them it is a few */
        fprintf(stderr, "  the loop was held up for %.1f ms\n", longest_ms);
    EXPECT_INT(result.applied, ROWS);
    EXPECT_INT(live_count(mongo, live_data, "large"), ROWS);
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.stale, ROWS);
    sl_batch_free(batch);
    bson_destroy(&wide);
    bson_destroy(&narrow);
    sink->type->close(sink);
}

static void test_large(void **state)
{
    (void)state;
    live(do_large);
}

/* --- eight fibers, the same new keys --- */

struct race {
    struct sl_sink *sink;
    struct sl_waitlist done;
    int left;
    int64_t version;
    uint64_t applied, stale;
};

static void run_racer(void *arg)
{
    enum { KEYS = 300 };
    struct race *race = arg;
    struct sl_err err = {0};
    struct sl_result result = {0};
    char run[16], doc[64];
    int64_t version = ++race->version;
    snprintf(run, sizeof run, "r-%d", (int)version);
    snprintf(doc, sizeof doc, "{\"version\": %d}", (int)version);
    struct sl_batch *batch = new_batch(run, false);
    for (int i = 0; i < KEYS; i++) {
        char id[16];
        snprintf(id, sizeof id, "k%d", version % 2 ? i : KEYS - 1 - i);
        add_json(batch, id, version, doc);
    }
    EXPECT_OK(write_batch(race->sink, batch, &result, &err), &err);
    EXPECT_INT(result.reject_count, 0);
    race->applied += result.applied;
    race->stale += result.stale;
    sl_batch_free(batch);
    if (--race->left == 0)
        sl_wake_all(&race->done);
}

static void do_race(struct sl_mongo *mongo)
{
    enum { RACERS = 8, KEYS = 300 };
    struct race race = {.sink = open_sink(mongo, "race"), .left = RACERS};
    for (int i = 0; i < RACERS; i++)
        sl_fiber_spawn("racer", run_racer, &race);
    while (race.left)
        sl_wait(&race.done, SL_FOREVER);
    EXPECT_INT(race.applied + race.stale, 2400);
    bson_t reply;
    live_run(mongo, live_data,
             "{\"count\": \"race\", \"query\": {\"version\": 8, \"_sluice.v\": 8}}", &reply);
    EXPECT_INT(sl_field_int64(&reply, "n", -1), KEYS);
    bson_destroy(&reply);
    race.sink->type->close(race.sink);
}

static void test_race(void **state)
{
    (void)state;
    live(do_race);
}

/* --- tombstones expire --- */

static bool expires(struct sl_mongo *mongo, const char *collection)
{
    bson_t reply;
    char json[128];
    snprintf(json, sizeof json, "{\"listIndexes\": \"%s\"}", collection);
    live_run(mongo, live_data, json, &reply);
    bool does = sl_field_int64(&reply, "cursor.firstBatch.1.expireAfterSeconds", -1) == 0;
    bson_destroy(&reply);
    return does;
}

/* They do so in a collection, too, that was dropped, and made anew by a row. */
static void do_dropped(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    struct sl_sink *sink = open_sink(mongo, "dropped");
    struct sl_batch *row = new_batch("r-1", false), *deletion = new_batch("r-2", false);
    add_json(row, "k", 1, "{\"a\": 1}");
    add_json(deletion, "other", 2, "{\"a\": 1}");
    add_json(deletion, "k", 2, NULL);
    EXPECT_OK(write_batch(sink, row, &result, &err), &err);
    EXPECT(expires(mongo, "dropped"));
    live_run(mongo, live_data, "{\"drop\": \"dropped\"}", NULL);
    EXPECT_OK(write_batch(sink, row, &result, &err), &err);
    EXPECT_OK(write_batch(sink, deletion, &result, &err), &err);
    EXPECT_INT(result.applied, 2);
    EXPECT(expires(mongo, "dropped"));
    sl_batch_free(row);
    sl_batch_free(deletion);
    sink->type->close(sink);
}

static void test_dropped(void **state)
{
    (void)state;
    live(do_dropped);
}

/* --- the server's time --- */

enum { BUSY_MS = 2000 };

static void keep_busy(void *arg)
{
    char json[64];
    snprintf(json, sizeof json, "{\"sleep\": 1, \"millis\": %d, \"lock\": \"none\"}", BUSY_MS);
    live_run(arg, "admin", json, NULL);
}

/* How long the server was to work at most on what was inserted into the collection last. */
static int64_t last_limit_ms(struct sl_mongo *mongo, const char *collection)
{
    struct sl_err err = {0};
    bson_t entry;
    bson_t *command =
        BCON_NEW("find", "system.profile", "filter", "{", "command.insert", BCON_UTF8(collection),
                 "}", "sort", "{", "ts", BCON_INT32(-1), "}", "limit", BCON_INT32(1));
    int rc = sl_mongo_first(mongo, live_data, command, &entry, sl_deadline_in(20000), &err);
    bson_destroy(command);
    if (!EXPECT_OK(rc, &err))
        return -1;
    int64_t limit_ms = sl_field_int64(&entry, "command.maxTimeMS", -1);
    bson_destroy(&entry);
    return limit_ms;
}

/* A command that had to wait for a connection leaves the server less time: it must not work past
 * the deadline (docs/adr/0027-overtaken.md). */
static void do_limit(struct sl_mongo *mongo)
{
    enum { ALLOWED_MS = 10 * 1000 };
    struct sl_err err = {0};
    struct sl_result result = {0};
    struct sl_mongo_settings settings = live_settings();
    settings.max_clients = 1;
    struct sl_mongo *narrow = sl_mongo_new(&settings, &err);
    struct sl_sink *sink = open_sink(narrow, "limit");
    struct sl_batch *batch = new_batch("r-1", false);
    teach(sink);
    fill(batch);
    live_run(mongo, live_data, "{\"profile\": 2}", NULL);
    sl_fiber_spawn("busy", keep_busy, narrow);
    EXPECT(sl_fiber_yield() == SL_OK);
    EXPECT_OK(sink->type->write(sink, batch, sl_deadline_in(ALLOWED_MS), &result, &err), &err);
    live_run(mongo, live_data, "{\"profile\": 0}", NULL);
    int64_t limit_ms = last_limit_ms(mongo, "limit");
    if (!EXPECT(limit_ms > 0 && limit_ms <= ALLOWED_MS - BUSY_MS))
        fprintf(stderr, "  it is %d ms\n", (int)limit_ms);
    sl_batch_free(batch);
    sink->type->close(sink);
    sl_mongo_free(narrow);
}

static void test_limit(void **state)
{
    (void)state;
    live(do_limit);
}

/* --- what is not the rows' fault --- */

static void do_whole(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    struct sl_sink *sink = open_sink(mongo, "plain");
    struct sl_batch *batch = new_batch("r-1", false);
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err); /* empty */
    EXPECT_INT(result.applied, 0);
    add_json(batch, "k", 1, "{\"a\": 1}");
    EXPECT_OK(sink->type->ping(sink, sl_deadline_in(10000), &err), &err);
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);

    EXPECT(expires(mongo, "plain"));

    batch->origin.entity = "unknown";
    EXPECT_INT(write_batch(sink, batch, &result, &err), SL_NOTFOUND);
    EXPECT(strstr(err.message, "entity 'unknown' of feed 'vendors'") != NULL);

    /* Who read the rows has said where they go, and knows better. */
    batch->origin.database = live_data;
    batch->origin.collection = "elsewhere";
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.applied, 1);
    EXPECT(expires(mongo, "elsewhere"));
    char longest[65] = {0};
    memset(longest, 'd', sizeof longest - 1);
    const char *const forbidden[] = {"admin", "config", "local", live_state, longest, "a.b"};
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        batch->origin.database = forbidden[i];
        EXPECT_INT(write_batch(sink, batch, &result, &err), SL_NOTFOUND);
        EXPECT(strstr(err.message, ": its database ") != NULL);
    }
    batch->origin.database = live_data;
    batch->origin.collection = "system.users";
    EXPECT_INT(write_batch(sink, batch, &result, &err), SL_NOTFOUND);
    EXPECT(strstr(err.message, ": its collection ") != NULL);
    batch->origin.collection = NULL;
    batch->origin.entity = "VendorsV3";
    sink->type->close(sink);

    live_run(mongo, live_data,
             "{\"create\": \"looking_glass\", \"viewOn\": \"plain\", \"pipeline\": []}", NULL);
    sink = open_sink(mongo, "looking_glass");
    EXPECT_INT(write_batch(sink, batch, &result, &err), SL_CONFIG);
    sink->type->close(sink);
    sl_batch_free(batch);
}

static void test_whole(void **state)
{
    (void)state;
    live(do_whole);
}

/* --- rows beside the state --- */

static void do_shared(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    struct sl_mongo_settings settings = live_settings();
    settings.state_database = settings.database;
    struct sl_sink *sink = sl_sink_mongo_new(mongo, &settings, route, "unused", NULL);
    static const char *const own[] = {"runs",     "checkpoints", "refreshes", "overtaken", "feeds",
                                      "counters", "leases",      "members",   "ledger",    "dead"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        struct sl_batch *batch = batch_into(own[i]);
        EXPECT_INT(write_batch(sink, batch, &result, &err), SL_NOTFOUND);
        EXPECT(strstr(err.message, "one of sluice's own") != NULL);
        EXPECT_INT(live_count(mongo, live_data, own[i]), 0);
        sl_batch_free(batch);
    }
    struct sl_batch *batch = batch_into("things");
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.applied, 1);
    sl_batch_free(batch);
    sink->type->close(sink);
}

static void test_shared(void **state)
{
    (void)state;
    live(do_shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rejects), cmocka_unit_test(test_unindexable),
        cmocka_unit_test(test_huge),    cmocka_unit_test(test_deep),
        cmocka_unit_test(test_large),   cmocka_unit_test(test_race),
        cmocka_unit_test(test_dropped), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_whole),

        cmocka_unit_test(test_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
