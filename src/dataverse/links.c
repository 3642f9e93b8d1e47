/* How far a table was read: links, and what the journal keeps of them. A journaled link says what
 * it is, since a page of a full read is gone on with otherwise than the changes are:
 *
 *     "page https://…"    the next page of the full read at.reading
 *     "delta https://…"   the changes since then
 *     "sweep NAME"        (only as a run's mark) the deletions of the full read NAME */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dataverse/dataverse_own.h"

static const char PAGE[] = "page ", DELTA[] = "delta ", SWEEP[] = "sweep ";

enum {
    IDLE_SAVE_MS = 10 * 60 * 1000,
    UNTOLD_RUNS = 16, /* may have been begun by an owner that was killed, and not journaled */
};

static bool begins(const char *text, const char *with)
{
    return text && !strncmp(text, with, strlen(with));
}

static void set_text(char **to, const char *from)
{
    char *copy = from ? sl_strdup(from) : NULL;
    free(*to);
    *to = copy;
}

void sl_dv_move_to(struct sl_dv_feed *feed, const char *link, bool full)
{
    set_text(&feed->link, link);
    feed->linked_full = full;
    feed->link_asked_ms = 0;
    feed->refused_ms = feed->refused_at_ms = 0;
    feed->moved = true;
}

int sl_dv_open_full(struct sl_dv_feed *feed, struct sl_err *err)
{
    const struct sl_journal_kind kind = {.lane = SL_LANE_BULK, .seen = feed->at.reading};
    return sl_journal_begin(feed->journal, &kind, err);
}

static char *join(const char *kind, const char *text)
{
    struct sl_buf buf;
    sl_buf_init(&buf);
    sl_buf_add_text(&buf, kind);
    sl_buf_add_text(&buf, text);
    return sl_buf_take(&buf);
}

char *sl_dv_sweep_mark(const struct sl_dv_feed *feed)
{
    return join(SWEEP, feed->at.sweeping);
}

char *sl_dv_mark(const struct sl_dv_feed *feed)
{
    return feed->link ? join(feed->linked_full ? PAGE : DELTA, feed->link) : NULL;
}

void sl_dv_go_back(struct sl_dv_feed *feed)
{
    const char *mark = feed->at.newest;
    if (begins(mark, PAGE) && feed->at.reading[0]) /* without a name its rows were not seen by it */
        sl_dv_move_to(feed, mark + strlen(PAGE), true);
    else if (begins(mark, DELTA))
        sl_dv_move_to(feed, mark + strlen(DELTA), false);
    else
        sl_dv_move_to(feed, NULL, true);
    feed->moved = feed->sweep_published = false;
    feed->base_ms = 0; /* what it leads to was wanted before */
}

/* To the link that was kept when a refresh began. */
static void return_to_kept(struct sl_dv_feed *feed)
{
    sl_journal_abandon(feed->journal); /* what it read since is read again */
    feed->earlier = sl_journal_number(feed->journal);
    set_text(&feed->at.newest, feed->at.kept);
    set_text(&feed->at.safe, feed->at.kept);
    sl_dv_go_back(feed);
}

bool sl_dv_full_is_safe(const struct sl_dv_feed *feed)
{
    return begins(feed->at.safe, DELTA);
}

/* --- the checkpoint --- */

/* One at a time: two on their way could arrive in the other order. */
static int wait_saved(struct sl_dv_feed *feed, struct sl_err *err)
{
    while (feed->saving)
        if (sl_wait(&feed->saved, SL_FOREVER) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    return SL_OK;
}

static int save(struct sl_dv_feed *feed, struct sl_checkpoint *at, struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    int64_t run = sl_journal_number(feed->journal);
    feed->saving = true;
    at->run_number = run;
    int rc = state->type->checkpoint_save(state, feed->config->name, at, feed->fence, err);
    feed->saving = false;
    sl_wake_all(&feed->saved);
    if (rc == SL_OK) {
        feed->at.stored_run = run;
        feed->link_saved_ms = sl_loop_now_ms();
        feed->moved = false;
    }
    return rc;
}

int sl_dv_save(struct sl_dv_feed *feed, struct sl_err *err)
{
    int rc = wait_saved(feed, err);
    return rc == SL_OK ? save(feed, &feed->at, err) : rc;
}

/* Full reads to come are none of those that one has overtaken, also when the checkpoint was lost.
 */
static int go_behind(const struct sl_dv_feed *feed, struct sl_checkpoint *at, struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    struct sl_overtake by = {0};
    int rc = state->type->overtake_get(state, feed->config->name, &by, err);
    if (rc != SL_OK && rc != SL_NOTFOUND)
        return rc;
    if (at->full_number < by.full)
        at->full_number = by.full;
    return SL_OK;
}

/* An owner of old may still write what it had begun, the end of a run behind it. From here on it
 * cannot, and what it has left counts; but for what the claim has found. */
static int shut_out(const struct sl_dv_feed *feed, int64_t epoch, struct sl_checkpoint *at,
                    struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    struct sl_checkpoint left;
    int rc =
        state->type->checkpoint_take(state, feed->config->name, at->fence_base + epoch, &left, err);
    if (rc != SL_OK)
        return rc;
    left.fence_base = at->fence_base;
    memcpy(left.source, at->source, sizeof left.source);
    if (left.full_number < at->full_number)
        left.full_number = at->full_number;
    sl_checkpoint_done(at);
    *at = left;
    return SL_OK;
}

int sl_dv_take_up(struct sl_dv_feed *feed, int64_t epoch, struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    struct sl_checkpoint at = {0};
    /* The books are left alone until it is known, but what they began, they end. */
    feed->epoch = 0;
    feed->elsewhere = false;
    int rc = sl_journal_wait_kept(feed->journal, err);
    if (rc != SL_OK)
        return rc;
    rc = state->type->checkpoint_load(state, feed->config->name, &at, err);
    if (rc != SL_OK && rc != SL_NOTFOUND)
        return rc;
    rc = sl_dv_claim(feed, &at, err);
    if (rc == SL_OK)
        rc = shut_out(feed, epoch, &at, err);
    if (rc == SL_OK)
        rc = go_behind(feed, &at, err);
    if (rc == SL_OK)
        rc = sl_journal_adopt(feed->journal, at.fence_base + epoch, at.run_number, at.newest, err);
    if (rc != SL_OK) {
        sl_checkpoint_done(&at);
        return rc;
    }
    sl_checkpoint_done(&feed->at);
    feed->at = at;
    feed->lost = feed->untouched = false;
    feed->refresh_told = at.refresh != 0;
    feed->earlier = at.full_after;
    if (feed->elsewhere) { /* its links lead nowhere here */
        set_text(&feed->at.newest, NULL);
        set_text(&feed->at.kept, NULL);
    }
    sl_dv_go_back(feed);
    if (!sl_journal_unclosed(feed->journal))
        set_text(&feed->at.safe, feed->at.newest); /* it stands for closed runs alone */
    feed->link_saved_ms = sl_loop_now_ms();
    feed->fence = at.fence_base + epoch;
    feed->epoch = epoch;
    if (at.note[0])
        feed->dataverse->env.alerter->remind(SL_ALERT_SWEEP_REFUSED, feed->config->name,
                                             "sweep refused", at.note);
    return SL_OK;
}

int sl_dv_begin_full(struct sl_dv_feed *feed, const char *why, struct sl_err *err)
{
    struct sl_checkpoint *at = &feed->at;
    sl_dv_sweep_stop(feed);
    sl_journal_abandon(feed->journal);
    sl_dv_move_to(feed, NULL, true);
    set_text(&at->newest, NULL);
    set_text(&at->safe, NULL);
    at->full_number++;
    at->full_at_ms = sl_wall_ms();
    at->full_after = sl_journal_skip(feed->journal, UNTOLD_RUNS);
    snprintf(at->reading, sizeof at->reading, SL_TABLE_READ "%06" PRId64, feed->config->name,
             at->full_number);
    at->sweeping[0] = '\0';
    feed->sweep_published = false;
    at->page_rows = feed->dataverse->settings->page_size;
    at->floor = sl_dv_deletion_version(sl_dv_greatest(feed->counter));
    at->full_dead = false;
    at->behind = false;
    if (at->query && strcmp(at->query, feed->shape) != 0)
        set_text(&at->kept, NULL); /* it asks for other columns */
    set_text(&at->query, feed->shape);
    feed->reading_rows = 0;
    feed->earlier = sl_journal_number(feed->journal);
    int rc = sl_dv_save(feed, err);
    feed->untouched = rc == SL_OK; /* else it is begun anew: a successor must not use its name */
    if (rc == SL_OK)
        sl_log(why ? SL_WARN : SL_INFO, "full read begins", SL_T("feed", feed->config->name),
               SL_T("table", feed->settings->table), SL_T("read", at->reading),
               SL_T("why", why ? why : "the table was not read before"));
    return rc;
}

int sl_dv_save_idle(struct sl_dv_feed *feed, struct sl_err *err)
{
    if (feed->lost || !feed->moved || !feed->link || sl_journal_is_open(feed->journal) ||
        sl_journal_unpublished(feed->journal) ||
        sl_loop_now_ms() - feed->link_saved_ms < IDLE_SAVE_MS)
        return SL_OK;
    char *mark = sl_dv_mark(feed);
    set_text(&feed->at.newest, mark);
    if (!sl_journal_unclosed(feed->journal))
        set_text(&feed->at.safe, mark);
    free(mark);
    return sl_dv_save(feed, err);
}

/* Until it is journaled that the sweep is over, it is not, for whoever looks meanwhile. Another
 * full read may begin meanwhile: then that is what counts, whether or not this was journaled. */
int sl_dv_leave_sweep(struct sl_dv_feed *feed, const char *read, bool clean, struct sl_err *err)
{
    struct sl_checkpoint *at = &feed->at;
    int rc = wait_saved(feed, err);
    if (rc != SL_OK || strcmp(at->sweeping, read) != 0)
        return rc;
    bool returns = at->kept && !clean;
    struct sl_checkpoint left = *at; /* borrows its texts */
    left.sweeping[0] = '\0';
    left.kept = NULL;
    if (returns)
        left.newest = left.safe = at->kept;
    rc = save(feed, &left, err);
    if (rc != SL_OK || strcmp(at->sweeping, read) != 0)
        return rc;
    at->sweeping[0] = '\0';
    feed->sweep_published = false;
    if (returns)
        return_to_kept(feed);
    set_text(&at->kept, NULL);
    feed->refresh_told |= at->refresh != 0;
    return SL_OK;
}

/* --- what the journal reports --- */

/* The full read has come to its end with this run. */
static void end_full(struct sl_dv_feed *feed)
{
    sl_log(SL_INFO, "full read published", SL_T("feed", feed->config->name),
           SL_T("read", feed->at.reading), SL_N("rows", feed->reading_rows));
    snprintf(feed->at.sweeping, sizeof feed->at.sweeping, "%s", feed->at.reading);
    feed->at.reading[0] = '\0';
}

static int on_published(void *ctx, const struct sl_journal_run *run, struct sl_err *err)
{
    struct sl_dv_feed *feed = ctx;
    if (!run->mark || begins(run->mark, SWEEP) || run->number <= feed->earlier)
        return SL_OK; /* it leads nowhere, or not any more */
    set_text(&feed->at.newest, run->mark);
    if (begins(run->mark, DELTA) && run->seen && !strcmp(run->seen, feed->at.reading))
        end_full(feed);
    return sl_dv_save(feed, err);
}

static int on_closed(void *ctx, const struct sl_journal_run *run, struct sl_err *err)
{
    struct sl_dv_feed *feed = ctx;
    int rc = SL_OK;
    if (run->full && run->dead && run->number > feed->earlier) { /* the sweep must know */
        feed->at.full_dead = true;
        rc = sl_dv_save(feed, err);
    }
    /* A sweep is over only now: were its rows lost, it is done again. */
    if (rc == SL_OK && begins(run->mark, SWEEP))
        rc = sl_dv_leave_sweep(feed, run->mark + strlen(SWEEP), true, err);
    else if (rc == SL_OK && run->mark && run->number > feed->earlier)
        set_text(&feed->at.safe, run->mark);
    feed->moved = true; /* saved with the next run, or when idle: an older safe link is safe too */
    sl_wake_all(&feed->wake);
    return rc;
}

/* Back to where all is known to be in the database. */
static int on_rewind(void *ctx, const struct sl_journal_run *run, struct sl_err *err)
{
    struct sl_dv_feed *feed = ctx;
    struct sl_checkpoint *at = &feed->at;
    (void)run;
    set_text(&at->newest, at->safe);
    if (at->sweeping[0] && !begins(at->safe, DELTA)) {
        snprintf(at->reading, sizeof at->reading, "%s", at->sweeping);
        at->sweeping[0] = '\0';
    }
    feed->lost = true; /* from here on the poller leaves `at` alone */
    return sl_dv_save(feed, err);
}

static void on_stuck(void *ctx, const struct sl_journal_run *run)
{
    struct sl_dv_feed *feed = ctx;
    (void)run;
    feed->lost = true;
    sl_wake_all(&feed->wake);
}

static void on_broken(void *ctx)
{
    struct sl_dv_feed *feed = ctx;
    feed->lost = true;
    sl_wake_all(&feed->wake);
}

static void on_stir(void *ctx)
{
    struct sl_dv_feed *feed = ctx;
    sl_books_stir(&feed->dataverse->books);
}

const struct sl_journal_handler sl_dv_journal_handler = {
    .published = on_published,
    .closed = on_closed,
    .rewind = on_rewind,
    .stuck = on_stuck,
    .broken = on_broken,
    .stir = on_stir,
};
