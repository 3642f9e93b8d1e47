#include "cli/status_text.h"

#include <inttypes.h>
#include <string.h>

enum { NAME_WIDTH = 14, TEXT_MAX = 400 };

static const char *const STAGES[] = {"read",  "published",  "consumed", "applied",
                                     "stale", "superseded", "dead",     NULL};

/* A member as text without control characters, for a terminal; "-" when there is none. */
static const char *text_of(const struct sl_json *node, const char *key, char out[TEXT_MAX])
{
    const char *text = sl_json_text(sl_json_get(node, key));
    snprintf(out, TEXT_MAX, "%s", text && *text ? text : "-");
    sl_text_clean(out);
    return out;
}

static int64_t number_of(const struct sl_json *node, const char *key)
{
    int64_t number = 0;
    sl_json_int(sl_json_get(node, key), &number);
    return number;
}

static bool truth_of(const struct sl_json *node, const char *key)
{
    const struct sl_json *member = sl_json_get(node, key);
    return member && member->kind == SL_JSON_BOOL && member->truth;
}

static void print_uptime(int64_t seconds, FILE *out)
{
    if (seconds >= 86400)
        fprintf(out, "%" PRId64 " d ", seconds / 86400);
    if (seconds >= 3600)
        fprintf(out, "%" PRId64 " h ", seconds / 3600 % 24);
    if (seconds >= 60)
        fprintf(out, "%" PRId64 " min", seconds / 60 % 60);
    else
        fprintf(out, "%" PRId64 " s", seconds);
}

static void print_head(const struct sl_json *status, FILE *out)
{
    char version[TEXT_MAX], role[TEXT_MAX], what[TEXT_MAX], message[TEXT_MAX];
    fprintf(out, "sluice %s, role %s, process %" PRId64 ", running for ",
            text_of(status, "version", version), text_of(status, "role", role),
            number_of(status, "pid"));
    print_uptime(number_of(status, "uptime_s"), out);
    fprintf(out, "\n%s\n", truth_of(status, "ready") ? "ready" : "not ready:");
    const struct sl_json *trouble = sl_json_get(status, "trouble");
    for (const struct sl_json *item = trouble ? trouble->first : NULL; item; item = item->next)
        fprintf(out, "  %s: %s\n", text_of(item, "what", what), text_of(item, "message", message));
}

static int name_width(const struct sl_json *map)
{
    size_t width = NAME_WIDTH;
    for (const struct sl_json *member = map->first; member; member = member->next)
        if (member->key.length > width)
            width = member->key.length;
    return (int)width;
}

/* Rows by stage, one feed a line. */
static void print_rows(const struct sl_json *feeds, FILE *out)
{
    int width = name_width(feeds);
    fprintf(out, "\n%-*s", width, "rows");
    for (size_t i = 0; STAGES[i]; i++)
        fprintf(out, " %11s", STAGES[i]);
    fputc('\n', out);
    for (const struct sl_json *feed = feeds->first; feed; feed = feed->next) {
        fprintf(out, "%-*s", width, feed->key.at);
        for (size_t i = 0; STAGES[i]; i++)
            fprintf(out, " %11" PRId64, number_of(sl_json_get(feed, "rows"), STAGES[i]));
        fputc('\n', out);
    }
}

/* What a feed has done: an export has its run and when the next one is due, others their counts. */
static void print_work(const struct sl_json *node, FILE *out)
{
    char run[TEXT_MAX], next[TEXT_MAX];
    if (sl_json_get(node, "run"))
        fprintf(out, "%-24s %s", text_of(node, "run", run), text_of(node, "next_run", next));
    else if (sl_json_get(node, "polls"))
        fprintf(out, "polls %" PRId64 ", bells %" PRId64 ", every %" PRId64 " ms",
                number_of(node, "polls"), number_of(node, "bells"), number_of(node, "interval_ms"));
    else if (sl_json_get(node, "accepted"))
        fprintf(out, "posts accepted %" PRId64 ", refused %" PRId64 ", put off %" PRId64,
                number_of(node, "accepted"), number_of(node, "refused"),
                number_of(node, "behind") + number_of(node, "unsure"));
    else if (sl_json_get(node, "upserts"))
        fprintf(out, "rows read back %" PRId64 ", deletions %" PRId64 ", dead %" PRId64,
                number_of(node, "upserts"), number_of(node, "deletions"), number_of(node, "dead"));
}

/* What each feed does; a process that only applies has none to show. */
static void print_feeds(const struct sl_json *feeds, FILE *out)
{
    int width = name_width(feeds);
    bool some = false;
    for (const struct sl_json *feed = feeds->first; feed; feed = feed->next) {
        char state[TEXT_MAX], note[TEXT_MAX], trouble[TEXT_MAX];
        const struct sl_json *node = sl_json_get(feed, "state");
        if (!node || node->kind != SL_JSON_MAP)
            continue;
        if (!some)
            fprintf(out, "\n%-*s %-12s %-24s %s\n", width, "feeds", "state", "run", "next");
        some = true;
        bool trouble_free = !strcmp(text_of(node, "trouble", trouble), "-");
        bool elsewhere = trouble_free && sl_json_get(node, "owner") && !truth_of(node, "owner");
        fprintf(out, "%-*s %-12s ", width, feed->key.at, text_of(node, "state", state));
        print_work(node, out);
        fprintf(out, "%s\n", elsewhere ? " (another process runs this feed)" : "");
        if (strcmp(text_of(node, "note", note), "-") != 0)
            fprintf(out, "  %s\n", note);
        if (!trouble_free)
            fprintf(out, "  %s\n", trouble);
    }
}

/* The budgets of application users, and what webhooks heard. */
static void print_sources(const struct sl_json *sources, FILE *out)
{
    int width = name_width(sources);
    fprintf(out, "\nsources\n");
    for (const struct sl_json *node = sources->first; node; node = node->next) {
        const struct sl_json *budget = sl_json_get(node, "budget");
        fprintf(out, "%-*s ", width, node->key.at);
        if (budget)
            fprintf(out, "requests %" PRId64 " of %" PRId64 " in the window, waiting %" PRId64 "%s",
                    number_of(budget, "requests"), number_of(budget, "requests_limit"),
                    number_of(budget, "waiting"),
                    truth_of(node, "owner") ? "" : " (another process spends it)");
        else
            fprintf(
                out, "bells %" PRId64 ", passed on %" PRId64 ", queued to be read back %" PRId64,
                number_of(node, "bells"), number_of(node, "passed_on"), number_of(node, "queued"));
        fputc('\n', out);
    }
}

/* --- latencies --- */

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

static void print_latency_head(const char *what, FILE *out)
{
    fprintf(out, "\n%-40s %10s %10s %10s %10s\n", what, "rows", "p50 ms", "p99 ms", "max ms");
}

static void print_latency(const char *label, const struct sl_json *item, FILE *out)
{
    static const char *const COLUMNS[] = {"p50_ms", "p99_ms", "max_ms", NULL};
    fprintf(out, "%-40s %10" PRId64, label, number_of(item, "count"));
    for (size_t i = 0; COLUMNS[i]; i++) {
        const struct sl_json *number = sl_json_get(item, COLUMNS[i]);
        fprintf(out, " %10s", number && number->kind == SL_JSON_NUMBER ? number->text.at : "-");
    }
    fputc('\n', out);
}

static bool is_stage(const struct sl_json *item, const char *lane, const char *stage)
{
    char name[TEXT_MAX], said[TEXT_MAX];
    const struct sl_json *labels = sl_json_get(item, "labels");
    return !strcmp(text_of(item, "name", name), "stage_seconds") && number_of(item, "count") &&
           (!lane || !strcmp(text_of(labels, "lane", said), lane)) &&
           (!stage || !strcmp(text_of(labels, "stage", said), stage));
}

/* Changed, seen, published, ...: a line for each stage that this process has a part in. */
static void print_way(const struct sl_json *list, const char *lane, const char *title, FILE *out)
{
    bool some = false;
    for (size_t i = 0; i < sizeof WAY / sizeof *WAY; i++)
        for (const struct sl_json *item = list->first; item; item = item->next) {
            char label[64];
            if (!is_stage(item, lane, WAY[i].name))
                continue;
            if (!some)
                print_latency_head(title, out);
            some = true;
            snprintf(label, sizeof label, "%-11s(%s)", WAY[i].name, WAY[i].between);
            print_latency(label, item, out);
        }
}

static void print_other_latencies(const struct sl_json *list, FILE *out)
{
    bool some = false;
    for (const struct sl_json *item = list->first; item; item = item->next) {
        char label[TEXT_MAX];
        const struct sl_json *labels = sl_json_get(item, "labels");
        if (is_stage(item, NULL, NULL) || !number_of(item, "count"))
            continue;
        if (!some)
            print_latency_head("latency of other things", out);
        some = true;
        text_of(item, "name", label);
        for (const struct sl_json *at = labels ? labels->first : NULL; at; at = at->next) {
            size_t used = strlen(label);
            snprintf(label + used, sizeof label - used, " %s", at->text.length ? at->text.at : "");
        }
        print_latency(label, item, out);
    }
}

static void print_latencies(const struct sl_json *list, FILE *out)
{
    print_way(list, "fast", "live changes: from, to", out);
    print_way(list, "bulk", "packages and full reads: from, to", out);
    print_other_latencies(list, out);
}

static void print_credit(const struct sl_json *credit, FILE *out)
{
    fprintf(out, "\n%-*s %11s %11s\n", NAME_WIDTH, "memory (KiB)", "in use", "of");
    for (const struct sl_json *pool = credit->first; pool; pool = pool->next)
        fprintf(out, "%-*s %11" PRId64 " %11" PRId64 "\n", NAME_WIDTH, pool->key.at,
                number_of(pool, "used_bytes") / 1024, number_of(pool, "total_bytes") / 1024);
}

void sl_status_text(const struct sl_json *status, FILE *out)
{
    const struct sl_json *feeds = sl_json_get(status, "feeds"),
                         *sources = sl_json_get(status, "sources"),
                         *latency = sl_json_get(status, "latency"),
                         *credit = sl_json_get(status, "credit");
    print_head(status, out);
    if (feeds && feeds->count) {
        print_feeds(feeds, out);
        print_rows(feeds, out);
    }
    if (sources && sources->count)
        print_sources(sources, out);
    if (latency && latency->kind == SL_JSON_LIST)
        print_latencies(latency, out);
    if (credit && credit->count)
        print_credit(credit, out);
}
