/* Who may move a run on: nothing is written or asked for before the journal was read under the
 * lease that is held now. The state is one that fails and changes hands on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "base/metric.h"
#include "dmf/dmf_rig.h"
#include "loop/in_fiber.h"

#include <cmocka.h>

struct rig {
    struct sl_state state; /* first: found again from its address */
    int64_t epoch;
    unsigned newest_calls, saves;
    int newest_fails; /* how often the journal cannot be read */
    bool torn;        /* what a failed reading leaves behind looks like a planned run */
    int64_t saved_under;
};

static struct rig *rig_of(struct sl_state *state)
{
    return (struct rig *)state;
}

static int run_newest(struct sl_state *state, const char *feed, struct sl_run *ret,
                      struct sl_err *err)
{
    struct rig *rig = rig_of(state);
    (void)feed;
    rig->newest_calls++;
    if (rig->newest_fails) {
        rig->newest_fails--;
        if (rig->torn)
            *ret = (struct sl_run){.id = "vendors-000007", .number = 7, .state = SL_RUN_PLANNED};
        return sl_err_set(err, SL_CLOSED, "the journal is away");
    }
    return SL_NOTFOUND;
}

static int run_save(struct sl_state *state, const struct sl_run *run, int64_t epoch,
                    struct sl_err *err)
{
    struct rig *rig = rig_of(state);
    (void)err;
    EXPECT(run->number > 0); /* else a run that nobody planned */
    rig->saves++;
    rig->saved_under = epoch;
    return SL_OK;
}

static int counter_take(struct sl_state *state, const char *collection, int64_t above, int64_t *ret,
                        struct sl_err *err)
{
    (void)state, (void)collection, (void)above, (void)ret;
    return sl_err_set(err, SL_CLOSED, "no counters here");
}

static int lease_hold(struct sl_state *state, struct sl_lease *lease, uint64_t ttl_ms,
                      struct sl_err *err)
{
    rig_lease_hold(state, lease, ttl_ms, err);
    lease->epoch = rig_of(state)->epoch;
    return SL_OK;
}

static const struct sl_state_type state_type = {
    .run_newest = run_newest,
    .run_ended = rig_run_ended,
    .run_save = run_save,
    .run_unsettled = rig_run_unsettled,
    .runs_expire = rig_runs_expire,
    .suspect_get = rig_suspect_get,
    .refresh_get = rig_refresh_get,
    .overtake_get = rig_overtake_get,
    .counter_take = counter_take,
    .lease_hold = lease_hold,
    .lease_drop = rig_lease_drop,
};

static bool is_planned(void *rig)
{
    return ((struct rig *)rig)->saves > 0;
}

/* Runs a feed on the rig until its first run was planned. */
static void run_until_planned(struct rig *rig)
{
    struct sl_dmf_feed_settings settings = {0};
    rig->state.type = &state_type;
    rig->state.database = "data";
    rig_run(&rig->state, &settings, is_planned, rig);
}

static void first_reading_fails(void *arg)
{
    (void)arg;
    struct rig rig = {.epoch = 1, .newest_fails = 2};
    run_until_planned(&rig);
    EXPECT(rig.newest_calls == 3);
    EXPECT(rig.saved_under == 1);
}

static void torn_reading_is_not_acted_on(void *arg)
{
    (void)arg;
    struct rig rig = {.epoch = 3, .newest_fails = 1, .torn = true};
    run_until_planned(&rig);
    EXPECT(rig.newest_calls == 2);
    EXPECT(rig.saved_under == 3);
}

static void test_journal_that_cannot_be_read_at_first(void **state)
{
    (void)state;
    run_in_fiber(first_reading_fails, NULL);
}

static void test_journal_read_in_part(void **state)
{
    (void)state;
    run_in_fiber(torn_reading_is_not_acted_on, NULL);
}

static int end_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_that_cannot_be_read_at_first),
        cmocka_unit_test(test_journal_read_in_part),
    };
    return cmocka_run_group_tests(tests, NULL, end_all);
}
