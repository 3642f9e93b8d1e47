/* sluice audit: is every row that was read accounted for? */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/audit_verdict.h"
#include "cli/commands.h"
#include "cli/feed_named.h"
#include "cli/session.h"

enum { SHOWN_RUNS = 20 }; /* that are plainly done, unless all are asked for */

struct line {
    struct sl_audit_run run;
    enum sl_audit_verdict verdict;
};

struct audit {
    struct sl_session *session;
    bool all, json;
    int64_t now_ms;
    struct sl_audit_feeds feeds;
    struct line *lines; /* kept for the end */
    size_t count, capacity;
    uint64_t runs, hidden, failures;
    struct sl_audit_run total;
    struct sl_buf unread; /* a line for each feed that may lack what no run has read */
};

/* --- taking runs --- */

static int64_t time_of(const struct sl_audit_run *run)
{
    return run->created_ms ? run->created_ms : run->first_ms;
}

/* Only the newest of those that have nothing to tell are kept. */
static void drop_oldest_plain(struct audit *audit)
{
    struct line *oldest = NULL;
    size_t plain = 0;
    for (size_t i = 0; i < audit->count; i++) {
        struct line *line = &audit->lines[i];
        if (line->verdict != SL_AUDIT_CLOSED && line->verdict != SL_AUDIT_EARLIER)
            continue;
        plain++;
        if (!oldest || time_of(&line->run) < time_of(&oldest->run))
            oldest = line;
    }
    if (plain <= SHOWN_RUNS)
        return;
    size_t behind = audit->count - (size_t)(oldest - audit->lines) - 1;
    memmove(oldest, oldest + 1, behind * sizeof *oldest);
    audit->count--;
    audit->hidden++;
}

static void add_total(struct sl_audit_run *total, const struct sl_audit_run *run)
{
    total->read += run->read;
    total->applied += run->applied;
    total->stale += run->stale;
    total->superseded += run->superseded;
    total->dead += run->dead;
    total->dead_on_arrival += run->dead_on_arrival;
    total->unaccounted += run->unaccounted;
}

/* --- numbers --- */

/* Rows that went to RabbitMQ. */
static uint64_t published(const struct sl_audit_run *run)
{
    uint64_t kept = run->superseded + run->dead_on_arrival;
    return run->read > kept ? run->read - kept : 0;
}

/* Rows that RabbitMQ is known to have: of a run that is not published yet, those that arrived. */
static uint64_t confirmed(const struct sl_audit_run *run)
{
    bool all = run->state == SL_RUN_PUBLISHED || run->state == SL_RUN_DONE;
    return all && run->latest ? published(run) : run->applied + run->stale + run->dead;
}

static uint64_t dead(const struct sl_audit_run *run)
{
    return run->dead_on_arrival + run->dead;
}

/* --- JSON --- */

static void print_json(const struct line *line)
{
    const struct sl_audit_run *run = &line->run;
    char at[SL_ISO_BYTES];
    struct sl_buf out;
    sl_buf_init(&out);
    sl_iso_format(time_of(run), at);
    sl_buf_add_text(&out, "{\"run\":");
    sl_buf_add_json_text(&out, run->run);
    sl_buf_add_text(&out, ",\"feed\":");
    sl_buf_add_json_text(&out, run->feed);
    sl_buf_printf(&out,
                  ",\"attempt\":%u,\"state\":\"%s\",\"journaled\":%s,\"full\":%s,\"at\":\"%s\","
                  "\"read\":%" PRIu64 ",\"published\":%" PRIu64 ",\"confirmed\":%" PRIu64
                  ",\"applied\":%" PRIu64 ",\"stale\":%" PRIu64 ",\"superseded\":%" PRIu64
                  ",\"dead\":%" PRIu64 ",\"unaccounted\":%" PRIu64 ",\"ok\":%s",
                  run->attempt, sl_audit_word(line->verdict, run),
                  run->journaled ? "true" : "false", run->full ? "true" : "false", at, run->read,
                  published(run), confirmed(run), run->applied, run->stale, run->superseded,
                  dead(run), run->unaccounted,
                  sl_audit_is_failure(line->verdict) ? "false" : "true");
    if (sl_audit_note(line->verdict)) {
        sl_buf_add_text(&out, ",\"note\":");
        sl_buf_add_json_text(&out, sl_audit_note(line->verdict));
    }
    if (*run->error) {
        sl_buf_add_text(&out, ",\"error\":");
        sl_buf_add_json_text(&out, run->error);
    }
    printf("%s}\n", out.data);
    sl_buf_done(&out);
}

/* --- text --- */

static int compare(const void *a, const void *b)
{
    const struct sl_audit_run *one = &((const struct line *)a)->run;
    const struct sl_audit_run *other = &((const struct line *)b)->run;
    int by_feed = strcmp(one->feed, other->feed);
    if (by_feed)
        return by_feed;
    return time_of(one) < time_of(other) ? -1 : time_of(one) > time_of(other);
}

static void print_row(int width, const char *name, const char *state,
                      const struct sl_audit_run *run)
{
    printf("%-*s  %-11s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %8" PRIu64
           " %10" PRIu64 " %6" PRIu64 " %11" PRIu64 "\n",
           width, name, state, run->read, published(run), confirmed(run), run->applied, run->stale,
           run->superseded, dead(run), run->unaccounted);
}

static int widest(const struct audit *audit)
{
    size_t width = strlen("total");
    for (size_t i = 0; i < audit->count; i++)
        if (strlen(audit->lines[i].run.run) > width)
            width = strlen(audit->lines[i].run.run);
    return (int)width;
}

static void print_notes(const struct audit *audit)
{
    for (size_t i = 0; i < audit->count; i++) {
        const struct line *line = &audit->lines[i];
        const char *note = sl_audit_note(line->verdict);
        if (note)
            printf("%s: %s%s%s%s\n", line->run.run, note, *line->run.error ? " (" : "",
                   line->run.error, *line->run.error ? ")" : "");
    }
}

static void print_text(struct audit *audit)
{
    int width = widest(audit);
    qsort(audit->lines, audit->count, sizeof *audit->lines, compare);
    printf("%-*s  %-11s %10s %10s %10s %10s %8s %10s %6s %11s\n", width, "RUN", "STATE", "READ",
           "PUBLISHED", "CONFIRMED", "APPLIED", "STALE", "SUPERSEDED", "DEAD", "UNACCOUNTED");
    for (size_t i = 0; i < audit->count; i++) {
        const struct line *line = &audit->lines[i];
        print_row(width, line->run.run, sl_audit_word(line->verdict, &line->run), &line->run);
    }
    audit->total.latest = true;
    audit->total.state = SL_RUN_DONE;
    print_row(width, "total", "", &audit->total);
    print_notes(audit);
    if (audit->hidden)
        printf("%" PRIu64 " older runs that are done are in the total and not shown; --all shows "
               "them.\n",
               audit->hidden);
    printf("%s", audit->unread.length ? audit->unread.data : "");
    if (audit->failures)
        printf("\n%" PRIu64 " run%s with rows that are not accounted for.\n", audit->failures,
               audit->failures == 1 ? "" : "s");
    else if (audit->unread.length)
        printf("\nEvery row that was read is accounted for; not all was read, as told above.\n");
    else
        printf("\nEvery row of every run that has ended is accounted for.\n");
}

/* --- the command --- */

static bool is_failed(const struct sl_audit_run *run)
{
    return run->latest && run->state == SL_RUN_FAILED;
}

static void take(void *ctx, const struct sl_audit_run *run)
{
    struct audit *audit = ctx;
    struct line line = {.run = *run};
    sl_audit_feeds_note(&audit->feeds, run);
    line.verdict = sl_audit_judge(audit->session->config, &audit->feeds, run, audit->now_ms);
    audit->runs++;
    if (line.verdict == SL_AUDIT_EXPIRED)
        line.run.unaccounted = 0;
    if (sl_audit_counts(line.verdict))
        add_total(&audit->total, &line.run);
    if (!is_failed(run)) { /* else it depends on runs that are still to come */
        audit->failures += sl_audit_is_failure(line.verdict);
        if (audit->json) {
            print_json(&line);
            return;
        }
    }
    if (audit->count == audit->capacity) {
        audit->capacity = audit->capacity ? 2 * audit->capacity : 64;
        audit->lines = sl_realloc(audit->lines, audit->capacity * sizeof *audit->lines);
    }
    if (!audit->json) { /* a message may say any run, and an error quotes its peer */
        sl_text_clean(line.run.run);
        sl_text_clean(line.run.error);
    }
    audit->lines[audit->count++] = line;
    if (!audit->all)
        drop_oldest_plain(audit);
}

static void note_feed(void *ctx, const struct sl_audit_run *run)
{
    sl_audit_feeds_note(ctx, run);
}

/* One run alone says nothing of those that came after it. */
static int note_later_runs(struct audit *audit, struct sl_err *err)
{
    struct sl_state *state = audit->session->state;
    for (size_t i = 0; i < audit->count; i++) {
        const struct sl_audit_run *run = &audit->lines[i].run;
        if (is_failed(run))
            return state->type->audit(state, run->feed, NULL, note_feed, &audit->feeds, err);
    }
    return SL_OK;
}

static void judge_failed(struct audit *audit)
{
    for (size_t i = 0; i < audit->count; i++) {
        struct line *line = &audit->lines[i];
        if (!is_failed(&line->run))
            continue;
        line->verdict =
            sl_audit_judge(audit->session->config, &audit->feeds, &line->run, audit->now_ms);
        audit->failures += sl_audit_is_failure(line->verdict);
        if (audit->json)
            print_json(line);
    }
}

/* A feed whose newest run brought nothing, or not all, and one that is suspect. */
static int look_at_feed(struct audit *audit, const char *feed, struct sl_err *err)
{
    struct sl_state *state = audit->session->state;
    char reason[SL_ERR_TEXT_BYTES];
    int rc = state->type->suspect_get(state, feed, reason, err);
    if (rc != SL_OK && rc != SL_NOTFOUND)
        return rc;
    const char *what = "changes may be missing until a full export is done";
    if (rc == SL_NOTFOUND) {
        what = "its newest run did not bring all";
        snprintf(reason, sizeof reason, "%s", sl_audit_failure(&audit->feeds, feed));
    }
    sl_text_clean(reason);
    if (reason[0])
        sl_buf_printf(&audit->unread, "%s: %s (%s)\n", feed, what, reason);
    return SL_OK;
}

static int look_at_feeds(struct audit *audit, const char *only, struct sl_err *err)
{
    const struct sl_config *config = audit->session->config;
    int rc = SL_OK;
    for (size_t i = 0; rc == SL_OK && i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i];
        if (!strcmp(feed->source->type->name, "dmf") && (!only || !strcmp(only, feed->name)))
            rc = look_at_feed(audit, feed->name, err);
    }
    return rc;
}

/* Of a feed that is configured it is no news: it may be a new one. */
static int nothing(const struct sl_session *session)
{
    const struct sl_options *options = session->options;
    struct sl_err unknown;
    if (options->run ||
        (options->topic && !sl_feed_named(session->config, options->topic, &unknown))) {
        fprintf(stderr, "sluice: nothing is known of %s '%s'\n", options->run ? "run" : "feed",
                options->run ? options->run : options->topic);
        return SL_EXIT_FAILED;
    }
    if (!options->json)
        puts("There was no run yet.");
    return SL_EXIT_OK;
}

static int work(struct sl_session *session)
{
    const struct sl_options *options = session->options;
    struct sl_err err = {0};
    struct sl_state *state = sl_session_state(session);
    if (!state)
        return SL_EXIT_FAILED;
    struct audit audit = {
        .session = session, .all = options->all, .json = options->json, .now_ms = sl_wall_ms()};
    int status = SL_EXIT_OK;
    sl_buf_init(&audit.unread);
    int rc = state->type->audit(state, options->topic, options->run, take, &audit, &err);
    if (rc == SL_OK && options->run)
        rc = note_later_runs(&audit, &err);
    else if (rc == SL_OK && !options->json)
        rc = look_at_feeds(&audit, options->topic, &err);
    if (rc == SL_OK && audit.runs) {
        judge_failed(&audit);
        if (!audit.json)
            print_text(&audit);
        status = audit.failures ? SL_EXIT_FAILED : SL_EXIT_OK;
    } else {
        status = rc == SL_OK ? nothing(session) : sl_session_fail(&err);
    }
    sl_audit_feeds_done(&audit.feeds);
    sl_buf_done(&audit.unread);
    free(audit.lines);
    return status;
}

int sl_cmd_audit(const struct sl_options *options)
{
    return sl_session_run(options, work);
}
