/* Counting rows by feed and stage, and latencies by stage.
 *
 *      changed ─seen─► read ─published─► sent ─confirmed─► at rest
 *                                        sent ─consumed──► taken ─written─► stored
 *      changed ─────────────────────────total────────────────────────────► stored
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/probe.h"
#include "flow/flow_own.h"

enum latency { SEEN, PUBLISHED, CONFIRMED, CONSUMED, WRITTEN, TOTAL, LATENCIES };

static const char *const latency_names[LATENCIES] = {
    [SEEN] = "seen",         [PUBLISHED] = "published", [CONFIRMED] = "confirmed",
    [CONSUMED] = "consumed", [WRITTEN] = "written",     [TOTAL] = "total",
};

/* What can become of a row in this flow. */
enum fate { TAKEN, DONE, STALE, DEAD, SUPERSEDED, FATES };

enum {
    FEED_SLOTS = 64,
    FEEDS_MAX = 4096, /* names come from messages, too: what is more is counted as "other" */
};

static const char OTHER[] = "other";

/* The rows of one feed. */
struct feed_series {
    struct feed_series *next; /* in its slot */
    struct sl_metric *rows[FATES];
    uint64_t worst_ms, last_ms; /* as sl_flow_take_lags gives them */
    char name[];
};

struct sl_flow_series {
    struct sl_histogram *latencies[SL_LANES][LATENCIES];
    struct feed_series *feeds[FEED_SLOTS]; /* by the hash of the name */
    unsigned feed_count;
};

struct sl_flow_series *sl_flow_series_new(void)
{
    return SL_NEW(struct sl_flow_series);
}

void sl_flow_series_free(struct sl_flow_series *series)
{
    for (unsigned slot = 0; slot < FEED_SLOTS; slot++)
        while (series->feeds[slot]) {
            struct feed_series *one = series->feeds[slot];
            series->feeds[slot] = one->next;
            free(one);
        }
    free(series);
}

/* --- rows --- */

static struct feed_series **slot_of(const struct sl_flow *flow, const char *feed)
{
    return &flow->series->feeds[sl_hash(feed, strlen(feed)) % FEED_SLOTS];
}

static struct feed_series *find_series(const struct sl_flow *flow, const char *feed)
{
    struct feed_series *one = *slot_of(flow, feed);
    while (one && strcmp(one->name, feed) != 0)
        one = one->next;
    return one;
}

static struct feed_series *feed_series(const struct sl_flow *flow, const char *feed)
{
    size_t length = strlen(feed);
    struct feed_series **slot = slot_of(flow, feed), *known = find_series(flow, feed);
    if (known)
        return known;
    if (flow->series->feed_count >= FEEDS_MAX && strcmp(feed, OTHER) != 0)
        return feed_series(flow, OTHER);
    flow->series->feed_count++;
    struct feed_series *one = sl_calloc(1, sizeof *one + length + 1);
    memcpy(one->name, feed, length + 1);
    one->next = *slot;
    *slot = one;
    return one;
}

static const char *fate_name(const struct sl_flow *flow, enum fate fate)
{
    switch (fate) {
    case TAKEN:
        return flow->options.read_stage;
    case DONE:
        return flow->options.write_stage;
    case STALE:
        return "stale";
    case DEAD:
        return "dead";
    default:
        return "superseded";
    }
}

static struct sl_metric *rows_metric(const struct sl_flow *flow, const char *feed, enum fate fate)
{
    struct feed_series *series = feed_series(flow, feed);
    if (!series->rows[fate])
        series->rows[fate] =
            sl_counter("rows_total", "Rows, by feed and stage.", "feed=\"%s\",stage=\"%s\"",
                       series->name, fate_name(flow, fate));
    return series->rows[fate];
}

static void count_rows(const struct sl_flow *flow, const struct sl_batch *batch, enum fate fate,
                       uint32_t rows)
{
    if (rows)
        sl_metric_add(rows_metric(flow, batch->origin.feed, fate), rows);
}

void sl_flow_count_from_zero(const struct sl_flow *flow, const char *feed)
{
    enum fate never = flow->options.ledger ? SUPERSEDED : STALE;
    for (enum fate fate = 0; fate < FATES; fate++)
        if (fate != never)
            rows_metric(flow, feed, fate);
}

/* --- latencies --- */

/* By lane: beside millions of rows in bulk nobody would see how late a live change is. */
static void add_latency(const struct sl_flow *flow, enum sl_lane lane, enum latency stage,
                        int64_t from_us, int64_t to_us, uint32_t rows)
{
    if (!from_us || !to_us || !rows)
        return;
    struct sl_histogram **histogram = &flow->series->latencies[lane][stage];
    if (!*histogram)
        *histogram = sl_histogram_metric(
                         "stage_seconds", "Time a row needed for each stage, and in all.",
                         "lane=\"%s\",stage=\"%s\"", sl_lane_name(lane), latency_names[stage])
                         ->histogram;
    sl_histogram_add(*histogram, to_us > from_us ? (uint64_t)(to_us - from_us) : 0, rows);
}

/* From the change of each row until to_us. A row whose source did not tell, or that only a full
 * read or a replay brings up again, counts from otherwise_us; 0: not at all. Neighbours were often
 * changed at the same moment. */
static void add_since_change(const struct sl_flow *flow, enum latency stage,
                             const struct sl_batch *batch, int64_t to_us, int64_t otherwise_us)
{
    int64_t from_us = 0;
    uint32_t rows = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        bool old_news = batch->origin.full || batch->records[i].letter;
        int64_t changed_us = old_news ? 0 : sl_us_of_ms(batch->records[i].changed_at_ms);
        if (!changed_us)
            changed_us = otherwise_us;
        if (changed_us != from_us) {
            add_latency(flow, batch->origin.lane, stage, from_us, to_us, rows);
            from_us = changed_us;
            rows = 0;
        }
        rows++;
    }
    add_latency(flow, batch->origin.lane, stage, from_us, to_us, rows);
}

/* --- probes --- */

/* The batch has come to a stage, so many milliseconds after its first row was changed, read or
 * published (0: not known). */
#define STAGE_PROBE(name, batch, from_us, to_us)                                                   \
    SL_PROBE6(name, (batch)->origin.feed, (batch)->origin.run, (batch)->origin.number,             \
              (batch)->count, (int)(batch)->origin.lane, since_ms(from_us, to_us))

static int64_t since_ms(int64_t from_us, int64_t to_us)
{
    return from_us && to_us > from_us ? (to_us - from_us) / 1000 : 0;
}

static int64_t changed_us(const struct sl_batch *batch)
{
    return batch->count && !batch->origin.full ? sl_us_of_ms(batch->records[0].changed_at_ms) : 0;
}

static int64_t read_us(const struct sl_batch *batch)
{
    return batch->read_at_us ? batch->read_at_us : sl_us_of_ms(batch->origin.read_at_ms);
}

/* --- the lag of live rows --- */

/* The time from a row's change to now, at least 1; rows that did not tell count from their reading.
 */
static uint64_t worst_of(const struct sl_batch *batch, int64_t now_ms)
{
    uint64_t worst_ms = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        int64_t from_ms = batch->records[i].changed_at_ms;
        if (batch->records[i].letter)
            continue;
        if (!from_ms)
            from_ms = batch->origin.read_at_ms;
        uint64_t late_ms = from_ms && now_ms > from_ms ? (uint64_t)(now_ms - from_ms) : 1;
        if (late_ms > worst_ms)
            worst_ms = late_ms;
    }
    return worst_ms;
}

static void note_lag(const struct sl_flow *flow, const struct sl_batch *batch, int64_t now_ms)
{
    if (batch->origin.lane != SL_LANE_FAST || batch->origin.full || !batch->count)
        return;
    uint64_t worst_ms = worst_of(batch, now_ms);
    if (!worst_ms)
        return;
    struct feed_series *series = feed_series(flow, batch->origin.feed);
    series->last_ms = sl_loop_now_ms();
    if (worst_ms > series->worst_ms)
        series->worst_ms = worst_ms;
}

void sl_flow_take_lags(struct sl_flow *flow, void (*take)(void *ctx, const struct sl_flow_lag *lag),
                       void *ctx)
{
    for (unsigned slot = 0; slot < FEED_SLOTS; slot++)
        for (struct feed_series *one = flow->series->feeds[slot]; one; one = one->next) {
            const struct sl_flow_lag lag = {one->name, one->worst_ms, one->last_ms};
            one->worst_ms = 0;
            if (lag.last_ms)
                take(ctx, &lag);
        }
}

bool sl_flow_has_lag(const struct sl_flow *flow, const char *feed)
{
    const struct feed_series *series = find_series(flow, feed);
    return series && series->last_ms;
}

/* --- what the flow tells --- */

void sl_flow_count_read(const struct sl_flow *flow, const struct sl_batch *batch)
{
    count_rows(flow, batch, TAKEN, sl_batch_read(batch));
    if (batch->consumed_at_us)
        STAGE_PROBE(consumed, batch, batch->published_at_us, batch->consumed_at_us);
    else
        STAGE_PROBE(seen, batch, changed_us(batch), read_us(batch));
    add_latency(flow, batch->origin.lane, CONSUMED, batch->published_at_us, batch->consumed_at_us,
                batch->count);
}

void sl_flow_count_written(const struct sl_flow *flow, const struct sl_batch *batch,
                           const struct sl_result *result, int64_t written_us)
{
    int64_t from_us = read_us(batch);
    enum sl_lane lane = batch->origin.lane;
    count_rows(flow, batch, DONE, result->applied);
    count_rows(flow, batch, STALE, result->stale);
    count_rows(flow, batch, DEAD, batch->dead_count);
    if (!batch->consumed_at_us) /* this flow is the first one */
        add_since_change(flow, SEEN, batch, from_us, 0);
    if (!flow->options.ledger) { /* and not the last one */
        STAGE_PROBE(confirmed, batch, batch->published_at_us, written_us);
        count_rows(flow, batch, SUPERSEDED, batch->superseded);
        add_latency(flow, lane, PUBLISHED, from_us, batch->published_at_us, batch->count);
        add_latency(flow, lane, CONFIRMED, batch->published_at_us, written_us, batch->count);
        return;
    }
    add_latency(flow, lane, WRITTEN, batch->consumed_at_us ? batch->consumed_at_us : from_us,
                written_us, batch->count);
    add_since_change(flow, TOTAL, batch, written_us, from_us);
    STAGE_PROBE(written, batch, changed_us(batch), written_us);
    note_lag(flow, batch, written_us / 1000);
}
