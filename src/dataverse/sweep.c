/* Deletions that a full read implies: what it did not see is gone. Change tracking carries them as
 * long as its token lives; after an expired one only this finds them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dataverse/dataverse_own.h"
#include "source/sweep.h"

enum { RUNS_MAX = 8, RUNS_AGAIN_MS = 100, AGAIN_MS = 5000 };

bool sl_dv_sweep_is_due(const struct sl_dv_feed *feed)
{
    if (feed->sweeper)
        return feed->swept;
    if (feed->sweep_again_ms && sl_loop_now_ms() < feed->sweep_again_ms)
        return false;
    return feed->at.sweeping[0] && !feed->sweep_published && sl_dv_full_is_safe(feed);
}

/* Whether what it sweeps is still to be swept: to be asked after each wait. */
static int go_on(const struct sl_dv_feed *feed, struct sl_err *err)
{
    if (feed->lost) /* perhaps one of its own */
        return sl_err_set(err, SL_CLOSED, "a batch came back");
    if (strcmp(feed->at.sweeping, feed->sweeps) != 0)
        return sl_err_set(err, SL_CLOSED, "the full read '%s' is swept by now", feed->sweeps);
    return SL_OK;
}

static bool is_allowed(const struct sl_dv_feed *feed, const struct sl_sweep *sweep,
                       const struct sl_refresh_part *part, char ret_why[SL_ERR_TEXT_BYTES])
{
    if (!feed->at.behind || !part->unseen)
        return sl_sweep_is_allowed(sweep, part, ret_why);
    snprintf(ret_why, SL_ERR_TEXT_BYTES,
             "%s: a row changed since has a version below those known before; was the environment "
             "restored, or is it another one? sluice refresh %s --reset-versions; else refresh "
             "again",
             sweep->read, feed->config->name);
    return false;
}

/* Nothing was deleted: goes back to the kept link, between two polls. */
static int leave_unclean(struct sl_dv_feed *feed, struct sl_err *err)
{
    int rc = sl_mutex_lock(&feed->adding, SL_FOREVER, err);
    if (rc != SL_OK)
        return rc;
    rc = go_on(feed, err);
    if (rc == SL_OK)
        rc = sl_dv_leave_sweep(feed, feed->sweeps, false, err);
    sl_mutex_unlock(&feed->adding);
    return rc;
}

/* Tells why the documents stay, and leaves it at that until the next full read. */
static int refuse(struct sl_dv_feed *feed, const char *why, struct sl_err *err)
{
    snprintf(feed->at.note, sizeof feed->at.note, "%s", why);
    sl_log(SL_ERROR, "sweep refused", SL_T("feed", feed->config->name), SL_T("why", why));
    feed->dataverse->env.alerter->raise(SL_ALERT_SWEEP_REFUSED, feed->config->name, "sweep refused",
                                        why);
    return leave_unclean(feed, err);
}

static const struct sl_journal_kind kind = {.lane = SL_LANE_BULK};

static int add_deletion(struct sl_dv_feed *feed, struct sl_str id, struct sl_err *err)
{
    struct sl_batch *batch;
    int rc = go_on(feed, err);
    if (rc == SL_OK && feed->at.behind)
        rc = sl_err_set(err, SL_CLOSED, "a change has a version below those known before");
    if (rc == SL_OK)
        rc = sl_journal_begin(feed->journal, &kind, err);
    if (rc == SL_OK)
        rc = sl_batcher_open(feed->batcher, &batch, err);
    if (rc != SL_OK)
        return rc;
    const struct sl_record record = {
        .op = SL_DELETE,
        .id = {sl_arena_copy(&batch->arena, id.at, id.length), id.length},
        .version = feed->at.floor,
    };
    return sl_batcher_add(feed->batcher, &record, err);
}

/* Polls have their turn in between. Each change between the two ends a run: while many wait for
 * their ledgers, polls alone go on. */
static int delete_one(void *ctx, struct sl_str id, struct sl_err *err)
{
    struct sl_dv_feed *feed = ctx;
    int rc = SL_OK;
    while (rc == SL_OK && !feed->lost &&
           sl_journal_unclosed(feed->journal) + sl_journal_unpublished(feed->journal) >= RUNS_MAX)
        rc = sl_fiber_sleep(RUNS_AGAIN_MS);
    if (rc != SL_OK)
        return sl_err_set(err, rc, "cancelled");
    rc = sl_mutex_lock(&feed->adding, SL_FOREVER, err);
    if (rc != SL_OK)
        return rc;
    rc = add_deletion(feed, id, err);
    sl_mutex_unlock(&feed->adding);
    return rc;
}

/* The last run of the sweep says that it was one; a poll may have opened one of its own. */
static int end_run(struct sl_dv_feed *feed, struct sl_err *err)
{
    int rc = sl_mutex_lock(&feed->adding, SL_FOREVER, err);
    if (rc != SL_OK)
        return rc;
    char *mark = sl_dv_sweep_mark(feed);
    rc = go_on(feed, err);
    if (rc == SL_OK)
        rc = sl_journal_begin(feed->journal, &kind, err);
    if (rc == SL_OK)
        rc = sl_journal_end(feed->journal, mark, err);
    free(mark);
    feed->sweep_published = rc == SL_OK; /* over when that run is done; not twice until then */
    sl_mutex_unlock(&feed->adding);
    return rc;
}

static int count(struct sl_dv_feed *feed, const struct sl_sweep *sweep,
                 struct sl_refresh_part *part, struct sl_err *err)
{
    int rc = sl_sweep_count(sweep, part, err);
    return rc == SL_OK ? go_on(feed, err) : rc;
}

/* What the user may not see, the full read could not bring. */
static int look(struct sl_dv_feed *feed, struct sl_sweep *sweep, const struct sl_refresh_part *part,
                struct sl_err *err)
{
    bool partial = false;
    int rc = part->unseen ? sl_dv_look_now(feed, &partial, err) : SL_OK;
    if (partial)
        sweep->doubt = "the user reads less than the organisation";
    return rc == SL_OK ? go_on(feed, err) : rc;
}

/* What comes late from before the full read shall not make documents that this sweep cannot see:
 * those that it made until now are counted once more. */
static int overtake(struct sl_dv_feed *feed, const struct sl_sweep *sweep,
                    struct sl_refresh_part *part, struct sl_err *err)
{
    struct sl_overtake by = {.run = feed->at.full_after, .full = feed->at.full_number};
    if (sweep->dead) /* not stored whole: an older row may be the only one there is */
        return SL_OK;
    snprintf(by.feed, sizeof by.feed, "%s", feed->config->name);
    int rc = sl_overtaken_tell(sweep->state, &by, sweep->state->write_ms, err);
    return rc == SL_OK ? count(feed, sweep, part, err) : rc;
}

/* refresh: the one that the full read is for; NULL: it was none. */
static int count_and_delete(struct sl_dv_feed *feed, struct sl_refresh *refresh, struct sl_err *err)
{
    struct sl_sweep sweep = {
        .state = feed->dataverse->env.state,
        .feed = feed->config,
        .read = feed->sweeps,
        .dead = feed->at.full_dead,
        .limit_percent = feed->settings->sweep_limit_percent,
        .force = refresh && refresh->force,
    };
    struct sl_refresh_part part = {.floor = feed->at.floor};
    char why[SL_ERR_TEXT_BYTES];
    snprintf(part.collection, sizeof part.collection, "%s", feed->config->entities[0].collection);
    int rc = count(feed, &sweep, &part, err);
    if (rc == SL_OK && refresh)
        rc = sl_dv_refresh_counted(feed, refresh, &part, err);
    if (rc != SL_OK)
        return rc;
    if (refresh && refresh->dry_run)
        return leave_unclean(feed, err);
    rc = look(feed, &sweep, &part, err);
    if (rc != SL_OK)
        return rc;
    if (!is_allowed(feed, &sweep, &part, why))
        return refuse(feed, why, err);
    feed->dataverse->env.alerter->clear(SL_ALERT_SWEEP_REFUSED, feed->config->name);
    rc = overtake(feed, &sweep, &part, err);
    if (rc == SL_OK && refresh)
        rc = sl_dv_refresh_counted(feed, refresh, &part, err);
    if (rc == SL_OK)
        rc = look(feed, &sweep, &part, err);
    if (rc != SL_OK)
        return rc;
    if (!is_allowed(feed, &sweep, &part, why))
        return refuse(feed, why, err);
    if (!part.unseen)
        return sl_dv_leave_sweep(feed, feed->sweeps, true, err);
    sl_log(SL_INFO, "sweep begins", SL_T("feed", feed->config->name), SL_T("read", sweep.read),
           SL_N("documents", part.unseen));
    rc = sl_sweep_walk(&sweep, &part, delete_one, feed, err);
    return rc == SL_OK ? end_run(feed, err) : rc;
}

static int sweep(struct sl_dv_feed *feed, struct sl_err *err)
{
    struct sl_refresh *refresh = SL_NEW(struct sl_refresh);
    bool asked = false;
    feed->at.note[0] = '\0';
    int rc = sl_dv_refresh_look(feed, refresh, &asked, err);
    if (rc == SL_OK)
        rc = count_and_delete(feed, asked ? refresh : NULL, err);
    free(refresh);
    return rc;
}

/* --- beside the polls --- */

/* To count and find what was not seen takes minutes in a large collection, and polls need not wait
 * for it: a row that they bring meanwhile is newer than floor, and wins against its deletion. */
static void run(void *arg)
{
    struct sl_dv_feed *feed = arg;
    feed->sweep_err = (struct sl_err){0};
    feed->sweep_err.code = (enum sl_code)sweep(feed, &feed->sweep_err);
    feed->swept = true;
    sl_wake_all(&feed->wake);
}

int sl_dv_sweep(struct sl_dv_feed *feed, struct sl_err *err)
{
    if (!feed->sweeper) {
        feed->swept = false;
        snprintf(feed->sweeps, sizeof feed->sweeps, "%s", feed->at.sweeping);
        feed->sweeper = sl_fiber_spawn_joinable("dv.sweep", run, feed);
        return SL_OK;
    }
    sl_dv_sweep_stop(feed);
    feed->sweep_again_ms = 0;
    if (!sl_code_transient((int)feed->sweep_err.code)) {
        *err = feed->sweep_err;
        return (int)err->code;
    }
    if (strcmp(feed->at.sweeping, feed->sweeps) != 0)
        return SL_OK; /* there is nothing to try again */
    sl_log(SL_WARN, "sweep failed, will try again", SL_T("feed", feed->config->name),
           SL_T("error", feed->sweep_err.message));
    feed->sweep_again_ms = sl_deadline_in(AGAIN_MS); /* no reason for the polls to wait */
    return SL_OK;
}

void sl_dv_sweep_stop(struct sl_dv_feed *feed)
{
    sl_fiber_end(&feed->sweeper);
}
