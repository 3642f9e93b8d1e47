/* Versions by order of arrival, on a state in memory that several processes share: whoever begins
 * after another has been given a version gets a greater one, whatever becomes of clocks, processes
 * and the state. */
#include "source/arrival.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "flow/memory_state.h"
#include "loop/in_fiber.h"

enum { GIVEN_MAX = 20000 };

/* What the processes were given, in the order in which they were. */
struct given {
    uint64_t begun; /* how many others had been given when this one began */
    int64_t first, last;
};

struct rig {
    struct memory memory;
    struct memory_state a, b;
    struct given given[GIVEN_MAX];
    uint64_t count;
    bool stop;
    unsigned refused;
};

static void set_up(struct rig *rig)
{
    rig->a = memory_state(&rig->memory, "a");
    rig->b = memory_state(&rig->memory, "b");
}

static int take(struct rig *rig, struct sl_arrival *arrival, uint32_t count, uint64_t patience_ms)
{
    struct sl_err err;
    int64_t first = -1;
    uint64_t begun = rig->count;
    int rc = sl_arrival_take(arrival, count, sl_deadline_in(patience_ms), &first, &err);
    if (rc == SL_OK && rig->count < GIVEN_MAX)
        rig->given[rig->count++] = (struct given){begun, first, first + count - 1};
    if (rc != SL_OK) {
        EXPECT(rc == SL_TIMEOUT && strlen(err.message) > 10);
        rig->refused++;
    }
    return rc;
}

/* The promise: greater than all that had been given before it was asked for; and nothing twice. */
static void check_order(const struct rig *rig)
{
    int64_t greatest = 0; /* of those given when the one looked at began */
    uint64_t seen = 0;
    for (uint64_t i = 0; i < rig->count; i++) {
        const struct given *one = &rig->given[i];
        if (one->begun < seen) { /* begun while others waited, too: count again */
            greatest = 0;
            seen = 0;
        }
        for (; seen < one->begun; seen++)
            if (rig->given[seen].last > greatest)
                greatest = rig->given[seen].last;
        if (!EXPECT(one->first > greatest))
            return;
    }
    for (uint64_t i = 1; i < rig->count && i < 200; i++)
        for (uint64_t j = 0; j < i; j++)
            EXPECT(rig->given[i].first > rig->given[j].last ||
                   rig->given[i].last < rig->given[j].first);
}

static int64_t version_of(int64_t wall_ms)
{
    return wall_ms * (1 << SL_ARRIVAL_SEQUENCE_BITS);
}

static int64_t last_given(const struct rig *rig)
{
    return rig->given[rig->count - 1].last;
}

/* What a process reserved that then was killed: nothing more is heard of it. */
static void reserve_by_hand(struct rig *rig, int64_t until)
{
    int64_t previous;
    EXPECT(memory_clock_reserve(&rig->a.state, until, &previous, NULL) == SL_OK);
}

/* --- cases --- */

static void alone(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    struct sl_arrival *arrival = sl_arrival_join(&rig->a.state);
    EXPECT(sl_arrival_join(&rig->a.state) == arrival); /* one a process */
    int64_t wall_ms = sl_wall_ms();
    uint64_t began_ms = sl_loop_now_ms();
    EXPECT(take(rig, arrival, 1, 1000) == SL_OK);
    EXPECT(sl_loop_now_ms() - began_ms < 500);
    EXPECT(last_given(rig) >= version_of(wall_ms) && last_given(rig) < version_of(wall_ms + 5000));
    for (int i = 0; i < 1200; i++) {
        EXPECT(take(rig, arrival, i % 7 ? 1 : 3, 1000) == SL_OK);
        if (i % 4 == 0)
            sl_fiber_sleep(1);
    }
    EXPECT(rig->a.calls <= 4);                                  /* ahead, in the background */
    EXPECT(take(rig, arrival, 5 * 1000 * 1000, 1000) == SL_OK); /* more than any range has */
    EXPECT(take(rig, arrival, 1, 1000) == SL_OK);
    sl_arrival_leave(arrival);
    EXPECT(take(rig, arrival, 1, 1000) == SL_OK);
    sl_arrival_leave(arrival);
}

static void the_state_is_away(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    struct sl_arrival *arrival = sl_arrival_join(&rig->a.state);
    EXPECT(take(rig, arrival, 1, 1000) == SL_OK && !sl_arrival_trouble(arrival));
    rig->a.away = true;
    EXPECT(take(rig, arrival, 1, 1) == SL_OK); /* for a while */
    UNTIL(take(rig, arrival, 1, 1) != SL_OK);
    EXPECT(sl_arrival_trouble(arrival));
    rig->a.away = false;
    EXPECT(take(rig, arrival, 1, 2000) == SL_OK && !sl_arrival_trouble(arrival));
    sl_arrival_leave(arrival);
}

static void left_in_order(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    for (int i = 0; i < 6; i++) {
        struct sl_arrival *arrival = sl_arrival_join(i % 2 ? &rig->b.state : &rig->a.state);
        EXPECT(take(rig, arrival, 1, 500) == SL_OK); /* without waiting for anybody */
        EXPECT(take(rig, arrival, 1, 5) == SL_OK);
        sl_arrival_leave(arrival);
    }
}

static void after_a_kill(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    int64_t reserved = version_of(sl_wall_ms() + 2000) & ~INT64_C(1);
    reserve_by_hand(rig, reserved);
    struct sl_arrival *arrival = sl_arrival_join(&rig->b.state);
    EXPECT(take(rig, arrival, 1, 500) == SL_TIMEOUT); /* it might be alive */
    EXPECT(take(rig, arrival, 1, 3000) == SL_OK);
    EXPECT(last_given(rig) > reserved);
    sl_arrival_leave(arrival);
}

/* The one before had a clock that was an hour ahead, or ours was set back since. */
static void clock_set_back(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    int64_t reserved = version_of(sl_wall_ms() + 3600 * 1000) | 1; /* it left in order */
    reserve_by_hand(rig, reserved);
    struct sl_arrival *arrival = sl_arrival_join(&rig->b.state);
    for (int i = 0; i < 5000; i++)
        EXPECT(take(rig, arrival, 1, 2000) == SL_OK);
    EXPECT(rig->given[0].first > reserved);
    EXPECT(last_given(rig) < reserved + 100000); /* no leaps */
    sl_arrival_leave(arrival);
}

static void beyond_all_years(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    reserve_by_hand(rig, (INT64_C(1) << 53) - 1);
    struct sl_arrival *arrival = sl_arrival_join(&rig->b.state);
    EXPECT(take(rig, arrival, 1, 50) == SL_TIMEOUT);
    EXPECT(strstr(sl_arrival_trouble(arrival), "clock"));
    sl_arrival_leave(arrival);
}

struct process {
    struct rig *rig;
    struct sl_arrival *arrival;
    uint64_t pause_ms;
};

static void take_all_the_time(void *arg)
{
    struct process *process = arg;
    while (!process->rig->stop) {
        take(process->rig, process->arrival, 1, 3000);
        sl_fiber_sleep(process->pause_ms);
    }
}

/* One is at work; another one joins, both work, one is idle for long, works again. */
static void two_processes(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    rig->a.delay_ms = rig->b.delay_ms = 2; /* a round trip */
    struct process a = {rig, sl_arrival_join(&rig->a.state), 3};
    struct sl_fiber *worker = sl_fiber_spawn_joinable("a", take_all_the_time, &a);
    sl_fiber_sleep(300);
    struct sl_arrival *b = sl_arrival_join(&rig->b.state);
    EXPECT(take(rig, b, 1, 4000) == SL_OK);
    uint64_t began_ms = sl_loop_now_ms();
    for (int i = 0; i < 100; i++)
        EXPECT(take(rig, b, i % 5 + 1, 1000) == SL_OK);
    EXPECT(sl_loop_now_ms() - began_ms < 3000); /* a round trip each, no more */
    sl_fiber_sleep(6000);
    began_ms = sl_loop_now_ms();
    EXPECT(take(rig, b, 1, 4000) == SL_OK);
    EXPECT(sl_loop_now_ms() - began_ms < 500);
    rig->stop = true;
    sl_fiber_join(worker);
    EXPECT(!rig->refused && rig->count > 500);
    sl_arrival_leave(a.arrival);
    sl_arrival_leave(b);
}

/* The one that holds a range loses the state, the other one does not. */
static void one_is_cut_off(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    struct sl_arrival *a = sl_arrival_join(&rig->a.state);
    EXPECT(take(rig, a, 1, 1000) == SL_OK);
    rig->a.away = true;
    struct sl_arrival *b = sl_arrival_join(&rig->b.state);
    uint64_t end_ms = sl_deadline_in(3500);
    while (sl_loop_now_ms() < end_ms) {
        take(rig, a, 1, 1);
        take(rig, b, 1, 1);
        sl_fiber_sleep(3);
    }
    EXPECT(take(rig, a, 1, 1) == SL_TIMEOUT && take(rig, b, 1, 100) == SL_OK);
    rig->a.away = false;
    EXPECT(take(rig, a, 1, 4000) == SL_OK && take(rig, b, 1, 1000) == SL_OK);
    sl_arrival_leave(a);
    sl_arrival_leave(b);
}

static void cancelled(void *arg)
{
    struct process *process = arg;
    struct sl_err err;
    int64_t first;
    EXPECT(sl_arrival_take(process->arrival, 1, SL_FOREVER, &first, &err) == SL_CANCELED);
}

static void a_waiter_is_cancelled(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    rig->a.away = true;
    struct process a = {rig, sl_arrival_join(&rig->a.state), 0};
    struct sl_fiber *waiter = sl_fiber_spawn_joinable("waiter", cancelled, &a);
    sl_fiber_sleep(5);
    sl_fiber_cancel(waiter);
    sl_fiber_join(waiter);
    rig->a.away = false;
    EXPECT(take(rig, a.arrival, 1, 2000) == SL_OK);
    sl_arrival_leave(a.arrival);
}

static void run_case(void (*fn)(void *))
{
    struct rig *rig = calloc(1, sizeof *rig);
    run_in_fiber(fn, rig);
    check_order(rig);
    assert_int_equal(failed_expectations, 0);
    memory_free(&rig->memory);
    free(rig);
}

#define CASE(name)                                                                                 \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        run_case(name);                                                                            \
    }

CASE(alone)
CASE(the_state_is_away)
CASE(left_in_order)
CASE(after_a_kill)
CASE(clock_set_back)
CASE(beyond_all_years)
CASE(two_processes)
CASE(one_is_cut_off)
CASE(a_waiter_is_cancelled)

static int end_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_the_state_is_away),
        cmocka_unit_test(test_left_in_order),
        cmocka_unit_test(test_after_a_kill),
        cmocka_unit_test(test_clock_set_back),
        cmocka_unit_test(test_beyond_all_years),
        cmocka_unit_test(test_two_processes),
        cmocka_unit_test(test_one_is_cut_off),
        cmocka_unit_test(test_a_waiter_is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, end_all);
}
