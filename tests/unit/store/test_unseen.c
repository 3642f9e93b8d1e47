/* What a full read did not see, against a real server. */
#include "mongo/turns.h"
#include "store/opened.h"

enum { FLOOR = 101, IDS_MAX = 100 };

/* All ids, fetched max at a time, joined by commas. */
static const char *ids_of(struct sl_state *state, const char *collection, unsigned max)
{
    static char joined[64 * 1024];
    struct sl_arena arena;
    struct sl_str ids[IDS_MAX];
    const struct sl_unseen of = {collection, "accounts", "full-2", FLOOR};
    struct sl_err err = {0};
    const char *after = "";
    unsigned count;
    *joined = '\0';
    sl_arena_init(&arena, 4096);
    do {
        count = 0;
        if (!EXPECT_OK(state->type->unseen_ids(state, &of, after, max, &arena, ids, &count, &err),
                       &err))
            break;
        EXPECT(count <= max);
        for (unsigned i = 0; i < count; i++) {
            EXPECT(strlen(ids[i].at) == ids[i].length);
            snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s",
                     *joined ? "," : "", ids[i].at);
        }
        if (count)
            after = ids[count - 1].at;
    } while (count == max);
    sl_arena_done(&arena);
    return joined;
}

/* --- which ones --- */

static void do_candidates(struct sl_mongo *mongo)
{
    static const struct {
        const char *id, *meta;
        bool live, unseen;
    } rows[] = {
        {"\"never seen\"",   "\"v\": 100, \"feed\": \"accounts\"",                       true,  true },
        {"\"seen\"",         "\"v\": 100, \"feed\": \"accounts\", \"seen\": \"full-2\"", true,  false},
        {"\"seen before\"",  "\"v\": 100, \"feed\": \"accounts\", \"seen\": \"full-1\"", true,  true },
        {"\"of the floor\"", "\"v\": 101, \"feed\": \"accounts\"",                       true,  true },
        {"\"newer\"",        "\"v\": 102, \"feed\": \"accounts\"",                       true,  false},
        {"\"newer, seen\"",  "\"v\": 102, \"feed\": \"accounts\", \"seen\": \"full-1\"", true,
         false                                                                                       },
        {"\"as a double\"",  "\"v\": 7.5, \"feed\": \"accounts\"",                       true,  true },
        {"\"tombstone\"",    "\"v\": 50, \"feed\": \"accounts\", \"deleted\": true",     false, false},
        {"\"other feed\"",   "\"v\": 50, \"feed\": \"account\"",                         false, false},
        {"\"no feed\"",      "\"v\": 50",                                                false, false},
        {"\"no version\"",   "\"feed\": \"accounts\"",                                   true,  false},
        {"\"null version\"", "\"v\": null, \"feed\": \"accounts\"",                      true,  false},
        {"\"text version\"", "\"v\": \"5\", \"feed\": \"accounts\"",                     true,  false},
        {"5",                "\"v\": 50, \"feed\": \"accounts\"",                        false, false},
    };
    const struct sl_unseen of = {"accounts", "accounts", "full-2", FLOOR};
    struct sl_err err = {0};
    uint64_t unseen = 77, live = 77, wanted_unseen = 0, wanted_live = 0;
    struct sl_state *state = open_store(mongo);
    EXPECT_OK(state->type->unseen_count(state, &of, &unseen, &live, &err), &err);
    EXPECT(unseen == 0 && live == 0); /* no such collection */
    EXPECT(!*ids_of(state, "accounts", 5));

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[512];
        snprintf(json, sizeof json,
                 "{\"insert\": \"accounts\", \"documents\": [{\"_id\": %s, \"_sluice\": {%s}}]}",
                 rows[i].id, rows[i].meta);
        live_run(mongo, live_data, json, NULL);
        wanted_live += rows[i].live;
        wanted_unseen += rows[i].unseen;
    }
    EXPECT_OK(state->type->unseen_count(state, &of, &unseen, &live, &err), &err);
    EXPECT_INT(unseen, (long long)wanted_unseen);
    EXPECT_INT(live, (long long)wanted_live);
    static const unsigned portions[] = {1, 2, 3, 4, 5, IDS_MAX};
    for (size_t i = 0; i < sizeof portions / sizeof *portions; i++) {
        const char *ids = ids_of(state, "accounts", portions[i]);
        if (!EXPECT(!strcmp(ids, "as a double,never seen,of the floor,seen before")))
            fprintf(stderr, "  %u at a time: %s\n", portions[i], ids);
    }
    state->type->close(state);
}

static void test_candidates(void **state)
{
    (void)state;
    live(do_candidates);
}

/* Names that look like operators are texts. */
static void do_names(struct sl_mongo *mongo)
{
    const struct sl_unseen seen = {"names", "$f", "$_sluice.feed", FLOOR};
    const struct sl_unseen unseen_one = {"names", "$f", "$_sluice.seen", FLOOR};
    struct sl_err err = {0};
    uint64_t unseen = 0, live = 0;
    struct sl_state *state = open_store(mongo);
    live_run(mongo, live_data,
             "{\"insert\": \"names\", \"documents\": [{\"_id\": \"a\", \"_sluice\": {\"v\": 1, "
             "\"feed\": \"$f\", \"seen\": \"$_sluice.feed\"}}]}",
             NULL);
    EXPECT_OK(state->type->unseen_count(state, &seen, &unseen, &live, &err), &err);
    EXPECT(unseen == 0 && live == 1);
    EXPECT_OK(state->type->unseen_count(state, &unseen_one, &unseen, &live, &err), &err);
    EXPECT(unseen == 1 && live == 1);
    state->type->close(state);
}

static void test_names(void **state)
{
    (void)state;
    live(do_names);
}

/* --- many --- */

/* More documents than a slice holds, some unseen: at both ends, around the slices' ends. */
static void do_many(struct sl_mongo *mongo)
{
    enum { DOCUMENTS = 45000, FIRST = 100000 };
    static const int unseen_at[] = {0, 1, 19998, 19999, 20000, 20001, 39999, 40000, 44998, 44999};
    enum { UNSEEN = sizeof unseen_at / sizeof *unseen_at };
    const struct sl_unseen of_some = {"many", "accounts", "full-2", FLOOR};
    const struct sl_unseen of_all = {"many", "accounts", "full-3", FLOOR};
    struct sl_err err = {0};
    uint64_t unseen = 0, live = 0;
    char json[1024], list[256] = "", wanted[256] = "";
    struct sl_state *state = open_store(mongo);
    for (int i = 0; i < UNSEEN; i++) {
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%d", i ? ", " : "",
                 unseen_at[i]);
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%d", i ? "," : "",
                 FIRST + unseen_at[i]);
    }
    live_run(mongo, live_data, "{\"insert\": \"seed\", \"documents\": [{\"_id\": 1}]}", NULL);
    snprintf(json, sizeof json,
             "{\"aggregate\": \"seed\", \"cursor\": {}, \"pipeline\": ["
             "{\"$set\": {\"n\": {\"$range\": [0, %d]}}}, {\"$unwind\": \"$n\"}, "
             "{\"$project\": {\"_id\": {\"$toString\": {\"$add\": [%d, \"$n\"]}}, \"_sluice\": "
             "{\"v\": {\"$toLong\": 1}, \"feed\": \"accounts\", \"seen\": "
             "{\"$cond\": [{\"$in\": [\"$n\", [%s]]}, \"full-1\", \"full-2\"]}}}}, "
             "{\"$out\": \"many\"}]}",
             DOCUMENTS, FIRST, list);
    live_run(mongo, live_data, json, NULL);

    turns_watch();
    EXPECT_OK(state->type->unseen_count(state, &of_some, &unseen, &live, &err), &err);
    EXPECT_INT(unseen, UNSEEN);
    EXPECT_INT(live, DOCUMENTS);
    static const unsigned portions[] = {1, 3, 10, 11};
    for (size_t i = 0; i < sizeof portions / sizeof *portions; i++) {
        const char *ids = ids_of(state, "many", portions[i]);
        if (!EXPECT(!strcmp(ids, wanted)))
            fprintf(stderr, "  %u at a time: %s\n", portions[i], ids);
    }
    EXPECT(turns_longest_ms() < 50); /* with sanitizers */

    /* All of them are found when nothing was seen, also beyond a reply's first 101. */
    struct sl_arena arena;
    static struct sl_str all[DOCUMENTS + 1];
    unsigned count = 0;
    sl_arena_init(&arena, 64 * 1024);
    EXPECT_OK(state->type->unseen_ids(state, &of_all, "", DOCUMENTS + 1, &arena, all, &count, &err),
              &err);
    EXPECT_INT(count, DOCUMENTS);
    for (unsigned i = 0; i < count; i++)
        if (!EXPECT(strtol(all[i].at, NULL, 10) == FIRST + (long)i))
            break;
    EXPECT_OK(state->type->unseen_ids(state, &of_all, all[44989].at, 20, &arena, all, &count, &err),
              &err);
    EXPECT_INT(count, 10);
    sl_arena_done(&arena);
    state->type->close(state);
}

static void test_many(void **state)
{
    (void)state;
    live(do_many);
}

/* --- odd ids --- */

static void insert_id(struct sl_mongo *mongo, const char *id, size_t length)
{
    struct sl_err err = {0};
    bson_t document = BSON_INITIALIZER, reply;
    bson_append_utf8(&document, "_id", -1, id, (int)length);
    bson_t *meta = BCON_NEW("v", BCON_INT64(1), "feed", "accounts");
    BSON_APPEND_DOCUMENT(&document, "_sluice", meta);
    bson_t *command = BCON_NEW("insert", "odd", "documents", "[", BCON_DOCUMENT(&document), "]");
    EXPECT_OK(sl_mongo_write(mongo, live_data, command, &reply, sl_deadline_in(20000), &err), &err);
    bson_destroy(&reply);
    bson_destroy(command);
    bson_destroy(meta);
    bson_destroy(&document);
}

/* More ids than one reply can carry, of the greatest size; and one that cannot be gone behind. */
static void do_odd(struct sl_mongo *mongo)
{
    enum { WIDE = 20, BYTES = 1024 * 1024 };
    static char id[BYTES];
    static struct sl_str ids[WIDE + 5];
    const struct sl_unseen of = {"odd", "accounts", "full-2", FLOOR};
    struct sl_err err = {0};
    struct sl_arena arena;
    unsigned count = 0;
    struct sl_state *state = open_store(mongo);
    for (int i = 0; i < WIDE; i++) {
        memset(id, 'a' + i, sizeof id);
        insert_id(mongo, id, sizeof id);
    }
    insert_id(mongo, "y\0z", 3);
    insert_id(mongo, "zz", 2);
    sl_arena_init(&arena, SL_ARENA_BLOCK_BYTES);
    EXPECT_OK(state->type->unseen_ids(state, &of, "", WIDE + 5, &arena, ids, &count, &err), &err);
    EXPECT_INT(count, WIDE + 1);
    for (unsigned i = 0; i < WIDE && i < count; i++)
        EXPECT(ids[i].length == BYTES && ids[i].at[0] == (char)('a' + i));
    EXPECT(sl_str_is(ids[WIDE], "zz"));
    sl_arena_done(&arena);
    state->type->close(state);
}

static void test_odd(void **state)
{
    (void)state;
    live(do_odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_candidates),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_odd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
