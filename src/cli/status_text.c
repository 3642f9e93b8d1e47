#include "cli/status_text.h"

#include <inttypes.h>
#include <string.h>

#include "cli/status_latency.h"
#include "cli/status_own.h"

enum { NAME_WIDTH = 14 };

static const char *const STAGES[] = {"read",  "published",  "consumed", "applied",
                                     "stale", "superseded", "dead",     NULL};

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
    char version[SL_STATUS_TEXT_MAX], role[SL_STATUS_TEXT_MAX], what[SL_STATUS_TEXT_MAX],
        message[SL_STATUS_TEXT_MAX];
    fprintf(out, "sluice %s, role %s, process %" PRId64 ", running for ",
            sl_status_text_of(status, "version", version), sl_status_text_of(status, "role", role),
            sl_status_number_of(status, "pid"));
    print_uptime(sl_status_number_of(status, "uptime_s"), out);
    fprintf(out, "\n%s\n", truth_of(status, "ready") ? "ready" : "not ready:");
    const struct sl_json *trouble = sl_json_get(status, "trouble");
    for (const struct sl_json *item = trouble ? trouble->first : NULL; item; item = item->next)
        fprintf(out, "  %s: %s\n", sl_status_text_of(item, "what", what),
                sl_status_text_of(item, "message", message));
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
            fprintf(out, " %11" PRId64, sl_status_number_of(sl_json_get(feed, "rows"), STAGES[i]));
        fputc('\n', out);
    }
}

/* What a feed has done: an export has its run and when the next one is due, others their counts. */
static void print_work(const struct sl_json *node, FILE *out)
{
    char run[SL_STATUS_TEXT_MAX], next[SL_STATUS_TEXT_MAX];
    if (sl_json_get(node, "run"))
        fprintf(out, "%-24s %s", sl_status_text_of(node, "run", run),
                sl_status_text_of(node, "next_run", next));
    else if (sl_json_get(node, "polls"))
        fprintf(out, "polls %" PRId64 ", bells %" PRId64 ", every %" PRId64 " ms",
                sl_status_number_of(node, "polls"), sl_status_number_of(node, "bells"),
                sl_status_number_of(node, "interval_ms"));
    else if (sl_json_get(node, "accepted"))
        fprintf(out, "posts accepted %" PRId64 ", refused %" PRId64 ", put off %" PRId64,
                sl_status_number_of(node, "accepted"), sl_status_number_of(node, "refused"),
                sl_status_number_of(node, "behind") + sl_status_number_of(node, "unsure"));
    else if (sl_json_get(node, "upserts"))
        fprintf(out, "rows read back %" PRId64 ", deletions %" PRId64 ", dead %" PRId64,
                sl_status_number_of(node, "upserts"), sl_status_number_of(node, "deletions"),
                sl_status_number_of(node, "dead"));
}

/* What each feed does; a process that only applies has none to show. */
static void print_feeds(const struct sl_json *feeds, FILE *out)
{
    int width = name_width(feeds);
    bool some = false;
    for (const struct sl_json *feed = feeds->first; feed; feed = feed->next) {
        char state[SL_STATUS_TEXT_MAX], note[SL_STATUS_TEXT_MAX], trouble[SL_STATUS_TEXT_MAX];
        const struct sl_json *node = sl_json_get(feed, "state");
        if (!node || node->kind != SL_JSON_MAP)
            continue;
        if (!some)
            fprintf(out, "\n%-*s %-12s %-24s %s\n", width, "feeds", "state", "run", "next");
        some = true;
        bool trouble_free = !strcmp(sl_status_text_of(node, "trouble", trouble), "-");
        bool elsewhere = trouble_free && sl_json_get(node, "owner") && !truth_of(node, "owner");
        fprintf(out, "%-*s %-12s ", width, feed->key.at, sl_status_text_of(node, "state", state));
        print_work(node, out);
        fprintf(out, "%s\n", elsewhere ? " (another process runs this feed)" : "");
        if (strcmp(sl_status_text_of(node, "note", note), "-") != 0)
            fprintf(out, "  %s\n", note);
        if (!trouble_free)
            fprintf(out, "  %s\n", trouble);
    }
}

static void print_budget(const struct sl_json *budget, bool owner, FILE *out)
{
    int64_t of_day = sl_status_number_of(budget, "day_requests_limit");
    fprintf(out, "requests %" PRId64 " of %" PRId64 " in the window, ",
            sl_status_number_of(budget, "requests"), sl_status_number_of(budget, "requests_limit"));
    if (of_day)
        fprintf(out, "%" PRId64 " of %" PRId64 " of a day, ",
                sl_status_number_of(budget, "day_requests"), of_day);
    fprintf(out, "waiting %" PRId64 "%s", sl_status_number_of(budget, "waiting"),
            owner ? "" : " (another process spends it)");
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
            print_budget(budget, truth_of(node, "owner"), out);
        else
            fprintf(out,
                    "bells %" PRId64 ", passed on %" PRId64 ", read back at once %" PRId64
                    ", queued for that %" PRId64,
                    sl_status_number_of(node, "bells"), sl_status_number_of(node, "passed_on"),
                    sl_status_number_of(node, "read_back"), sl_status_number_of(node, "queued"));
        fputc('\n', out);
    }
}

/* Who works on what, among the processes that share the feeds. */
static void print_owners(const struct sl_json *share, FILE *out)
{
    const struct sl_json *owners = sl_json_get(share, "owners"),
                         *members = sl_json_get(share, "members");
    char text[SL_STATUS_TEXT_MAX];
    if (!owners || !owners->count || !members)
        return;
    int width = name_width(owners);
    fprintf(out, "\n%-*s %s\n", width, "owners", "process");
    for (const struct sl_json *node = owners->first; node; node = node->next)
        fprintf(out, "%-*s %s%s\n", width, node->key.at, sl_status_text_of(node, "owner", text),
                truth_of(node, "here") ? " (this process)" : "");
    for (const struct sl_json *node = members->first; node; node = node->next)
        if (!sl_status_number_of(node, "owns"))
            fprintf(out, "%-*s %s\n", width, "(nothing)", node->key.at);
}

static void print_credit(const struct sl_json *credit, FILE *out)
{
    fprintf(out, "\n%-*s %11s %11s\n", NAME_WIDTH, "memory (KiB)", "in use", "of");
    for (const struct sl_json *pool = credit->first; pool; pool = pool->next)
        fprintf(out, "%-*s %11" PRId64 " %11" PRId64 "\n", NAME_WIDTH, pool->key.at,
                sl_status_number_of(pool, "used_bytes") / 1024,
                sl_status_number_of(pool, "total_bytes") / 1024);
}

/* What is raised now. */
static void print_alerts(const struct sl_json *alerts, FILE *out)
{
    char kind[SL_STATUS_TEXT_MAX], subject[SL_STATUS_TEXT_MAX], title[SL_STATUS_TEXT_MAX],
        text[SL_STATUS_TEXT_MAX], since[SL_STATUS_TEXT_MAX];
    fprintf(out, "\nalerts\n");
    for (const struct sl_json *node = alerts->first; node; node = node->next)
        fprintf(out, "%-*s %s, %s, since %s%s\n  %s\n", NAME_WIDTH,
                sl_status_text_of(node, "kind", kind), sl_status_text_of(node, "subject", subject),
                sl_status_text_of(node, "title", title), sl_status_text_of(node, "since", since),
                truth_of(node, "told") ? "" : " (not told)", sl_status_text_of(node, "text", text));
}

void sl_status_text(const struct sl_json *status, FILE *out)
{
    const struct sl_json *feeds = sl_json_get(status, "feeds"),
                         *sources = sl_json_get(status, "sources"),
                         *share = sl_json_get(status, "share"),
                         *latency = sl_json_get(status, "latency"),
                         *credit = sl_json_get(status, "credit"),
                         *alerts = sl_json_get(status, "alerts");
    print_head(status, out);
    if (alerts && alerts->count)
        print_alerts(alerts, out);
    if (feeds && feeds->count) {
        print_feeds(feeds, out);
        print_rows(feeds, out);
    }
    if (sources && sources->count)
        print_sources(sources, out);
    if (share)
        print_owners(share, out);
    sl_status_latency(latency, false, out);
    if (credit && credit->count)
        print_credit(credit, out);
}
