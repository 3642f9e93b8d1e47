#include "source/journal_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    UNCLOSED_MAX = 16, /* with so many waiting for their ledgers, the open run just grows */
    READ_MAX = 32,     /* runs at once from the state */
};

/* --- the list --- */

static void free_run(struct sl_journal_entry *run)
{
    free(run->seen);
    free(run->mark);
    free(run);
}

static void free_runs(struct sl_journal_entry *first)
{
    while (first) {
        struct sl_journal_entry *run = first;
        first = run->next;
        free_run(run);
    }
}

static struct sl_journal_entry *new_run(const struct sl_journal *journal, int64_t number)
{
    struct sl_journal_entry *run = SL_NEW(struct sl_journal_entry);
    run->number = number;
    snprintf(run->id, sizeof run->id, "%s-%06" PRId64, journal->options.prefix, number);
    run->attempt = (uint32_t)journal->epoch;
    run->created_ms = sl_wall_ms();
    run->began_ms = run->moved_ms = sl_loop_now_ms();
    run->pause_ms = SL_JOURNAL_LOOK_MIN_MS;
    return run;
}

static void append(struct sl_journal *journal, struct sl_journal_entry *run)
{
    struct sl_journal_entry **to = &journal->first;
    while (*to)
        to = &(*to)->next;
    *to = run;
}

void sl_journal_drop_first(struct sl_journal *journal)
{
    struct sl_journal_entry *run = journal->first;
    journal->first = run->next;
    free_run(run);
}

/* What the journal knows to have begun must not look as if it went on. */
static void put_away(struct sl_journal *journal, struct sl_journal_entry *run)
{
    if (!run->begun || run->stage >= SL_JOURNAL_TOLD) {
        free_run(run);
        return;
    }
    run->next = journal->abandoned;
    journal->abandoned = run;
    journal->options.handler->stir(journal->options.ctx);
}

void sl_journal_drop_abandoned(struct sl_journal *journal)
{
    struct sl_journal_entry *run = journal->abandoned;
    journal->abandoned = run->next;
    free_run(run);
}

void sl_journal_drop_given_up(struct sl_journal *journal)
{
    for (struct sl_journal_entry **at = &journal->first; *at;) {
        struct sl_journal_entry *run = *at;
        if (run->given_up) {
            *at = run->next;
            put_away(journal, run);
        } else {
            at = &run->next;
        }
    }
}

void sl_journal_give_up(struct sl_journal *journal, bool all)
{
    journal->open = NULL;
    for (struct sl_journal_entry *run = journal->first; run; run = run->next)
        run->given_up |= all || run->stage < SL_JOURNAL_TOLD;
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
    free_runs(journal->abandoned);
    free(journal->begun_seen);
    free((char *)(uintptr_t)journal->options.feed);
    free((char *)(uintptr_t)journal->options.entity);
    free((char *)(uintptr_t)journal->options.prefix);
    free(journal);
}

/* --- taking over --- */

/* The loop clock's time of a moment that has passed. */
static uint64_t loop_ms_of(int64_t wall_ms)
{
    uint64_t now_ms = sl_loop_now_ms();
    int64_t ago_ms = sl_wall_ms() - wall_ms;
    return ago_ms > 0 && (uint64_t)ago_ms < now_ms ? now_ms - (uint64_t)ago_ms : now_ms;
}

struct sl_journal_entry *sl_journal_adopted(const struct sl_journal *journal,
                                            const struct sl_run *from)
{
    struct sl_journal_entry *run = new_run(journal, from->number);
    const struct sl_run_entity *entity = &from->entities[0];
    snprintf(run->id, sizeof run->id, "%s", from->id);
    run->attempt = from->attempt;
    run->created_ms = from->created_ms;
    run->stage = SL_JOURNAL_PUBLISHED;
    run->published_ms = loop_ms_of(from->state_ms);
    run->full = from->full;
    run->lane = from->live ? SL_LANE_FAST : SL_LANE_BULK;
    run->read = entity->read;
    run->dead = entity->dead;
    run->superseded = entity->superseded;
    run->batches = run->committed = entity->batches;
    return run;
}

bool sl_journal_is_own(const struct sl_journal *journal, const struct sl_run *run, int64_t epoch)
{
    bool of_packages = run->execution_id[0] || run->sweeps[0];
    return !of_packages && run->attempt <= epoch && run->entity_count &&
           !strcmp(run->entities[0].name, journal->options.entity);
}

/* Runs to come are none of those that a full read has overtaken, also when journal and checkpoint
 * were lost. */
static int go_behind(const struct sl_journal *journal, int64_t *number, struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    struct sl_overtake by = {0};
    int rc = state->type->overtake_get(state, journal->options.feed, &by, err);
    if (rc != SL_OK && rc != SL_NOTFOUND)
        return rc;
    if (*number < by.run)
        *number = by.run;
    return SL_OK;
}

/* Also what was cut off keeps its number. */
static int find_number(const struct sl_journal *journal, int64_t *number, struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    struct sl_run *newest = SL_NEW(struct sl_run);
    int rc = state->type->run_newest(state, journal->options.feed, newest, err);
    if (rc == SL_OK && newest->number > *number)
        *number = newest->number;
    free(newest);
    return rc == SL_OK || rc == SL_NOTFOUND ? go_behind(journal, number, err) : rc;
}

/* All runs that are published and not done: a mark is worth something only behind all of them. */
static int read_open(const struct sl_journal *journal, int64_t epoch, struct sl_journal_entry **ret,
                     struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    struct sl_run *runs = sl_calloc(READ_MAX, sizeof *runs);
    struct sl_journal_entry *first = NULL, **end = &first;
    unsigned count = READ_MAX;
    int64_t after = 0;
    int rc = SL_OK;
    while (rc == SL_OK && count == READ_MAX) {
        count = 0;
        rc = state->type->runs_open(state, journal->options.feed, after, runs, READ_MAX, &count,
                                    err);
        for (unsigned i = 0; i < count; i++) {
            after = runs[i].number;
            if (!sl_journal_is_own(journal, &runs[i], epoch))
                continue;
            *end = sl_journal_adopted(journal, &runs[i]);
            end = &(*end)->next;
        }
    }
    free(runs);
    if (rc == SL_OK)
        *ret = first;
    else
        free_runs(first);
    return rc;
}

int sl_journal_wait_kept(struct sl_journal *journal, struct sl_err *err)
{
    while (journal->keeping)
        if (sl_wait(&journal->kept, SL_FOREVER) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    return SL_OK;
}

/* As the owner since epoch, of the runs that an earlier one published: takes them, oldest first. */
static void begin_anew(struct sl_journal *journal, int64_t epoch, int64_t number, const char *mark,
                       struct sl_journal_entry *published)
{
    struct sl_journal_entry *last = published;
    sl_journal_give_up(journal, true);
    if (epoch != journal->epoch) /* they are noted as abandoned by now */
        while (journal->abandoned)
            sl_journal_drop_abandoned(journal);
    journal->epoch = epoch;
    journal->lost = (struct sl_journal_lost){0}; /* those that are unsettled are told again */
    journal->first = published;
    /* Under the same epoch as before the numbers go on: runs that nobody was told of have ledgers,
     * too. */
    if (number > journal->number)
        journal->number = number;
    while (last && last->next)
        last = last->next;
    if (!last)
        return;
    if (last->number > journal->number)
        journal->number = last->number;
    last->mark = mark ? sl_strdup(mark) : NULL;
    journal->options.handler->stir(journal->options.ctx); /* their ledgers may be there */
}

int sl_journal_adopt(struct sl_journal *journal, int64_t epoch, int64_t number, const char *mark,
                     struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    struct sl_journal_entry *published = NULL;
    int rc = sl_journal_wait_kept(journal, err);
    if (rc == SL_OK)
        rc = find_number(journal, &number, err);
    if (rc == SL_OK)
        rc = state->type->runs_abandon(state, journal->options.feed, epoch, 0,
                                       "its process ended, or lost the source", err);
    /* Only now: until then the earlier owner may have published one, if it was asleep. */
    if (rc == SL_OK)
        rc = read_open(journal, epoch, &published, err);
    if (rc == SL_OK)
        begin_anew(journal, epoch, number, mark, published);
    return rc;
}

static bool knows(const struct sl_journal *journal, const char *id)
{
    const struct sl_journal_entry *run = journal->first;
    while (run && strcmp(run->id, id) != 0)
        run = run->next;
    return run != NULL;
}

int sl_journal_take_orphans(struct sl_journal *journal, uint64_t idle_ms, struct sl_err *err)
{
    struct sl_state *state = journal->options.state;
    struct sl_run *runs = sl_calloc(READ_MAX, sizeof *runs);
    unsigned count = 0;
    int rc = state->type->runs_open(state, journal->options.feed, 0, runs, READ_MAX, &count, err);
    for (unsigned i = count; i-- > 0 && rc == SL_OK;) {
        bool idle = sl_wall_ms() - runs[i].state_ms >= (int64_t)idle_ms;
        if (!idle || !sl_journal_is_own(journal, &runs[i], journal->epoch) ||
            knows(journal, runs[i].id))
            continue;
        struct sl_journal_entry *run = sl_journal_adopted(journal, &runs[i]);
        run->next = journal->first; /* before those that are not published yet */
        journal->first = run;
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
    struct sl_journal_entry *run = new_run(journal, ++journal->number);
    append(journal, run);
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
    journal->options.handler->stir(journal->options.ctx); /* to journal that it begins */
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
    run->stage = SL_JOURNAL_ENDED;
    journal->open = NULL;
    journal->options.handler->stir(journal->options.ctx);
    return SL_OK;
}

void sl_journal_wait_published(struct sl_journal *journal, uint64_t deadline_ms)
{
    while (sl_journal_unpublished(journal))
        if (sl_wait(&journal->kept, deadline_ms) != SL_OK)
            return;
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

bool sl_journal_is_ours(const struct sl_journal *journal, const struct sl_batch *batch)
{
    return batch->origin.attempt == (uint32_t)journal->epoch;
}

void sl_journal_commit(struct sl_journal *journal, const struct sl_batch *batch)
{
    struct sl_journal_entry *run = run_of(journal, batch);
    if (!run)
        return;
    run->committed++;
    if (run->stage >= SL_JOURNAL_ENDED)
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
        count +=
            run->stage > SL_JOURNAL_OPEN && run->stage < SL_JOURNAL_PUBLISHED && !run->given_up;
    return count;
}

unsigned sl_journal_unclosed(const struct sl_journal *journal)
{
    unsigned count = 0;
    for (const struct sl_journal_entry *run = journal->first; run; run = run->next)
        count += run->stage >= SL_JOURNAL_PUBLISHED && !run->given_up;
    return count;
}

/* The others take as long as they take, unless nobody applies at all. */
static bool is_waited_for(const struct sl_journal_entry *run)
{
    return run->held_ms || (!run->full && run->lane == SL_LANE_FAST);
}

uint64_t sl_journal_waiting_ms(const struct sl_journal *journal)
{
    const struct sl_journal_entry *run = journal->first;
    while (run && (run->stage != SL_JOURNAL_PUBLISHED || run->given_up || !is_waited_for(run)))
        run = run->next;
    return run ? sl_loop_now_ms() - run->published_ms : 0;
}

int64_t sl_journal_skip(struct sl_journal *journal, int64_t count)
{
    return journal->number += count;
}

int64_t sl_journal_number(const struct sl_journal *journal)
{
    return journal->number;
}
