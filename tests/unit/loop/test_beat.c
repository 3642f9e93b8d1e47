/* Fibers that sleep in step, and fibers that begin at once. */
#include <stdlib.h>

#include "loop/in_fiber.h"

/* --- beats --- */

enum { BEAT_MS = 100 };

static void sleep_a_beat(void *arg)
{
    EXPECT(sl_fiber_sleep_beat(BEAT_MS) == SL_OK);
    *(uint64_t *)arg = sl_loop_now_ms();
}

static void sleep_beats(void *arg)
{
    uint64_t at[2] = {0}, then;
    (void)arg;
    EXPECT(sl_fiber_sleep_beat(BEAT_MS) == SL_OK); /* from here on a beat is whole */
    sl_fiber_spawn("early", sleep_a_beat, &at[0]);
    sl_fiber_sleep(BEAT_MS / 2);
    sl_fiber_spawn("late", sleep_a_beat, &at[1]);
    while (!at[0] || !at[1])
        sl_fiber_sleep(1);
    EXPECT(at[1] - at[0] <= BEAT_MS / 4 || at[1] - at[0] >= BEAT_MS); /* the machine halts */
    then = sl_loop_now_ms();
    EXPECT(sl_fiber_sleep_beat(BEAT_MS) == SL_OK);
    EXPECT(sl_loop_now_ms() > then);
}

static void who_sleeps_a_beat_wakes_with_the_others(void **state)
{
    (void)state;
    run_in_fiber(sleep_beats, NULL);
}

/* --- at once --- */

static void end_at_once(void *arg)
{
    EXPECT(sl_fiber_self());
    *(int *)arg = 1;
}

static void wait_first(void *arg)
{
    *(int *)arg = 1;
    EXPECT(sl_fiber_sleep(1) == SL_OK);
    *(int *)arg = 2;
}

static void on_idle(uv_idle_t *idle)
{
    int *states = idle->data;
    EXPECT(!sl_fiber_run("brief", end_at_once, &states[0]) && states[0] == 1);
    EXPECT(sl_fiber_run("long", wait_first, &states[1]) && states[1] == 1);
    EXPECT(!sl_fiber_self());
    uv_close((uv_handle_t *)idle, sl_handle_free);
}

static void await_both(void *arg)
{
    const int *states = arg;
    while (states[1] != 2)
        EXPECT(sl_fiber_sleep(1) == SL_OK);
    EXPECT(sl_fiber_count() == 1);
}

static void a_fiber_can_run_at_once(void **state)
{
    (void)state;
    int states[2] = {0};
    uv_idle_t *idle = calloc(1, sizeof *idle);
    uv_idle_init(sl_loop(), idle);
    uv_idle_start(idle, on_idle);
    idle->data = states;
    run_in_fiber(await_both, states);
    assert_int_equal(states[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_sleeps_a_beat_wakes_with_the_others),
        cmocka_unit_test(a_fiber_can_run_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
