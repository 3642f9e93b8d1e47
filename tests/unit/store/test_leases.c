/* Leases against a real server: taken, kept, given back; restored from a backup beneath their
 * owner. */
#include "store/opened.h"

#include "base/mem.h"

static void do_leases(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_state *one = open_store(mongo), *two = open_store(mongo);
    struct sl_lease mine = {.name = "feed:vendors"}, theirs = {.name = "feed:vendors"};
    EXPECT(strcmp(sl_store_owner(one), sl_store_owner(two)) != 0);

    EXPECT_OK(one->type->lease_hold(one, &mine, 20000, &err), &err);
    EXPECT(mine.held && mine.epoch == 1);
    EXPECT_OK(one->type->lease_hold(one, &mine, 20000, &err), &err); /* renewed */
    EXPECT_INT(mine.epoch, 1);
    EXPECT_INT(two->type->lease_hold(two, &theirs, 20000, &err), SL_THROTTLED);
    EXPECT(!theirs.held && err.retry_after_ms > 0 && strstr(err.message, sl_store_owner(one)));

    one->type->lease_drop(one, &mine);
    EXPECT(!mine.held);
    EXPECT_OK(two->type->lease_hold(two, &theirs, 300, &err), &err);
    EXPECT(theirs.held && theirs.epoch == 2);
    one->type->lease_drop(one, &mine); /* not its own any more: nothing happens */
    EXPECT_INT(one->type->lease_hold(one, &mine, 20000, &err), SL_THROTTLED);

    /* Expired: taken, and the old owner finds out. */
    uint64_t deadline_ms = sl_deadline_in(10000);
    while (one->type->lease_hold(one, &mine, 20000, &err) != SL_OK &&
           sl_loop_now_ms() < deadline_ms)
        sl_fiber_sleep(20);
    EXPECT(mine.held && mine.epoch == 3);
    EXPECT_INT(two->type->lease_hold(two, &theirs, 20000, &err), SL_THROTTLED);
    EXPECT(!theirs.held);

    /* Two fibers of one process are two holders. */
    struct sl_lease left = {.name = "collection:v", .holder = "a"};
    struct sl_lease right = {.name = "collection:v", .holder = "b"};
    EXPECT_OK(one->type->lease_hold(one, &left, 20000, &err), &err);
    EXPECT_INT(one->type->lease_hold(one, &right, 20000, &err), SL_THROTTLED);
    one->type->lease_drop(one, &left);
    EXPECT_OK(one->type->lease_hold(one, &right, 20000, &err), &err);
    EXPECT_INT(right.epoch, 2);

    /* An owner that was late, while nobody came in between, stays the owner. */
    struct sl_lease late = {.name = "feed:late"};
    EXPECT_OK(one->type->lease_hold(one, &late, 1, &err), &err);
    sl_fiber_sleep(20);
    EXPECT_OK(one->type->lease_hold(one, &late, 1, &err), &err);
    EXPECT_INT(late.epoch, 1);
    one->type->close(one);
    two->type->close(two);
}

static void test_leases(void **state)
{
    (void)state;
    live(do_leases);
}

/* The documents as they were before: their owner notices, and takes them above all epochs he knows.
 */
static void do_restored_leases(struct sl_mongo *mongo)
{
    enum { COUNT = 3 };
    static const char restore[] =
        "{\"update\": \"leases\", \"updates\": [{\"q\": {\"_id\": \"feed:b\"}, \"u\": [{\"$set\": "
        "{\"expires_at\": {\"$subtract\": [\"$expires_at\", 1]}, \"epoch\": {\"$numberLong\": "
        "\"%d\"}}}]}]}";
    struct sl_err err = {0};
    struct sl_state *one = open_store(mongo), *two = open_store(mongo);
    struct sl_lease leases[COUNT] = {{.name = "feed:a"}, {.name = "feed:b"}, {.name = "feed:c"}};
    struct sl_lease theirs = {.name = "feed:b"};
    bool held[COUNT];
    char command[sizeof restore];
    for (int i = 0; i < COUNT; i++)
        EXPECT_OK(one->type->lease_hold(one, &leases[i], 20000, &err), &err);

    snprintf(command, sizeof command, restore, 1);
    EXPECT(live_run(mongo, live_state, command, NULL));
    EXPECT_OK(one->type->lease_hold(one, &leases[1], 20000, &err), &err);
    EXPECT(leases[1].held && leases[1].epoch == 2);
    EXPECT_OK(one->type->lease_hold(one, &leases[1], 20000, &err), &err);
    EXPECT_INT(leases[1].epoch, 2);

    /* Also when it was renewed with others, which stay. */
    EXPECT_OK(one->type->leases_renew(one, leases, COUNT, 40000, held, &err), &err);
    EXPECT(held[0] && held[1] && held[2]);
    snprintf(command, sizeof command, restore, 0);
    EXPECT(live_run(mongo, live_state, command, NULL));
    EXPECT_OK(one->type->leases_renew(one, leases, COUNT, 40000, held, &err), &err);
    EXPECT(held[0] && !held[1] && held[2]);

    /* Whoever waits for it knows the epochs that there were, too. */
    EXPECT_OK(one->type->lease_hold(one, &leases[1], 20000, &err), &err);
    EXPECT_INT(leases[1].epoch, 3);
    EXPECT_INT(two->type->lease_hold(two, &theirs, 20000, &err), SL_THROTTLED);
    EXPECT(live_run(mongo, live_state,
                    "{\"delete\": \"leases\", \"deletes\": [{\"q\": {}, \"limit\": 0}]}", NULL));
    EXPECT_OK(two->type->lease_hold(two, &theirs, 20000, &err), &err);
    EXPECT_INT(theirs.epoch, 4);
    one->type->close(one);
    two->type->close(two);
}

static void test_restored_leases(void **state)
{
    (void)state;
    live(do_restored_leases);
}

struct renewing {
    struct sl_state *store;
    struct sl_lease *leases;
    size_t count;
    bool held;
    bool done;
};

static void renew_rounds(void *arg)
{
    enum { ROUNDS = 20 };
    struct renewing *renewing = arg;
    struct sl_err err = {0};
    bool *held = sl_calloc(renewing->count, sizeof *held);
    struct sl_lease *round = sl_calloc(renewing->count, sizeof *round);
    renewing->held = true;
    for (int i = 0; i < ROUNDS; i++) {
        memcpy(round, renewing->leases, renewing->count * sizeof *round);
        EXPECT_OK(renewing->store->type->leases_renew(renewing->store, round, renewing->count,
                                                      20000, held, &err),
                  &err);
        for (size_t j = 0; j < renewing->count; j++)
            renewing->held = renewing->held && held[j];
    }
    free(round);
    free(held);
    renewing->done = true;
}

/* A round of renewals takes its time before one that is asked for meanwhile, and comes to it
 * later. */
static void do_held_while_renewed(struct sl_mongo *mongo)
{
    enum { COUNT = 200 };
    struct sl_err err = {0};
    struct sl_state *store = open_store(mongo);
    static struct sl_lease leases[COUNT];
    struct renewing renewing = {.store = store, .leases = leases, .count = COUNT};
    for (int i = 0; i < COUNT; i++) {
        snprintf(leases[i].name, sizeof leases[i].name, "feed:%03d", i);
        EXPECT_OK(store->type->lease_hold(store, &leases[i], 20000, &err), &err);
    }
    sl_fiber_spawn("renewing", renew_rounds, &renewing);
    while (!renewing.done)
        EXPECT_OK(store->type->lease_hold(store, &leases[COUNT - 1], 20000, &err), &err);
    EXPECT(renewing.held);
    EXPECT_INT(leases[COUNT - 1].epoch, 1);
    store->type->close(store);
}

static void test_held_while_renewed(void **state)
{
    (void)state;
    live(do_held_while_renewed);
}

struct dropping {
    struct sl_state *store;
    struct sl_lease lease;
};

static void drop(void *arg)
{
    struct dropping *dropping = arg;
    dropping->store->type->lease_drop(dropping->store, &dropping->lease);
}

/* A renewal meanwhile finds it gone, and must not tell its owner that another one has it. */
static void do_given_back(struct sl_mongo *mongo)
{
    struct sl_err err = {0};
    struct sl_state *store = open_store(mongo);
    struct dropping dropping = {.store = store, .lease = {.name = "feed:given"}};
    EXPECT_OK(store->type->lease_hold(store, &dropping.lease, 20000, &err), &err);
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("drop", drop, &dropping);
    sl_fiber_yield();
    EXPECT(!dropping.lease.held && dropping.lease.asked);
    sl_fiber_join(fiber);
    EXPECT(!dropping.lease.held && !dropping.lease.asked && !dropping.lease.expires_ms);

    /* Cut off, it may not be carried out, and is asked for once more. */
    EXPECT_OK(store->type->lease_hold(store, &dropping.lease, 20000, &err), &err);
    EXPECT_INT(dropping.lease.epoch, 2);
    fiber = sl_fiber_spawn_joinable("drop", drop, &dropping);
    sl_fiber_yield();
    sl_fiber_end(&fiber);
    EXPECT(!dropping.lease.held && dropping.lease.asked);
    drop(&dropping);
    EXPECT(!dropping.lease.asked);
    EXPECT_OK(store->type->lease_hold(store, &dropping.lease, 20000, &err), &err);
    EXPECT_INT(dropping.lease.epoch, 3);
    store->type->close(store);
}

static void test_given_back(void **state)
{
    (void)state;
    live(do_given_back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leases),
        cmocka_unit_test(test_restored_leases),
        cmocka_unit_test(test_held_while_renewed),
        cmocka_unit_test(test_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
