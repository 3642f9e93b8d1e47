/* The flow engine when the destination is there: order of the books, dead letters, retries, the
 * window, stopping. */
#include "flow/scripted.h"

/* --- the straight way --- */

static void bring_all(void *arg)
{
    struct sl_flow_options options = usual_options;
    struct rig *rig = rig_new(200);
    rig->ends = arg != NULL;
    options.window = rig->ends ? 1 : 8;
    rig_finish(rig, rig_start(rig, &options));
    for (uint32_t i = 0; i < rig->total; i++) {
        EXPECT(rig->fates[i].writes == 1 && rig->fates[i].gives == 1);
        EXPECT(rig->fates[i].applied == 2 && rig->fates[i].stale == 1 && !rig->fates[i].dead);
    }
    EXPECT(rig->out_max <= options.window && rig->writing_max <= options.window);
    EXPECT(sl_metric_sum("rows_total", "consumed") == 600);
    EXPECT(sl_metric_sum("rows_total", "applied") == 400);
    EXPECT(sl_metric_sum("rows_total", "stale") == 200);
    EXPECT(sl_metric_sum("rows_total", "dead") == 0);
    struct sl_metric *total =
        sl_histogram_metric("stage_seconds", "", "lane=\"fast\",stage=\"total\"");
    EXPECT(sl_histogram_count(total->histogram) == 600);
    rig_free(rig);
}

static void every_batch_is_committed_once(void **state)
{
    (void)state;
    run_in_fiber(bring_all, NULL);
    run_in_fiber(bring_all, "a source that ends, one at a time");
}

/* --- order and dead letters --- */

static bool reject_the_last(uint32_t number, uint32_t index)
{
    (void)number;
    return index == 2;
}

static void follow_one(void *arg)
{
    (void)arg;
    struct sl_flow_options options = usual_options;
    struct rig *rig = rig_new(2);
    rig->script.rejects = reject_the_last;
    rig->source_dead = 1;
    options.window = 1;
    rig_finish(rig, rig_start(rig, &options));
    EXPECT(!strcmp(rig->events, "wWdlcwWdlc")); /* write, dead letters, ledger, commit */

    REQUIRE(rig->dead_noted == 4);
    EXPECT(!strcmp(rig->dead_codes[0], "untypable") && rig->dead_lines[0] == 100);
    EXPECT(!strcmp(rig->dead_codes[1], "refused_row") && rig->dead_lines[1] == 4);
    EXPECT(!strcmp(rig->dead_ids[1], "b0-r2") && !strcmp(rig->dead_files[1], "Vendors.csv"));
    EXPECT(!strcmp(rig->dead_reasons[1], "it is not liked"));
    EXPECT(!strcmp(rig->dead_ids[3], "b1-r2"));
    EXPECT(rig->fates[0].applied == 1 && rig->fates[0].stale == 1 && rig->fates[0].dead == 1);
    EXPECT(sl_metric_sum("rows_total", "dead") == 4);
    EXPECT(sl_metric_sum("rows_total", "consumed") == 8);
    rig_free(rig);
}

static void rejected_rows_are_kept_before_the_ledger_and_the_commit(void **state)
{
    (void)state;
    run_in_fiber(follow_one, NULL);
}

static int reject_whole(struct rig *rig, uint32_t number, unsigned try)
{
    (void)rig, (void)try;
    return number == 1 ? SL_REJECTED : SL_OK;
}

static void reject_one(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(3);
    rig->script.write = reject_whole;
    sl_log_setup(SL_ERROR + 1, SL_LOG_JSON); /* the refusal is logged as an error */
    rig_finish(rig, rig_start(rig, &usual_options));
    REQUIRE(rig->dead_noted == ROWS);
    for (uint32_t i = 0; i < ROWS; i++) {
        EXPECT(!strcmp(rig->dead_codes[i], "refused"));
        EXPECT(!strcmp(rig->dead_reasons[i], "scripted rejected"));
        EXPECT(rig->dead_lines[i] == 2 + i);
    }
    EXPECT(rig->fates[1].writes == 1); /* no use in trying again */
    EXPECT(rig->fates[1].dead == ROWS && !rig->fates[1].applied && !rig->fates[1].stale);
    EXPECT(rig->fates[0].dead == 0 && rig->fates[2].dead == 0);
    rig_free(rig);
}

static void a_batch_refused_as_a_whole_becomes_dead_letters(void **state)
{
    (void)state;
    run_in_fiber(reject_one, NULL);
}

static int no_place(struct rig *rig, uint32_t number, unsigned try)
{
    (void)rig, (void)try;
    return number == 1 ? SL_NOTFOUND : SL_OK;
}

/* Its neighbours are not held up, no row of it is booked, and nobody is thought to be away. */
static void lose_the_way(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(3);
    rig->script.write = no_place;
    sl_log_setup(SL_ERROR + 1, SL_LOG_JSON);
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(rig->committed == 2 && rig->fates[1].set_asides == 1);
    EXPECT(!sl_flow_trouble(flow) && !rig->pings && !rig->dead_noted);
    EXPECT(rig->fates[1].writes == 1 && !rig->fates[1].commits && !rig->fates[1].releases);
    rig_stop(rig, flow, sl_deadline_in(10000));
    rig_free(rig);
}

static void a_batch_without_a_destination_is_set_aside(void **state)
{
    (void)state;
    run_in_fiber(lose_the_way, NULL);
}

static void go_without_ledger(void *arg)
{
    (void)arg;
    struct sl_flow_options options = usual_options;
    struct rig *rig = rig_new(1);
    options.ledger = false;
    rig->no_ledger = true;
    rig->source_dead = 2;
    rig_finish(rig, rig_start(rig, &options));
    EXPECT(!strcmp(rig->events, "wWdc"));
    rig_free(rig);
}

static void a_flow_in_the_middle_keeps_dead_letters_but_no_ledger(void **state)
{
    (void)state;
    run_in_fiber(go_without_ledger, NULL);
}

static void refuse_in_the_middle(void *arg)
{
    (void)arg;
    struct sl_flow_options options = usual_options;
    struct rig *rig = rig_new(3);
    options.ledger = false;
    rig->no_ledger = true;
    rig->script.write = reject_whole;
    sl_log_setup(SL_ERROR + 1, SL_LOG_JSON);
    rig_finish(rig, rig_start(rig, &options));
    EXPECT(rig->dead_noted == ROWS);
    EXPECT(rig->fates[1].ledgered && rig->fates[1].dead == ROWS);
    EXPECT(!rig->fates[0].ledgered && !rig->fates[2].ledgered);
    rig_free(rig);
}

/* It never reaches the flow that books; without its entry the run's ledger would stay open. */
static void a_batch_refused_in_the_middle_is_booked_there(void **state)
{
    (void)state;
    run_in_fiber(refuse_in_the_middle, NULL);
}

/* --- retries --- */

static int fail_thrice(struct rig *rig, uint32_t number, unsigned try)
{
    (void)rig;
    static const int codes[] = {SL_TIMEOUT, SL_CLOSED, SL_THROTTLED};
    return number % 2 && try <= 3 ? codes[try - 1] : SL_OK;
}

static void retry(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(20);
    rig->script.write = fail_thrice;
    rig_finish(rig, rig_start(rig, &usual_options));
    for (uint32_t i = 0; i < rig->total; i++) {
        EXPECT(rig->fates[i].gives == 1 && rig->fates[i].releases == 0);
        EXPECT(rig->fates[i].writes == (i % 2 ? 4 : 1));
    }
    EXPECT(sl_metric_sum("retries_total", "") == 30);
    EXPECT(rig->pings > 0);
    rig_free(rig);
}

static void a_transient_failure_is_tried_again_with_the_same_batch(void **state)
{
    (void)state;
    run_in_fiber(retry, NULL);
}

static int fail_sometimes(struct rig *rig)
{
    return rig->next_calls % 3 == 0 ? SL_CLOSED : SL_OK;
}

static void retry_the_source(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(30);
    rig->script.next = fail_sometimes;
    rig_finish(rig, rig_start(rig, &usual_options));
    EXPECT(rig->next_calls >= 44);
    rig_free(rig);
}

static void a_source_that_fails_is_asked_again(void **state)
{
    (void)state;
    run_in_fiber(retry_the_source, NULL);
}

static void lose_the_state(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(12);
    rig->script.rejects = reject_the_last;
    rig->state_away = true;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(sl_flow_trouble(flow));
    EXPECT(!strcmp(sl_flow_trouble(flow), "scripted closed"));
    EXPECT(sl_fiber_sleep(30) == SL_OK);
    EXPECT(rig->committed == 0 && rig->out == usual_options.window);
    EXPECT(!strchr(rig->events, 'd') && !strchr(rig->events, 'l'));
    rig->state_away = false;
    rig_finish(rig, flow);
    for (uint32_t i = 0; i < rig->total; i++)
        EXPECT(rig->fates[i].writes == 1); /* the books alone are tried again */
    rig_free(rig);
}

static void books_that_cannot_be_written_hold_the_batch(void **state)
{
    (void)state;
    run_in_fiber(lose_the_state, NULL);
}

/* --- the window --- */

static uint64_t five_ms(struct rig *rig, uint32_t number)
{
    (void)rig, (void)number;
    return 5;
}

static void fill_the_window(void *arg)
{
    (void)arg;
    static const unsigned windows[] = {1, 2, 7};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        struct sl_flow_options options = usual_options;
        struct rig *rig = rig_new(40);
        options.window = windows[i];
        rig->script.write_ms = five_ms;
        rig_finish(rig, rig_start(rig, &options));
        EXPECT(rig->out_max == windows[i] && rig->writing_max == windows[i]);
        rig_free(rig);
    }
}

static void the_window_is_filled_and_never_passed(void **state)
{
    (void)state;
    run_in_fiber(fill_the_window, NULL);
}

/* --- stopping --- */

static void stop_hanging(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(10);
    rig->hang = true;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(rig->writing == 4);
    uint64_t start = sl_loop_now_ms();
    rig_stop(rig, flow, sl_deadline_in(50));
    EXPECT(sl_loop_now_ms() - start >= 50);
    EXPECT(sl_loop_now_ms() - start < 5000);
    EXPECT(rig->committed == 0 && rig->returned_count == 4);
    for (uint32_t i = 0; i < 4; i++)
        EXPECT(rig->fates[i].releases == 1);
    rig_free(rig);
}

static void stopping_releases_what_is_not_done_in_time(void **state)
{
    (void)state;
    run_in_fiber(stop_hanging, NULL);
}

static uint64_t thirty_ms(struct rig *rig, uint32_t number)
{
    (void)rig, (void)number;
    return 30;
}

static void stop_in_order(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(100);
    rig->script.write_ms = thirty_ms;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(rig->writing == 4);
    uint64_t start = sl_loop_now_ms();
    rig_stop(rig, flow, sl_deadline_in(10000));
    EXPECT(sl_loop_now_ms() - start < 5000); /* no longer than it takes */
    EXPECT(rig->committed == 4 && rig->returned_count == 0 && rig->next_number == 4);
    rig_free(rig);
}

static void stopping_finishes_what_is_in_flight(void **state)
{
    (void)state;
    run_in_fiber(stop_in_order, NULL);
}

static void stop_in_trouble(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(10);
    rig->script.rejects = reject_the_last;
    rig->source_dead = 1;
    rig->state_away = true;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(sl_flow_trouble(flow));
    rig_stop(rig, flow, sl_deadline_in(10)); /* rig_release checks: as they were given */
    EXPECT(rig->committed == 0 && rig->returned_count == 4);
    rig_free(rig);
}

static void stopping_without_a_state_releases_too(void **state)
{
    (void)state;
    run_in_fiber(stop_in_trouble, NULL);
}

static void cancelled_stopper(void *arg)
{
    sl_fiber_park(SL_FOREVER);
    EXPECT(sl_fiber_cancelled());
    sl_flow_stop(arg, sl_deadline_in(20));
}

static void stop_while_cancelled(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(10);
    rig->hang = true;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    struct sl_fiber *stopper = sl_fiber_spawn_joinable("stopper", cancelled_stopper, flow);
    UNTIL(rig->writing == 4);
    sl_fiber_cancel(stopper);
    sl_fiber_join(stopper);
    EXPECT(rig->returned_count == 4);
    sl_flow_free(flow);
    rig_free(rig);
}

static void a_cancelled_fiber_can_stop_a_flow(void **state)
{
    (void)state;
    run_in_fiber(stop_while_cancelled, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_batch_is_committed_once),
        cmocka_unit_test(rejected_rows_are_kept_before_the_ledger_and_the_commit),
        cmocka_unit_test(a_batch_refused_as_a_whole_becomes_dead_letters),
        cmocka_unit_test(a_batch_without_a_destination_is_set_aside),
        cmocka_unit_test(a_flow_in_the_middle_keeps_dead_letters_but_no_ledger),
        cmocka_unit_test(a_batch_refused_in_the_middle_is_booked_there),
        cmocka_unit_test(a_transient_failure_is_tried_again_with_the_same_batch),
        cmocka_unit_test(a_source_that_fails_is_asked_again),
        cmocka_unit_test(books_that_cannot_be_written_hold_the_batch),
        cmocka_unit_test(the_window_is_filled_and_never_passed),
        cmocka_unit_test(stopping_releases_what_is_not_done_in_time),
        cmocka_unit_test(stopping_finishes_what_is_in_flight),
        cmocka_unit_test(stopping_without_a_state_releases_too),
        cmocka_unit_test(a_cancelled_fiber_can_stop_a_flow),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
