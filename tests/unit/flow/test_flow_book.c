/* Entries in the ledger are made together, and none is waited for in vain. */
#include "flow/scripted.h"

static struct sl_flow_options holding(uint64_t hold_ms, unsigned count)
{
    struct sl_flow_options options = usual_options;
    options.window = 2;
    options.book_hold_ms = hold_ms;
    options.book_count = count;
    return options;
}

static bool all_written(const struct rig *rig)
{
    for (uint32_t i = 0; i < rig->total; i++)
        if (!rig->fates[i].written)
            return false;
    return true;
}

static void wait_written(const struct rig *rig)
{
    for (int i = 0; i < 2000 && !all_written(rig); i++)
        sl_fiber_sleep(1);
    EXPECT(all_written(rig));
}

/* More than the window lets be written at a time: who waits for its entry does not count. */
static void enough(void *arg)
{
    (void)arg;
    struct sl_flow_options options = holding(60 * 1000, 4);
    struct rig *rig = rig_new(8);
    uint64_t began_ms = sl_loop_now_ms();
    rig_finish(rig, rig_start(rig, &options));
    EXPECT(sl_loop_now_ms() - began_ms < 20 * 1000); /* nobody waited for the time to pass */
    EXPECT(rig->ledger_calls == 2 && rig->committed == 8);
    EXPECT(rig->writing_max <= 2);
    rig_free(rig);
}

static void so_many_are_entered_together(void **state)
{
    (void)state;
    run_in_fiber(enough, NULL);
}

static void not_enough(void *arg)
{
    (void)arg;
    struct sl_flow_options options = holding(1000, 100);
    struct rig *rig = rig_new(3);
    uint64_t began_ms = sl_loop_now_ms();
    struct sl_flow *flow = rig_start(rig, &options);
    wait_written(rig);
    EXPECT(!rig->fates[0].ledgered || sl_loop_now_ms() - began_ms >= 1000);
    for (int i = 0; i < 2000 && rig->committed < 3; i++)
        sl_fiber_sleep(1);
    EXPECT(rig->committed == 3 && rig->ledger_calls == 1);
    EXPECT(sl_loop_now_ms() - began_ms >= 1000);
    rig_stop(rig, flow, sl_deadline_in(1000));
    rig_free(rig);
}

static void fewer_are_entered_when_the_time_is_over(void **state)
{
    (void)state;
    run_in_fiber(not_enough, NULL);
}

static void stop_early(void *arg)
{
    (void)arg;
    struct sl_flow_options options = holding(60 * 1000, 100);
    struct rig *rig = rig_new(3);
    struct sl_flow *flow = rig_start(rig, &options);
    wait_written(rig);
    uint64_t began_ms = sl_loop_now_ms();
    rig_stop(rig, flow, sl_deadline_in(30 * 1000));
    EXPECT(sl_loop_now_ms() - began_ms < 10 * 1000);
    EXPECT(rig->committed == 3 && rig->ledger_calls == 1);
    rig_free(rig);
}

static void at_the_end_nobody_waits_for_others(void **state)
{
    (void)state;
    run_in_fiber(stop_early, NULL);
}

static int refuse_twice(struct rig *rig, uint32_t number)
{
    (void)number;
    return rig->ledger_calls <= 2 ? SL_CLOSED : SL_OK;
}

static void fail_twice(void *arg)
{
    (void)arg;
    struct sl_flow_options options = holding(20, 3);
    struct rig *rig = rig_new(6);
    rig->script.book = refuse_twice;
    sl_log_setup(SL_ERROR, SL_LOG_JSON);
    rig_finish(rig, rig_start(rig, &options));
    EXPECT(rig->committed == 6 && rig->ledger_calls > 2);
    for (uint32_t i = 0; i < rig->total; i++)
        EXPECT(rig->fates[i].ledgered && rig->fates[i].writes == 1);
    rig_free(rig);
}

static void a_failure_is_everybodys_and_each_tries_again(void **state)
{
    (void)state;
    run_in_fiber(fail_twice, NULL);
}

/* The leader is cancelled in its wait, and so are the others, one after the other. */
static void cancel(void *arg)
{
    (void)arg;
    struct sl_flow_options options = holding(60 * 1000, 100);
    struct rig *rig = rig_new(3);
    rig->state_away = true;
    struct sl_flow *flow = rig_start(rig, &options);
    wait_written(rig);
    rig_stop(rig, flow, sl_deadline_in(50));
    EXPECT(!rig->committed && rig->returned_count == 3);
    rig_free(rig);
}

static void who_is_cancelled_leaves_nothing_behind(void **state)
{
    (void)state;
    run_in_fiber(cancel, NULL);
}

/* … or while he writes for all: the others must stay until he has ended, too. */
static int sleep_long(struct rig *rig, uint32_t number)
{
    (void)rig, (void)number;
    return sl_fiber_sleep(60 * 1000);
}

static void cancel_amid(void *arg)
{
    (void)arg;
    struct sl_flow_options options = holding(10, 3);
    struct rig *rig = rig_new(3);
    rig->script.book = sleep_long;
    struct sl_flow *flow = rig_start(rig, &options);
    wait_written(rig);
    for (int i = 0; i < 2000 && !rig->ledger_calls; i++)
        sl_fiber_sleep(1);
    EXPECT(rig->ledger_calls == 1);
    rig_stop(rig, flow, sl_deadline_in(50));
    EXPECT(!rig->committed && rig->returned_count == 3);
    rig_free(rig);
}

static void who_is_cancelled_amid_writing_leaves_nothing_behind(void **state)
{
    (void)state;
    run_in_fiber(cancel_amid, NULL);
}

/* One entry that is refused for good does not hold up the others. */
static int refuse_the_second(struct rig *rig, uint32_t number)
{
    (void)rig;
    return number == 1 && rig->ledger_calls < 12 ? SL_REJECTED : SL_OK;
}

static void refuse_one(void *arg)
{
    (void)arg;
    struct sl_flow_options options = holding(1000, 3);
    struct rig *rig = rig_new(3);
    rig->script.book = refuse_the_second;
    rig_finish(rig, rig_start(rig, &options));
    EXPECT(rig->committed == 3);
    EXPECT(rig->fates[0].writes == 1 && rig->fates[2].writes == 1);
    rig_free(rig);
}

static void a_refused_entry_holds_up_no_other(void **state)
{
    (void)state;
    run_in_fiber(refuse_one, NULL);
}

/* The next delivery needs the memory of those that wait for company: they do not, then. */
static struct sl_credit pool;

static void take_one(struct rig *rig, struct sl_batch *batch)
{
    (void)rig;
    batch->credit = &pool;
    batch->credit_bytes = 1;
    sl_credit_force(&pool, 1);
}

static int take_all_before_the_fourth(struct rig *rig)
{
    if (rig->next_calls != 4)
        return SL_OK;
    int rc = sl_credit_take(&pool, pool.total_bytes, sl_deadline_in(20 * 1000));
    EXPECT(rc == SL_OK && rig->committed == 3);
    if (rc == SL_OK)
        sl_credit_give(&pool, pool.total_bytes);
    return rc;
}

static void want_memory(void *arg)
{
    (void)arg;
    struct sl_flow_options options = holding(60 * 1000, 100);
    struct rig *rig = rig_new(4);
    sl_credit_init(&pool, "test", 100);
    rig->stamp = take_one;
    rig->script.next = take_all_before_the_fourth;
    rig->ends = true;
    rig_finish(rig, rig_start(rig, &options));
    EXPECT(rig->committed == 4 && !pool.used_bytes);
    rig_free(rig);
}

static void who_waits_for_memory_is_not_kept_waiting(void **state)
{
    (void)state;
    run_in_fiber(want_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_are_entered_together),
        cmocka_unit_test(fewer_are_entered_when_the_time_is_over),
        cmocka_unit_test(at_the_end_nobody_waits_for_others),
        cmocka_unit_test(a_failure_is_everybodys_and_each_tries_again),
        cmocka_unit_test(who_is_cancelled_leaves_nothing_behind),
        cmocka_unit_test(who_is_cancelled_amid_writing_leaves_nothing_behind),
        cmocka_unit_test(a_refused_entry_holds_up_no_other),
        cmocka_unit_test(who_waits_for_memory_is_not_kept_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
