/* Ten thousand batches through a bad day: every kind of failure at random, from a seed. Nothing may
 * be lost, and nothing committed that is not written and in the ledger (rig_commit checks that). */
#include "flow/scripted.h"

enum { BATCHES = 10000, SEED = 42 };

static unsigned dice_state;

/* 0 … sides - 1, the same on every machine. */
static unsigned dice(unsigned sides)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (dice_state >> 8) % sides;
}

static int random_write(struct rig *rig, uint32_t number, unsigned try)
{
    (void)rig, (void)number, (void)try;
    switch (dice(400)) {
    case 0:
    case 1:
        return SL_TIMEOUT;
    case 2:
        return SL_CLOSED;
    case 3:
        return SL_THROTTLED;
    case 4:
    case 5:
        return SL_CANCELED; /* the connection was closed under it: the batch goes back */
    case 6:
        return SL_REJECTED;
    }
    return SL_OK;
}

static int random_book(struct rig *rig, uint32_t number)
{
    (void)rig, (void)number;
    unsigned roll = dice(300);
    return roll == 0 ? SL_CLOSED : roll == 1 ? SL_TIMEOUT : roll == 2 ? SL_CANCELED : SL_OK;
}

static int random_next(struct rig *rig)
{
    (void)rig;
    return dice(200) ? SL_OK : SL_TIMEOUT;
}

static bool random_rejects(uint32_t number, uint32_t index)
{
    return (number * 7 + index * 13) % 50 == 0;
}

static uint64_t random_ms(struct rig *rig, uint32_t number)
{
    (void)rig, (void)number;
    return dice(20) ? 0 : dice(3);
}

/* Takes the sink and the state away now and then, sometimes past the bound. */
static void break_things(void *arg)
{
    struct rig *rig = arg;
    while (rig->committed < rig->total && sl_fiber_sleep(20 + dice(60)) == SL_OK) {
        bool *away = dice(3) ? &rig->sink_away : &rig->state_away;
        *away = true;
        sl_fiber_sleep(dice(60));
        *away = false;
    }
}

static void live_through_a_bad_day(void *arg)
{
    (void)arg;
    struct sl_flow_options options = usual_options;
    options.window = 16;
    options.suspend_after_ms = 25;
    options.retry_max_ms = 4;
    struct rig *rig = rig_new(BATCHES);
    rig->script = (struct script){.write = random_write,
                                  .book = random_book,
                                  .next = random_next,
                                  .rejects = random_rejects,
                                  .write_ms = random_ms};
    rig->give_up_in_ms = 50;
    rig->source_dead = 1;
    dice_state = SEED;
    sl_log_setup(SL_ERROR + 1, SL_LOG_JSON);
    struct sl_flow *flow = rig_start(rig, &options);
    struct sl_fiber *chaos = sl_fiber_spawn_joinable("chaos", break_things, rig);
    rig_finish(rig, flow);
    sl_fiber_cancel(chaos);
    sl_fiber_join(chaos);

    uint64_t rows = 0;
    unsigned writes = 0, releases = 0;
    for (uint32_t i = 0; i < rig->total; i++) {
        const struct fate *fate = &rig->fates[i];
        rows += fate->applied + fate->stale + fate->dead;
        writes += fate->writes;
        releases += fate->releases;
    }
    EXPECT(rows == (uint64_t)BATCHES * ROWS);
    /* The day was as bad as meant. */
    EXPECT(writes > BATCHES + 100 && releases > 50 && rig->pings > 50);
    EXPECT(rig->out_max <= options.window);
    EXPECT(rig->suspends == rig->resumes);
    rig_free(rig);
}

static void nothing_is_lost_and_nothing_is_committed_too_early(void **state)
{
    (void)state;
    run_in_fiber(live_through_a_bad_day, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_nothing_is_committed_too_early),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
