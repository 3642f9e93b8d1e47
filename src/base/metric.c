#include "base/metric.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static struct sl_metric *first;

static struct sl_metric *find_or_make(enum sl_metric_kind kind, const char *name, const char *help,
                                      const char *labels)
{
    struct sl_metric **place = &first;
    for (struct sl_metric *at = first; at; at = at->next) {
        if (strcmp(at->name, name))
            continue;
        if (!strcmp(at->labels, labels))
            return at;
        place = &at->next; /* after the last one of this name */
    }
    while (place == &first && *place) /* a new name goes to the end */
        for (; *place; place = &(*place)->next)
            ;

    struct sl_metric *metric = SL_NEW(struct sl_metric);
    metric->name = name;
    metric->help = help;
    metric->labels = sl_strdup(labels);
    metric->kind = kind;
    if (kind == SL_HISTOGRAM)
        metric->histogram = sl_histogram_new();
    metric->next = *place;
    *place = metric;
    return metric;
}

#define FIND_OR_MAKE(kind)                                                                         \
    char text[256];                                                                                \
    va_list args;                                                                                  \
    va_start(args, labels);                                                                        \
    vsnprintf(text, sizeof text, labels, args);                                                    \
    va_end(args);                                                                                  \
    return find_or_make(kind, name, help, text)

struct sl_metric *sl_counter(const char *name, const char *help, const char *labels, ...)
{
    FIND_OR_MAKE(SL_COUNTER);
}

struct sl_metric *sl_gauge(const char *name, const char *help, const char *labels, ...)
{
    FIND_OR_MAKE(SL_GAUGE);
}

struct sl_metric *sl_histogram_metric(const char *name, const char *help, const char *labels, ...)
{
    FIND_OR_MAKE(SL_HISTOGRAM);
}

struct sl_metric *sl_metric_first(void)
{
    return first;
}

int64_t sl_metric_sum(const char *name, const char *part)
{
    int64_t sum = 0;
    for (struct sl_metric *at = first; at; at = at->next)
        if (!strcmp(at->name, name) && strstr(at->labels, part))
            sum += at->value;
    return sum;
}

void sl_metric_turn(void)
{
    for (struct sl_metric *at = sl_metric_first(); at; at = at->next)
        if (at->kind == SL_HISTOGRAM)
            sl_histogram_turn(at->histogram);
}

/* Takes the first one at place out. */
static void drop(struct sl_metric **place)
{
    struct sl_metric *metric = *place;
    *place = metric->next;
    sl_histogram_free(metric->histogram);
    free((char *)metric->labels);
    free(metric);
}

void sl_metric_free_gauges(void)
{
    for (struct sl_metric **place = &first; *place;)
        if ((*place)->kind == SL_GAUGE)
            drop(place);
        else
            place = &(*place)->next;
}

void sl_metric_free_all(void)
{
    while (first)
        drop(&first);
}
