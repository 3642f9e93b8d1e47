/* What the flow counts: latencies by stage, rows by feed. */
#include "flow/scripted.h"

/* --- latencies --- */

static const char *lane = "fast"; /* whose stages are looked at */

static struct sl_histogram *stage(const char *name)
{
    return sl_histogram_metric("stage_seconds", "", "lane=\"%s\",stage=\"%s\"", lane, name)
        ->histogram;
}

static bool spans(const char *name, uint64_t count, uint64_t each_ms)
{
    uint64_t found_ms = sl_histogram_quantile_us(stage(name), 1) / 1000;
    bool holds = sl_histogram_count(stage(name)) == count &&
                 (!count || (found_ms * 100 >= each_ms * 96 && found_ms * 100 <= each_ms * 104));
    if (!holds)
        fprintf(stderr, "stage %s: %llu rows, the slowest %llu ms\n", name,
                (unsigned long long)sl_histogram_count(stage(name)), (unsigned long long)found_ms);
    return holds;
}

/* Two of a batch's three rows have a time of their own. All times lie seconds back. */
static void stamp(struct rig *rig, struct sl_batch *batch)
{
    int64_t base_ms = rig->base_ms;
    batch->origin.read_at_ms = base_ms + 3000;
    batch->published_at_us = (base_ms + 10000) * 1000;
    batch->consumed_at_us = rig->no_ledger ? 0 : (base_ms + 30000) * 1000;
    for (uint32_t i = 1; i < batch->count; i++)
        batch->records[i].changed_at_ms = base_ms + 1000;
}

static void time_stages(void *arg)
{
    bool first = arg != NULL;
    struct sl_flow_options options = usual_options;
    struct rig *rig = rig_new(20);
    rig->no_ledger = first;
    rig->stamp = stamp;
    rig->base_ms = sl_wall_ms() - 100000;
    options.ledger = !first;
    rig_finish(rig, rig_start(rig, &options));
    EXPECT(spans("seen", first ? 40 : 0, 2000));
    EXPECT(spans("published", first ? 60 : 0, 7000));
    EXPECT(spans("confirmed", first ? 60 : 0, 90000));
    EXPECT(spans("consumed", first ? 0 : 60, 20000));
    EXPECT(spans("written", first ? 0 : 60, 70000));
    EXPECT(spans("total", first ? 0 : 60, 99000));
    rig_free(rig);
}

/* Most stages of a live row take less than a millisecond or two. */
static void stamp_finely(struct rig *rig, struct sl_batch *batch)
{
    stamp(rig, batch);
    batch->consumed_at_us = batch->published_at_us + 400;
}

static void time_finely(void *arg)
{
    struct sl_flow_options options = usual_options;
    struct rig *rig = rig_new(20);
    (void)arg;
    rig->stamp = stamp_finely;
    rig->base_ms = sl_wall_ms() - 100000;
    options.ledger = true;
    rig_finish(rig, rig_start(rig, &options));
    uint64_t found_us = sl_histogram_quantile_us(stage("consumed"), 0.5);
    EXPECT(found_us >= 380 && found_us <= 420);
    rig_free(rig);
}

/* A row of a full read was changed who knows when: it counts from when it was read. */
static void stamp_full(struct rig *rig, struct sl_batch *batch)
{
    stamp(rig, batch);
    batch->origin.full = true;
    batch->origin.lane = SL_LANE_BULK;
}

static void time_full_read(void *arg)
{
    bool first = arg != NULL;
    struct sl_flow_options options = usual_options;
    struct rig *rig = rig_new(20);
    rig->no_ledger = first;
    rig->stamp = stamp_full;
    rig->base_ms = sl_wall_ms() - 100000;
    options.ledger = !first;
    rig_finish(rig, rig_start(rig, &options));
    EXPECT(spans("total", 0, 0)); /* of the fast lane */
    EXPECT(spans("published", 0, 0));
    lane = "bulk";
    EXPECT(spans("seen", 0, 0));
    EXPECT(spans("published", first ? 60 : 0, 7000));
    EXPECT(spans("total", first ? 0 : 60, 97000));
    lane = "fast";
    rig_free(rig);
}

static void a_full_read_spoils_no_latency(void **state)
{
    (void)state;
    run_in_fiber(time_full_read, NULL);
    run_in_fiber(time_full_read, "the first flow of two");
}

static void each_stage_is_timed_by_the_flow_that_ends_it(void **state)
{
    (void)state;
    run_in_fiber(time_stages, NULL);
    run_in_fiber(time_stages, "the first flow of two");
}

static void stages_shorter_than_a_millisecond_are_told(void **state)
{
    (void)state;
    run_in_fiber(time_finely, NULL);
}

/* --- lag --- */

struct lags {
    unsigned count;
    struct sl_flow_lag last;
};

static void take_lag(void *ctx, const struct sl_flow_lag *lag)
{
    struct lags *lags = ctx;
    lags->count++;
    lags->last = *lag;
}

/* What stamp says of the rows: live, of a full read, or without a time of their own. */
static void stamp_untold(struct rig *rig, struct sl_batch *batch)
{
    stamp(rig, batch);
    for (uint32_t i = 0; i < batch->count; i++)
        batch->records[i].changed_at_ms = 0;
}

static void expect_lag(void (*stamp_rows)(struct rig *, struct sl_batch *), uint64_t wanted_ms)
{
    struct lags lags = {0};
    struct rig *rig = rig_new(20);
    rig->stamp = stamp_rows;
    rig->base_ms = sl_wall_ms() - 100000;
    struct sl_flow *flow = rig_start(rig, &usual_options);
    UNTIL(rig->committed == 20);
    sl_flow_take_lags(flow, take_lag, &lags);
    EXPECT(lags.count == (wanted_ms ? 1 : 0));
    if (wanted_ms) {
        EXPECT(lags.last.worst_ms >= wanted_ms && lags.last.worst_ms < wanted_ms + 20000);
        EXPECT(sl_loop_now_ms() - lags.last.last_ms < 20000);
        EXPECT(sl_flow_has_lag(flow, lags.last.feed));
        sl_flow_take_lags(flow, take_lag, &lags);
        EXPECT(lags.count == 2 && !lags.last.worst_ms && lags.last.last_ms); /* none since */
    }
    EXPECT(!sl_flow_has_lag(flow, "unknown"));
    rig_finish(rig, flow);
    rig_free(rig);
}

static void measure_lags(void *arg)
{
    (void)arg;
    expect_lag(stamp, 99000);
    expect_lag(stamp_untold, 97000); /* from their reading on */
    expect_lag(stamp_full, 0);
}

static void the_worst_live_row_is_the_lag(void **state)
{
    (void)state;
    run_in_fiber(measure_lags, NULL);
}

/* --- rows --- */

/* Batches of many feeds, and of one again: each row is counted for its own feed. */
static void name_feed(struct rig *rig, struct sl_batch *batch)
{
    (void)rig;
    char name[32];
    int length = snprintf(name, sizeof name, "feed-%03u", batch->origin.number % 150);
    batch->origin.feed = sl_arena_text(&batch->arena, name, (size_t)length);
}

static void count_feeds(void *arg)
{
    (void)arg;
    struct rig *rig = rig_new(450);
    rig->stamp = name_feed;
    rig_finish(rig, rig_start(rig, &usual_options));
    for (unsigned i = 0; i < 150; i++) {
        char labels[64];
        snprintf(labels, sizeof labels, "feed=\"feed-%03u\",stage=\"applied\"", i);
        if (!EXPECT(sl_metric_sum("rows_total", labels) == 6))
            break;
    }
    EXPECT(sl_metric_sum("rows_total", "consumed") == 1350);
    EXPECT(sl_metric_sum("rows_total", "stale") == 450);
    rig_free(rig);
}

static void rows_are_counted_for_their_feed(void **state)
{
    (void)state;
    run_in_fiber(count_feeds, NULL);
}

static bool is_at(const char *labels, int64_t value)
{
    for (const struct sl_metric *one = sl_metric_first(); one; one = one->next)
        if (!strcmp(one->name, "rows_total") && !strcmp(one->labels, labels))
            return one->value == value;
    return false;
}

static void count_a_quiet_feed(void *arg)
{
    (void)arg;
    static const char *const stages[] = {"consumed", "applied", "stale", "dead"};
    struct rig *rig = rig_new(1);
    struct sl_flow *flow = rig_start(rig, &usual_options);
    sl_flow_count_from_zero(flow, "quiet");
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        char labels[64];
        snprintf(labels, sizeof labels, "feed=\"quiet\",stage=\"%s\"", stages[i]);
        EXPECT(is_at(labels, 0));
    }
    EXPECT(!is_at("feed=\"quiet\",stage=\"superseded\"", 0)); /* another flow counts them */
    EXPECT(!sl_flow_has_lag(flow, "quiet"));
    rig_finish(rig, flow);
    rig_free(rig);
}

static void a_feed_without_rows_is_there(void **state)
{
    (void)state;
    run_in_fiber(count_a_quiet_feed, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_stage_is_timed_by_the_flow_that_ends_it),
        cmocka_unit_test(stages_shorter_than_a_millisecond_are_told),
        cmocka_unit_test(a_full_read_spoils_no_latency),
        cmocka_unit_test(the_worst_live_row_is_the_lag),
        cmocka_unit_test(rows_are_counted_for_their_feed),
        cmocka_unit_test(a_feed_without_rows_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
