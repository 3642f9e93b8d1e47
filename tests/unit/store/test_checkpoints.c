/* Checkpoints, marks, the clock and open runs, against a real server. */
#include "store/opened.h"

#include "flow/state_checks.h"

static void do_checks(struct sl_mongo *mongo)
{
    struct sl_state *one = open_store(mongo), *two = open_store(mongo);
    check_checkpoints(one, two);
    check_marks(one, two);
    check_resets(one, two);
    check_suspects(one, two);
    check_refreshes(one, two);
    check_overtakes(one, two);
    check_clock(one, two);
    check_unsettled(one, two);
    check_runs_open(one, two);
    check_runs_expire(one, two);
    check_leases(one, two);
    check_renewals(one, two);
    check_ledger(one);
    one->type->close(one);
    two->type->close(two);
}

static void test_promises(void **state)
{
    (void)state;
    live(do_checks);
}

/* --- restored from a backup --- */

/* As the owner since then: what the backup has must not be lost beneath a newer link. */
static void do_restored(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_state *state = open_store(mongo);
    struct sl_checkpoint at = {.run_number = 3}, later = {.run_number = 4, .stored_run = 4}, back;
    EXPECT_OK(state->type->checkpoint_save(state, "accounts", &at, 5, &err), &err);
    EXPECT_INT(state->type->checkpoint_save(state, "accounts", &later, 5, &err), SL_REJECTED);
    EXPECT_INT(state->type->checkpoint_save(state, "contacts", &later, 5, &err), SL_REJECTED);
    EXPECT_INT(state->type->checkpoint_load(state, "contacts", &back, &err), SL_NOTFOUND);
    EXPECT_OK(state->type->checkpoint_take(state, "accounts", 6, &back, &err), &err);
    EXPECT(back.run_number == 3 && back.stored_run == 3);
    back.run_number = 4;
    EXPECT_INT(state->type->checkpoint_save(state, "accounts", &back, 5, &err), SL_REJECTED);
    EXPECT_OK(state->type->checkpoint_save(state, "accounts", &back, 6, &err), &err);
    EXPECT_OK(state->type->checkpoint_save(state, "accounts", &later, 6, &err), &err);
    sl_checkpoint_done(&back);
    state->type->close(state);
}

static void test_restored(void **state)
{
    (void)state;
    live(do_restored);
}

/* --- what lies in the database --- */

static bool stored(struct sl_mongo *mongo, const char *collection, const char *id, const char *part)
{
    char *json = live_document(mongo, live_state, collection, id);
    bool found = strstr(json, part) != NULL;
    if (!found)
        fprintf(stderr, "  no %s in %s\n", part, json);
    bson_free(json);
    return found;
}

static void do_documents(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    int64_t previous;
    struct sl_state *state = open_store(mongo);
    struct sl_checkpoint checkpoint = {.newest = (char *)(uintptr_t) "https://x", .run_number = 3};
    EXPECT_OK(state->type->checkpoint_save(state, "accounts", &checkpoint, 5, &err), &err);
    EXPECT(stored(mongo, "checkpoints", "feed:accounts", "\"newest\" : \"https://x\""));
    EXPECT(stored(mongo, "checkpoints", "feed:accounts", "\"epoch\" : 5"));
    EXPECT_OK(state->type->mark_raise(state, "crm", 7, 2, NULL, &err), &err);
    EXPECT(stored(mongo, "checkpoints", "mark:crm", "\"value\" : 7"));
    EXPECT_OK(state->type->mark_raise(state, "crm:mserp", 9, 2, NULL, &err), &err);
    EXPECT(stored(mongo, "checkpoints", "mark:crm:mserp", "\"value\" : 9"));
    EXPECT(stored(mongo, "checkpoints", "mark:crm", "\"value\" : 7"));
    EXPECT_OK(state->type->clock_reserve(state, 3 << 20, &previous, &err), &err);
    EXPECT(stored(mongo, "counters", "clock", "\"value\" : 3145728"));

    /* The server removes a run when its time is over, and keeps one that has none. */
    save_poll(state, "polls", 1, SL_RUN_DONE, 1);
    EXPECT(stored(mongo, "runs", "polls-000001", "\"expires_at\" : { \"$date\" : \"2100-01-01T"));
    static struct sl_run run = {.id = "vendors-000001", .feed = "vendors", .number = 1};
    EXPECT_OK(state->type->run_save(state, &run, 1, &err), &err);
    char *json = live_document(mongo, live_state, "runs", "vendors-000001");
    EXPECT(*json && !strstr(json, "expires_at"));
    bson_free(json);

    bson_t reply;
    live_run(mongo, live_state, "{\"listIndexes\": \"runs\"}", &reply);
    json = bson_as_relaxed_extended_json(&reply, NULL);
    EXPECT(strstr(json, "\"key\" : { \"expires_at\" : 1 }, \"name\" : \"expiry\", "
                        "\"expireAfterSeconds\" : 0") != NULL);
    EXPECT(strstr(json, "\"partialFilterExpression\" : { \"state\" : \"published\" }") != NULL);
    bson_free(json);
    bson_destroy(&reply);

    /* Open runs are found among those alone. */
    live_run(mongo, live_state,
             "{\"explain\": {\"find\": \"runs\", \"filter\": {\"feed\": \"polls\", \"state\": "
             "\"published\"}, \"sort\": {\"number\": 1}}, \"verbosity\": \"queryPlanner\"}",
             &reply);
    json = bson_as_relaxed_extended_json(&reply, NULL);
    const char *winner = strstr(json, "\"winningPlan\""), *rest = strstr(json, "\"rejectedPlans\"");
    const char *index = winner ? strstr(winner, "\"feed_open\"") : NULL;
    EXPECT(winner && rest && index && index < rest);
    bson_free(json);
    bson_destroy(&reply);
    state->type->close(state);
}

static void test_documents(void **state)
{
    (void)state;
    live(do_documents);
}

/* --- many at once --- */

enum { CROWD = 8, ROUNDS = 10 };

struct crowd {
    struct sl_state *state;
    struct sl_waitlist done;
    int left;
    int64_t next_epoch;
    unsigned reserved[CROWD * ROUNDS * 100 + 1]; /* how often a version was handed out */
};

/* Each one has an epoch of its own, and all make the document at once: the highest must stay. */
static void run_owner(void *arg)
{
    struct crowd *crowd = arg;
    struct sl_err err = {0};
    int64_t epoch = ++crowd->next_epoch;
    struct sl_checkpoint checkpoint = {.run_number = epoch};
    int rc;
    while ((rc = crowd->state->type->checkpoint_save(crowd->state, "crowded", &checkpoint, epoch,
                                                     &err)) == SL_CLOSED)
        sl_fiber_yield(); /* made at the same moment */
    EXPECT(rc == SL_OK || (rc == SL_REJECTED && epoch < CROWD));
    while ((rc = crowd->state->type->mark_raise(crowd->state, "crowded", 1000 - epoch, epoch, NULL,
                                                &err)) == SL_CLOSED)
        sl_fiber_yield();
    EXPECT(rc == SL_OK || (rc == SL_REJECTED && epoch < CROWD));
    if (--crowd->left == 0)
        sl_wake_all(&crowd->done);
}

/* Takes a hundred versions at a time: none may be taken twice. */
static void run_reserver(void *arg)
{
    struct crowd *crowd = arg;
    int64_t known = 0;
    for (int i = 0; i < ROUNDS;) {
        struct sl_err err = {0};
        int64_t previous = -1, until = known + 100;
        int rc = crowd->state->type->clock_reserve(crowd->state, until, &previous, &err);
        if (rc == SL_CLOSED) {
            sl_fiber_yield();
            continue;
        }
        EXPECT_OK(rc, &err);
        for (int64_t version = previous + 1; version <= until; version++)
            if (!EXPECT(version > 0 && version <= CROWD * ROUNDS * 100 &&
                        !crowd->reserved[version]++))
                break;
        if (previous < until)
            i++;
        known = previous > until ? previous : until;
    }
    if (--crowd->left == 0)
        sl_wake_all(&crowd->done);
}

static void run_crowd(struct crowd *crowd, void (*member)(void *))
{
    crowd->left = CROWD;
    for (int i = 0; i < CROWD; i++)
        sl_fiber_spawn("member", member, crowd);
    while (crowd->left)
        sl_wait(&crowd->done, SL_FOREVER);
}

static void do_crowd(struct sl_mongo *mongo)
{
    static struct crowd crowd;
    struct sl_err err = {0};
    struct sl_checkpoint back;
    struct sl_mark mark = {0};
    crowd = (struct crowd){.state = open_store(mongo)};
    run_crowd(&crowd, run_owner);
    EXPECT_OK(crowd.state->type->checkpoint_load(crowd.state, "crowded", &back, &err), &err);
    EXPECT_INT(back.run_number, CROWD);
    sl_checkpoint_done(&back);
    EXPECT_OK(crowd.state->type->mark_get(crowd.state, "crowded", &mark, &err), &err);
    EXPECT(mark.value >= 1000 - CROWD && mark.value < 1000);
    run_crowd(&crowd, run_reserver);
    crowd.state->type->close(crowd.state);
}

static void test_crowd(void **state)
{
    (void)state;
    live(do_crowd);
}

/* --- the greatest version --- */

static void do_version_max(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    int64_t version = -1;
    struct sl_state *state = open_store(mongo);
    EXPECT_OK(state->type->version_max(state, "orders", &version, &err), &err);
    EXPECT_INT(version, 0);
    live_run(mongo, live_data,
             "{\"insert\": \"orders\", \"documents\": [{\"_id\": \"a\", \"_sluice\": {\"v\": 7}}, "
             "{\"_id\": \"b\", \"_sluice\": {\"v\": 9007199254740991, \"deleted\": true}}, "
             "{\"_id\": \"c\", \"_sluice\": {\"v\": \"zzz\"}}, {\"_id\": \"d\"}]}",
             NULL);
    EXPECT_OK(state->type->version_max(state, "orders", &version, &err), &err);
    EXPECT_INT(version, 9007199254740991);
    state->type->close(state);
}

static void do_version_line(struct sl_mongo *mongo)
{
    static const struct {
        const char *by;
        bool replace;
        const char *before;
    } steps[] = {
        {"a", false, "a"}, /* nothing was noted */
        {"b", false, "a"},
        {"b", false, "a"},
        {"b", true,  "a"},
        {"a", false, "b"},
    };
    struct sl_state *state = open_store(mongo);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct sl_err err = {0};
        char before[SL_NAME_MAX];
        EXPECT_OK(
            state->type->version_line(state, "orders", steps[i].by, steps[i].replace, before, &err),
            &err);
        EXPECT(!strcmp(before, steps[i].before));
    }
    state->type->close(state);
}

static void test_version_line(void **state)
{
    (void)state;
    live(do_version_line);
}

static void test_version_max(void **state)
{
    (void)state;
    live(do_version_max);
}

/* --- documents of feeds that nobody names --- */

static void do_strangers(struct sl_mongo *mongo)
{
    static const char *const both[] = {"old", "new", NULL}, *const one[] = {"new", NULL};
    struct sl_err err = {0};
    char name[SL_NAME_MAX] = "";
    struct sl_state *state = open_store(mongo);
    uint64_t until_ms = sl_deadline_in(10000);
    EXPECT(state->type->stranger_find(state, "things", one, until_ms, name, &err) == SL_NOTFOUND);
    live_run(mongo, live_data,
             "{\"insert\": \"things\", \"documents\": [{\"_id\": \"a\", \"_sluice\": {\"feed\": "
             "\"new\"}}, {\"_id\": \"b\", \"_sluice\": {\"feed\": \"gone\", \"deleted\": true}}, "
             "{\"_id\": \"c\"}, {\"_id\": \"d\", \"_sluice\": {\"feed\": \"old\"}}]}",
             NULL);
    EXPECT_OK(state->type->stranger_find(state, "things", one, until_ms, name, &err), &err);
    EXPECT(!strcmp(name, "old"));
    EXPECT(state->type->stranger_find(state, "things", both, until_ms, name, &err) == SL_NOTFOUND);
    state->type->close(state);
}

static void test_strangers(void **state)
{
    (void)state;
    live(do_strangers);
}

/* --- the store is away --- */

static void try_away(void *arg)
{
    (void)arg;
    struct sl_err err = {0};
    struct sl_mongo_settings settings = {.url = "mongodb://127.0.0.1:1/?replicaSet=rs0",
                                         .max_clients = 1,
                                         .database = "d",
                                         .state_database = "s",
                                         .write_timeout_ms = 1000};
    struct sl_mongo *mongo = sl_mongo_new(&settings, &err);
    struct sl_state *state = sl_store_new(mongo, &settings, &err);
    const struct sl_unseen of = {"c", "f", "full", 1};
    struct sl_checkpoint checkpoint = {0};
    struct sl_arena arena;
    struct sl_str ids[1];
    struct sl_mark mark;
    int64_t number;
    uint64_t unseen, live;
    unsigned count = 77;
    static struct sl_run runs[1];
    const struct sl_state_type *type = state->type;
    sl_arena_init(&arena, 4096);
    EXPECT(sl_code_transient(type->checkpoint_load(state, "f", &checkpoint, &err)));
    EXPECT(sl_code_transient(type->checkpoint_save(state, "f", &checkpoint, 1, NULL)));
    EXPECT(sl_code_transient(type->mark_get(state, "s", &mark, &err)));
    EXPECT(sl_code_transient(type->mark_raise(state, "s", 1, 1, NULL, &err)));
    EXPECT(sl_code_transient(type->clock_reserve(state, 1, &number, NULL)));
    EXPECT(sl_code_transient(type->version_max(state, "c", &number, &err)));
    EXPECT(sl_code_transient(type->runs_open(state, "f", 0, runs, 1, &count, &err)));
    EXPECT(sl_code_transient(type->unseen_count(state, &of, &unseen, &live, &err)));
    EXPECT(sl_code_transient(type->unseen_ids(state, &of, "", 1, &arena, ids, &count, &err)));
    EXPECT(count == 77);
    sl_arena_done(&arena);
    state->type->close(state);
    sl_mongo_free(mongo);
}

static void test_away(void **state)
{
    (void)state;
    failures = 0;
    sl_fiber_spawn("away", try_away, NULL);
    sl_loop_run();
    assert_int_equal(sl_loop_close(), 0);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promises),    cmocka_unit_test(test_documents),
        cmocka_unit_test(test_restored),    cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_version_max), cmocka_unit_test(test_version_line),
        cmocka_unit_test(test_strangers),   cmocka_unit_test(test_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
