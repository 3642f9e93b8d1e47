#include "ops/prometheus.h"

#include <string.h>

#include "base/metric.h"

/* Upper bounds: from under the loop's slice limit (5 ms) to the age of a change after an outage. */
static const struct {
    uint64_t us;
    const char *seconds;
} bounds[] = {
    {500,         "0.0005"},
    {1000,        "0.001" },
    {2500,        "0.0025"},
    {5000,        "0.005" },
    {10000,       "0.01"  },
    {25000,       "0.025" },
    {50000,       "0.05"  },
    {100000,      "0.1"   },
    {250000,      "0.25"  },
    {500000,      "0.5"   },
    {1000000,     "1"     },
    {2500000,     "2.5"   },
    {5000000,     "5"     },
    {10000000,    "10"    },
    {30000000,    "30"    },
    {60000000,    "60"    },
    {300000000,   "300"   },
    {1800000000,  "1800"  },
    {7200000000,  "7200"  },
    {43200000000, "43200" },
};

/* HELP texts escape backslash and newline; nothing else. */
static void add_help(struct sl_buf *buf, const char *help)
{
    for (; *help; help++) {
        if (*help == '\\')
            sl_buf_add_text(buf, "\\\\");
        else if (*help == '\n')
            sl_buf_add_text(buf, "\\n");
        else
            sl_buf_add_char(buf, *help);
    }
}

static void add_head(struct sl_buf *buf, const struct sl_metric *metric)
{
    static const char *const kinds[] = {
        [SL_COUNTER] = "counter", [SL_GAUGE] = "gauge", [SL_HISTOGRAM] = "histogram"};
    sl_buf_printf(buf, "# HELP sluice_%s ", metric->name);
    add_help(buf, metric->help);
    sl_buf_printf(buf, "\n# TYPE sluice_%s %s\n", metric->name, kinds[metric->kind]);
}

/* "name{labels} " with braces only when there are labels. */
static void add_name(struct sl_buf *buf, const struct sl_metric *metric, const char *suffix)
{
    const char *labels = metric->labels;
    sl_buf_printf(buf, "sluice_%s%s%s%s%s ", metric->name, suffix, *labels ? "{" : "", labels,
                  *labels ? "}" : "");
}

static void add_bucket(struct sl_buf *buf, const struct sl_metric *metric, const char *bound,
                       uint64_t count)
{
    sl_buf_printf(buf, "sluice_%s_bucket{%s%sle=\"%s\"} %llu\n", metric->name, metric->labels,
                  *metric->labels ? "," : "", bound, (unsigned long long)count);
}

static void add_histogram(struct sl_buf *buf, const struct sl_metric *metric)
{
    const struct sl_histogram *histogram = metric->histogram;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        add_bucket(buf, metric, bounds[i].seconds, sl_histogram_count_to(histogram, bounds[i].us));
    add_bucket(buf, metric, "+Inf", sl_histogram_count(histogram));

    uint64_t sum_us = sl_histogram_sum_us(histogram);
    add_name(buf, metric, "_sum");
    sl_buf_printf(buf, "%llu.%06llu\n", (unsigned long long)(sum_us / 1000000),
                  (unsigned long long)(sum_us % 1000000));
    add_name(buf, metric, "_count");
    sl_buf_printf(buf, "%llu\n", (unsigned long long)sl_histogram_count(histogram));
}

void sl_prometheus_metrics(struct sl_buf *buf)
{
    const char *name = "";
    for (struct sl_metric *at = sl_metric_first(); at; at = at->next) {
        if (strcmp(name, at->name))
            add_head(buf, at);
        name = at->name;
        if (at->kind == SL_HISTOGRAM) {
            add_histogram(buf, at);
        } else {
            add_name(buf, at, "");
            sl_buf_printf(buf, "%lld\n", (long long)at->value);
        }
    }
}
