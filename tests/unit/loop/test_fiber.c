/* Fibers: starting, parking, waking, yielding, cancelling, joining. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/in_fiber.h"

/* --- many --- */

enum { MANY = 5000 };
static unsigned finished;

static void count_up(void *arg)
{
    unsigned turns = (unsigned)(uintptr_t)arg;
    char pattern[256];
    memset(pattern, (int)(turns & 0xff), sizeof pattern);
    for (unsigned i = 0; i < turns % 7; i++)
        EXPECT(i % 2 ? sl_fiber_yield() == SL_OK : sl_fiber_sleep(turns % 5) == SL_OK);
    for (size_t i = 0; i < sizeof pattern; i++)
        if (pattern[i] != (char)(turns & 0xff)) {
            EXPECT(!"the stack kept its bytes");
            break;
        }
    finished++;
}

static void spawn_many(void *arg)
{
    (void)arg;
    for (uintptr_t i = 0; i < MANY; i++) {
        sl_fiber_spawn("one of many", count_up, (void *)i);
        if (i % 500 == 499)
            EXPECT(sl_fiber_sleep(1) == SL_OK); /* the first have ended: stacks are used again */
    }
    EXPECT(sl_fiber_count() > 1);
}

static void thousands_run_to_their_end(void **state)
{
    (void)state;
    finished = 0;
    run_in_fiber(spawn_many, NULL);
    assert_int_equal(finished, MANY);
}

static void recurse(void *arg)
{
    unsigned *depth = arg;
    if (++*depth < 50)
        sl_fiber_spawn("nested", recurse, depth);
}

static void fibers_start_fibers(void **state)
{
    (void)state;
    unsigned depth = 0;
    run_in_fiber(recurse, &depth);
    assert_int_equal(depth, 50);
}

/* --- park and wake --- */

static void wake_before_park(void *arg)
{
    (void)arg;
    sl_fiber_wake(sl_fiber_self());
    sl_fiber_wake(sl_fiber_self());
    EXPECT(sl_fiber_park(SL_FOREVER) == SL_OK);
    EXPECT(sl_fiber_park(sl_deadline_in(5)) == SL_TIMEOUT); /* two wakes before a park are one */
}

static void a_wake_before_the_park_is_remembered(void **state)
{
    (void)state;
    run_in_fiber(wake_before_park, NULL);
}

static void park_with_deadlines(void *arg)
{
    (void)arg;
    static const uint64_t delays_ms[] = {0, 1, 5, 30};
    for (size_t i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
        uint64_t start = sl_now_ns();
        EXPECT(sl_fiber_park(sl_deadline_in(delays_ms[i])) == SL_TIMEOUT);
        uint64_t took_ns = sl_now_ns() - start;
        EXPECT(took_ns + 1000000 >= delays_ms[i] * 1000000);
        EXPECT(took_ns < (delays_ms[i] + 10000) * 1000000);
    }
    EXPECT(sl_fiber_park(0) == SL_TIMEOUT); /* long past */
    EXPECT(sl_deadline_in(SL_FOREVER) == SL_FOREVER);
    EXPECT(sl_deadline_in(SL_FOREVER - 1) == SL_FOREVER);
}

static void a_park_ends_at_its_deadline(void **state)
{
    (void)state;
    run_in_fiber(park_with_deadlines, NULL);
}

static void waker(void *arg)
{
    sl_fiber_sleep(5);
    sl_fiber_wake(arg);
}

static void sleep_through_a_wake(void *arg)
{
    (void)arg;
    uint64_t start = sl_now_ms();
    sl_fiber_spawn("waker", waker, sl_fiber_self());
    EXPECT(sl_fiber_sleep(40) == SL_OK);
    EXPECT(sl_now_ms() - start >= 39);

    sl_fiber_spawn("waker", waker, sl_fiber_self());
    EXPECT(sl_fiber_park(sl_deadline_in(10000)) == SL_OK);
    EXPECT(sl_now_ms() - start < 9000);
}

static void a_wake_ends_a_park_but_not_a_sleep(void **state)
{
    (void)state;
    run_in_fiber(sleep_through_a_wake, NULL);
}

/* --- fairness --- */

static unsigned turns[3];
static bool enough;

static void spin(void *arg)
{
    unsigned *mine = arg;
    while (!enough) {
        ++*mine;
        /* One generation a turn: nobody is ever two ahead. */
        for (int i = 0; i < 3; i++)
            EXPECT(*mine <= turns[i] + 2);
        sl_fiber_yield();
    }
}

static void watch_spinners(void *arg)
{
    (void)arg;
    enough = false;
    memset(turns, 0, sizeof turns);
    for (int i = 0; i < 3; i++)
        sl_fiber_spawn("spin", spin, &turns[i]);
    EXPECT(sl_fiber_sleep(30) == SL_OK); /* a timer fires though fibers are always ready */
    UNTIL(turns[0] > 10);
    enough = true;
}

static void yielding_fibers_share_and_starve_no_timer(void **state)
{
    (void)state;
    run_in_fiber(watch_spinners, NULL);
}

static unsigned loop_turns;

static void count_turn(uv_prepare_t *prepare)
{
    (void)prepare;
    loop_turns++;
}

/* The caller closes it, with sl_handle_free. */
static uv_handle_t *start_counting_turns(void)
{
    uv_prepare_t *counter = sl_alloc(sizeof *counter);
    loop_turns = 0;
    uv_prepare_init(sl_loop(), counter);
    uv_prepare_start(counter, count_turn);
    return (uv_handle_t *)counter;
}

static void yield_often(void *arg)
{
    (void)arg;
    uv_handle_t *counter = start_counting_turns();
    for (int i = 0; i < 100; i++)
        EXPECT(sl_fiber_yield() == SL_OK);
    EXPECT(loop_turns >= 100);
    uv_close(counter, sl_handle_free);
}

static void the_kernel_is_asked_between_two_slices(void **state)
{
    (void)state;
    run_in_fiber(yield_often, NULL);
}

enum { LONG_SLICES = 10, LONG_NS = 1000 * 1000 };
static unsigned worked;

static void work_long(void *arg)
{
    uint64_t end_ns = sl_now_ns() + LONG_NS;
    EXPECT(worked == (uintptr_t)arg); /* in the order in which they became ready */
    worked++;
    while (sl_now_ns() < end_ns)
        ;
}

static void start_long_slices(void *arg)
{
    (void)arg;
    worked = 0;
    uv_handle_t *counter = start_counting_turns();
    for (uintptr_t i = 0; i < LONG_SLICES; i++)
        sl_fiber_spawn("long", work_long, (void *)i);
    while (worked < LONG_SLICES)
        EXPECT(sl_fiber_yield() == SL_OK);
    EXPECT(loop_turns >= LONG_SLICES);
    uv_close(counter, sl_handle_free);
}

static void the_kernel_is_asked_between_long_slices_of_many(void **state)
{
    (void)state;
    run_in_fiber(start_long_slices, NULL);
}

/* --- the end of a turn --- */

static struct sl_turn_end turn_end;
static unsigned ends, hands;

static void count_end(void *ctx)
{
    (void)ctx;
    ends++;
}

static void hand_over(void *arg)
{
    sl_turn_end_add(&turn_end);
    if (++hands < 1000)
        sl_fiber_spawn("next hand", hand_over, arg);
}

static void end_turns(void *arg)
{
    (void)arg;
    turn_end = (struct sl_turn_end){.fn = count_end};
    ends = 0;
    sl_turn_end_add(&turn_end);
    sl_turn_end_add(&turn_end);
    EXPECT(ends == 0);
    EXPECT(sl_fiber_sleep(1) == SL_OK);
    EXPECT(ends == 1);

    sl_turn_end_add(&turn_end);
    sl_turn_end_drop(&turn_end);
    EXPECT(sl_fiber_sleep(1) == SL_OK);
    EXPECT(ends == 1);

    hands = 0; /* a chain of a thousand: no timer waits for its end */
    sl_fiber_spawn("first hand", hand_over, NULL);
    EXPECT(sl_fiber_yield() == SL_OK);
    EXPECT(hands > 0 && hands < 100);
    UNTIL(hands == 1000);
    EXPECT(ends > 100);
}

static void a_turn_has_an_end_whoever_is_ready(void **state)
{
    (void)state;
    run_in_fiber(end_turns, NULL);
}

/* --- errno --- */

static void keep_errno(void *arg)
{
    int mine = (int)(uintptr_t)arg;
    for (int i = 0; i < 20; i++) {
        errno = mine;
        sl_fiber_yield();
        EXPECT(errno == mine);
        sl_fiber_sleep(1);
        EXPECT(errno == mine);
    }
}

static void errno_is_each_fibers_own(void **state)
{
    (void)state;
    sl_fiber_spawn("errno", keep_errno, (void *)(uintptr_t)EAGAIN);
    sl_fiber_spawn("errno", keep_errno, (void *)(uintptr_t)ECONNRESET);
    run_in_fiber(keep_errno, (void *)(uintptr_t)EPIPE);
}

/* --- cancelling --- */

enum how { PARKED, PARKED_WITH_DEADLINE, ASLEEP, WAITING, YIELDING, SHIELDED };

struct victim {
    enum how how;
    int rc;
    bool done;
    struct sl_waitlist list;
};

static void suffer(void *arg)
{
    struct victim *victim = arg;
    switch (victim->how) {
    case PARKED:
        victim->rc = sl_fiber_park(SL_FOREVER);
        break;
    case PARKED_WITH_DEADLINE:
        victim->rc = sl_fiber_park(sl_deadline_in(60000));
        break;
    case ASLEEP:
        victim->rc = sl_fiber_sleep(60000);
        break;
    case WAITING:
        victim->rc = sl_wait(&victim->list, SL_FOREVER);
        break;
    case YIELDING:
        while ((victim->rc = sl_fiber_yield()) == SL_OK)
            ;
        break;
    case SHIELDED:
        sl_fiber_shield(true);
        sl_fiber_shield(true);
        victim->rc = sl_fiber_sleep(30);
        EXPECT(victim->rc == SL_OK);
        EXPECT(!sl_fiber_cancelled());
        sl_fiber_shield(false);
        EXPECT(sl_fiber_sleep(1) == SL_OK); /* still shielded once */
        sl_fiber_shield(false);
        EXPECT(sl_fiber_cancelled());
        victim->rc = sl_fiber_park(SL_FOREVER);
        break;
    }
    /* And every later wait fails too, even when woken. */
    sl_fiber_wake(sl_fiber_self());
    EXPECT(sl_fiber_park(SL_FOREVER) == SL_CANCELED);
    EXPECT(sl_fiber_sleep(1000) == SL_CANCELED);
    EXPECT(sl_fiber_yield() == SL_CANCELED);
    EXPECT(sl_wait(&victim->list, SL_FOREVER) == SL_CANCELED);
    EXPECT(!victim->list.first && !victim->list.last);
    victim->done = true;
}

static void cancel_each(void *arg)
{
    bool before_start = arg != NULL;
    for (enum how how = PARKED; how <= SHIELDED; how++) {
        struct victim victim = {.how = how};
        uint64_t start = sl_now_ms();
        struct sl_fiber *fiber = sl_fiber_spawn_joinable("victim", suffer, &victim);
        if (!before_start)
            EXPECT(sl_fiber_sleep(5) == SL_OK);
        sl_fiber_cancel(fiber);
        sl_fiber_cancel(fiber);
        sl_fiber_join(fiber);
        EXPECT(victim.done);
        EXPECT(victim.rc == SL_CANCELED);
        EXPECT(sl_now_ms() - start < 5000);
        if (how == SHIELDED)
            EXPECT(sl_now_ms() - start >= 29);
    }
}

static void a_cancelled_fiber_waits_no_more(void **state)
{
    (void)state;
    run_in_fiber(cancel_each, NULL);
}

static void cancelling_before_the_start_counts(void **state)
{
    (void)state;
    run_in_fiber(cancel_each, "before its start");
}

/* --- joining --- */

static void nap(void *arg)
{
    sl_fiber_sleep((uint64_t)(uintptr_t)arg);
    finished++;
}

static void join_children(void *arg)
{
    (void)arg;
    struct sl_fiber *fibers[20];
    finished = 0;
    for (uintptr_t i = 0; i < 20; i++)
        fibers[i] = sl_fiber_spawn_joinable("nap", nap, (void *)(i * 7 % 20));
    EXPECT(sl_fiber_sleep(10) == SL_OK); /* some have ended, some have not */
    EXPECT(finished > 0);
    for (int i = 19; i >= 0; i--)
        sl_fiber_join(fibers[i]);
    EXPECT(finished == 20);
}

static void join_waits_for_the_end(void **state)
{
    (void)state;
    run_in_fiber(join_children, NULL);
}

static void join_a_napper(void *arg)
{
    (void)arg;
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("nap", nap, (void *)30);
    sl_fiber_join(fiber);
    EXPECT(finished == 1);
    EXPECT(sl_fiber_sleep(1) == SL_CANCELED);
}

static void cancel_a_joiner(void *arg)
{
    (void)arg;
    finished = 0;
    struct sl_fiber *joiner = sl_fiber_spawn_joinable("joiner", join_a_napper, NULL);
    EXPECT(sl_fiber_sleep(5) == SL_OK);
    sl_fiber_cancel(joiner);
    sl_fiber_wake(joiner); /* a stray wake does not end a join either */
    sl_fiber_join(joiner);
    EXPECT(finished == 1);
}

static void join_is_not_ended_by_cancelling(void **state)
{
    (void)state;
    run_in_fiber(cancel_a_joiner, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_run_to_their_end),
        cmocka_unit_test(fibers_start_fibers),
        cmocka_unit_test(a_wake_before_the_park_is_remembered),
        cmocka_unit_test(a_park_ends_at_its_deadline),
        cmocka_unit_test(a_wake_ends_a_park_but_not_a_sleep),
        cmocka_unit_test(yielding_fibers_share_and_starve_no_timer),
        cmocka_unit_test(the_kernel_is_asked_between_two_slices),
        cmocka_unit_test(the_kernel_is_asked_between_long_slices_of_many),
        cmocka_unit_test(a_turn_has_an_end_whoever_is_ready),
        cmocka_unit_test(errno_is_each_fibers_own),
        cmocka_unit_test(a_cancelled_fiber_waits_no_more),
        cmocka_unit_test(cancelling_before_the_start_counts),
        cmocka_unit_test(join_waits_for_the_end),
        cmocka_unit_test(join_is_not_ended_by_cancelling),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
