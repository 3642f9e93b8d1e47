/* What every state must keep of its word on checkpoints, marks, the clock, runs, leases and the
 * ledger. Run against the store with a real server, and against the state in memory that other
 * tests use. one and two are two processes on one state. Needs EXPECT; runs in a fiber. */
#ifndef SL_TESTS_FLOW_STATE_CHECKS_H
#define SL_TESTS_FLOW_STATE_CHECKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "flow/state.h"

static inline bool same_link(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static inline bool same_checkpoint(const struct sl_checkpoint *a, const struct sl_checkpoint *b)
{
    return same_link(a->newest, b->newest) && same_link(a->safe, b->safe) &&
           a->run_number == b->run_number && !strcmp(a->reading, b->reading) &&
           !strcmp(a->sweeping, b->sweeping) && a->floor == b->floor &&
           a->full_number == b->full_number && a->full_dead == b->full_dead &&
           same_link(a->query, b->query) && !strcmp(a->source, b->source) &&
           a->fence_base == b->fence_base && !strcmp(a->note, b->note);
}

static inline void check_checkpoints(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    struct sl_checkpoint back;
    char link[5000];
    memset(link, 'x', sizeof link);
    link[sizeof link - 1] = '\0';
    struct sl_checkpoint newer = {.newest = link, .run_number = 1};
    struct sl_checkpoint all = {.newest = link,
                                .safe = (char *)(uintptr_t) "https://x/$deltatoken=919042%21é",
                                .run_number = 123456,
                                .reading = "accounts-full-000007",
                                .sweeping = "accounts-full-000006",
                                .floor = 1838085,
                                .full_number = 7,
                                .full_dead = 3,
                                .query = (char *)(uintptr_t) "accounts?$select=name",
                                .source = "crm",
                                .fence_base = 40,
                                .note = "12 % of the documents would go"};
    struct sl_checkpoint none = {.run_number = 9};

    EXPECT(one->type->checkpoint_load(one, "accounts", &back, &err) == SL_NOTFOUND);
    EXPECT(one->type->checkpoint_save(one, "accounts", &newer, 5, &err) == SL_OK);
    EXPECT(two->type->checkpoint_load(two, "accounts", &back, &err) == SL_OK);
    EXPECT(same_checkpoint(&back, &newer) && back.epoch == 5);
    sl_checkpoint_done(&back);
    EXPECT(!back.newest && !back.run_number);

    EXPECT(one->type->checkpoint_save(one, "accounts", &all, 5, &err) == SL_OK); /* same epoch */
    EXPECT(two->type->checkpoint_save(two, "accounts", &newer, 6, &err) == SL_OK);
    EXPECT(one->type->checkpoint_save(one, "accounts", &all, 5, &err) == SL_REJECTED);
    EXPECT(strstr(err.message, "accounts") != NULL);
    EXPECT(one->type->checkpoint_load(one, "accounts", &back, &err) == SL_OK);
    EXPECT(same_checkpoint(&back, &newer)); /* as the new owner wrote it */
    sl_checkpoint_done(&back);
    EXPECT(two->type->checkpoint_save(two, "accounts", &all, 6, &err) == SL_OK);
    EXPECT(one->type->checkpoint_load(one, "accounts", &back, &err) == SL_OK);
    EXPECT(same_checkpoint(&back, &all));
    sl_checkpoint_done(&back);
    EXPECT(two->type->checkpoint_save(two, "accounts", &none, 6, &err) == SL_OK);
    EXPECT(one->type->checkpoint_load(one, "accounts", &back, &err) == SL_OK);
    EXPECT(same_checkpoint(&back, &none)); /* written whole: the links are gone */
    sl_checkpoint_done(&back);
    EXPECT(one->type->checkpoint_load(one, "account", &back, &err) == SL_NOTFOUND);
}

static inline void check_marks(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    int64_t mark = -1;
    EXPECT(one->type->mark_get(one, "crm", &mark, &err) == SL_NOTFOUND);
    EXPECT(one->type->mark_raise(one, "crm", 915244, 1, &err) == SL_OK);
    EXPECT(two->type->mark_get(two, "crm", &mark, &err) == SL_OK && mark == 915244);
    EXPECT(one->type->mark_raise(one, "crm", 915000, 1, &err) == SL_OK);
    EXPECT(two->type->mark_get(two, "crm", &mark, &err) == SL_OK && mark == 915244);
    EXPECT(two->type->mark_raise(two, "crm", 1, 2, &err) == SL_OK); /* the new owner: not lower */
    EXPECT(two->type->mark_get(two, "crm", &mark, &err) == SL_OK && mark == 915244);
    EXPECT(one->type->mark_raise(one, "crm", 9007199254740991, 1, &err) == SL_REJECTED);
    EXPECT(strstr(err.message, "crm") != NULL);
    EXPECT(two->type->mark_get(two, "crm", &mark, &err) == SL_OK && mark == 915244);
    EXPECT(two->type->mark_raise(two, "crm", 9007199254740991, 2, &err) == SL_OK);
    EXPECT(one->type->mark_get(one, "crm", &mark, &err) == SL_OK && mark == 9007199254740991);
    EXPECT(one->type->mark_get(one, "other", &mark, &err) == SL_NOTFOUND);

    /* A feed of the source's name has nothing to do with it. */
    struct sl_checkpoint checkpoint = {.run_number = 4};
    EXPECT(one->type->checkpoint_save(one, "crm", &checkpoint, 1, &err) == SL_OK);
    EXPECT(one->type->mark_get(one, "crm", &mark, &err) == SL_OK && mark == 9007199254740991);
}

static inline void check_clock(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    int64_t previous = -1;
    EXPECT(one->type->clock_reserve(one, 1000, &previous, &err) == SL_OK && previous == 0);
    EXPECT(two->type->clock_reserve(two, 5000, &previous, &err) == SL_OK && previous == 1000);
    EXPECT(one->type->clock_reserve(one, 3000, &previous, &err) == SL_OK && previous == 5000);
    EXPECT(one->type->clock_reserve(one, 6000, &previous, &err) == SL_OK && previous == 5000);
    EXPECT(two->type->clock_reserve(two, 6000, &previous, &err) == SL_OK && previous == 6000);
}

static inline void save_poll(struct sl_state *state, const char *feed, int number,
                             enum sl_run_state now, int64_t epoch)
{
    struct sl_err err = {0};
    struct sl_run *run = SL_NEW(struct sl_run);
    snprintf(run->id, sizeof run->id, "%s-%06d", feed, number);
    snprintf(run->feed, sizeof run->feed, "%s", feed);
    run->number = number;
    run->state = now;
    run->attempt = (uint32_t)epoch;
    run->expires_ms = 4102444800000 + number; /* the year 2100 */
    run->entity_count = 1;
    snprintf(run->entities[0].name, sizeof run->entities[0].name, "account");
    run->entities[0].read = (uint64_t)number * 10;
    EXPECT(state->type->run_save(state, run, epoch, &err) == SL_OK);
    free(run);
}

static inline void check_runs_open(struct sl_state *one, struct sl_state *two)
{
    enum { RUNS = 130, MAX = 200 };
    struct sl_err err = {0};
    unsigned count = 99;
    struct sl_run *runs = sl_calloc(MAX, sizeof *runs);
    EXPECT(one->type->runs_open(one, "polls", runs, MAX, &count, &err) == SL_OK && count == 0);

    for (int number = RUNS; number >= 1; number--)
        save_poll(one, "polls", number, SL_RUN_PUBLISHED, 5);
    save_poll(one, "others", 1, SL_RUN_PUBLISHED, 5);
    save_poll(one, "polls", RUNS + 1, SL_RUN_DONE, 5);
    save_poll(one, "polls", RUNS + 2, SL_RUN_FAILED, 5);
    save_poll(one, "polls", RUNS + 3, SL_RUN_STREAMING, 5);
    EXPECT(two->type->runs_open(two, "polls", runs, MAX, &count, &err) == SL_OK && count == RUNS);
    for (int i = 0; i < RUNS; i++)
        if (!EXPECT(runs[i].number == i + 1 && runs[i].entity_count == 1 &&
                    runs[i].entities[0].read == (uint64_t)(i + 1) * 10 &&
                    runs[i].expires_ms == 4102444800001 + i))
            break;
    EXPECT(!strcmp(runs[0].id, "polls-000001") && !strcmp(runs[0].feed, "polls"));

    save_poll(one, "polls", 1, SL_RUN_DONE, 5);
    save_poll(one, "polls", 3, SL_RUN_DONE, 5);
    EXPECT(two->type->runs_open(two, "polls", runs, 2, &count, &err) == SL_OK && count == 2);
    EXPECT(runs[0].number == 2 && runs[1].number == 4);
    EXPECT(one->type->run_newest(one, "polls", runs, &err) == SL_OK);
    EXPECT(runs[0].number == RUNS + 3);
    free(runs);
}

static inline void check_leases(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    struct sl_lease mine = {.name = "source:crm"}, theirs = {.name = "source:crm"};
    EXPECT(one->type->lease_hold(one, &mine, 60000, &err) == SL_OK && mine.held);
    EXPECT(mine.epoch == 1);
    EXPECT(one->type->lease_hold(one, &mine, 60000, &err) == SL_OK && mine.epoch == 1);
    EXPECT(two->type->lease_hold(two, &theirs, 60000, &err) == SL_THROTTLED && !theirs.held);
    EXPECT(err.retry_after_ms > 0);
    one->type->lease_drop(one, &mine);
    EXPECT(!mine.held);
    EXPECT(two->type->lease_hold(two, &theirs, 60000, &err) == SL_OK && theirs.epoch == 2);
    EXPECT(one->type->lease_hold(one, &mine, 60000, &err) == SL_THROTTLED && !mine.held);
    one->type->lease_drop(one, &mine); /* not its own: nothing happens */
    EXPECT(two->type->lease_hold(two, &theirs, 60000, &err) == SL_OK && theirs.epoch == 2);
}

static inline void check_ledger(struct sl_state *state)
{
    struct sl_err err = {0};
    struct sl_ledger_sum sum;
    struct sl_batch *batch = sl_batch_new(NULL, 0);
    sl_batch_set_origin(
        batch, &(struct sl_origin){.feed = "f", .entity = "E", .run = "f-1", .attempt = 2});
    for (int i = 0; i < 3; i++)
        sl_batch_add(batch);
    batch->superseded = 4;
    EXPECT(state->type->ledger_put(state, batch, 3, 0, 0, &err) == SL_OK);
    EXPECT(state->type->ledger_put(state, batch, 1, 1, 1, &err) == SL_OK); /* delivered again */
    batch->origin.number = 1;
    EXPECT(state->type->ledger_put(state, batch, 0, 3, 0, &err) == SL_OK);
    batch->origin.attempt = 3;
    EXPECT(state->type->ledger_put(state, batch, 3, 0, 0, &err) == SL_OK);
    EXPECT(state->type->ledger_sum(state, "f-1", 2, "E", &sum, &err) == SL_OK);
    EXPECT(sum.batches == 2 && sum.rows == 6 && sum.applied == 1 && sum.stale == 4);
    EXPECT(sum.dead == 1 && sum.superseded == 8);
    EXPECT(state->type->ledger_sum(state, "f-1", 2, "F", &sum, &err) == SL_OK && !sum.batches);
    sl_batch_free(batch);
}

#endif
