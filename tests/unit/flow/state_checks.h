/* What every state must keep of its word on checkpoints, marks, the clock, runs, leases and the
 * ledger. Run against the store with a real server, and against the state in memory that other
 * tests use. one and two are two processes on one state. Needs EXPECT; runs in a fiber. */
#ifndef SL_TESTS_FLOW_STATE_CHECKS_H
#define SL_TESTS_FLOW_STATE_CHECKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
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
           a->full_number == b->full_number && a->full_at_ms == b->full_at_ms &&
           a->full_dead == b->full_dead && a->behind == b->behind && a->partial == b->partial &&
           same_link(a->query, b->query) && !strcmp(a->source, b->source) &&
           a->fence_base == b->fence_base && !strcmp(a->note, b->note) &&
           a->refresh == b->refresh && same_link(a->kept, b->kept);
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
                                .full_at_ms = 1764412800123,
                                .full_dead = true,
                                .behind = true,
                                .partial = true,
                                .query = (char *)(uintptr_t) "accounts?$select=name",
                                .source = "crm",
                                .fence_base = 40,
                                .refresh = 3,
                                .kept = (char *)(uintptr_t) "delta https://x/$deltatoken=919000",
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

    /* Taken, it is the new owner's at once, with all that is in it. */
    EXPECT(two->type->checkpoint_take(two, "accounts", 5, &back, &err) == SL_REJECTED);
    EXPECT(one->type->checkpoint_save(one, "accounts", &all, 6, &err) == SL_OK);
    EXPECT(two->type->checkpoint_take(two, "accounts", 7, &back, &err) == SL_OK);
    EXPECT(same_checkpoint(&back, &all) && back.epoch == 7);
    sl_checkpoint_done(&back);
    EXPECT(one->type->checkpoint_save(one, "accounts", &none, 6, &err) == SL_REJECTED);
    EXPECT(one->type->checkpoint_take(one, "fresh", 1, &back, &err) == SL_OK);
    EXPECT(!back.newest && !back.source[0] && back.epoch == 1);
    sl_checkpoint_done(&back);
}

static inline void check_resets(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    int64_t offset = -1;
    struct sl_mark mark = {0};
    EXPECT(one->type->mark_get(one, "old", &mark, &err) == SL_NOTFOUND && mark.offset == 0);
    EXPECT(one->type->mark_raise(one, "old", 1000, 3, NULL, &err) == SL_OK);
    EXPECT(one->type->mark_reset(one, "old", "a", 1200, 3, &offset, &err) == SL_OK);
    EXPECT(offset == 1201);
    EXPECT(two->type->mark_get(two, "old", &mark, &err) == SL_OK);
    EXPECT(mark.offset == 1201 && mark.value == 1200);
    struct sl_mark left = {0};
    EXPECT(two->type->mark_raise(two, "old", 1900, 4, &left, &err) == SL_OK);
    EXPECT(left.value == 1900 && left.offset == 1201);
    EXPECT(two->type->mark_reset(two, "old", "a", 0, 4, &offset, &err) == SL_OK); /* known */
    EXPECT(offset == 1201);
    EXPECT(one->type->mark_reset(one, "old", "b", 5000, 3, &offset, &err) == SL_REJECTED);
    EXPECT(two->type->mark_reset(two, "old", "b", 0, 4, &offset, &err) == SL_OK);
    EXPECT(offset == 1901);
    EXPECT(two->type->mark_reset(two, "old", "a", 0, 4, &offset, &err) == SL_OK); /* comes late */
    EXPECT(offset == 1901);
}

static inline void check_suspects(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    char reason[SL_ERR_TEXT_BYTES] = "";
    EXPECT(one->type->suspect_get(one, "fenced", reason, &err) == SL_NOTFOUND);
    EXPECT(one->type->suspect_set(one, "fenced", "lost", 1, &err) == SL_OK);
    EXPECT(two->type->suspect_set(two, "fenced", "lost again", 2, &err) == SL_OK);
    EXPECT(one->type->suspect_set(one, "fenced", NULL, 1, &err) == SL_REJECTED); /* it woke up */
    EXPECT(one->type->suspect_get(one, "fenced", reason, &err) == SL_OK);
    EXPECT(!strcmp(reason, "lost again"));
    EXPECT(two->type->suspect_set(two, "fenced", NULL, 2, &err) == SL_OK);
    EXPECT(one->type->suspect_set(one, "fenced", "late", 1, &err) == SL_REJECTED);
    EXPECT(one->type->suspect_get(one, "fenced", reason, &err) == SL_NOTFOUND);
}

static inline void check_refreshes(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    bool joined = true;
    static const char *const feeds[] = {"vendors", "nobody", "customers"};
    bool open[3] = {true, true, true};
    struct sl_refresh *now = SL_NEW(struct sl_refresh), *back = SL_NEW(struct sl_refresh);
    struct sl_refresh *wanted = SL_NEW(struct sl_refresh);
    *wanted = (struct sl_refresh){.feed = "vendors", .dry_run = true, .reset = "r1"};
    EXPECT(one->type->refresh_get(one, "vendors", back, &err) == SL_NOTFOUND);
    EXPECT(one->type->refreshes_open(one, feeds, 3, open, &err) == SL_OK);
    EXPECT(!open[0] && !open[1] && !open[2]);
    EXPECT(one->type->refresh_ask(one, wanted, now, &joined, &err) == SL_OK);
    EXPECT(!joined && now->number == 1 && now->state == SL_REFRESH_ASKED && now->dry_run);
    EXPECT(!strcmp(now->reset, "r1") && !now->force && !now->read[0] && !now->part_count);
    *wanted = (struct sl_refresh){.feed = "vendors", .force = true};
    EXPECT(two->type->refresh_ask(two, wanted, back, &joined, &err) == SL_OK);
    EXPECT(joined && back->number == 1 && back->dry_run && !back->force); /* the one that is open */
    snprintf(wanted->feed, sizeof wanted->feed, "customers");
    EXPECT(two->type->refresh_ask(two, wanted, back, &joined, &err) == SL_OK && !joined);
    EXPECT(one->type->refreshes_open(one, feeds, 3, open, &err) == SL_OK);
    EXPECT(open[0] && !open[1] && open[2]);
    EXPECT(one->type->refreshes_open(one, feeds + 1, 1, open, &err) == SL_OK && !open[0]);

    now->state = SL_REFRESH_DONE;
    snprintf(now->read, sizeof now->read, "vendors-000042");
    now->parts[0] = (struct sl_refresh_part){
        .collection = "c", .floor = INT64_C(1) << 40, .partial = true, .live = 7, .unseen = 3};
    now->parts[1] = (struct sl_refresh_part){.collection = "d"};
    now->part_count = 2;
    EXPECT(two->type->refresh_save(two, now, 6, &err) == SL_OK);
    EXPECT(one->type->refreshes_open(one, feeds, 3, open, &err) == SL_OK && !open[0] && open[2]);
    EXPECT(one->type->refresh_save(one, now, 5, &err) == SL_REJECTED); /* an owner of old */
    EXPECT(one->type->refresh_get(one, "vendors", back, &err) == SL_OK);
    EXPECT(back->epoch == 6);
    EXPECT(back->state == SL_REFRESH_DONE && !strcmp(back->read, "vendors-000042"));
    EXPECT(back->part_count == 2 && back->parts[0].floor == INT64_C(1) << 40);
    EXPECT(back->parts[0].partial && !back->parts[1].partial);
    EXPECT(back->parts[0].live == 7 && back->parts[0].unseen == 3);
    EXPECT(!strcmp(back->parts[0].collection, "c"));
    snprintf(wanted->feed, sizeof wanted->feed, "vendors");
    EXPECT(two->type->refresh_ask(two, wanted, back, &joined, &err) == SL_OK && !joined);
    EXPECT(back->number == 2 && back->force && !back->dry_run && !back->read[0]);
    EXPECT(!back->part_count && !back->reset[0]);
    EXPECT(one->type->refresh_save(one, now, 9, &err) == SL_REJECTED); /* of the one before */
    EXPECT(one->type->refresh_save(one, back, 1, &err) == SL_OK);      /* epochs begin anew */
    free(now);
    free(back);
    free(wanted);
}

static inline void check_overtakes(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    struct sl_overtake back, *all = NULL;
    size_t count = 9;
    const struct sl_overtake first = {.feed = "vendors", .run = 41, .full = 7},
                             older = {.feed = "vendors", .run = 12, .full = 8},
                             other = {.feed = "accounts", .run = 1, .full = 1};
    EXPECT(one->type->overtake_get(one, "vendors", &back, &err) == SL_NOTFOUND);
    EXPECT(one->type->overtakes(one, &all, &count, &err) == SL_OK && count == 0);
    free(all);
    EXPECT(one->type->overtake(one, &first, &err) == SL_OK);
    EXPECT(two->type->overtake(two, &older, &err) == SL_OK);
    EXPECT(two->type->overtake(two, &other, &err) == SL_OK);
    EXPECT(one->type->overtake_get(one, "vendors", &back, &err) == SL_OK);
    EXPECT(!strcmp(back.feed, "vendors") && back.run == 41 && back.full == 8); /* none ever falls */
    EXPECT(one->type->overtakes(one, &all, &count, &err) == SL_OK);
    if (EXPECT(count == 2)) {
        EXPECT(!strcmp(all[0].feed, "accounts") && all[0].run == 1);
        EXPECT(!strcmp(all[1].feed, "vendors") && all[1].run == 41 && all[1].full == 8);
    }
    free(all);
}

static inline void check_marks(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    struct sl_mark mark = {0};
    EXPECT(one->type->mark_get(one, "crm", &mark, &err) == SL_NOTFOUND);
    EXPECT(one->type->mark_raise(one, "crm", 915244, 1, NULL, &err) == SL_OK);
    EXPECT(two->type->mark_get(two, "crm", &mark, &err) == SL_OK && mark.value == 915244);
    EXPECT(one->type->mark_raise(one, "crm", 915000, 1, NULL, &err) == SL_OK);
    EXPECT(two->type->mark_get(two, "crm", &mark, &err) == SL_OK && mark.value == 915244);
    struct sl_mark left = {0};
    EXPECT(two->type->mark_raise(two, "crm", 1, 2, &left, &err) == SL_OK); /* the new owner: … */
    EXPECT(left.value == 915244 && left.offset == 0);                      /* … not lower */
    EXPECT(two->type->mark_get(two, "crm", &mark, &err) == SL_OK && mark.value == 915244);
    EXPECT(one->type->mark_raise(one, "crm", 9007199254740991, 1, NULL, &err) == SL_REJECTED);
    EXPECT(strstr(err.message, "crm") != NULL);
    EXPECT(two->type->mark_get(two, "crm", &mark, &err) == SL_OK && mark.value == 915244);
    EXPECT(two->type->mark_raise(two, "crm", 9007199254740991, 2, NULL, &err) == SL_OK);
    EXPECT(one->type->mark_get(one, "crm", &mark, &err) == SL_OK && mark.value == 9007199254740991);
    EXPECT(one->type->mark_get(one, "other", &mark, &err) == SL_NOTFOUND);

    /* Whose versions those are: noted by its owner alone, and kept. */
    EXPECT(one->type->mark_get(one, "crm", &mark, &err) == SL_OK && !mark.organisation[0]);
    EXPECT(one->type->mark_sign(one, "crm", "0a1b", 1, &err) == SL_REJECTED);
    EXPECT(two->type->mark_sign(two, "crm", "0a1b", 2, &err) == SL_OK);
    EXPECT(one->type->mark_get(one, "crm", &mark, &err) == SL_OK);
    EXPECT(!strcmp(mark.organisation, "0a1b"));
    EXPECT(two->type->mark_raise(two, "crm", 1, 2, &left, &err) == SL_OK);
    EXPECT(left.value == 9007199254740991 && !strcmp(left.organisation, "0a1b"));

    /* A feed of the source's name has nothing to do with it. */
    struct sl_checkpoint checkpoint = {.run_number = 4};
    EXPECT(one->type->checkpoint_save(one, "crm", &checkpoint, 1, &err) == SL_OK);
    EXPECT(one->type->mark_get(one, "crm", &mark, &err) == SL_OK && mark.value == 9007199254740991);
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

/* Those alone, oldest first, until they are saved as settled. */
static inline void check_unsettled(struct sl_state *one, struct sl_state *two)
{
    struct sl_err err = {0};
    struct sl_run *run = SL_NEW(struct sl_run), *back = SL_NEW(struct sl_run);
    EXPECT(one->type->run_unsettled(one, "exports", 0, back, &err) == SL_NOTFOUND);
    snprintf(run->feed, sizeof run->feed, "exports");
    for (run->number = 5; run->number >= 1; run->number--) {
        snprintf(run->id, sizeof run->id, "exports-%d", (int)run->number);
        run->state = SL_RUN_FAILED;
        run->unsettled = run->number == 2 || run->number == 4;
        EXPECT(one->type->run_save(one, run, 5, &err) == SL_OK);
    }
    EXPECT(two->type->run_unsettled(two, "others", 0, back, &err) == SL_NOTFOUND);
    EXPECT(two->type->run_unsettled(two, "exports", 2, back, &err) == SL_OK && back->number == 4);
    EXPECT(two->type->run_unsettled(two, "exports", 4, back, &err) == SL_NOTFOUND);
    EXPECT(two->type->run_unsettled(two, "exports", 0, back, &err) == SL_OK && back->number == 2);
    EXPECT(back->unsettled && back->state == SL_RUN_FAILED && !strcmp(back->id, "exports-2"));
    back->unsettled = false;
    EXPECT(two->type->run_save(two, back, 6, &err) == SL_OK);
    EXPECT(one->type->run_unsettled(one, "exports", 0, back, &err) == SL_OK && back->number == 4);
    free(run);
    free(back);
}

/* Older runs are forgotten; the newest, and one that is unsettled, are not; what was said before
 * stays. */
static inline void check_runs_expire(struct sl_state *one, struct sl_state *two)
{
    enum { RUNS = 4 };
    struct sl_err err = {0};
    unsigned count = 0;
    struct sl_run *run = SL_NEW(struct sl_run), *read = sl_calloc(RUNS, sizeof *read);
    snprintf(run->feed, sizeof run->feed, "packages");
    run->state = SL_RUN_PUBLISHED;
    for (run->number = 1; run->number <= RUNS; run->number++) {
        snprintf(run->id, sizeof run->id, "packages-%06d", (int)run->number);
        run->unsettled = run->number == 2;
        EXPECT(one->type->run_save(one, run, 5, &err) == SL_OK);
    }
    save_poll(one, "polled", 1, SL_RUN_PUBLISHED, 5);
    EXPECT(two->type->runs_expire(two, "packages", RUNS, &err) == SL_OK);
    EXPECT(two->type->runs_expire(two, "polled", RUNS, &err) == SL_OK);

    int64_t soon_ms = sl_wall_ms() + 29 * INT64_C(86400000);
    EXPECT(one->type->runs_open(one, "packages", 0, read, RUNS, &count, &err) == SL_OK);
    EXPECT(count == RUNS && read[0].expires_ms > soon_ms && read[2].expires_ms > soon_ms);
    EXPECT(!read[1].expires_ms && !read[3].expires_ms);
    EXPECT(one->type->runs_open(one, "polled", 0, read, RUNS, &count, &err) == SL_OK);
    EXPECT(count == 1 && read[0].expires_ms == 4102444800001);
    free(read);
    free(run);
}

static inline void check_runs_open(struct sl_state *one, struct sl_state *two)
{
    enum { RUNS = 130, MAX = 200 };
    struct sl_err err = {0};
    unsigned count = 99;
    struct sl_run *runs = sl_calloc(MAX, sizeof *runs);
    EXPECT(one->type->runs_open(one, "polls", 0, runs, MAX, &count, &err) == SL_OK && count == 0);

    for (int number = RUNS; number >= 1; number--)
        save_poll(one, "polls", number, SL_RUN_PUBLISHED, 5);
    save_poll(one, "others", 1, SL_RUN_PUBLISHED, 5);
    save_poll(one, "polls", RUNS + 1, SL_RUN_DONE, 5);
    save_poll(one, "polls", RUNS + 2, SL_RUN_FAILED, 5);
    save_poll(one, "polls", RUNS + 3, SL_RUN_STREAMING, 5);
    EXPECT(two->type->runs_open(two, "polls", 0, runs, MAX, &count, &err) == SL_OK &&
           count == RUNS);
    for (int i = 0; i < RUNS; i++)
        if (!EXPECT(runs[i].number == i + 1 && runs[i].entity_count == 1 &&
                    runs[i].entities[0].read == (uint64_t)(i + 1) * 10 &&
                    runs[i].expires_ms == 4102444800001 + i))
            break;
    EXPECT(!strcmp(runs[0].id, "polls-000001") && !strcmp(runs[0].feed, "polls"));

    save_poll(one, "polls", 1, SL_RUN_DONE, 5);
    save_poll(one, "polls", 3, SL_RUN_DONE, 5);
    EXPECT(two->type->runs_open(two, "polls", 0, runs, 2, &count, &err) == SL_OK && count == 2);
    EXPECT(runs[0].number == 2 && runs[1].number == 4);
    EXPECT(two->type->runs_open(two, "polls", 4, runs, 2, &count, &err) == SL_OK && count == 2);
    EXPECT(runs[0].number == 5 && runs[1].number == 6);
    EXPECT(one->type->run_newest(one, "polls", runs, &err) == SL_OK);
    EXPECT(runs[0].number == RUNS + 3);
    EXPECT(two->type->run_ended(two, "polls", runs + 1, &err) == SL_OK);
    EXPECT(runs[1].number == RUNS + 2 && runs[1].state == SL_RUN_FAILED);
    EXPECT(two->type->run_ended(two, "others", runs + 1, &err) == SL_NOTFOUND);
    runs[0].created_ms = 1000;
    runs[0].number = 7;
    snprintf(runs[0].id, sizeof runs[0].id, "polls-0123456789ab-000007"); /* of posts */
    EXPECT(one->type->run_latest(one, "nobody", runs + 1, &err) == SL_NOTFOUND);
    EXPECT(one->type->run_save(one, &runs[0], 5, &err) == SL_OK);
    EXPECT(two->type->run_latest(two, "polls", runs + 1, &err) == SL_OK && runs[1].number == 7);

    /* By epoch, as the next owner does, … */
    EXPECT(two->type->runs_abandon(two, "polls", 5, 0, "too early", &err) == SL_OK);
    EXPECT(one->type->run_newest(one, "polls", runs, &err) == SL_OK);
    EXPECT(runs[0].state == SL_RUN_STREAMING);
    EXPECT(two->type->runs_abandon(two, "polls", 6, 0, "its process ended", &err) == SL_OK);
    EXPECT(one->type->run_newest(one, "polls", runs, &err) == SL_OK);
    EXPECT(runs[0].state == SL_RUN_ABANDONED && !strcmp(runs[0].error, "its process ended"));
    EXPECT(one->type->run_save(one, &runs[0], 5, &err) == SL_REJECTED);
    EXPECT(two->type->runs_open(two, "polls", 0, runs, 1, &count, &err) == SL_OK && count == 1);
    EXPECT(one->type->run_newest(one, "others", runs, &err) == SL_OK);
    EXPECT(runs[0].state == SL_RUN_PUBLISHED);

    /* … or by age, where there is no owner. */
    save_poll(one, "others", 2, SL_RUN_STREAMING, 5);
    EXPECT(two->type->runs_abandon(two, "others", 0, -1, "old", &err) == SL_OK);
    EXPECT(one->type->run_newest(one, "others", runs, &err) == SL_OK);
    EXPECT(runs[0].state == SL_RUN_STREAMING);
    runs[0].state_ms = 5; /* it was begun long ago, and is alive */
    EXPECT(one->type->run_save(one, &runs[0], 5, &err) == SL_OK);
    EXPECT(two->type->runs_abandon(two, "others", 0, 5, "old", &err) == SL_OK);
    EXPECT(one->type->run_newest(one, "others", runs, &err) == SL_OK);
    EXPECT(runs[0].state == SL_RUN_STREAMING);
    EXPECT(two->type->runs_abandon(two, "others", 0, 6, "old", &err) == SL_OK);
    EXPECT(one->type->run_newest(one, "others", runs, &err) == SL_OK);
    EXPECT(runs[0].state == SL_RUN_ABANDONED);
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
    two->type->lease_drop(two, &theirs);
    mine.patience_ms = 60000; /* others come first, and it is vacant since just now */
    EXPECT(one->type->lease_hold(one, &mine, 60000, &err) == SL_THROTTLED && !mine.held);
    EXPECT(two->type->lease_hold(two, &theirs, 60000, &err) == SL_OK && theirs.epoch == 3);
    theirs.patience_ms = 60000; /* renewing needs none */
    EXPECT(two->type->lease_hold(two, &theirs, 60000, &err) == SL_OK && theirs.epoch == 3);
    two->type->lease_drop(two, &theirs);
    mine.patience_ms = 0;
    EXPECT(one->type->lease_hold(one, &mine, 60000, &err) == SL_OK && mine.epoch == 4);
    struct sl_lease fresh = {.name = "source:new", .patience_ms = 60000}; /* nobody ever held it */
    EXPECT(one->type->lease_hold(one, &fresh, 60000, &err) == SL_OK && fresh.epoch == 1);
}

/* One write for many: it keeps what is the holder's, and takes nothing. */
static inline void check_renewals(struct sl_state *one, struct sl_state *two)
{
    enum { COUNT = 4 };
    struct sl_err err = {0};
    struct sl_lease leases[COUNT] = {
        {.name = "feed:m",       .holder = "m"},
        {.name = "feed:n",       .holder = "n"},
        {.name = "collection:m", .holder = "m"},
        {.name = "collection:m", .holder = "n"}
    };
    struct sl_lease theirs = {.name = "feed:n", .holder = "n"};
    bool held[COUNT];
    EXPECT(one->type->lease_hold(one, &leases[0], 60000, &err) == SL_OK);
    EXPECT(one->type->lease_hold(one, &leases[1], 1, &err) == SL_OK);
    EXPECT(one->type->lease_hold(one, &leases[2], 60000, &err) == SL_OK);
    sl_fiber_sleep(20);
    EXPECT(one->type->leases_renew(one, leases, 3, 60000, held, &err) == SL_OK);
    EXPECT(held[0] && held[1] && held[2]); /* also the one that was late: nobody came in between */
    EXPECT(two->type->lease_hold(two, &theirs, 60000, &err) == SL_THROTTLED);

    EXPECT(one->type->lease_hold(one, &leases[1], 1, &err) == SL_OK);
    sl_fiber_sleep(20);
    EXPECT(two->type->lease_hold(two, &theirs, 60000, &err) == SL_OK && theirs.epoch == 2);
    EXPECT(one->type->leases_renew(one, leases, COUNT, 60000, held, &err) == SL_OK);
    EXPECT(held[0] && !held[1] && held[2]);
    EXPECT(!held[3]); /* another holder of the same process */
    EXPECT(two->type->lease_hold(two, &theirs, 60000, &err) == SL_OK && theirs.epoch == 2);

    one->type->lease_drop(one, &leases[0]);
    struct sl_lease given = {.name = "feed:m", .holder = "m", .held = true, .epoch = 1};
    EXPECT(one->type->leases_renew(one, &given, 1, 60000, held, &err) == SL_OK && !held[0]);
    theirs = given;
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
    EXPECT(state->type->ledger_put(state, &(struct sl_booking){batch, 3, 0, 0}, 1, &err) == SL_OK);
    EXPECT(state->type->ledger_put(state, &(struct sl_booking){batch, 1, 1, 1}, 1, &err) ==
           SL_OK); /* delivered again */
    batch->origin.number = 1;
    EXPECT(state->type->ledger_put(state, &(struct sl_booking){batch, 0, 3, 0}, 1, &err) == SL_OK);
    batch->origin.attempt = 4;
    struct sl_batch *other = sl_batch_new(NULL, 0);
    sl_batch_set_origin(other, &batch->origin);
    other->origin.number = 2;
    const struct sl_booking both[] = {
        {batch, 1, 2, 0},
        {other, 0, 0, 0},
        {batch, 3, 0, 0}  /* twice in one call */
    };
    EXPECT(state->type->ledger_put(state, both, 3, &err) == SL_OK);
    EXPECT(state->type->ledger_sum(state, "f-1", 4, "E", &sum, &err) == SL_OK);
    EXPECT(sum.batches == 2 && sum.rows == 3 && sum.applied == 3 && sum.superseded == 4);
    sl_batch_free(other);
    batch->origin.attempt = 3;
    EXPECT(state->type->ledger_put(state, &(struct sl_booking){batch, 3, 0, 0}, 1, &err) == SL_OK);
    EXPECT(state->type->ledger_sum(state, "f-1", 2, "E", &sum, &err) == SL_OK);
    EXPECT(sum.batches == 2 && sum.rows == 6 && sum.applied == 1 && sum.stale == 4);
    EXPECT(sum.dead == 1 && sum.superseded == 8);
    EXPECT(state->type->ledger_sum(state, "f-1", 2, "F", &sum, &err) == SL_OK && !sum.batches);
    sl_batch_free(batch);
}

#endif
