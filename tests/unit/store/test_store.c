/* The state against a real server. */
#include "store/opened.h"

#include "base/clock.h"

/* --- runs --- */

static void do_runs(struct sl_mongo *mongo)
{
    static struct sl_run run, back;
    struct sl_err err = {0};
    struct sl_state *state = open_store(mongo);
    EXPECT_INT(state->type->run_newest(state, "vendors", &back, &err), SL_NOTFOUND);

    for (int number = 1; number <= 11; number++) {
        run = (struct sl_run){.feed = "vendors", .number = number, .attempt = 1, .entity_count = 1};
        snprintf(run.id, sizeof run.id, "vendors-%06d", number);
        snprintf(run.entities[0].name, sizeof run.entities[0].name, "VendorsV3");
        EXPECT_OK(state->type->run_save(state, &run, 5, &err), &err);
    }
    EXPECT_OK(state->type->run_newest(state, "vendors", &back, &err), &err);
    EXPECT(strcmp(run.id, back.id) == 0 && back.number == 11 && back.entity_count == 1);
    EXPECT_INT(state->type->run_newest(state, "customers", &back, &err), SL_NOTFOUND);

    run.state = SL_RUN_DONE;
    EXPECT_OK(state->type->run_save(state, &run, 5, &err), &err); /* same epoch */
    EXPECT_OK(state->type->run_save(state, &run, 6, &err), &err); /* a new owner */
    run.state = SL_RUN_FAILED;
    EXPECT_INT(state->type->run_save(state, &run, 5, &err), SL_REJECTED); /* the old one */
    EXPECT(strstr(err.message, "vendors-000011") != NULL);
    EXPECT_OK(state->type->run_newest(state, "vendors", &back, &err), &err);
    EXPECT_INT(back.state, SL_RUN_DONE);
    EXPECT_OK(state->type->ping(state, &err), &err);
    state->type->close(state);
}

static void test_runs(void **state)
{
    (void)state;
    live(do_runs);
}

static void do_suspects(struct sl_mongo *mongo)
{
    char reason[SL_ERR_TEXT_BYTES];
    struct sl_err err = {0};
    struct sl_state *state = open_store(mongo);
    EXPECT_INT(state->type->suspect_get(state, "vendors", reason, &err), SL_NOTFOUND);
    EXPECT_OK(state->type->suspect_set(state, "vendors", NULL, 1, &err), &err);
    EXPECT_OK(state->type->suspect_set(state, "vendors", "$lost", 1, &err), &err);
    EXPECT_OK(state->type->suspect_set(state, "vendors", "lost again", 1, &err), &err);
    EXPECT_OK(state->type->suspect_get(state, "vendors", reason, &err), &err);
    EXPECT(strcmp(reason, "lost again") == 0);
    EXPECT_INT(state->type->suspect_get(state, "customers", reason, &err), SL_NOTFOUND);
    EXPECT_OK(state->type->suspect_set(state, "vendors", NULL, 1, &err), &err);
    EXPECT_INT(state->type->suspect_get(state, "vendors", reason, &err), SL_NOTFOUND);
    state->type->close(state);
}

static void test_suspects(void **state)
{
    (void)state;
    live(do_suspects);
}

/* --- counters --- */

enum { AHEAD = 400000000 }; /* of the time in units of ten seconds */

struct takers {
    struct sl_state *state;
    struct sl_waitlist done;
    int left;
    uint64_t seen; /* a bit for each counter taken */
};

static void run_taker(void *arg)
{
    struct takers *takers = arg;
    for (int i = 0; i < 5; i++) {
        struct sl_err err = {0};
        int64_t counter = 0;
        int rc;
        while ((rc = takers->state->type->counter_take(takers->state, "crowded", AHEAD, &counter,
                                                       &err)) == SL_CLOSED)
            sl_fiber_yield(); /* two made the first one at once */
        EXPECT_OK(rc, &err);
        counter -= AHEAD;
        if (EXPECT(counter >= 1 && counter <= 40 && !(takers->seen >> counter & 1)))
            takers->seen |= 1ULL << counter;
    }
    if (--takers->left == 0)
        sl_wake_all(&takers->done);
}

static int64_t take_counter(struct sl_state *state, const char *collection, int64_t above)
{
    int64_t counter = 0;
    struct sl_err err = {0};
    EXPECT_OK(state->type->counter_take(state, collection, above, &counter, &err), &err);
    return counter;
}

static void do_counters(struct sl_mongo *mongo)
{
    struct sl_state *state = open_store(mongo);
    int64_t first = take_counter(state, "vendors", 0);
    EXPECT(first * 10000 > sl_wall_ms() - 30000 && first * 10000 <= sl_wall_ms() + 10000);
    for (int64_t i = 1; i <= 3; i++)
        EXPECT(take_counter(state, "vendors", 0) >= first + i);
    EXPECT(take_counter(state, "customers", 0) >= first); /* was never taken before */
    EXPECT_INT(take_counter(state, "customers", AHEAD), AHEAD + 1);
    EXPECT_INT(take_counter(state, "customers", 0), AHEAD + 2);

    /* Renewed: by one, as often as it is asked for, and only while nobody takes another one. */
    int64_t renewed = 0;
    struct sl_err err = {0};
    for (int64_t i = 3; i <= 4; i++) {
        EXPECT_OK(state->type->counter_renew(state, "customers", AHEAD + 2, &renewed, &err), &err);
        EXPECT_INT(renewed, AHEAD + i);
    }
    EXPECT_INT(take_counter(state, "customers", 0), AHEAD + 5);
    for (int64_t i = 2; i <= 4; i++)
        EXPECT_INT(state->type->counter_renew(state, "customers", AHEAD + i, &renewed, &err),
                   SL_NOTFOUND);
    EXPECT_INT(take_counter(state, "customers", 0), AHEAD + 6);
    EXPECT_INT(state->type->counter_renew(state, "nobodys", 1, &renewed, &err), SL_NOTFOUND);

    /* Lost: it resumes above what is stored; a version that is no number does not count. */
    live_run(mongo, live_data,
             "{\"insert\": \"vendors\", \"documents\": [{\"_id\": 1, \"_sluice\": {\"v\": "
             "6710888077721605}}, "
             "{\"_id\": 2, \"_sluice\": {\"v\": \"zzz\"}}, {\"_id\": 3}]}", /* in AHEAD + 100 */
             NULL);
    live_run(mongo, live_state,
             "{\"delete\": \"counters\", \"deletes\": [{\"q\": {}, \"limit\": 0}]}", NULL);
    EXPECT_INT(take_counter(state, "vendors", 0), AHEAD + 101);
    EXPECT_INT(take_counter(state, "vendors", 0), AHEAD + 102);

    struct takers takers = {.state = state, .left = 8};
    for (int i = 0; i < 8; i++)
        sl_fiber_spawn("taker", run_taker, &takers);
    while (takers.left)
        sl_wait(&takers.done, SL_FOREVER);
    EXPECT_INT(takers.seen, 0x1fffffffffe);
    state->type->close(state);
}

static void test_counters(void **state)
{
    (void)state;
    live(do_counters);
}

/* --- members --- */

static const struct sl_member *member_of(const struct sl_members *seen, const char *name)
{
    for (size_t i = 0; i < seen->member_count; i++)
        if (!strcmp(seen->members[i].name, name))
            return &seen->members[i];
    return NULL;
}

static const char *holder_of(const struct sl_members *seen, const char *lease)
{
    for (size_t i = 0; i < seen->holding_count; i++)
        if (!strcmp(seen->holdings[i].lease, lease))
            return seen->holdings[i].holder;
    return "?";
}

static void do_members(struct sl_mongo *mongo)
{
    static const char *const wants[] = {"feed:a", "source:crm"};
    struct sl_err err = {0};
    struct sl_members seen = {0};
    struct sl_state *one = open_store(mongo), *two = open_store(mongo);
    struct sl_lease lease = {.name = "feed:a", .holder = "a"}, other = {.name = "collection:x"};
    const char *me = one->type->member_name(one), *they = two->type->member_name(two);
    EXPECT_OK(one->type->lease_hold(one, &lease, 20000, &err), &err);
    EXPECT_OK(one->type->lease_hold(one, &other, 20000, &err), &err);
    EXPECT_OK(one->type->member_beat(one, wants, 2, 20000, &seen, &err), &err);
    EXPECT(seen.member_count == 1 && member_of(&seen, me) && member_of(&seen, me)->age_ms == 0);
    EXPECT(member_of(&seen, me)->want_count == 2);
    EXPECT(!strcmp(member_of(&seen, me)->wants[1], "source:crm"));
    EXPECT(!strcmp(holder_of(&seen, "feed:a"), me)); /* without who within it */
    EXPECT(!strcmp(holder_of(&seen, "collection:x"), "?"));
    sl_members_done(&seen);

    EXPECT_OK(two->type->member_beat(two, wants, 1, 1, &seen, &err), &err);
    sl_members_done(&seen);
    EXPECT(sl_fiber_sleep(50) == SL_OK); /* it had a millisecond to live */
    EXPECT_OK(one->type->member_beat(one, wants, 2, 20000, &seen, &err), &err);
    EXPECT(seen.member_count == 1 && member_of(&seen, me)->age_ms > 0);
    sl_members_done(&seen);
    EXPECT_OK(two->type->member_beat(two, wants, 1, 20000, &seen, &err), &err);
    EXPECT(seen.member_count == 2 && member_of(&seen, they)->age_ms == 0); /* begins anew */
    sl_members_done(&seen);
    one->type->member_leave(one);
    EXPECT_OK(two->type->member_beat(two, wants, 1, 20000, &seen, &err), &err);
    EXPECT(seen.member_count == 1 && member_of(&seen, they));
    sl_members_done(&seen);
    EXPECT_OK(one->type->member_beat(one, wants, 2, 20000, &seen, &err), &err);
    EXPECT(seen.member_count == 1 && member_of(&seen, they)); /* a late beat brings nobody back */
    sl_members_done(&seen);
    one->type->close(one);
    two->type->close(two);
}

static void test_members(void **state)
{
    (void)state;
    live(do_members);
}

/* A holder that is not seen would be planned for as if nobody had the lease. */
static void do_many_holdings(struct sl_mongo *mongo)
{
    enum { MANY = 1010 };
    static const char *const wants[] = {"feed:0"};
    struct sl_err err = {0};
    struct sl_members seen = {0};
    struct sl_state *state = open_store(mongo);
    for (int i = 0; i < MANY; i++) {
        struct sl_lease lease = {0};
        snprintf(lease.name, sizeof lease.name, "feed:%d", i);
        EXPECT_OK(state->type->lease_hold(state, &lease, 60000, &err), &err);
    }
    EXPECT_OK(state->type->member_beat(state, wants, 1, 20000, &seen, &err), &err);
    EXPECT_INT(seen.holding_count, MANY);
    EXPECT(!strcmp(holder_of(&seen, "feed:999"), state->type->member_name(state)));
    sl_members_done(&seen);
    state->type->close(state);
}

static void test_many_holdings(void **state)
{
    (void)state;
    live(do_many_holdings);
}

/* --- ledger --- */

static struct sl_batch *new_batch(uint32_t number, uint32_t rows, uint32_t superseded)
{
    struct sl_batch *batch = sl_batch_new(NULL, 0);
    struct sl_origin origin = {.feed = "vendors",
                               .entity = "V",
                               .run = "vendors-1",
                               .file = "",
                               .attempt = 2,
                               .number = number,
                               .batches = -1};
    sl_batch_set_origin(batch, &origin);
    for (uint32_t i = 0; i < rows; i++)
        memset(sl_batch_add(batch), 0, sizeof(struct sl_record));
    batch->superseded = superseded;
    return batch;
}

static void do_ledger(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_ledger_sum sum;
    struct sl_state *state = open_store(mongo);
    EXPECT_OK(state->type->ledger_sum(state, "vendors-1", 2, "V", &sum, &err), &err);
    EXPECT_INT(sum.batches, 0);

    for (uint32_t number = 0; number < 3; number++) {
        struct sl_batch *batch = new_batch(number, 10 + number, 1);
        EXPECT_OK(
            state->type->ledger_put(state, &(struct sl_booking){batch, 8 + number, 1, 1}, 1, &err),
            &err);
        if (number == 1) /* delivered again: now all are stale */
            EXPECT_OK(
                state->type->ledger_put(state, &(struct sl_booking){batch, 0, 10, 1}, 1, &err),
                &err);
        sl_batch_free(batch);
    }
    struct sl_batch *other = new_batch(0, 99, 0);
    other->origin.attempt = 1;
    EXPECT_OK(state->type->ledger_put(state, &(struct sl_booking){other, 99, 0, 0}, 1, &err), &err);
    other->origin.attempt = 2;
    other->origin.entity = "W";
    EXPECT_OK(state->type->ledger_put(state, &(struct sl_booking){other, 99, 0, 0}, 1, &err), &err);
    other->origin.entity = "V";
    other->origin.run = "vendors-10";
    EXPECT_OK(state->type->ledger_put(state, &(struct sl_booking){other, 99, 0, 0}, 1, &err), &err);
    sl_batch_free(other);

    EXPECT_OK(state->type->ledger_sum(state, "vendors-1", 2, "V", &sum, &err), &err);
    EXPECT_INT(sum.batches, 3);
    EXPECT_INT(sum.rows, 33);
    EXPECT_INT(sum.applied, 18);
    EXPECT_INT(sum.stale, 12);
    EXPECT_INT(sum.dead, 3);
    EXPECT_INT(sum.superseded, 3);
    EXPECT_INT(sum.applied + sum.stale + sum.dead, (long long)sum.rows);
    state->type->close(state);
}

static void test_ledger(void **state)
{
    (void)state;
    live(do_ledger);
}

/* Somebody keeps the ledger for another time than sluice does: a process that comes later books on.
 */
static void do_other_life(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_batch *batch = new_batch(0, 1, 0);
    const struct sl_booking booking = {batch, 1, 0, 0};
    for (int process = 0; process < 2; process++) {
        struct sl_state *state = open_store(mongo);
        EXPECT_OK(state->type->ledger_put(state, &booking, 1, &err), &err);
        state->type->close(state);
        live_run(mongo, live_state,
                 "{\"collMod\": \"ledger\", \"index\": {\"name\": \"expiry\", "
                 "\"expireAfterSeconds\": 86400}}",
                 NULL);
    }
    sl_batch_free(batch);
}

static void test_other_life(void **state)
{
    (void)state;
    live(do_other_life);
}

/* --- dead letters --- */

static void do_dead(struct sl_mongo *mongo)
{
    enum { LETTERS = 2500 };
    static struct sl_dead dead[LETTERS];
    struct sl_err err = {0};
    struct sl_state *state = open_store(mongo);
    struct sl_origin origin = {
        .feed = "vendors", .entity = "V", .run = "vendors-1", .file = "", .attempt = 1};
    static char wide[2000];
    memset(wide, 'x', sizeof wide);
    for (uint32_t i = 0; i < LETTERS; i++)
        dead[i] = (struct sl_dead){
            .code = "untypable",
            .reason = sl_str_of("not a number"),
            .line = i + 2,
            .row_number = i + 1,
            .row = {wide, sizeof wide}
        };
    EXPECT_OK(state->type->dead_put(state, &origin, dead, LETTERS, &err), &err);
    EXPECT_OK(state->type->dead_put(state, &origin, dead, LETTERS, &err), &err);
    EXPECT_INT(live_count(mongo, live_state, "dead"), LETTERS);
    EXPECT_OK(state->type->dead_put(state, &origin, dead, 0, &err), &err);

    /* Rows that the server does not take as they are must not stay in the way. */
    bson_t deep = BSON_INITIALIZER;
    BSON_APPEND_INT32(&deep, "end", 1);
    for (int i = 0; i < 220; i++) {
        bson_t outer = BSON_INITIALIZER;
        BSON_APPEND_DOCUMENT(&outer, "d", &deep);
        bson_destroy(&deep);
        bson_copy_to(&outer, &deep);
        bson_destroy(&outer);
    }
    bson_t *odd = BCON_NEW("$add", BCON_INT32(1), "a.b", BCON_INT32(2));
    struct sl_dead strange[] = {
        {.code = "refused",
         .id = sl_str_of("deep"),
         .row_is_bson = true,
         .row = {(const char *)bson_get_data(&deep), deep.len}},
        {.code = "refused",
         .id = sl_str_of("odd"),
         .row_is_bson = true,
         .row = {(const char *)bson_get_data(odd), odd->len}},
        {.code = "refused", .id = sl_str_of("bad \xff key"), .row = sl_str_of("bad \xff text")},
    };
    EXPECT_OK(state->type->dead_put(state, &origin, strange, 3, &err), &err);
    EXPECT_INT(live_count(mongo, live_state, "dead"), LETTERS + 3);
    bson_destroy(&deep);
    bson_destroy(odd);
    state->type->close(state);
}

static void test_dead(void **state)
{
    (void)state;
    live(do_dead);
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
                                         .write_timeout_ms = 2000};
    struct sl_mongo *mongo = sl_mongo_new(&settings, &err);
    struct sl_state *state = sl_store_new(mongo, &settings, &err);
    struct sl_lease lease = {.name = "feed:x"};
    int64_t counter;
    EXPECT(sl_code_transient(state->type->lease_hold(state, &lease, 1000, &err)));
    EXPECT(!lease.held);
    EXPECT(sl_code_transient(state->type->counter_take(state, "c", 0, &counter, &err)));
    EXPECT(sl_code_transient(state->type->ping(state, &err)));
    state->type->close(state);

    static const char *const bad[] = {"", "a.b", "a b", "a$b", "a/b", "local", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        settings.state_database = (char *)(uintptr_t)bad[i];
        EXPECT(sl_store_new(mongo, &settings, &err) == NULL && err.code == SL_CONFIG);
    }
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
        cmocka_unit_test(test_runs),          cmocka_unit_test(test_suspects),
        cmocka_unit_test(test_members),       cmocka_unit_test(test_counters),
        cmocka_unit_test(test_many_holdings), cmocka_unit_test(test_ledger),
        cmocka_unit_test(test_dead),          cmocka_unit_test(test_away),
        cmocka_unit_test(test_other_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
