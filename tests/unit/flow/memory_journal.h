/* Inside of the state in memory (memory_state.h): what it holds, and the calls about runs,
 * checkpoints, marks, counters and suspect feeds. */
#ifndef SL_TESTS_FLOW_MEMORY_JOURNAL_H
#define SL_TESTS_FLOW_MEMORY_JOURNAL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "flow/state.h"
#include "loop/fiber.h"

struct memory_run {
    struct memory_run *next;
    struct sl_run run;
    int64_t epoch;
};

/* A checkpoint, a mark, a counter, a refresh, a suspect feed or what a full read has overtaken. */
struct memory_entry {
    struct memory_entry *next;
    char kind;
    char name[SL_NAME_MAX];
    int64_t value, epoch;
    struct sl_checkpoint checkpoint;
    struct sl_refresh refresh;
    struct sl_overtake overtake;
    int64_t offset;
    char organisation[SL_ORGANISATION_BYTES];
    char text[SL_ERR_TEXT_BYTES]; /* of a mark: the names of its resets, each in colons */
};

struct memory_lease {
    struct memory_lease *next;
    char name[SL_NAME_MAX], owner[SL_NAME_MAX * 2]; /* owner "": none */
    int64_t epoch;
    uint64_t expires_ms; /* loop clock */
};

struct memory_booking {
    struct memory_booking *next;
    char run[SL_NAME_MAX], entity[SL_NAME_MAX];
    uint32_t attempt, number;
    struct sl_ledger_sum sum;
};

struct memory_document {
    struct memory_document *next; /* in the order of ids */
    char collection[SL_NAME_MAX], feed[SL_NAME_MAX], seen[SL_NAME_MAX], id[SL_NAME_MAX];
    int64_t version;
    bool deleted;
};

struct memory {
    struct memory_run *runs;
    struct memory_entry *entries;
    struct memory_lease *leases;
    struct memory_booking *bookings;
    struct memory_document *documents;
    uint64_t dead_letters;
};

struct memory_state {
    struct sl_state state;
    struct memory *memory;
    const char *process;
    bool away;         /* every call fails */
    unsigned failing;  /* so many calls fail, after */
    unsigned spared;   /* … so many that do not */
    unsigned calls;    /* of any kind */
    unsigned saves;    /* of checkpoints */
    uint64_t delay_ms; /* each call takes so long */
};

static inline struct memory_state *memory_of(struct sl_state *state)
{
    return (struct memory_state *)state;
}

/* Every call passes here first. */
static inline int memory_enter(struct sl_state *state, struct sl_err *err)
{
    struct memory_state *self = memory_of(state);
    self->calls++;
    if (self->delay_ms && sl_fiber_sleep(self->delay_ms) == SL_CANCELED)
        return sl_err_set(err, SL_CANCELED, "cancelled");
    if (self->spared)
        self->spared--;
    else if (self->failing && self->failing--)
        return sl_err_set(err, SL_CLOSED, "the state fails as told");
    return self->away ? sl_err_set(err, SL_CLOSED, "the state is away") : SL_OK;
}

static inline int memory_none(struct sl_err *err, const char *name)
{
    return sl_err_set(err, SL_NOTFOUND, "nothing is kept for '%s'", name);
}

static inline int memory_taken(struct sl_err *err, const char *name)
{
    return sl_err_set(err, SL_REJECTED, "'%s' belongs to another process by now", name);
}

static inline struct memory_entry *memory_entry(struct sl_state *state, char kind, const char *name,
                                                bool make)
{
    struct memory *memory = memory_of(state)->memory;
    for (struct memory_entry *one = memory->entries; one; one = one->next)
        if (one->kind == kind && !strcmp(one->name, name))
            return one;
    if (!make)
        return NULL;
    struct memory_entry *one = SL_NEW(struct memory_entry);
    one->kind = kind;
    snprintf(one->name, sizeof one->name, "%s", name);
    one->next = memory->entries;
    return memory->entries = one;
}

/* Makes the entry the epoch's own, as each write does. SL_REJECTED: a newer one has it. */
static inline int memory_own(struct sl_state *state, char kind, const char *name, int64_t epoch,
                             struct memory_entry **ret, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    *ret = memory_entry(state, kind, name, true);
    if ((*ret)->epoch > epoch)
        return memory_taken(err, name);
    (*ret)->epoch = epoch;
    return SL_OK;
}

/* --- runs --- */

static inline int memory_run_save(struct sl_state *state, const struct sl_run *run, int64_t epoch,
                                  struct sl_err *err)
{
    struct memory *memory = memory_of(state)->memory;
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    struct memory_run *one = memory->runs;
    while (one && strcmp(one->run.id, run->id))
        one = one->next;
    if (one && one->epoch > epoch)
        return memory_taken(err, run->id);
    if (!one) {
        one = SL_NEW(struct memory_run);
        one->next = memory->runs;
        memory->runs = one;
    }
    one->run = *run;
    one->epoch = epoch;
    return SL_OK;
}

/* The one of the greatest rank; those below 0 are none. */
static inline int memory_run_by(struct sl_state *state, const char *feed,
                                int64_t (*rank)(const struct sl_run *run), struct sl_run *ret,
                                struct sl_err *err)
{
    const struct sl_run *first = NULL;
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    for (struct memory_run *one = memory_of(state)->memory->runs; one; one = one->next)
        if (!strcmp(one->run.feed, feed) && rank(&one->run) >= 0 &&
            (!first || rank(&one->run) > rank(first)))
            first = &one->run;
    if (!first)
        return memory_none(err, feed);
    *ret = *first;
    return SL_OK;
}

static inline int64_t memory_by_number(const struct sl_run *run)
{
    return run->number;
}

static inline int64_t memory_by_time(const struct sl_run *run)
{
    return run->created_ms;
}

static inline int64_t memory_by_end(const struct sl_run *run)
{
    return run->state == SL_RUN_DONE || run->state == SL_RUN_FAILED ? run->number : -1;
}

static inline int memory_run_newest(struct sl_state *state, const char *feed, struct sl_run *ret,
                                    struct sl_err *err)
{
    return memory_run_by(state, feed, memory_by_number, ret, err);
}

static inline int memory_run_latest(struct sl_state *state, const char *feed, struct sl_run *ret,
                                    struct sl_err *err)
{
    return memory_run_by(state, feed, memory_by_time, ret, err);
}

static inline int memory_run_ended(struct sl_state *state, const char *feed, struct sl_run *ret,
                                   struct sl_err *err)
{
    return memory_run_by(state, feed, memory_by_end, ret, err);
}

static inline int memory_run_unsettled(struct sl_state *state, const char *feed, int64_t after,
                                       struct sl_run *ret, struct sl_err *err)
{
    const struct memory_run *oldest = NULL;
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    for (struct memory_run *one = memory_of(state)->memory->runs; one; one = one->next)
        if (!strcmp(one->run.feed, feed) && one->run.unsettled && one->run.number > after &&
            (!oldest || one->run.number < oldest->run.number))
            oldest = one;
    if (!oldest)
        return memory_none(err, feed);
    *ret = oldest->run;
    return SL_OK;
}

static inline int memory_runs_open(struct sl_state *state, const char *feed, int64_t after,
                                   struct sl_run *ret, unsigned max, unsigned *ret_count,
                                   struct sl_err *err)
{
    unsigned count = 0;
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    for (const struct memory_run *oldest = NULL; count < max; oldest = NULL) {
        for (struct memory_run *one = memory_of(state)->memory->runs; one; one = one->next)
            if (!strcmp(one->run.feed, feed) && one->run.state == SL_RUN_PUBLISHED &&
                one->run.number > after && (!oldest || one->run.number < oldest->run.number))
                oldest = one;
        if (!oldest)
            break;
        ret[count++] = oldest->run;
        after = oldest->run.number;
    }
    *ret_count = count;
    return SL_OK;
}

static inline int memory_runs_abandon(struct sl_state *state, const char *feed, int64_t epoch,
                                      int64_t saved_before_ms, const char *why, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    for (struct memory_run *one = memory_of(state)->memory->runs; one; one = one->next) {
        bool old = epoch ? one->epoch < epoch : one->run.state_ms < saved_before_ms;
        if (!old || one->run.state != SL_RUN_STREAMING || strcmp(one->run.feed, feed) != 0)
            continue;
        one->run.state = SL_RUN_ABANDONED;
        one->epoch = epoch ? epoch : one->epoch;
        snprintf(one->run.error, sizeof one->run.error, "%s", why);
    }
    return SL_OK;
}

static inline int memory_runs_expire(struct sl_state *state, const char *feed, int64_t before,
                                     struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    for (struct memory_run *one = memory_of(state)->memory->runs; one; one = one->next)
        if (!strcmp(one->run.feed, feed) && one->run.number < before && !one->run.unsettled &&
            !one->run.expires_ms)
            one->run.expires_ms = sl_wall_ms() + SL_LEDGER_KEPT_MS;
    return SL_OK;
}

/* --- refreshes --- */

static inline int memory_refresh_ask(struct sl_state *state, const struct sl_refresh *wanted,
                                     struct sl_refresh *ret, bool *ret_joined, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    struct memory_entry *entry = memory_entry(state, 'r', wanted->feed, true);
    int64_t number = entry->refresh.number;
    *ret_joined = number && sl_refresh_is_open(&entry->refresh);
    if (!*ret_joined) {
        entry->refresh = *wanted;
        entry->refresh.number = number + 1;
        entry->refresh.state = SL_REFRESH_ASKED;
        entry->refresh.read[0] = entry->refresh.note[0] = '\0';
        entry->refresh.part_count = 0;
        entry->epoch = 0;
    }
    *ret = entry->refresh;
    ret->epoch = entry->epoch;
    return SL_OK;
}

static inline int memory_refresh_get(struct sl_state *state, const char *feed,
                                     struct sl_refresh *ret, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    const struct memory_entry *entry = memory_entry(state, 'r', feed, false);
    if (!entry)
        return memory_none(err, feed);
    *ret = entry->refresh;
    ret->epoch = entry->epoch;
    return SL_OK;
}

static inline int memory_refresh_save(struct sl_state *state, const struct sl_refresh *refresh,
                                      int64_t epoch, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    struct memory_entry *entry = memory_entry(state, 'r', refresh->feed, false);
    if (!entry || entry->refresh.number != refresh->number || entry->epoch > epoch)
        return memory_taken(err, refresh->feed);
    entry->refresh = *refresh;
    entry->epoch = epoch;
    return SL_OK;
}

static inline int memory_refreshes_open(struct sl_state *state, const char *const *feeds,
                                        size_t count, bool *ret_open, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    for (size_t i = 0; i < count; i++) {
        const struct memory_entry *one = memory_entry(state, 'r', feeds[i], false);
        ret_open[i] = one && sl_refresh_is_open(&one->refresh);
    }
    return SL_OK;
}

/* --- full reads that have overtaken others --- */

static inline int memory_overtake(struct sl_state *state, const struct sl_overtake *overtake,
                                  struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    struct sl_overtake *known = &memory_entry(state, 'o', overtake->feed, true)->overtake;
    snprintf(known->feed, sizeof known->feed, "%s", overtake->feed);
    if (overtake->run > known->run)
        known->run = overtake->run;
    if (overtake->full > known->full)
        known->full = overtake->full;
    return SL_OK;
}

static inline int memory_overtake_get(struct sl_state *state, const char *feed,
                                      struct sl_overtake *ret, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    const struct memory_entry *entry = memory_entry(state, 'o', feed, false);
    if (!entry)
        return memory_none(err, feed);
    *ret = entry->overtake;
    return SL_OK;
}

static inline int memory_by_feed(const void *a, const void *b)
{
    return strcmp(((const struct sl_overtake *)a)->feed, ((const struct sl_overtake *)b)->feed);
}

static inline int memory_overtakes(struct sl_state *state, struct sl_overtake **ret,
                                   size_t *ret_count, struct sl_err *err)
{
    size_t count = 0;
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    *ret = NULL;
    for (struct memory_entry *one = memory_of(state)->memory->entries; one; one = one->next)
        if (one->kind == 'o') {
            *ret = sl_realloc(*ret, (count + 1) * sizeof **ret);
            (*ret)[count++] = one->overtake;
        }
    if (count)
        qsort(*ret, count, sizeof **ret, memory_by_feed);
    *ret_count = count;
    return SL_OK;
}

/* --- checkpoints, marks, counters, suspects --- */

static inline char *memory_link(const char *link)
{
    return link ? sl_strdup(link) : NULL;
}

static inline struct sl_checkpoint memory_copy(const struct sl_checkpoint *from)
{
    struct sl_checkpoint copy = *from;
    copy.newest = memory_link(from->newest);
    copy.safe = memory_link(from->safe);
    copy.query = memory_link(from->query);
    copy.kept = memory_link(from->kept);
    return copy;
}

static inline int memory_checkpoint_load(struct sl_state *state, const char *feed,
                                         struct sl_checkpoint *ret, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    const struct memory_entry *entry = memory_entry(state, 'f', feed, false);
    if (!entry)
        return memory_none(err, feed);
    *ret = memory_copy(&entry->checkpoint);
    ret->epoch = entry->epoch;
    return SL_OK;
}

static inline int memory_checkpoint_take(struct sl_state *state, const char *feed, int64_t epoch,
                                         struct sl_checkpoint *ret, struct sl_err *err)
{
    struct memory_entry *entry;
    int rc = memory_own(state, 'f', feed, epoch, &entry, err);
    if (rc != SL_OK)
        return rc;
    *ret = memory_copy(&entry->checkpoint);
    ret->epoch = epoch;
    return SL_OK;
}

static inline int memory_checkpoint_save(struct sl_state *state, const char *feed,
                                         const struct sl_checkpoint *checkpoint, int64_t epoch,
                                         struct sl_err *err)
{
    struct memory_entry *entry;
    int rc = memory_own(state, 'f', feed, epoch, &entry, err);
    if (rc != SL_OK)
        return rc;
    sl_checkpoint_done(&entry->checkpoint);
    entry->checkpoint = memory_copy(checkpoint);
    memory_of(state)->saves++;
    return SL_OK;
}

static inline struct sl_mark memory_mark_of(const struct memory_entry *entry)
{
    struct sl_mark mark = {.value = entry->value, .offset = entry->offset};
    snprintf(mark.organisation, sizeof mark.organisation, "%s", entry->organisation);
    return mark;
}

static inline int memory_mark_get(struct sl_state *state, const char *source, struct sl_mark *ret,
                                  struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    const struct memory_entry *entry = memory_entry(state, 'm', source, false);
    if (!entry)
        return memory_none(err, source);
    *ret = memory_mark_of(entry);
    return SL_OK;
}

static inline int memory_mark_raise(struct sl_state *state, const char *source, int64_t value,
                                    int64_t epoch, struct sl_mark *ret, struct sl_err *err)
{
    struct memory_entry *entry;
    int rc = memory_own(state, 'm', source, epoch, &entry, err);
    if (rc != SL_OK)
        return rc;
    if (value > entry->value)
        entry->value = value;
    if (ret)
        *ret = memory_mark_of(entry);
    return SL_OK;
}

static inline int memory_mark_sign(struct sl_state *state, const char *source,
                                   const char *organisation, int64_t epoch, struct sl_err *err)
{
    struct memory_entry *entry;
    int rc = memory_own(state, 'm', source, epoch, &entry, err);
    if (rc != SL_OK)
        return rc;
    snprintf(entry->organisation, sizeof entry->organisation, "%s", organisation);
    return SL_OK;
}

static inline int memory_mark_reset(struct sl_state *state, const char *source, const char *name,
                                    int64_t value, int64_t epoch, int64_t *ret_offset,
                                    struct sl_err *err)
{
    char wanted[SL_NAME_MAX + 2];
    struct memory_entry *entry;
    int rc = memory_own(state, 'm', source, epoch, &entry, err);
    if (rc != SL_OK)
        return rc;
    if (value > entry->value)
        entry->value = value;
    snprintf(wanted, sizeof wanted, ":%s:", name);
    if (!strstr(entry->text, wanted)) {
        size_t used = strlen(entry->text);
        snprintf(entry->text + used, sizeof entry->text - used, "%s", wanted);
        entry->offset = entry->value + 1;
    }
    *ret_offset = entry->offset;
    return SL_OK;
}

static inline int memory_clock_reserve(struct sl_state *state, int64_t until, int64_t *ret_previous,
                                       struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    struct memory_entry *clock = memory_entry(state, 'c', "", true);
    *ret_previous = clock->value;
    if (until > clock->value)
        clock->value = until;
    return SL_OK;
}

static inline int memory_counter_take(struct sl_state *state, const char *collection, int64_t above,
                                      int64_t *ret, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    int64_t *value = &memory_entry(state, 'n', collection, true)->value;
    *ret = *value = (*value > above ? *value : above) + 1;
    return SL_OK;
}

static inline int memory_counter_renew(struct sl_state *state, const char *collection,
                                       int64_t counter, int64_t *ret, struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    struct memory_entry *entry = memory_entry(state, 'n', collection, true);
    if (entry->value != counter)
        return memory_none(err, collection);
    *ret = ++entry->value;
    return SL_OK;
}

static inline int memory_suspect_set(struct sl_state *state, const char *feed, const char *reason,
                                     int64_t epoch, struct sl_err *err)
{
    struct memory_entry *entry;
    int rc = memory_own(state, 's', feed, epoch, &entry, err);
    if (rc != SL_OK)
        return rc;
    snprintf(entry->text, SL_ERR_TEXT_BYTES, "%s", reason ? reason : "");
    return SL_OK;
}

static inline int memory_suspect_get(struct sl_state *state, const char *feed,
                                     char ret_reason[SL_ERR_TEXT_BYTES], struct sl_err *err)
{
    int rc = memory_enter(state, err);
    if (rc != SL_OK)
        return rc;
    const struct memory_entry *entry = memory_entry(state, 's', feed, false);
    if (!entry || !*entry->text)
        return memory_none(err, feed);
    snprintf(ret_reason, SL_ERR_TEXT_BYTES, "%s", entry->text);
    return SL_OK;
}

#endif
