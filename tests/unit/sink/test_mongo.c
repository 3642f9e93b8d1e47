/* Guarded upserts against a real server. */
#include "sink/mongo_sink.h"

#include <signal.h>

#include "flow/memory_state.h"

/* --- newest wins --- */

static void try_versions(struct sl_mongo *mongo, bool filling)
{
    static const struct {
        const char *what;
        const char *stored; /* inserted beforehand, as the collection's only document */
        int64_t version;
        const char *doc; /* NULL: a deletion */
        bool full;
        uint32_t applied, stale, rejected;
        const char *wanted; /* part of the stored document afterwards */
        const char *absent; /* what must not be in it */
    } rows[] = {
// clang-format off
#define OLD(v) "\"a\": 1, \"_sluice\": {\"v\": " v "}"
#define GRAVE "\"_sluice\": {\"v\": 6, \"deleted\": true}"
#define NEW "{\"a\": 3}"
        {"new", NULL, 5, "{\"a\": 1}", false, 1, 0, 0,
         "\"_id\" : \"k\", \"a\" : 1, \"_sluice\" : { \"v\" : 5, \"feed\" : \"vendors\", "
         "\"run\" : \"r-1\", \"at\"", "seen"},
        {"newer", "\"gone\": 2, " OLD("5"), 6, NEW, false, 1, 0, 0, "\"a\" : 3", "gone"},
        {"equal", OLD("5"), 5, NEW, false, 0, 1, 0, "\"a\" : 1", "r-1"},
        {"older", OLD("5"), 4, NEW, false, 0, 1, 0, "\"a\" : 1", "r-1"},
        {"int stored as double", OLD("5.0"), 6, NEW, false, 1, 0, 0, "\"a\" : 3", "\"v\" : 5"},
        {"fraction below", OLD("5.5"), 6, NEW, false, 1, 0, 0, "\"a\" : 3", "\"v\" : 5"},
        {"fraction above", OLD("5.5"), 5, NEW, false, 0, 1, 0, "\"a\" : 1", "r-1"},
        {"beyond 32 bits", OLD("9007199254740990"), 9007199254740991, NEW, false, 1, 0, 0,
         "9007199254740991", "740990"},
        {"foreign document", "\"a\": 1", 0, "{\"b\": 3}", false, 1, 0, 0, "\"b\" : 3", "\"a\""},
        {"null version", OLD("null"), 0, "{\"b\": 3}", false, 1, 0, 0, "\"b\" : 3", "\"a\""},
        {"string version", OLD("\"9\""), 6, NEW, false, 0, 0, 1, "\"v\" : \"9\"", "r-1"},
        {"date version", OLD("{\"$date\": {\"$numberLong\": \"1\"}}"), 6, NEW, false, 0, 0, 1,
         "\"a\" : 1", "r-1"},
        {"bool version", OLD("true"), 6, NEW, false, 0, 0, 1, "\"v\" : true", "r-1"},
        {"array of versions", "\"a\": 1, \"_sluice\": [{\"v\": 1}]", 6, NEW, false, 0, 0, 1,
         "\"a\" : 1", "r-1"},
        {"delete newer", OLD("5"), 6, NULL, false, 1, 0, 0, "\"deleted\" : true", "\"a\""},
        {"delete older", OLD("5"), 4, NULL, false, 0, 1, 0, "\"a\" : 1", "deleted"},
        {"delete unknown", NULL, 6, NULL, false, 1, 0, 0, "\"expires_at\"", "\"run\""},
        {"late row after delete", GRAVE, 5, NEW, false, 0, 1, 0, "deleted", "\"a\""},
        {"created again", GRAVE, 7, NEW, false, 1, 0, 0, "\"a\" : 3", "deleted"},
        {"full new", NULL, 5, "{\"a\": 1}", true, 1, 0, 0, "\"seen\" : \"r-1\"", "deleted"},
        {"full equal", "\"a\": 1, \"_sluice\": {\"v\": 5, \"feed\": \"f\", \"run\": \"r-0\"}", 5,
         NEW, true, 1, 0, 0, "\"a\" : 3, \"_sluice\" : { \"v\" : 5, \"feed\" : \"vendors\", "
         "\"run\" : \"r-1\", \"seen\" : \"r-1\"", "r-0"},
        {"full after another", "\"a\": 1, \"_sluice\": {\"v\": 5, \"seen\": \"r-0\"}", 5, NEW, true,
         1, 0, 0, "\"a\" : 3", "r-0"},
        {"full before another", "\"a\": 1, \"_sluice\": {\"v\": 5, \"seen\": \"r-2\"}", 5, NEW, true,
         0, 1, 0, "\"a\" : 1, \"_sluice\" : { \"v\" : 5, \"seen\" : \"r-2\" }", "r-1"},
        {"full before another's", "\"a\": 1, \"_sluice\": {\"v\": 5, \"seen\": \"s-2\"}", 5, NEW,
         true, 1, 0, 0, "\"a\" : 1, \"_sluice\" : { \"v\" : 5, \"seen\" : \"r-1\" }", "s-2"},
        {"full older, before another", "\"a\": 1, \"_sluice\": {\"v\": 8, \"seen\": \"r-2\"}", 5,
         NEW, true, 0, 1, 0, "\"v\" : 8, \"seen\" : \"r-2\"", "r-1"},
        {"full one older", "\"a\": 1, \"_sluice\": {\"v\": 6, \"seen\": \"r-0\"}", 5, NEW, true,
         1, 0, 0, "\"a\" : 1, \"_sluice\" : { \"v\" : 6, \"seen\" : \"r-1\" }", "\"at\""},
        {"full seen before", "\"a\": 1, \"_sluice\": {\"v\": 5, \"seen\": \"r-1\"}", 5, NEW, true,
         0, 1, 0, "\"a\" : 1", "\"at\""},
        {"full older", "\"a\": 1, \"_sluice\": {\"v\": 8, \"seen\": \"r-0\"}", 5, NEW, true,
         1, 0, 0, "\"v\" : 8, \"seen\" : \"r-1\"", "\"at\""},
        {"dollars stay text", NULL, 5, "{\"a\": \"$b\", \"c\": {\"$add\": [\"$$ROOT\"]}}", false,
         1, 0, 0, "\"a\" : \"$b\"", "seen"},
    };
    // clang-format on
    struct sl_sink *sink = open_sink(mongo, "versions");
    const uint32_t more = filling ? FILLERS : 0;
    if (filling)
        teach(sink);
    int64_t inserts = asked_to(mongo, "insert", "versions");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int before = failures;
        struct sl_err err = {0};
        struct sl_result result = {0};
        live_run(mongo, live_data,
                 "{\"delete\": \"versions\", \"deletes\": [{\"q\": {}, \"limit\": 0}]}", NULL);
        if (rows[i].stored) {
            char json[512];
            snprintf(json, sizeof json,
                     "{\"insert\": \"versions\", \"documents\": [{\"_id\": \"k\", %s}]}",
                     rows[i].stored);
            live_run(mongo, live_data, json, NULL);
        }
        struct sl_batch *batch = new_batch("r-1", rows[i].full);
        add_json(batch, "k", rows[i].version, rows[i].doc);
        if (filling)
            fill(batch);
        EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
        EXPECT_INT(result.applied, rows[i].applied + more);
        EXPECT_INT(result.stale, rows[i].stale);
        EXPECT_INT(result.reject_count, rows[i].rejected);
        char *json = live_document(mongo, live_data, "versions", "k");
        EXPECT(strstr(json, rows[i].wanted) != NULL);
        EXPECT(strstr(json, rows[i].absent) == NULL);
        if (failures != before)
            fprintf(stderr, "  in '%s': %s\n", rows[i].what, json);
        bson_free(json);
        sl_batch_free(batch);
        inserts += rows[i].stored ? 1 : 0; /* the test's own */
    }
    inserts = asked_to(mongo, "insert", "versions") - inserts;
    EXPECT_INT(inserts, filling ? (int64_t)(sizeof rows / sizeof *rows) : 0);
    sink->type->close(sink);
}

static void do_versions(struct sl_mongo *mongo)
{
    try_versions(mongo, false);
}

static void test_versions(void **state)
{
    (void)state;
    live(do_versions);
}

/* Whichever way a row is written, the same becomes of it. */
static void do_versions_while_filling(struct sl_mongo *mongo)
{
    try_versions(mongo, true);
}

static void test_versions_while_filling(void **state)
{
    (void)state;
    live(do_versions_while_filling);
}

/* --- full reads --- */

/* A full read of several runs marks what it contains by its own name; a change that is read later
 * carries no mark. */
static void do_seen(struct sl_mongo *mongo)
{
    static const struct {
        const char *run, *seen; /* seen NULL: not of a full read */
        const char *id;
        int64_t version;
        uint32_t applied;
        const char *wanted, *absent;
    } rows[] = {
        {"a-000001", "a-full-01", "x", 4, 1, "\"run\" : \"a-000001\", \"seen\" : \"a-full-01\"",
         "at-"},
        {"a-000002", "a-full-01", "y", 4, 1, "\"seen\" : \"a-full-01\"", "000001"},
        {"a-000003", NULL, "x", 6, 1, "\"run\" : \"a-000003\"", "seen"},
        {"a-000004", "a-full-02", "x", 6, 1, "\"run\" : \"a-000004\"", "000003"},
        {"a-000005", "a-full-02", "x", 6, 0, "\"seen\" : \"a-full-02\"", "000005"},
        {"a-000006", "a-full-03", "y", 2, 1, "\"v\" : 4, ", "a-full-01"},
    };
    struct sl_sink *sink = open_sink(mongo, "seen");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_err err = {0};
        struct sl_result result = {0};
        struct sl_batch *batch = sl_batch_new(NULL, 0);
        sl_batch_set_origin(batch, &(struct sl_origin){.feed = "a",
                                                       .entity = "account",
                                                       .run = rows[i].run,
                                                       .attempt = 1,
                                                       .seen = rows[i].seen});
        add_json(batch, rows[i].id, rows[i].version, "{\"a\": 1}");
        EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
        EXPECT_INT(result.applied, rows[i].applied);
        char *json = live_document(mongo, live_data, "seen", rows[i].id);
        if (!EXPECT(strstr(json, rows[i].wanted) && !strstr(json, rows[i].absent)))
            fprintf(stderr, "  in row %zu: %s\n", i, json);
        bson_free(json);
        sl_batch_free(batch);
    }
    sink->type->close(sink);
}

static void test_seen(void **state)
{
    (void)state;
    live(do_seen);
}

/* --- what a full read has overtaken --- */

static void do_overtaken(struct sl_mongo *mongo)
{
    static const struct sl_letter_ref old = {.run = "a-000004", .read_at_ms = INT64_MAX},
                                      new = {.run = "a-000005", .read_at_ms = INT64_MAX};
    static const struct {
        const char *feed, *run, *seen, *doc; /* doc NULL: a deletion */
        const struct sl_letter_ref *letter;
        enum { NONE, DOCUMENT, TOMBSTONE } stored; /* of an older version */
        bool wanted;                               /* this one is there afterwards */
    } rows[] = {
        {"a", "a-000004", NULL, "{}", NULL, NONE, false},
        {"a", "a-000004", NULL, "{}", NULL, DOCUMENT, true},
        {"a", "a-000004", NULL, NULL, NULL, NONE, true},
        {"a", "a-000005", NULL, "{}", NULL, NONE, true},
        {"a", "a-000005", "a-full-00002", "{}", NULL, NONE, false},
        {"a", "a-000005", "a-full-00003", "{}", NULL, NONE, true},
        {"a", "replay-1", NULL, "{}", &old, NONE, false},
        {"a", "replay-1", NULL, "{}", &old, DOCUMENT, true},
        {"a", "replay-1", NULL, "{}", &new, NONE, true},
        {"b", "b-000004", NULL, "{}", NULL, NONE, true},
        {"a", "b-000004", NULL, "{}", NULL, NONE, true}, /* it was called so */
        {"a", "a-000004", NULL, "{}", NULL, TOMBSTONE, false},
        {"a", "a-000004", NULL, NULL, NULL, TOMBSTONE, true},
        {"a", "a-000005", NULL, "{}", NULL, TOMBSTONE, true},
        {"a", "replay-1", NULL, "{}", &old, TOMBSTONE, false},
        {"a", "a-3f9a01-000001", NULL, "{}", NULL, NONE, true}, /* of posts: no number of its */
        {"a", "a-123456-000001", NULL, "{}", NULL, NONE, true},
        {"a", "a-000005", "a-000005", "{}", NULL, NONE, true}, /* of an export: by the run */
        {"c", "c-000002", "c-000002", "{}", NULL, NONE, true}, /* was a table, is an export */
    };
    struct sl_err err = {0};
    struct memory memory = {0};
    struct memory_state state = memory_state(&memory, "one");
    struct sl_overtaken *overtaken = sl_overtaken_new(&state.state);
    struct sl_sink *sink = open_sink_with(mongo, "overtaken", overtaken);
    EXPECT(state.state.type->overtake(&state.state,
                                      &(struct sl_overtake){.feed = "a", .run = 4, .full = 3},
                                      &err) == SL_OK);
    EXPECT(state.state.type->overtake(&state.state,
                                      &(struct sl_overtake){.feed = "c", .run = 1, .full = 99},
                                      &err) == SL_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_result result = {0};
        char id[16];
        snprintf(id, sizeof id, "r%zu", i);
        for (int pass = rows[i].stored ? 0 : 1; pass < 2; pass++) {
            struct sl_batch *batch = sl_batch_new(NULL, 0);
            sl_batch_set_origin(batch, &(struct sl_origin){.feed = rows[i].feed,
                                                           .entity = "account",
                                                           .run = pass ? rows[i].run : "a-000009",
                                                           .attempt = 1,
                                                           .seen = pass ? rows[i].seen : NULL});
            add_json(batch, id, 4 + pass,
                     pass                          ? rows[i].doc
                     : rows[i].stored == TOMBSTONE ? NULL
                                                   : "{}");
            batch->records[0].letter = pass ? rows[i].letter : NULL;
            EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
            sl_batch_free(batch);
        }
        EXPECT_INT(result.applied, rows[i].wanted);
        EXPECT_INT(result.stale, !rows[i].wanted);
        char *json = live_document(mongo, live_data, "overtaken", id);
        const char *version = rows[i].wanted ? "\"v\" : 5" : "\"v\" : 4";
        bool there = rows[i].wanted || rows[i].stored != NONE;
        if (!EXPECT(!*json != there && (!there || strstr(json, version))))
            fprintf(stderr, "  in row %zu: %s\n", i, json);
        bson_free(json);
    }
    /* Not even when the collection is being filled. */
    struct sl_result result = {0};
    struct sl_batch *batch = new_batch("a-000009", false), *late = new_batch("a-000004", false);
    batch->origin.feed = late->origin.feed = "a";
    fill(batch);
    fill(late);
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT_INT(result.applied, FILLERS);
    EXPECT_OK(write_batch(sink, late, &result, &err), &err);
    EXPECT_INT(result.stale, FILLERS);
    sl_batch_free(batch);
    sl_batch_free(late);
    sink->type->close(sink);
    sl_overtaken_free(overtaken);
    memory_free(&memory);
}

static void test_overtaken(void **state)
{
    (void)state;
    live(do_overtaken);
}

/* An applier that was told a moment ago goes by that; then it asks again, and does not write when
 * it gets no answer. */
static void do_fresh(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_result result = {0};
    struct memory memory = {0};
    struct memory_state state = memory_state(&memory, "one");
    struct sl_overtaken *overtaken = sl_overtaken_new(&state.state);
    struct sl_sink *sink = open_sink_with(mongo, "fresh", overtaken);
    struct sl_batch *batch = new_batch("vendors-000001", false);
    add_json(batch, "x", 1, "{}");
    state.away = true;
    EXPECT(write_batch(sink, batch, &result, &err) == SL_CLOSED);
    EXPECT_INT(live_count(mongo, live_data, "fresh"), 0);
    state.away = false;
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    state.away = true;
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    EXPECT(sl_fiber_sleep(SL_OVERTAKEN_FRESH_MS + 20) == SL_OK);
    EXPECT(write_batch(sink, batch, &result, &err) == SL_CLOSED);
    sl_batch_free(batch);
    sink->type->close(sink);
    sl_overtaken_free(overtaken);
    memory_free(&memory);
}

static void test_fresh(void **state)
{
    (void)state;
    live(do_fresh);
}

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
    sl_loop_delay_watch(5);
    live_worst_delay_ms();
    EXPECT_OK(write_batch(sink, batch, &result, &err), &err);
    uint64_t worst_ms = live_worst_delay_ms();
    if (!EXPECT(worst_ms < 400)) /* sanitizers on a busy machine; alone it is a few */
        fprintf(stderr, "  the loop stood still for %llu ms\n", (unsigned long long)worst_ms);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions), cmocka_unit_test(test_versions_while_filling),
        cmocka_unit_test(test_seen),     cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_fresh),    cmocka_unit_test(test_rejects),
        cmocka_unit_test(test_deep),     cmocka_unit_test(test_large),
        cmocka_unit_test(test_race),     cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_limit),    cmocka_unit_test(test_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
