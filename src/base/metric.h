/* Metrics: counters, gauges and histograms, counted here and shown by ops/.
 *
 * A series is found or made once, kept as a pointer, and then costs an addition. */
#ifndef SL_BASE_METRIC_H
#define SL_BASE_METRIC_H

#include <stdint.h>

#include "base/histogram.h"

enum sl_metric_kind { SL_COUNTER, SL_GAUGE, SL_HISTOGRAM };

struct sl_metric {
    const char *name;   /* Prometheus name without prefix: "rows_total" */
    const char *help;   /* one sentence */
    const char *labels; /* `feed="vendors",stage="read"` or "" */
    enum sl_metric_kind kind;
    int64_t value;                  /* counter, gauge */
    struct sl_histogram *histogram; /* microseconds; histograms only */
    struct sl_metric *next;         /* in order of first use, one name together */
};

/* Find or make a series. name and help must live for ever; labels is printf-formatted and copied.
 * Label values come from the configuration, which refuses quotes, backslashes and newlines in
 * names. */
struct sl_metric *sl_counter(const char *name, const char *help, const char *labels, ...)
    __attribute__((format(printf, 3, 4)));
struct sl_metric *sl_gauge(const char *name, const char *help, const char *labels, ...)
    __attribute__((format(printf, 3, 4)));
struct sl_metric *sl_histogram_metric(const char *name, const char *help, const char *labels, ...)
    __attribute__((format(printf, 3, 4)));

static inline void sl_metric_add(struct sl_metric *metric, int64_t amount)
{
    metric->value += amount;
}

static inline void sl_metric_set(struct sl_metric *metric, int64_t value)
{
    metric->value = value;
}

/* The first series; walk by next. */
struct sl_metric *sl_metric_first(void);

/* Sum of all series of that name whose labels contain part ("" for all). */
int64_t sl_metric_sum(const char *name, const char *part);

/* Has the histograms forget what is older than a minute, in what they know of the last one: to be
 * called every SL_HISTOGRAM_SLICE_MS. */
void sl_metric_turn(void);

/* Frees all gauges: between two configurations, when nobody holds one. What is still there says
 * anew how it stands; counters and histograms go on. */
void sl_metric_free_gauges(void);

/* Frees all series: for tests and a clean end. */
void sl_metric_free_all(void);

#endif
