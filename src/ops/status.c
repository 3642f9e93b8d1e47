#include "ops/status.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ops/ready.h"

struct part {
    char *name;
    sl_status_provider provide;
    void *ctx;
    struct part *next;
};

static struct part *parts;

void sl_status_register(const char *name, sl_status_provider provider, void *ctx)
{
    struct part **end = &parts;
    while (*end)
        end = &(*end)->next;
    *end = SL_NEW(struct part);
    **end = (struct part){sl_strdup(name), provider, ctx, NULL};
}

void sl_status_clear(void)
{
    while (parts) {
        struct part *part = parts;
        parts = part->next;
        free(part->name);
        free(part);
    }
}

/* `feed="a",stage="b"` as {"feed":"a","stage":"b"}; values hold no quotes (base/metric.h). */
static void add_labels(struct sl_buf *buf, const char *labels)
{
    sl_buf_add_char(buf, '{');
    for (const char *at = labels; *at;) {
        size_t name = strcspn(at, "=");
        if (at[name] != '=' || at[name + 1] != '"')
            break;
        const char *value = at + name + 2;
        size_t length = strcspn(value, "\"");
        sl_buf_printf(buf, "%s\"%.*s\":\"", at == labels ? "" : ",", (int)name, at);
        sl_buf_add_json(buf, value, length);
        sl_buf_add_char(buf, '"');
        at = value + length;
        at += strspn(at, "\",");
    }
    sl_buf_add_char(buf, '}');
}

static double ms_of(uint64_t us)
{
    return (double)us / 1000.0;
}

static void add_numbers(struct sl_buf *buf, const struct sl_histogram *histogram)
{
    sl_buf_printf(buf,
                  "\"count\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,"
                  "\"max_ms\":%.3f",
                  (unsigned long long)sl_histogram_count(histogram),
                  ms_of(sl_histogram_quantile_us(histogram, 0.5)),
                  ms_of(sl_histogram_quantile_us(histogram, 0.99)),
                  ms_of(sl_histogram_quantile_us(histogram, 0.999)),
                  ms_of(sl_histogram_max_us(histogram)));
}

static void add_latency(struct sl_buf *buf, const struct sl_metric *metric)
{
    struct sl_histogram *recent = sl_histogram_recent(metric->histogram);
    sl_buf_add_text(buf, "{\"name\":");
    sl_buf_add_json_text(buf, metric->name);
    sl_buf_add_text(buf, ",\"labels\":");
    add_labels(buf, metric->labels);
    sl_buf_add_char(buf, ',');
    add_numbers(buf, metric->histogram);
    sl_buf_add_text(buf, ",\"last_minute\":{");
    add_numbers(buf, recent);
    sl_buf_add_text(buf, "}}");
    sl_histogram_free(recent);
}

static void add_latencies(struct sl_buf *buf)
{
    bool first = true;
    sl_buf_add_char(buf, '[');
    for (struct sl_metric *at = sl_metric_first(); at; at = at->next) {
        if (at->kind != SL_HISTOGRAM)
            continue;
        if (!first)
            sl_buf_add_char(buf, ',');
        first = false;
        add_latency(buf, at);
    }
    sl_buf_add_char(buf, ']');
}

void sl_status_write(struct sl_buf *buf, const struct sl_about *about)
{
    struct sl_buf trouble;
    sl_buf_init(&trouble);
    bool ready = sl_ready_ask(&trouble);

    sl_buf_add_text(buf, "{\"version\":");
    sl_buf_add_json_text(buf, about->version);
    sl_buf_add_text(buf, ",\"role\":");
    sl_buf_add_json_text(buf, about->role);
    sl_buf_printf(buf, ",\"pid\":%d,\"uptime_s\":%llu,\"ready\":%s,\"trouble\":%s,\"latency\":",
                  (int)getpid(), (unsigned long long)((sl_now_ms() - about->started_ms) / 1000),
                  ready ? "true" : "false", trouble.data);
    sl_buf_done(&trouble);
    add_latencies(buf);

    for (struct part *part = parts; part; part = part->next) {
        sl_buf_add_char(buf, ',');
        sl_buf_add_json_text(buf, part->name);
        sl_buf_add_char(buf, ':');
        part->provide(part->ctx, buf);
    }
    sl_buf_add_text(buf, "}\n");
}
