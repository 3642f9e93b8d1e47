/* Guarded upserts against a real server: which write wins over which document. */
#include "sink/mongo_sink.h"

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
        {"full equal, of another name", "\"a\": 1, \"_sluice\": {\"v\": 5, \"seen\": \"s-2\"}", 5,
         NEW, true, 1, 0, 0, "\"a\" : 3", "s-2"},
        {"full older, of another name", "\"a\": 1, \"_sluice\": {\"v\": 6, \"seen\": \"s-2\"}", 5,
         NEW, true, 1, 0, 0, "\"a\" : 1, \"_sluice\" : { \"v\" : 6, \"seen\" : \"r-1\" }", "s-2"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions), cmocka_unit_test(test_versions_while_filling),
        cmocka_unit_test(test_seen),     cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
