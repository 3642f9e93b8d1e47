/* Lag and dead letters: what the counters of rows tell an operator. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/metric.h"
#include "cli/gateway_own.h"
#include "loop/fiber.h"

enum { SUBJECT_BYTES = 160, TEXT_BYTES = 400 };

/* --- dead letters --- */

/* A series of dead letters. They are kept in the order of the metrics, so that one walk along both
 * finds each. */
struct growth {
    const struct sl_metric *metric;
    int64_t seen;     /* at the last look */
    int64_t base;     /* when they began to grow */
    uint64_t grew_ms; /* loop clock, when they last grew */
    struct growth *next;
};

struct sl_alert_rows {
    struct growth *first;
    bool looked; /* what is new from here on has grown, not only been found */
};

struct sl_alert_rows *sl_alert_rows_new(void)
{
    return SL_NEW(struct sl_alert_rows);
}

void sl_alert_rows_free(struct sl_alert_rows *rows)
{
    while (rows && rows->first) {
        struct growth *growth = rows->first;
        rows->first = growth->next;
        free(growth);
    }
    free(rows);
}

/* "vendors" of feed="vendors",stage="dead"; "queue bulk" of queue="bulk". False: the metric counts
 * something else. */
static bool subject_of(const struct sl_metric *metric, char out[SUBJECT_BYTES])
{
    static const char feed[] = "feed=\"", queue[] = "queue=\"";
    const char *labels = metric->labels;
    if (!strcmp(metric->name, "unreadable_messages_total") &&
        !strncmp(labels, queue, sizeof queue - 1)) {
        labels += sizeof queue - 1;
        snprintf(out, SUBJECT_BYTES, "queue %.*s", (int)strcspn(labels, "\""), labels);
        return true;
    }
    if (strcmp(metric->name, "rows_total") != 0 || strncmp(labels, feed, sizeof feed - 1) != 0 ||
        !strstr(labels, "\",stage=\"dead\""))
        return false;
    labels += sizeof feed - 1;
    snprintf(out, SUBJECT_BYTES, "%.*s", (int)strcspn(labels, "\""), labels);
    return true;
}

static void look_at_growth(struct growth *growth, const struct sl_alert_settings *alerts,
                           const char *subject)
{
    uint64_t now_ms = sl_loop_now_ms();
    int64_t value = growth->metric->value;
    bool grew = value > growth->seen;
    if (grew)
        growth->grew_ms = now_ms;
    else if (now_ms - growth->grew_ms >= alerts->dead_quiet_ms)
        growth->base = value;
    growth->seen = value;

    char text[TEXT_BYTES];
    bool queue = !strncmp(growth->metric->labels, "queue", 5);
    snprintf(text, sizeof text,
             "%" PRId64 " new dead letters; sluice dead list%s%s tells why, and "
             "sluice dead replay takes them up again.",
             value - growth->base, queue ? "" : " --feed ", queue ? "" : subject);
    const struct sl_alert_condition condition = {
        .kind = SL_ALERT_DEAD_LETTERS,
        .subject = subject,
        .look = !grew                                          ? SL_ALERT_GOOD
                : value - growth->base >= alerts->dead_letters ? SL_ALERT_BAD
                                                               : SL_ALERT_UNKNOWN,
        .clear_ms = alerts->dead_quiet_ms,
        .title = "dead letters are growing",
        .text = text,
    };
    sl_alert_observe(&condition);
}

static struct growth *insert(struct growth **at, const struct sl_metric *metric, bool from_zero)
{
    struct growth *growth = SL_NEW(struct growth);
    growth->metric = metric;
    growth->seen = growth->base = from_zero ? 0 : metric->value;
    growth->next = *at;
    *at = growth;
    return growth;
}

void sl_alert_rows_look_at_dead(struct sl_alert_rows *rows, const struct sl_alert_settings *alerts)
{
    struct growth **at = &rows->first;
    for (const struct sl_metric *metric = sl_metric_first(); metric; metric = metric->next) {
        char subject[SUBJECT_BYTES];
        if (!subject_of(metric, subject))
            continue;
        if (!*at || (*at)->metric != metric)
            insert(at, metric, rows->looked);
        look_at_growth(*at, alerts, subject);
        at = &(*at)->next;
    }
    rows->looked = true;
}

/* --- lag --- */

static void observe_lag(const struct sl_alert_settings *alerts, const char *subject,
                        enum sl_alert_look look, const char *text)
{
    const struct sl_alert_condition condition = {
        .kind = SL_ALERT_LAG,
        .subject = subject,
        .look = look,
        .hold_ms = alerts->lag_for_ms,
        .clear_ms = alerts->recovered_after_ms,
        .title = "changes come late",
        .text = text,
    };
    sl_alert_observe(&condition);
}

/* Late rows with none between them that are in time. Where none come, none are late. */
static void take_lag(void *ctx, const struct sl_flow_lag *lag)
{
    const struct sl_alert_settings *alerts = ctx;
    uint64_t silent_ms = sl_loop_now_ms() - lag->last_ms;
    enum sl_alert_look look = SL_ALERT_GOOD;
    char text[TEXT_BYTES];
    if (lag->worst_ms > alerts->lag_ms)
        look = SL_ALERT_BAD;
    else if (!lag->worst_ms && silent_ms < alerts->lag_for_ms)
        look = SL_ALERT_UNKNOWN;
    snprintf(text, sizeof text,
             "The last rows came %.1f s after their change, promised are %.1f s; sluice status "
             "shows which stage takes how long.",
             (double)lag->worst_ms / 1000, (double)alerts->lag_ms / 1000);
    observe_lag(alerts, lag->feed, look, text);
}

/* Rows that no applier takes are never counted as late. */
static void look_at_waiting(const struct sl_feed *feed, const struct sl_alert_settings *alerts)
{
    char subject[SUBJECT_BYTES], text[TEXT_BYTES];
    if (!feed->kind->feed_waiting_ms)
        return;
    uint64_t waiting_ms = feed->kind->feed_waiting_ms(feed->source);
    snprintf(subject, sizeof subject, "%s (waiting)", feed->config->name);
    snprintf(
        text, sizeof text,
        "Rows that RabbitMQ confirmed %.0f s ago are not in MongoDB; are the appliers running?",
        (double)waiting_ms / 1000);
    observe_lag(alerts, subject, waiting_ms > alerts->lag_ms ? SL_ALERT_BAD : SL_ALERT_GOOD, text);
}

/* After a reload: was raised before, and no row has come since. */
static void look_at_silent(const struct sl_gateway *gateway, const struct sl_alert_settings *alerts)
{
    const struct sl_flow *fast = gateway->lanes[SL_LANE_FAST].flow;
    for (size_t i = 0; i < gateway->config->feed_count; i++) {
        const char *name = gateway->config->feeds[i].name;
        if (sl_alert_is_raised(SL_ALERT_LAG, name) && (!fast || !sl_flow_has_lag(fast, name)))
            observe_lag(alerts, name, SL_ALERT_GOOD, "");
    }
}

void sl_alert_rows_look(struct sl_alert_rows *rows, struct sl_gateway *gateway)
{
    const struct sl_alert_settings *alerts = &gateway->settings->alerts;
    sl_alert_rows_look_at_dead(rows, alerts);
    if (gateway->lanes[SL_LANE_FAST].flow) /* live rows have a lane of their own */
        sl_flow_take_lags(gateway->lanes[SL_LANE_FAST].flow, take_lag,
                          (void *)(uintptr_t)&gateway->settings->alerts);
    look_at_silent(gateway, alerts);
    for (size_t i = 0; i < gateway->feed_count; i++)
        look_at_waiting(&gateway->feeds[i], alerts);
}
