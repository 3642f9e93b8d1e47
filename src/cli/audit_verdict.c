#include "cli/audit_verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/setting.h"

#define DEADLINE_MS (10 * SL_MINUTE_MS)    /* of feeds that are not configured any more */
#define LEDGER_SAFE_MS (29 * SL_DAY_MS)    /* the ledger is kept for 30 days */
#define INTERRUPTED_MS (10 * SL_MINUTE_MS) /* a replay journals more often than that */

/* --- feeds --- */

static bool is_replay(const struct sl_audit_run *run)
{
    return !strncmp(run->feed, SL_REPLAY_FEED_PREFIX, sizeof SL_REPLAY_FEED_PREFIX - 1);
}

static struct sl_audit_feed *find(const struct sl_audit_feeds *feeds, const char *name)
{
    for (size_t i = 0; i < feeds->count; i++)
        if (!strcmp(feeds->feeds[i].name, name))
            return &feeds->feeds[i];
    return NULL;
}

static struct sl_audit_feed *find_or_add(struct sl_audit_feeds *feeds, const char *name)
{
    struct sl_audit_feed *feed = find(feeds, name);
    if (feed)
        return feed;
    if (feeds->count == feeds->capacity) {
        feeds->capacity = feeds->capacity ? 2 * feeds->capacity : 16;
        feeds->feeds = sl_realloc(feeds->feeds, feeds->capacity * sizeof *feeds->feeds);
    }
    feed = &feeds->feeds[feeds->count++];
    *feed = (struct sl_audit_feed){.done = -1, .done_full = -1, .ended = -1};
    snprintf(feed->name, sizeof feed->name, "%s", name);
    return feed;
}

void sl_audit_feeds_note(struct sl_audit_feeds *feeds, const struct sl_audit_run *run)
{
    bool done = run->state == SL_RUN_DONE;
    if (!run->latest || (!done && run->state != SL_RUN_FAILED))
        return;
    struct sl_audit_feed *feed = find_or_add(feeds, run->feed);
    if (run->number > feed->ended) {
        feed->ended = run->number;
        snprintf(feed->error, sizeof feed->error, "%s", run->error);
    }
    if (done && run->number > feed->done)
        feed->done = run->number;
    if (done && run->full && !run->error[0] && run->number > feed->done_full)
        feed->done_full = run->number;
}

const char *sl_audit_failure(const struct sl_audit_feeds *feeds, const char *name)
{
    const struct sl_audit_feed *feed = find(feeds, name);
    return feed ? feed->error : "";
}

void sl_audit_feeds_done(struct sl_audit_feeds *feeds)
{
    free(feeds->feeds);
    *feeds = (struct sl_audit_feeds){0};
}

static const struct sl_feed_config *configured(const struct sl_config *config, const char *name)
{
    for (size_t i = 0; i < config->feed_count; i++)
        if (!strcmp(config->feeds[i].name, name))
            return &config->feeds[i];
    return NULL;
}

/* Every kind of feed has the setting; only its place differs. */
static int64_t deadline_ms(const struct sl_feed_config *feed)
{
    uint64_t value;
    if (!feed)
        return DEADLINE_MS;
    for (const struct sl_setting *one = feed->source->type->feed_table; one->name; one++)
        if (!strcmp(one->name, "ledger_deadline")) {
            memcpy(&value, (const char *)feed->settings + one->offset, sizeof value);
            return (int64_t)value;
        }
    return DEADLINE_MS;
}

/* --- verdicts --- */

static enum sl_audit_verdict judge_failed(const struct sl_audit_feeds *feeds,
                                          const struct sl_feed_config *config,
                                          const struct sl_audit_run *run)
{
    const struct sl_audit_feed *feed = find(feeds, run->feed);
    const char *type = config ? config->source->type->name : "";
    if (!run->unaccounted)
        return SL_AUDIT_FAILED;
    if (!feed)
        return SL_AUDIT_MISSING;
    /* A full export follows an export whose changes may be lost; a poll goes back to the last link
     * before which all was safe. Events and posts are not read again. */
    if (!strcmp(type, "dmf") && feed->done_full > run->number)
        return SL_AUDIT_AGAIN;
    return !strcmp(type, "dataverse") && feed->done > run->number ? SL_AUDIT_AGAIN
                                                                  : SL_AUDIT_MISSING;
}

static enum sl_audit_verdict judge_replay(const struct sl_audit_run *run, int64_t now_ms)
{
    if (run->state == SL_RUN_DONE)
        return run->unaccounted ? SL_AUDIT_MISSING : SL_AUDIT_CLOSED;
    bool quiet = now_ms - run->state_ms > INTERRUPTED_MS;
    return run->state == SL_RUN_FAILED || quiet ? SL_AUDIT_INTERRUPTED : SL_AUDIT_UNDER_WAY;
}

enum sl_audit_verdict sl_audit_judge(const struct sl_config *config,
                                     const struct sl_audit_feeds *feeds,
                                     const struct sl_audit_run *run, int64_t now_ms)
{
    const struct sl_feed_config *feed = configured(config, run->feed);
    int64_t moved_ms = run->state_ms > run->last_ms ? run->state_ms : run->last_ms;
    bool quiet = now_ms - moved_ms > deadline_ms(feed);
    if (!run->journaled)
        return quiet ? SL_AUDIT_LEFT : SL_AUDIT_OPEN;
    if (!run->latest)
        return SL_AUDIT_EARLIER;
    if (run->unaccounted && run->state == SL_RUN_DONE && now_ms - run->created_ms > LEDGER_SAFE_MS)
        return SL_AUDIT_EXPIRED;
    if (is_replay(run))
        return judge_replay(run, now_ms);
    if (run->state == SL_RUN_ABANDONED)
        return SL_AUDIT_LEFT;
    if (run->state == SL_RUN_FAILED)
        return judge_failed(feeds, feed, run);
    if (run->state == SL_RUN_DONE)
        return run->unaccounted ? SL_AUDIT_MISSING : SL_AUDIT_CLOSED;
    return run->unaccounted && quiet ? SL_AUDIT_LATE : SL_AUDIT_UNDER_WAY;
}

bool sl_audit_is_failure(enum sl_audit_verdict verdict)
{
    return verdict == SL_AUDIT_MISSING || verdict == SL_AUDIT_LATE;
}

bool sl_audit_counts(enum sl_audit_verdict verdict)
{
    return verdict != SL_AUDIT_EARLIER && verdict != SL_AUDIT_EXPIRED;
}

const char *sl_audit_word(enum sl_audit_verdict verdict, const struct sl_audit_run *run)
{
    switch (verdict) {
    case SL_AUDIT_OPEN:
        return "open";
    case SL_AUDIT_LEFT:
        return run->journaled ? sl_run_state_name(run->state) : "left";
    case SL_AUDIT_EARLIER:
        return "earlier";
    case SL_AUDIT_INTERRUPTED:
        return "interrupted";
    default:
        return sl_run_state_name(run->state);
    }
}

const char *sl_audit_note(enum sl_audit_verdict verdict)
{
    switch (verdict) {
    case SL_AUDIT_EXPIRED:
        return "it closed at its end; its ledger is older than 30 days and forgotten";
    case SL_AUDIT_LEFT:
        return "it was cut off, its process killed perhaps: this is what arrived of it, and what "
               "was not confirmed is read again";
    case SL_AUDIT_INTERRUPTED:
        return "the replay did not end; letters whose rows did not arrive are still there: replay "
               "again";
    case SL_AUDIT_AGAIN:
        return "failed, and a later run has read its rows again";
    case SL_AUDIT_MISSING:
        return "rows are unaccounted for: look at the log of that time, then read the source again "
               "(sluice refresh FEED)";
    case SL_AUDIT_LATE:
        return "its ledger stands still for longer than ledger_deadline: is a sluice of role apply "
               "at work, is anything in the queue unreadable (sluice dead list)?";
    default:
        return NULL;
    }
}
