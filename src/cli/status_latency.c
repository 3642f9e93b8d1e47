#include "cli/status_latency.h"

#include <inttypes.h>
#include <string.h>

#include "cli/status_own.h"

/* The way of a change, in its order, and what each stage lies between. */
static const struct {
    const char *name, *between;
} WAY[] = {
    {"seen",      "changed, read by sluice"    },
    {"published", "read, sent to RabbitMQ"     },
    {"confirmed", "sent, safe in RabbitMQ"     },
    {"consumed",  "sent, taken from RabbitMQ"  },
    {"written",   "taken, durable in MongoDB"  },
    {"total",     "changed, durable in MongoDB"},
};

static const struct {
    const char *head, *member;
    bool closely; /* only when asked to look so */
} COLUMNS[] = {
    {"p50 ms",   "p50_ms",  false},
    {"p99 ms",   "p99_ms",  false},
    {"p99.9 ms", "p999_ms", true },
    {"max ms",   "max_ms",  false},
};

struct printing {
    bool closely;
    FILE *out;
};

static void print_head(const struct printing *printing, const char *what)
{
    fprintf(printing->out, "\n%-40s %10s", what, "rows");
    for (size_t i = 0; i < sizeof COLUMNS / sizeof *COLUMNS; i++)
        if (printing->closely || !COLUMNS[i].closely)
            fprintf(printing->out, " %10s", COLUMNS[i].head);
    fputc('\n', printing->out);
}

static void print_line(const struct printing *printing, const char *label,
                       const struct sl_json *numbers)
{
    fprintf(printing->out, "%-40s %10" PRId64, label, sl_status_number_of(numbers, "count"));
    for (size_t i = 0; i < sizeof COLUMNS / sizeof *COLUMNS; i++) {
        const struct sl_json *number = sl_json_get(numbers, COLUMNS[i].member);
        if (printing->closely || !COLUMNS[i].closely)
            fprintf(printing->out, " %10s",
                    number && number->kind == SL_JSON_NUMBER ? number->text.at : "-");
    }
    fputc('\n', printing->out);
}

static void print_item(const struct printing *printing, const char *label,
                       const struct sl_json *item)
{
    print_line(printing, label, item);
    if (printing->closely)
        print_line(printing, "  in the last minute", sl_json_get(item, "last_minute"));
}

static bool is_stage(const struct sl_json *item, const char *lane, const char *stage)
{
    char name[SL_STATUS_TEXT_MAX], its_lane[SL_STATUS_TEXT_MAX], its_stage[SL_STATUS_TEXT_MAX];
    const struct sl_json *labels = sl_json_get(item, "labels");
    sl_status_text_of(item, "name", name);
    sl_status_text_of(labels, "lane", its_lane);
    sl_status_text_of(labels, "stage", its_stage);
    return !strcmp(name, "stage_seconds") && sl_status_number_of(item, "count") &&
           (!lane || !strcmp(its_lane, lane)) && (!stage || !strcmp(its_stage, stage));
}

/* Changed, seen, published, ...: a line for each stage that this process has a part in. */
static void print_way(const struct printing *printing, const struct sl_json *list, const char *lane,
                      const char *title)
{
    bool some = false;
    for (size_t i = 0; i < sizeof WAY / sizeof *WAY; i++)
        for (const struct sl_json *item = list->first; item; item = item->next) {
            char label[64];
            if (!is_stage(item, lane, WAY[i].name))
                continue;
            if (!some)
                print_head(printing, title);
            some = true;
            snprintf(label, sizeof label, "%-11s(%s)", WAY[i].name, WAY[i].between);
            print_item(printing, label, item);
        }
}

static void print_others(const struct printing *printing, const struct sl_json *list)
{
    bool some = false;
    for (const struct sl_json *item = list->first; item; item = item->next) {
        char label[SL_STATUS_TEXT_MAX];
        const struct sl_json *labels = sl_json_get(item, "labels");
        if (is_stage(item, NULL, NULL) || !sl_status_number_of(item, "count"))
            continue;
        if (!some)
            print_head(printing, "latency of other things");
        some = true;
        sl_status_text_of(item, "name", label);
        for (const struct sl_json *at = labels ? labels->first : NULL; at; at = at->next) {
            size_t used = strlen(label);
            snprintf(label + used, sizeof label - used, " %s", at->text.length ? at->text.at : "");
        }
        print_item(printing, label, item);
    }
}

void sl_status_latency(const struct sl_json *list, bool closely, FILE *out)
{
    const struct printing printing = {closely, out};
    if (!list || list->kind != SL_JSON_LIST)
        return;
    print_way(&printing, list, "fast", "live changes: from, to");
    print_way(&printing, list, "bulk", "packages and full reads: from, to");
    print_others(&printing, list);
}
