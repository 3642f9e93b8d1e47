/* Counting rows and latencies by stage. */
#include "base/clock.h"
#include "flow/flow_own.h"

static void count_rows(const struct sl_batch *batch, const char *stage, uint32_t rows)
{
    if (!rows)
        return;
    struct sl_metric *counter = sl_counter("rows_total", "Rows, by feed and stage.",
                                           "feed=\"%s\",stage=\"%s\"", batch->origin.feed, stage);
    sl_metric_add(counter, rows);
}

static struct sl_histogram *stage_histogram(const char *stage)
{
    struct sl_metric *metric = sl_histogram_metric(
        "stage_seconds", "Time a row needed for each stage, and in all.", "stage=\"%s\"", stage);
    return metric->histogram;
}

static void add_latency(struct sl_histogram *histogram, int64_t from_ms, int64_t to_ms,
                        uint32_t rows)
{
    uint64_t ms = to_ms > from_ms ? (uint64_t)(to_ms - from_ms) : 0;
    sl_histogram_add(histogram, ms * 1000, rows);
}

/* From one wall-clock instant to another, counted once for each row. */
static void count_latency(const char *stage, int64_t from_ms, int64_t to_ms, uint32_t rows)
{
    if (from_ms && to_ms && rows)
        add_latency(stage_histogram(stage), from_ms, to_ms, rows);
}

/* From the change itself until now. Finding a series costs more than counting: once a batch. */
static void count_total(const struct sl_batch *batch, int64_t now_ms)
{
    struct sl_histogram *total = stage_histogram("total");
    for (uint32_t i = 0; i < batch->count; i++) {
        int64_t from_ms = batch->records[i].changed_at_ms;
        if (!from_ms) /* the source did not tell: it counts from its reading */
            from_ms = batch->origin.read_at_ms;
        if (from_ms)
            add_latency(total, from_ms, now_ms, 1);
    }
}

void sl_flow_count_read(const struct sl_flow *flow, const struct sl_batch *batch)
{
    count_rows(batch, flow->options.read_stage, sl_batch_read(batch));
    count_latency("consumed", batch->published_at_ms, batch->consumed_at_ms, batch->count);
}

void sl_flow_count_written(const struct sl_flow *flow, const struct sl_batch *batch,
                           const struct sl_result *result)
{
    int64_t now_ms = sl_wall_ms();
    count_rows(batch, flow->options.write_stage, result->applied);
    count_rows(batch, "stale", result->stale);
    count_rows(batch, "dead", batch->dead_count);
    if (!flow->options.ledger) { /* the other end */
        count_rows(batch, "superseded", batch->superseded);
        count_latency("published", batch->origin.read_at_ms, batch->published_at_ms, batch->count);
        count_latency("confirmed", batch->published_at_ms, now_ms, batch->count);
        return;
    }
    count_latency("written",
                  batch->consumed_at_ms ? batch->consumed_at_ms : batch->origin.read_at_ms, now_ms,
                  batch->count);
    count_total(batch, now_ms);
}
