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

/* The run of each feed; a process that only applies has none to show. */
static void print_runs(const struct sl_json *feeds, FILE *out)
{
    int width = name_width(feeds);
    bool some = false;
    for (const struct sl_json *feed = feeds->first; feed; feed = feed->next) {
        char state[TEXT_MAX], run[TEXT_MAX], next[TEXT_MAX], trouble[TEXT_MAX];
        const struct sl_json *node = sl_json_get(feed, "state");
        if (!node || node->kind != SL_JSON_MAP)
            continue;
        if (!some)
            fprintf(out, "\n%-*s %-10s %-24s %s\n", width, "runs", "state", "run", "next");
        some = true;
        bool trouble_free = !strcmp(text_of(node, "trouble", trouble), "-");
        bool elsewhere = trouble_free && !truth_of(node, "owner");
        fprintf(out, "%-*s %-10s %-24s %s%s\n", width, feed->key.at, text_of(node, "state", state),
                text_of(node, "run", run), text_of(node, "next_run", next),
                elsewhere ? " (another process runs this feed)" : "");
        if (!trouble_free)
            fprintf(out, "  %s\n", trouble);
    }
}

static void print_latency(const struct sl_json *list, FILE *out)
{
    static const char *const COLUMNS[] = {"p50_ms", "p99_ms", "p999_ms", "max_ms", NULL};
    bool some = false;
    for (const struct sl_json *item = list->first; item; item = item->next) {
        char name[TEXT_MAX];
        const struct sl_json *labels = sl_json_get(item, "labels"), *number;
        if (!number_of(item, "count"))
            continue;
        if (!some)
            fprintf(out, "\n%-40s %10s %10s %10s %10s\n", "latency (ms)", "p50", "p99", "p99.9",
                    "max");
        some = true;
        int used = fprintf(out, "%s", text_of(item, "name", name));
        for (const struct sl_json *label = labels ? labels->first : NULL; label;
             label = label->next)
            used += fprintf(out, " %s", label->text.length ? label->text.at : "");
        fprintf(out, "%*s", used < 40 ? 40 - used : 0, "");
        for (size_t i = 0; COLUMNS[i]; i++) {
            number = sl_json_get(item, COLUMNS[i]);
            fprintf(out, " %10s", number && number->kind == SL_JSON_NUMBER ? number->text.at : "-");
        }
        fputc('\n', out);
    }
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
                         *latency = sl_json_get(status, "latency"),
                         *credit = sl_json_get(status, "credit");
    print_head(status, out);
    if (feeds && feeds->count) {
        print_runs(feeds, out);
        print_rows(feeds, out);
    }
    if (latency && latency->kind == SL_JSON_LIST)
        print_latency(latency, out);
    if (credit && credit->count)
        print_credit(credit, out);
}
