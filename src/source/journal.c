#include "source/journal_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    UNCLOSED_MAX = 16, /* with so many waiting for their ledgers, the open run just grows */
    ADOPTED_MAX = 2 * UNCLOSED_MAX, /* runs of another kind are ended whatever waits */
};

/* --- the list --- */

static void free_run(struct sl_journal_entry *run)
{
    free(run->seen);
    free(run->mark);
    free(run);
}

static struct sl_journal_entry *add_run(struct sl_journal *journal, int64_t number)
{
    struct sl_journal_entry *run = SL_NEW(struct sl_journal_entry), **to = &journal->first;
    run->number = number;
    snprintf(run->id, sizeof run->id, "%s-%06" PRId64, journal->options.prefix, number);
    run->attempt = (uint32_t)journal->epoch;
    run->created_ms = sl_wall_ms();
    run->began_ms = run->moved_ms = sl_loop_now_ms();
    run->pause_ms = SL_JOURNAL_LOOK_MIN_MS;
    while (*to)
        to = &(*to)->next;
    *to = run;
    return run;
}

void sl_journal_drop_first(struct sl_journal *journal)
{
    struct sl_journal_entry *run = journal->first;
    journal->first = run->next;
    free_run(run);
}

void sl_journal_drop_given_up(struct sl_journal *journal)
{
    for (struct sl_journal_entry **at = &journal->first; *at;) {
        struct sl_journal_entry *run = *at;
        if (run->given_up) {
            *at = run->next;
            free_run(run);
        } else {
            at = &run->next;
        }
    }
}

void sl_journal_give_up(struct sl_journal *journal, bool all)
{
    journal->open = NULL;
    for (struct sl_journal_entry *run = journal->first; run; run = run->next)
        run->given_up |= all || !run->published;
    if (!journal->keeping)
        sl_journal_drop_given_up(journal);
}

struct sl_journal *sl_journal_new(const struct sl_journal_options *options)
{
    struct sl_journal *journal = SL_NEW(struct sl_journal);
    journal->options = *options;
    journal->options.feed = sl_strdup(options->feed);
    journal->options.entity = sl_strdup(options->entity);
    journal->options.prefix = sl_strdup(options->prefix);
    journal->epoch = options->epoch;
    return journal;
}

void sl_journal_free(struct sl_journal *journal)
{
    if (!journal)
        return;
    sl_journal_give_up(journal, true);
    free(journal->begun_seen);
    free((char *)(uintptr_t)journal->options.feed);
    free((char *)(uintptr_t)journal->options.entity);
    free((char *)(uintptr_t)journal->options.prefix);
    free(journal);
}

/* --- taking over --- */

static void adopt_run(struct sl_journal *journal, const struct sl_run *from)
{
    struct sl_journal_entry *run = add_run(journal, from->number);
    const struct sl_run_entity *entity = &from->entities[0];
    snprintf(run->id, sizeof run->id, "%s", from->id);
    run->attempt = from->attempt;
    run->created_ms = from->created_ms;
    run->ended = run->published = true;
    run->full = from->full;
    if (from->entity_count) {
        run->read = entity->read;
        run->dead = entity->dead;
        run->superseded = entity->superseded;
        run->batches = run->committed = entity->batches;
    }
    if (from->number > journal->number)
        journal->number = from->number;
}

int sl_journal_adopt(struct sl_journal *journal, int64_t epoch, int64_t number, const char *mark,
                     struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    while (journal->keeping)
        if (sl_wait(&journal->kept, SL_FOREVER) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    struct sl_run *runs = sl_calloc(ADOPTED_MAX, sizeof *runs);
    unsigned count = 0;
    int rc = state->type->runs_open(state, journal->options.feed, runs, ADOPTED_MAX, &count, err);
    if (rc == SL_OK) {
        sl_journal_give_up(journal, true);
        journal->epoch = epoch;
        /* Under the same epoch as before the numbers go on: runs that nobody was told of have
         * ledgers, too. */
        if (number > journal->number)
            journal->number = number;
        for (unsigned i = 0; i < count; i++)
            adopt_run(journal, &runs[i]);
        struct sl_journal_entry *last = journal->first;
        while (last && last->next)
            last = last->next;
        if (last && mark)
            last->mark = sl_strdup(mark);
        if (last)
            journal->options.handler->stir(journal->options.ctx); /* their ledgers may be there */
    }
    free(runs);
    return rc;
}

/* --- adding rows --- */

static bool same_kind(const struct sl_journal_entry *run, const struct sl_journal_kind *kind)
{
    bool same_read = run->seen ? kind->seen && !strcmp(run->seen, kind->seen) : !kind->seen;
    return same_read && run->lane == kind->lane;
}

int sl_journal_begin(struct sl_journal *journal, const struct sl_journal_kind *kind,
                     struct sl_err *err)
{
    if (journal->open && same_kind(journal->open, kind))
        return SL_OK;
    if (journal->open) {
        int rc = sl_journal_end(journal, NULL, err);
        if (rc != SL_OK)
            return rc;
    }
    struct sl_journal_entry *run = add_run(journal, ++journal->number);
    run->lane = kind->lane;
    run->seen = kind->seen ? sl_strdup(kind->seen) : NULL;
    run->full = kind->seen != NULL;
    /* The batcher reads these texts until the next begin; the run may be given up before. */
    snprintf(journal->begun, sizeof journal->begun, "%s", run->id);
    free(journal->begun_seen);
    journal->begun_seen = kind->seen ? sl_strdup(kind->seen) : NULL;
    const struct sl_origin origin = {
        .feed = journal->options.feed,
        .entity = journal->options.entity,
        .run = journal->begun,
        .file = "",
        .attempt = run->attempt,
        .full = run->full,
        .seen = journal->begun_seen,
        .lane = run->lane,
    };
    journal->open = run;
    return sl_batcher_begin(journal->options.batcher, &origin, err);
}

bool sl_journal_is_open(const struct sl_journal *journal)
{
    return journal->open != NULL;
}

bool sl_journal_is_due(const struct sl_journal *journal)
{
    return journal->open &&
           sl_loop_now_ms() - journal->open->began_ms >= journal->options.span_ms &&
           sl_journal_unclosed(journal) < UNCLOSED_MAX;
}

int sl_journal_end(struct sl_journal *journal, const char *mark, struct sl_err *err)
{
    struct sl_journal_entry *run = journal->open;
    struct sl_batcher_totals totals;
    if (!run)
        return SL_OK;
    int rc = sl_batcher_end(journal->options.batcher, &totals, err);
    if (rc != SL_OK || journal->open != run) /* given up meanwhile */
        return rc;
    run->batches = totals.batches;
    run->read = totals.read;
    run->dead = totals.dead;
    run->superseded = totals.superseded;
    run->mark = mark ? sl_strdup(mark) : NULL;
    run->ended = true;
    journal->open = NULL;
    journal->options.handler->stir(journal->options.ctx);
    return SL_OK;
}

void sl_journal_abandon(struct sl_journal *journal)
{
    sl_journal_give_up(journal, false);
    sl_batcher_abandon(journal->options.batcher);
}

/* --- from the flow --- */

static struct sl_journal_entry *run_of(const struct sl_journal *journal,
                                       const struct sl_batch *batch)
{
    for (struct sl_journal_entry *run = journal->first; run; run = run->next)
        if (!run->given_up && run->attempt == batch->origin.attempt &&
            !strcmp(run->id, batch->origin.run))
            return run;
    return NULL;
}

void sl_journal_commit(struct sl_journal *journal, const struct sl_batch *batch)
{
    struct sl_journal_entry *run = run_of(journal, batch);
    if (!run)
        return;
    run->committed++;
    if (run->ended)
        journal->options.handler->stir(journal->options.ctx);
}

void sl_journal_release(struct sl_journal *journal, const struct sl_batch *batch)
{
    if (run_of(journal, batch))
        journal->options.handler->broken(journal->options.ctx);
}

unsigned sl_journal_unpublished(const struct sl_journal *journal)
{
    unsigned count = 0;
    for (const struct sl_journal_entry *run = journal->first; run; run = run->next)
        count += run->ended && !run->published && !run->given_up;
    return count;
}

unsigned sl_journal_unclosed(const struct sl_journal *journal)
{
    unsigned count = 0;
    for (const struct sl_journal_entry *run = journal->first; run; run = run->next)
        count += run->published && !run->given_up;
    return count;
}

bool sl_journal_reads_full(const struct sl_journal *journal)
{
    for (const struct sl_journal_entry *run = journal->first; run; run = run->next)
        if (run->full && !run->given_up)
            return true;
    return false;
}

int64_t sl_journal_number(const struct sl_journal *journal)
{
    return journal->number;
}
