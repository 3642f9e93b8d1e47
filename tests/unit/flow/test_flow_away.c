/* The flow engine while the destination is away: the reader stops, a probe pings, the source is
 * told to let go after a while, and everything goes on when it is back. */
#include "flow/scripted.h"

static uint64_t two_ms(struct rig *rig, uint32_t number)
{
    (void)rig, (void)number;
    return 2;
}

/* --- away and back --- */

static void leave_and_return(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(50);
    rig->sink_away = true;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(sl_flow_trouble(flow));
    EXPECT(!strcmp(sl_flow_trouble(flow), "scripted closed"));
    UNTIL(rig->pings >= 3);

    unsigned next_calls = rig->next_calls, event_count = rig->event_count, pings = rig->pings;
    UNTIL(rig->pings >= pings + 3);
    EXPECT(rig->next_calls == next_calls);                        /* nothing is read … */
    EXPECT(rig->event_count == event_count + rig->pings - pings); /* … and nothing but pings done */
    EXPECT(rig->out <= usual_options.window && rig->committed == 0);
    EXPECT(rig->suspends == 0);

    rig->sink_away = false;
    rig_finish(rig, flow);
    for (uint32_t i = 0; i < rig->total; i++)
        EXPECT(rig->fates[i].gives == 1); /* held, not given back */
    rig_free(rig);
}

static void nothing_is_read_until_a_ping_succeeds(void **state)
{
    (void)state;
    run_in_fiber(leave_and_return, NULL);
}

/* A reader that waits in next() while the destination goes away may still get a batch. */
static void arrive_while_away(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(3);
    rig->total = 2;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(rig->committed == 2);
    rig->sink_away = true;
    rig->total = 3;
    sl_wake_all(&rig->more);
    UNTIL(sl_flow_trouble(flow));
    UNTIL(rig->pings >= 2);
    EXPECT(rig->committed == 2 && rig->out == 1);
    rig->sink_away = false;
    rig_finish(rig, flow);
    EXPECT(rig->fates[2].gives == 1);
    rig_free(rig);
}

static void a_batch_that_comes_meanwhile_waits(void **state)
{
    (void)state;
    run_in_fiber(arrive_while_away, NULL);
}

static void leave_many_times(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(300);
    rig->script.write_ms = two_ms;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    for (int i = 0; i < 10; i++) {
        unsigned pings = rig->pings;
        rig->sink_away = true;
        UNTIL(rig->pings >= pings + 2 || rig->committed == rig->total);
        rig->sink_away = false;
        unsigned committed = rig->committed;
        UNTIL(rig->committed > committed || rig->committed == rig->total);
    }
    EXPECT(rig->pings > 0);
    rig_finish(rig, flow);
    rig_free(rig);
}

static void it_may_leave_many_times(void **state)
{
    (void)state;
    run_in_fiber(leave_many_times, NULL);
}

/* --- away for long --- */

static struct sl_flow_options suspending(void)
{
    struct sl_flow_options options = usual_options;
    options.suspend_after_ms = 30;
    return options;
}

static void suspend_and_resume(void *arg)
{
    (void)arg;
    struct sl_flow_options options = suspending();
    struct rig *rig = rig_new(400);
    rig->script.write_ms = two_ms;
    struct sl_flow *flow = rig_start(rig, &options);
    for (unsigned round = 1; round <= 2; round++) {
        UNTIL(rig->committed >= round * 5);
        rig->sink_away = true;
        UNTIL(rig->suspends == round);
        EXPECT(rig->suspended && rig->out == 0 && rig->returned_count > 0);
        EXPECT(sl_flow_trouble(flow) != NULL);
        unsigned pings = rig->pings;
        UNTIL(rig->pings >= pings + 2); /* the probe goes on */
        EXPECT(rig->suspends == round && rig->resumes == round - 1 && rig->out == 0);
        rig->sink_away = false;
        UNTIL(rig->resumes == round);
    }
    rig_finish(rig, flow);
    EXPECT(rig->suspends == 2 && rig->resumes == 2);
    rig_free(rig);
}

static void after_the_bound_the_source_lets_go_and_comes_back_later(void **state)
{
    (void)state;
    run_in_fiber(suspend_and_resume, NULL);
}

static void give_up(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(4);
    rig->give_up_in_ms = 40;
    rig->sink_away = true;
    uint64_t start = sl_loop_now_ms();
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(rig->returned_count > 0 && rig->out == 0);
    EXPECT(sl_loop_now_ms() - start >= 40);
    EXPECT(rig->suspends == 0 && rig->committed == 0);
    rig->give_up_in_ms = 0;
    rig->sink_away = false;
    rig_finish(rig, flow);
    rig_free(rig);
}

static void a_batch_whose_time_is_up_is_released(void **state)
{
    (void)state;
    run_in_fiber(give_up, NULL);
}

static void give_up_on_the_books(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(2);
    rig->give_up_in_ms = 20;
    rig->state_away = true;
    rig->source_dead = 1;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(rig->fates[0].releases && rig->fates[1].releases);
    EXPECT(rig->committed == 0);
    rig->give_up_in_ms = 0;
    rig->state_away = false;
    rig_finish(rig, flow);
    EXPECT(rig->fates[0].writes >= 2); /* given again, written again */
    rig_free(rig);
}

static void so_is_one_whose_books_cannot_be_written(void **state)
{
    (void)state;
    run_in_fiber(give_up_on_the_books, NULL);
}

/* --- refused, though it answers --- */

enum { FEW = 8, MANY = 40 };

static int refuse_the_first(struct rig *rig, uint32_t number, unsigned try)
{
    (void)try;
    return number < FEW && rig->committed < MANY - FEW ? SL_CONFIG : SL_OK;
}

static void refuse_some(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(MANY);
    rig->script.write = refuse_the_first;
    EXPECT(FEW > usual_options.window);
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(sl_flow_refusal(flow) && rig->pings);
    UNTIL(rig->committed >= MANY - FEW);
    UNTIL(rig->committed == MANY && !sl_flow_refusal(flow) && !sl_flow_trouble(flow));
    EXPECT(rig->writing_max <= usual_options.window + FEW);
    for (uint32_t i = 0; i < rig->total; i++)
        EXPECT(rig->fates[i].gives == 1);
    rig_finish(rig, flow);
    rig_free(rig);
}

static void others_come_past_batches_that_are_refused(void **state)
{
    (void)state;
    run_in_fiber(refuse_some, NULL);
}

static int refuse_all(struct rig *rig, uint32_t number, unsigned try)
{
    (void)number, (void)try;
    return rig->committed || rig->suspends ? SL_OK : SL_CONFIG;
}

/* Nobody bounds what its source gives but the window. */
static void refuse_in_the_middle(void *arg)
{
    (void)arg;
    struct sl_flow_options options = usual_options;
    options.ledger = false;
    struct rig *rig = rig_new(MANY);
    rig->no_ledger = true;
    rig->script.write = refuse_all;
    struct sl_flow *flow = rig_start(rig, &options);
    UNTIL(rig->pings >= 20);
    EXPECT(rig->out_max == options.window && rig->committed == 0);
    EXPECT(sl_flow_refusal(flow) != NULL);
    rig->suspends = 1; /* taken from now on */
    rig_finish(rig, flow);
    rig_free(rig);
}

static void a_flow_that_is_not_the_last_keeps_to_its_window(void **state)
{
    (void)state;
    run_in_fiber(refuse_in_the_middle, NULL);
}

/* --- stopping meanwhile --- */

static void stop_meanwhile(void *arg)
{
    bool suspended = arg != NULL;
    struct sl_flow_options options = suspending();
    struct rig *rig = rig_new(10);
    if (!suspended)
        options.suspend_after_ms = 0;
    rig->sink_away = true;
    struct sl_flow *flow = rig_start(rig, &options);
    if (suspended)
        UNTIL(rig->suspends == 1);
    else
        UNTIL(rig->pings >= 2);
    uint64_t start = sl_loop_now_ms();
    rig_stop(rig, flow, sl_deadline_in(20));
    EXPECT(sl_loop_now_ms() - start < 5000);
    EXPECT(rig->committed == 0 && rig->returned_count == rig->next_number);
    EXPECT(rig->next_number > 0);
    rig_free(rig);
}

static void a_flow_can_stop_while_the_destination_is_away(void **state)
{
    (void)state;
    run_in_fiber(stop_meanwhile, NULL);
    run_in_fiber(stop_meanwhile, "while the source is suspended");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_read_until_a_ping_succeeds),
        cmocka_unit_test(a_batch_that_comes_meanwhile_waits),
        cmocka_unit_test(it_may_leave_many_times),
        cmocka_unit_test(after_the_bound_the_source_lets_go_and_comes_back_later),
        cmocka_unit_test(a_batch_whose_time_is_up_is_released),
        cmocka_unit_test(so_is_one_whose_books_cannot_be_written),
        cmocka_unit_test(others_come_past_batches_that_are_refused),
        cmocka_unit_test(a_flow_that_is_not_the_last_keeps_to_its_window),
        cmocka_unit_test(a_flow_can_stop_while_the_destination_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
