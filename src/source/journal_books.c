/* The books of a journal: what is confirmed is journaled as published, what the ledger agrees with
 * is done, and a ledger that stands still has its rows read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/journal_own.h"

enum {
    LOOK_MAX_MS = 5000,
    REWINDS_MAX = 5, /* ledger_deadline grows to 32 times itself while no ledger closes */
    HELD_MAX_MS = 24 * 3600 * 1000,
    SIGNS_OF_LIFE = 4, /* of a streaming run, within the time after which it is an orphan */
};

static const char NOT_CLOSED[] = "its ledger did not close";

static int save(struct sl_journal *journal, const struct sl_journal_entry *run,
                enum sl_run_state state, const char *error, struct sl_err *err)
{
    struct sl_run *out = SL_NEW(struct sl_run);
    snprintf(out->id, sizeof out->id, "%s", run->id);
    snprintf(out->feed, sizeof out->feed, "%s", journal->options.feed);
    snprintf(out->error, sizeof out->error, "%s", error);
    out->number = run->number;
    out->state = state;
    out->full = run->full;
    out->live = run->lane == SL_LANE_FAST;
    out->unsettled = state == SL_RUN_FAILED && run->untold;
    out->attempt = run->attempt;
    out->created_ms = run->created_ms;
    out->state_ms = sl_wall_ms();
    out->expires_ms = out->state_ms + SL_LEDGER_KEPT_MS;
    struct sl_run_entity *entity = &out->entities[out->entity_count++];
    snprintf(entity->name, sizeof entity->name, "%s", journal->options.entity);
    entity->read = run->read;
    entity->dead = run->dead;
    entity->superseded = run->superseded;
    entity->batches = run->batches;
    entity->finished = run->stage >= SL_JOURNAL_ENDED;
    struct sl_state *store = journal->options.state;
    int rc = store->type->run_save(store, out, journal->epoch, err);
    free(out);
    return rc;
}

static struct sl_journal_run view(const struct sl_journal_entry *run)
{
    return (struct sl_journal_run){.id = run->id,
                                   .number = run->number,
                                   .mark = run->mark,
                                   .seen = run->seen,
                                   .full = run->full,
                                   .read = run->read,
                                   .dead = run->dead + run->dead_later};
}

static bool is_confirmed(const struct sl_journal_entry *run)
{
    return run->stage >= SL_JOURNAL_ENDED && run->committed == run->batches;
}

/* The first run that the owner does not know of, when all of it is confirmed; else NULL. */
static struct sl_journal_entry *confirmed(const struct sl_journal *journal)
{
    struct sl_journal_entry *run = journal->first;
    while (run && (run->stage >= SL_JOURNAL_PUBLISHED || run->given_up))
        run = run->next;
    return run && is_confirmed(run) ? run : NULL;
}

static int publish(struct sl_journal *journal, struct sl_journal_entry *run, struct sl_err *err)
{
    struct sl_journal_run told = view(run);
    run->begun = true; /* also when no answer comes */
    int rc = save(journal, run, SL_RUN_PUBLISHED, "", err);
    if (rc != SL_OK || run->given_up) /* its rows are being read again already */
        return rc;
    run->stage = SL_JOURNAL_TOLD;
    rc = journal->options.handler->published(journal->options.ctx, &told, err);
    if (rc != SL_OK)
        return rc;
    run->stage = SL_JOURNAL_PUBLISHED;
    run->published_ms = run->moved_ms = run->look_ms = sl_loop_now_ms();
    return SL_OK;
}

/* Asks the ledger whether it has all of a published run. */
static int look(struct sl_journal *journal, struct sl_journal_entry *run, struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    struct sl_ledger_sum sum = {0};
    int rc =
        state->type->ledger_sum(state, run->id, run->attempt, journal->options.entity, &sum, err);
    if (rc != SL_OK)
        return rc;
    uint64_t now_ms = sl_loop_now_ms();
    if (sum.batches != run->booked) {
        run->moved_ms = now_ms;
        run->held_ms = 0;
    }
    run->booked = sum.batches;
    run->dead_later = sum.dead;
    if (sum.batches == run->batches &&
        sum.applied + sum.stale + sum.dead + run->superseded + run->dead == run->read)
        run->stage = SL_JOURNAL_AGREED;
    run->look_ms = now_ms + run->pause_ms;
    run->pause_ms = sl_backoff_next(run->pause_ms, LOOK_MAX_MS);
    return SL_OK;
}

static int finish(struct sl_journal *journal, struct sl_err *err)
{
    struct sl_journal_entry *run = journal->first;
    struct sl_journal_run told = view(run);
    int rc = journal->options.handler->closed(journal->options.ctx, &told, err);
    if (rc == SL_OK)
        rc = save(journal, run, SL_RUN_DONE, "", err);
    if (rc != SL_OK)
        return rc;
    sl_log(SL_DEBUG, "run done", SL_T("feed", journal->options.feed), SL_T("run", run->id),
           SL_N("read", run->read), SL_N("dead", run->dead + run->dead_later));
    journal->rewinds = 0;
    sl_journal_drop_first(journal);
    if (journal->first) /* the appliers may have got no further than the run before it */
        journal->first->moved_ms = sl_loop_now_ms();
    return SL_OK;
}

static int give_up_stuck(struct sl_journal *journal, struct sl_err *err)
{
    const struct sl_journal_handler *handler = journal->options.handler;
    struct sl_journal_run told = view(journal->first);
    int rc = handler->rewind ? handler->rewind(journal->options.ctx, &told, err) : SL_OK;
    for (struct sl_journal_entry *run = journal->first; run && rc == SL_OK; run = run->next)
        if (run->stage >= SL_JOURNAL_PUBLISHED)
            rc = save(journal, run, SL_RUN_FAILED,
                      "its ledger did not close; its rows are read again", err);
    if (rc != SL_OK)
        return rc;
    sl_log(SL_WARN, "ledger does not close, reading again", SL_T("feed", journal->options.feed),
           SL_T("run", told.id), SL_N("batches", journal->first->booked));
    handler->stuck(journal->options.ctx, &told);
    if (journal->rewinds < REWINDS_MAX)
        journal->rewinds++;
    sl_journal_give_up(journal, true);
    sl_batcher_abandon(journal->options.batcher);
    return SL_OK;
}

void sl_journal_lost_words(const struct sl_journal_lost *lost, char ret[SL_JOURNAL_LOST_BYTES])
{
    unsigned long long runs = lost->runs, rows = lost->rows;
    if (runs == 1)
        snprintf(ret, SL_JOURNAL_LOST_BYTES, "run %s (%llu rows)", lost->first, rows);
    else
        snprintf(ret, SL_JOURNAL_LOST_BYTES,
                 "%llu runs so far (%llu rows; the first was %s, the last %s)", runs, rows,
                 lost->first, lost->last);
}

static void note_lost(struct sl_journal *journal, const struct sl_journal_entry *run)
{
    struct sl_journal_lost *lost = &journal->lost;
    if (!strcmp(lost->last, run->id)) /* tried again */
        return;
    if (!lost->runs++)
        snprintf(lost->first, sizeof lost->first, "%s", run->id);
    snprintf(lost->last, sizeof lost->last, "%s", run->id);
    lost->rows += run->read;
}

/* The same for rows that nobody can read again. */
static int give_up_first(struct sl_journal *journal, struct sl_err *err)
{
    struct sl_journal_entry *run = journal->first;
    run->untold = true;
    int rc = save(journal, run, SL_RUN_FAILED, NOT_CLOSED, err);
    if (rc != SL_OK)
        return rc;
    note_lost(journal, run);
    journal->options.handler->lost(journal->options.ctx, &journal->lost);
    sl_journal_drop_first(journal);
    return SL_OK;
}

/* The appliers may just have been behind. It is noted before it is saved: that may be done although
 * no answer came, and then nobody finds it again. */
static int settle(struct sl_journal *journal, const struct sl_run *from, struct sl_err *err)
{
    struct sl_journal_entry *run = sl_journal_adopted(journal, from);
    int rc = look(journal, run, err);
    bool closed = run->stage == SL_JOURNAL_AGREED;
    if (rc == SL_OK && !closed)
        note_lost(journal, run);
    if (rc == SL_OK)
        rc =
            save(journal, run, closed ? SL_RUN_DONE : SL_RUN_FAILED, closed ? "" : NOT_CLOSED, err);
    free(run);
    return rc;
}

int sl_journal_tell_again(struct sl_journal *journal, struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    struct sl_run *run = SL_NEW(struct sl_run);
    uint64_t before = journal->lost.runs;
    int64_t after = 0;
    int rc;
    while ((rc = state->type->run_unsettled(state, journal->options.feed, after, run, err)) ==
           SL_OK) {
        if (!sl_journal_is_own(journal, run, journal->epoch))
            after = run->number;
        else if ((rc = settle(journal, run, err)) != SL_OK)
            break;
    }
    free(run);
    if (journal->lost.runs > before) /* once: a second text might be held back, and dropped */
        journal->options.handler->lost(journal->options.ctx, &journal->lost);
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

/* The oldest run waits for too long. */
static bool is_late(const struct sl_journal *journal, const struct sl_journal_entry *run)
{
    return run == journal->first && sl_loop_now_ms() - run->moved_ms >=
                                        journal->options.ledger_deadline_ms << journal->rewinds;
}

/* It is late because nobody applies: its rows are safe in their queue, and to read them again would
 * add to it. Not for ever, since they may be others that wait there. */
static bool is_held_up(const struct sl_journal *journal, struct sl_journal_entry *run)
{
    uint64_t now_ms = sl_loop_now_ms();
    if (run->held_ms && now_ms - run->held_ms >= HELD_MAX_MS)
        return false;
    if (!sl_sink_stands(journal->options.sink, journal->options.feed, !run->held_ms))
        return false;
    if (!run->held_ms)
        run->held_ms = now_ms;
    run->moved_ms = sl_loop_now_ms();
    return true;
}

/* Asks the ledger of each published run whose time has come. Runs are done in their order. */
static int close_published(struct sl_journal *journal, uint64_t *ret_wait_ms, struct sl_err *err)
{
    for (struct sl_journal_entry *run = journal->first, *next;
         run && run->stage >= SL_JOURNAL_PUBLISHED && !run->given_up; run = next) {
        int rc = SL_OK;
        next = run->next;
        if (run->stage == SL_JOURNAL_PUBLISHED &&
            (sl_loop_now_ms() >= run->look_ms || is_late(journal, run)))
            rc = look(journal, run, err);
        if (rc != SL_OK) /* appliers cannot write the ledger now either: their time does not run */
            journal->first->moved_ms = sl_loop_now_ms();
        if (rc == SL_OK && run->stage == SL_JOURNAL_AGREED && run == journal->first) {
            rc = finish(journal, err);
            next = journal->first;
            if (rc == SL_OK)
                continue;
        }
        if (rc != SL_OK)
            return rc;
        if (is_late(journal, run) && !is_held_up(journal, run) && !run->given_up) {
            if (!journal->options.read_once)
                return give_up_stuck(journal, err);
            rc = give_up_first(journal, err);
            if (rc != SL_OK)
                return rc;
            next = journal->first;
            continue;
        }
        if (run->stage == SL_JOURNAL_PUBLISHED && run->look_ms < *ret_wait_ms)
            *ret_wait_ms = run->look_ms;
    }
    return SL_OK;
}

/* What was cut off. A newer owner may have noted it already. */
static int write_abandoned(struct sl_journal *journal, struct sl_err *err)
{
    while (journal->abandoned) {
        int rc = save(journal, journal->abandoned, SL_RUN_ABANDONED,
                      "given up; what was not confirmed is read again", err);
        if (rc != SL_OK && rc != SL_REJECTED)
            return rc;
        sl_journal_drop_abandoned(journal);
    }
    return SL_OK;
}

/* When it is to be journaled as streaming: once, and again where it would look like an orphan. */
static uint64_t begin_ms(const struct sl_journal *journal, const struct sl_journal_entry *run)
{
    uint64_t orphan_ms = journal->options.orphan_ms;
    if (!run->begun_ms)
        return 0;
    return orphan_ms ? run->begun_ms + orphan_ms / SIGNS_OF_LIFE : SL_FOREVER;
}

/* Not at all when it is over already. */
static int write_begun(struct sl_journal *journal, uint64_t *ret_wait_ms, struct sl_err *err)
{
    for (struct sl_journal_entry *run = journal->first; run; run = run->next) {
        if (run->stage >= SL_JOURNAL_PUBLISHED || run->given_up || is_confirmed(run))
            continue;
        if (sl_loop_now_ms() >= begin_ms(journal, run)) {
            run->begun = true; /* also when no answer comes */
            int rc = save(journal, run, SL_RUN_STREAMING, "", err);
            if (rc != SL_OK)
                return rc;
            run->begun_ms = sl_loop_now_ms();
        }
        if (begin_ms(journal, run) < *ret_wait_ms)
            *ret_wait_ms = begin_ms(journal, run);
    }
    return SL_OK;
}

/* Of processes that fed the same feed and are gone; its own have just shown that they are not. */
static int abandon_orphans(struct sl_journal *journal, struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    uint64_t orphan_ms = journal->options.orphan_ms;
    if (!orphan_ms || sl_loop_now_ms() < journal->orphans_ms)
        return SL_OK;
    int rc = state->type->runs_abandon(state, journal->options.feed, 0,
                                       sl_wall_ms() - (int64_t)orphan_ms,
                                       "its process ended before it did", err);
    if (rc == SL_OK)
        journal->orphans_ms = sl_deadline_in(orphan_ms);
    return rc;
}

static int keep(struct sl_journal *journal, uint64_t *ret_wait_ms, struct sl_err *err)
{
    struct sl_journal_entry *run;
    int begun = write_abandoned(journal, err);
    if (begun == SL_OK)
        begun = write_begun(journal, ret_wait_ms, err);
    if (begun == SL_OK)
        begun = abandon_orphans(journal, err);
    if (begun != SL_OK)
        return begun;
    while ((run = confirmed(journal))) {
        int rc = publish(journal, run, err);
        if (rc != SL_OK)
            return rc;
    }
    return close_published(journal, ret_wait_ms, err);
}

int sl_journal_keep(struct sl_journal *journal, uint64_t *ret_wait_ms, struct sl_err *err)
{
    *ret_wait_ms = SL_FOREVER;
    journal->keeping = true;
    int rc = keep(journal, ret_wait_ms, err);
    journal->keeping = false;
    sl_journal_drop_given_up(journal);
    sl_wake_all(&journal->kept);
    return rc;
}
