#include "source/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    UNCLOSED_MAX = 16, /* with so many waiting for their ledgers, the open run just grows */
    ADOPTED_MAX = 2 * UNCLOSED_MAX, /* runs of another kind are ended whatever waits */
    LOOK_MIN_MS = 250,
    LOOK_MAX_MS = 5000,
};

#define KEPT_MS (30 * INT64_C(86400000)) /* journaled runs, as long as the ledger's entries */

struct run {
    struct run *next; /* the one after it */
    int64_t number;
    char id[SL_NAME_MAX];
    enum sl_lane lane;
    char *seen, *mark; /* NULL: none */
    bool full, ended, published, agreed;
    bool given_up; /* its rows will be read again; freed when nobody looks at it */
    uint32_t attempt;
    uint32_t batches, committed;
    uint64_t read, dead, superseded;
    int64_t created_ms;  /* wall clock */
    uint64_t began_ms;   /* loop clock, as those below */
    uint64_t look_ms;    /* the ledger is looked at then */
    uint64_t pause_ms;   /* until the look after that */
    uint64_t moved_ms;   /* when the ledger last grew */
    uint64_t dead_later; /* what the database refused */
    uint32_t booked;     /* batches in the ledger */
};

struct sl_journal {
    struct sl_journal_options options;
    int64_t epoch, number;
    struct run *first; /* oldest first; the last one may be open */
    struct run *open;
    char begun[SL_NAME_MAX], *begun_seen; /* name and full read of the run begun last */
    bool keeping;                         /* a fiber is inside sl_journal_keep, perhaps suspended */
    struct sl_waitlist kept;
};

/* --- the list --- */

static void free_run(struct run *run)
{
    free(run->seen);
    free(run->mark);
    free(run);
}

static struct run *add_run(struct sl_journal *journal, int64_t number)
{
    struct run *run = SL_NEW(struct run), **to = &journal->first;
    run->number = number;
    snprintf(run->id, sizeof run->id, "%s-%06" PRId64, journal->options.prefix, number);
    run->attempt = (uint32_t)journal->epoch;
    run->created_ms = sl_wall_ms();
    run->began_ms = run->moved_ms = sl_loop_now_ms();
    run->pause_ms = LOOK_MIN_MS;
    while (*to)
        to = &(*to)->next;
    *to = run;
    return run;
}

static void drop_first(struct sl_journal *journal)
{
    struct run *run = journal->first;
    journal->first = run->next;
    free_run(run);
}

static void drop_given_up(struct sl_journal *journal)
{
    for (struct run **at = &journal->first; *at;) {
        struct run *run = *at;
        if (run->given_up) {
            *at = run->next;
            free_run(run);
        } else {
            at = &run->next;
        }
    }
}

/* Gives up the runs that nobody was told of, or all. */
static void give_up(struct sl_journal *journal, bool all)
{
    journal->open = NULL;
    for (struct run *run = journal->first; run; run = run->next)
        run->given_up = all || !run->published;
    if (!journal->keeping)
        drop_given_up(journal);
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
    give_up(journal, true);
    free(journal->begun_seen);
    free((char *)(uintptr_t)journal->options.feed);
    free((char *)(uintptr_t)journal->options.entity);
    free((char *)(uintptr_t)journal->options.prefix);
    free(journal);
}

/* --- taking over --- */

static void adopt_run(struct sl_journal *journal, const struct sl_run *from)
{
    struct run *run = add_run(journal, from->number);
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
        give_up(journal, true);
        journal->epoch = epoch;
        /* Under the same epoch as before the numbers go on: runs that nobody was told of have
         * ledgers, too. */
        if (number > journal->number)
            journal->number = number;
        for (unsigned i = 0; i < count; i++)
            adopt_run(journal, &runs[i]);
        struct run *last = journal->first;
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

static bool same_kind(const struct run *run, const struct sl_journal_kind *kind)
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
    struct run *run = add_run(journal, ++journal->number);
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
    struct run *run = journal->open;
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
    give_up(journal, false);
    sl_batcher_abandon(journal->options.batcher);
}

/* --- from the flow --- */

static struct run *run_of(const struct sl_journal *journal, const struct sl_batch *batch)
{
    for (struct run *run = journal->first; run; run = run->next)
        if (!run->given_up && run->attempt == batch->origin.attempt &&
            !strcmp(run->id, batch->origin.run))
            return run;
    return NULL;
}

void sl_journal_commit(struct sl_journal *journal, const struct sl_batch *batch)
{
    struct run *run = run_of(journal, batch);
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

/* --- the books --- */

static int save(struct sl_journal *journal, const struct run *run, enum sl_run_state state,
                const char *error, struct sl_err *err)
{
    struct sl_run *out = SL_NEW(struct sl_run);
    snprintf(out->id, sizeof out->id, "%s", run->id);
    snprintf(out->feed, sizeof out->feed, "%s", journal->options.feed);
    snprintf(out->error, sizeof out->error, "%s", error);
    out->number = run->number;
    out->state = state;
    out->full = run->full;
    out->attempt = run->attempt;
    out->created_ms = run->created_ms;
    out->state_ms = sl_wall_ms();
    out->expires_ms = out->state_ms + KEPT_MS;
    struct sl_run_entity *entity = &out->entities[out->entity_count++];
    snprintf(entity->name, sizeof entity->name, "%s", journal->options.entity);
    entity->read = run->read;
    entity->dead = run->dead;
    entity->superseded = run->superseded;
    entity->batches = run->batches;
    entity->finished = true;
    struct sl_state *store = journal->options.state;
    int rc = store->type->run_save(store, out, journal->epoch, err);
    free(out);
    return rc;
}

static struct sl_journal_run view(const struct run *run)
{
    return (struct sl_journal_run){.id = run->id,
                                   .mark = run->mark,
                                   .seen = run->seen,
                                   .full = run->full,
                                   .read = run->read,
                                   .dead = run->dead + run->dead_later};
}

/* The first run that nobody was told of, when all of it is confirmed; else NULL. */
static struct run *confirmed(const struct sl_journal *journal)
{
    struct run *run = journal->first;
    while (run && (run->published || run->given_up))
        run = run->next;
    return run && run->ended && run->committed == run->batches ? run : NULL;
}

static int publish(struct sl_journal *journal, struct run *run, struct sl_err *err)
{
    struct sl_journal_run told = view(run);
    int rc = save(journal, run, SL_RUN_PUBLISHED, "", err);
    if (rc == SL_OK && !run->given_up) /* else its rows are being read again already */
        rc = journal->options.handler->published(journal->options.ctx, &told, err);
    if (rc == SL_OK && !run->given_up) {
        run->published = true;
        run->moved_ms = run->look_ms = sl_loop_now_ms();
    }
    return rc;
}

/* Asks the ledger. SL_OK: run->agreed is known. */
static int look(struct sl_journal *journal, struct run *run, struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    struct sl_ledger_sum sum = {0};
    int rc =
        state->type->ledger_sum(state, run->id, run->attempt, journal->options.entity, &sum, err);
    if (rc != SL_OK)
        return rc;
    uint64_t now_ms = sl_loop_now_ms();
    if (sum.batches != run->booked)
        run->moved_ms = now_ms;
    run->booked = sum.batches;
    run->dead_later = sum.dead;
    run->agreed = sum.batches == run->batches &&
                  sum.applied + sum.stale + sum.dead + run->superseded + run->dead == run->read;
    run->look_ms = now_ms + run->pause_ms;
    run->pause_ms = sl_backoff_next(run->pause_ms, LOOK_MAX_MS);
    return SL_OK;
}

static int finish(struct sl_journal *journal, struct sl_err *err)
{
    struct run *run = journal->first;
    struct sl_journal_run told = view(run);
    int rc = journal->options.handler->closed(journal->options.ctx, &told, err);
    if (rc == SL_OK)
        rc = save(journal, run, SL_RUN_DONE, "", err);
    if (rc != SL_OK)
        return rc;
    sl_log(SL_DEBUG, "run done", SL_T("feed", journal->options.feed), SL_T("run", run->id),
           SL_N("read", run->read), SL_N("dead", run->dead + run->dead_later));
    drop_first(journal);
    return SL_OK;
}

static int give_up_stuck(struct sl_journal *journal, struct sl_err *err)
{
    const struct sl_journal_handler *handler = journal->options.handler;
    struct sl_journal_run told = view(journal->first);
    int rc = handler->rewind ? handler->rewind(journal->options.ctx, &told, err) : SL_OK;
    for (struct run *run = journal->first; run && rc == SL_OK; run = run->next)
        if (run->published)
            rc = save(journal, run, SL_RUN_FAILED,
                      "its ledger did not close; its rows are read again", err);
    if (rc != SL_OK)
        return rc;
    sl_log(SL_WARN, "ledger does not close, reading again", SL_T("feed", journal->options.feed),
           SL_T("run", told.id), SL_N("batches", journal->first->booked));
    handler->stuck(journal->options.ctx, &told);
    give_up(journal, true);
    sl_batcher_abandon(journal->options.batcher);
    return SL_OK;
}

/* The same for rows that nobody can read again. */
static int give_up_first(struct sl_journal *journal, struct sl_err *err)
{
    struct run *run = journal->first;
    struct sl_journal_run told = view(run);
    int rc = save(journal, run, SL_RUN_FAILED, "its ledger did not close", err);
    if (rc != SL_OK)
        return rc;
    journal->options.handler->stuck(journal->options.ctx, &told);
    drop_first(journal);
    return SL_OK;
}

/* Asks the ledger of each published run whose time has come. Runs are done in their order. */
static int close_published(struct sl_journal *journal, uint64_t *ret_wait_ms, struct sl_err *err)
{
    for (struct run *run = journal->first, *next; run && run->published && !run->given_up;
         run = next) {
        int rc = SL_OK;
        next = run->next;
        if (!run->agreed && sl_loop_now_ms() >= run->look_ms)
            rc = look(journal, run, err);
        if (rc == SL_OK && run->agreed && run == journal->first) {
            rc = finish(journal, err);
            next = journal->first;
            if (rc == SL_OK)
                continue;
        }
        if (rc != SL_OK)
            return rc;
        if (run == journal->first &&
            sl_loop_now_ms() - run->moved_ms >= journal->options.ledger_deadline_ms) {
            if (!journal->options.read_once)
                return give_up_stuck(journal, err);
            rc = give_up_first(journal, err);
            if (rc != SL_OK)
                return rc;
            next = journal->first;
            continue;
        }
        if (!run->agreed && run->look_ms < *ret_wait_ms)
            *ret_wait_ms = run->look_ms;
    }
    return SL_OK;
}

static int keep(struct sl_journal *journal, uint64_t *ret_wait_ms, struct sl_err *err)
{
    struct run *run;
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
    drop_given_up(journal);
    sl_wake_all(&journal->kept);
    return rc;
}

unsigned sl_journal_unpublished(const struct sl_journal *journal)
{
    unsigned count = 0;
    for (const struct run *run = journal->first; run; run = run->next)
        count += run->ended && !run->published && !run->given_up;
    return count;
}

unsigned sl_journal_unclosed(const struct sl_journal *journal)
{
    unsigned count = 0;
    for (const struct run *run = journal->first; run; run = run->next)
        count += run->published && !run->given_up;
    return count;
}

bool sl_journal_reads_full(const struct sl_journal *journal)
{
    for (const struct run *run = journal->first; run; run = run->next)
        if (run->full && !run->given_up)
            return true;
    return false;
}

int64_t sl_journal_number(const struct sl_journal *journal)
{
    return journal->number;
}
