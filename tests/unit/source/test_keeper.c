/* Renewing many leases by one write: what is held stays held, what is lost is told, and what was
 * given back is not taken again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "flow/memory_state.h"
#include "loop/in_fiber.h"
#include "source/keeper.h"

#include <cmocka.h>

enum { LEASE_MS = 240, MANY = 50 };

struct rig {
    struct memory memory;
    struct memory_state one, two;
    struct sl_keeper *keeper;
    struct sl_lease leases[MANY];
    struct sl_waitlist lost;
};

static void set_up(struct rig *rig)
{
    struct sl_err err = {0};
    *rig = (struct rig){0};
    rig->one = memory_state(&rig->memory, "one");
    rig->two = memory_state(&rig->memory, "two");
    rig->one.state.lease_ms = rig->two.state.lease_ms = LEASE_MS;
    rig->keeper = sl_keeper_new(&rig->one.state);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(rig->leases[i].name, sizeof rig->leases[i].name, "feed:%zu", i);
        sl_keeper_add(rig->keeper, &rig->leases[i], &rig->lost);
        EXPECT(memory_lease_hold(&rig->one.state, &rig->leases[i], LEASE_MS, &err) == SL_OK);
    }
}

static void take_down(struct rig *rig)
{
    for (size_t i = 0; i < MANY; i++)
        sl_keeper_take_out(rig->keeper, &rig->leases[i]);
    sl_keeper_free(rig->keeper);
    memory_free(&rig->memory);
}

/* Somebody else's attempt at the lease. */
static bool can_be_taken(struct rig *rig, const char *name)
{
    struct sl_err err = {0};
    struct sl_lease theirs = {0};
    snprintf(theirs.name, sizeof theirs.name, "%s", name);
    return memory_lease_hold(&rig->two.state, &theirs, LEASE_MS, &err) == SL_OK;
}

static unsigned count_held(const struct rig *rig)
{
    unsigned held = 0;
    for (size_t i = 0; i < MANY; i++)
        held += rig->leases[i].held;
    return held;
}

static void keeps_all(void *arg)
{
    static struct rig rig;
    (void)arg;
    set_up(&rig);
    unsigned calls = rig.one.calls;
    sl_fiber_sleep(4 * LEASE_MS);
    calls = rig.one.calls - calls;
    EXPECT(calls >= 2 && calls <= 14); /* and not one for each lease */
    EXPECT(count_held(&rig) == MANY);
    EXPECT(!can_be_taken(&rig, "feed:0") && !can_be_taken(&rig, "feed:49"));
    take_down(&rig);
    sl_fiber_sleep(2 * LEASE_MS);
}

static void tells_of_a_lost_one(void *arg)
{
    static struct rig rig;
    (void)arg;
    set_up(&rig);
    rig.memory.leases->expires_ms = 1; /* as if this process had stood still */
    EXPECT(can_be_taken(&rig, rig.memory.leases->name));
    EXPECT(sl_wait(&rig.lost, sl_deadline_in(10000)) == SL_OK);
    EXPECT(count_held(&rig) == MANY - 1 && !rig.leases[MANY - 1].held);
    take_down(&rig);
}

static void waits_while_the_state_is_away(void *arg)
{
    static struct rig rig;
    (void)arg;
    set_up(&rig);
    rig.one.away = true;
    sl_fiber_sleep(2 * LEASE_MS);
    EXPECT(count_held(&rig) == MANY); /* nobody said otherwise: epochs guard what is written */
    rig.one.away = false;
    unsigned calls = rig.one.calls;
    UNTIL(rig.one.calls > calls);
    EXPECT(!can_be_taken(&rig, "feed:7"));
    take_down(&rig);
}

/* The answer of a renewal comes when its lease is something else by now. */
static void is_overtaken(void *arg)
{
    static struct rig rig;
    struct sl_err err = {0};
    (void)arg;
    set_up(&rig);
    rig.memory.leases[0].expires_ms = 1;
    EXPECT(can_be_taken(&rig, "feed:49")); /* lost, and not told yet */
    rig.one.delay_ms = LEASE_MS / 4;
    unsigned calls = rig.one.calls;
    UNTIL(rig.one.calls > calls); /* under way: feed:49 is another's, all others are ours */
    rig.one.delay_ms = 0;
    memory_lease_drop(&rig.one.state, &rig.leases[0]);
    memory_lease_drop(&rig.one.state, &rig.leases[1]);
    EXPECT(can_be_taken(&rig, "feed:1"));
    rig.memory.leases[0].expires_ms = 1;
    EXPECT(memory_lease_hold(&rig.one.state, &rig.leases[49], LEASE_MS * 10, &err) == SL_OK);
    EXPECT(rig.leases[49].epoch == 3);
    sl_keeper_take_out(rig.keeper, &rig.leases[2]); /* its owner ends: it is not written any more */
    memset(&rig.leases[2], 0xff, sizeof rig.leases[2]);
    sl_fiber_sleep(LEASE_MS);
    EXPECT(!rig.leases[0].held && can_be_taken(&rig, "feed:0"));
    EXPECT(!rig.leases[1].held);
    EXPECT(rig.leases[49].held && rig.leases[49].epoch == 3);
    EXPECT(rig.leases[2].epoch == -1);
    take_down(&rig);
}

static void test_many_are_kept_by_one_write(void **state)
{
    (void)state;
    run_in_fiber(keeps_all, NULL);
}

static void test_a_lost_one_is_told(void **state)
{
    (void)state;
    run_in_fiber(tells_of_a_lost_one, NULL);
}

static void test_a_state_that_is_away_loses_nothing(void **state)
{
    (void)state;
    run_in_fiber(waits_while_the_state_is_away, NULL);
}

static void test_an_answer_that_comes_late(void **state)
{
    (void)state;
    run_in_fiber(is_overtaken, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_are_kept_by_one_write),
        cmocka_unit_test(test_a_lost_one_is_told),
        cmocka_unit_test(test_a_state_that_is_away_loses_nothing),
        cmocka_unit_test(test_an_answer_that_comes_late),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
