/* Runs of a feed without end: when they are published and done, in which order their marks are
 * told, and what becomes of them when a batch comes back, a ledger stands still, or the owner
 * changes. */
#include "source/journal_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "loop/in_fiber.h"

enum { SAVES_MAX = 64, TOLD_BYTES = 1024, EARLIER_MAX = 70 };

struct rig {
    struct sl_state state; /* first */
    struct sl_credit credits[SL_LANES];
    struct sl_batcher *batcher;
    struct sl_journal *journal;
    struct sl_batch *taken[SAVES_MAX];
    unsigned taken_count;

    char saved[SAVES_MAX][80]; /* "feed-000001 published 3/1" */
    unsigned saves, begun, abandoned;
    unsigned begun_when_abandoning;
    uint64_t orphan_ms;
    int64_t newest;       /* number of a run that was cut off */
    int64_t overtaken;    /* by a full read: runs up to this number */
    bool save_unanswered; /* it is saved all the same */
    bool save_refused, save_slow, rewind_fails, told_slow, told_fails;
    bool more_fails;                    /* runs_open, after the first time */
    bool away;                          /* the ledger */
    struct sl_run earlier[EARLIER_MAX]; /* what runs_open gives */
    unsigned earlier_count;
    unsigned late;                         /* of them, published until runs_abandon */
    uint64_t booked_rows[EARLIER_MAX + 1]; /* by run number: the ledger's applied rows … */
    uint32_t booked[EARLIER_MAX + 1];      /* … and batches */

    char told[TOLD_BYTES]; /* "P1:a C1:a " */
    unsigned broken, stuck, stirred;
};

/* --- the state --- */

static int run_save(struct sl_state *state, const struct sl_run *run, int64_t epoch,
                    struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    (void)epoch;
    if (rig->save_slow)
        sl_fiber_sleep(20);
    if (rig->save_refused)
        return sl_err_set(err, SL_REJECTED, "another epoch");
    rig->begun += run->state == SL_RUN_STREAMING;
    rig->abandoned += run->state == SL_RUN_ABANDONED;
    if (run->state == SL_RUN_STREAMING && rig->save_unanswered)
        return sl_err_set(err, SL_TIMEOUT, "no answer");
    if (run->state == SL_RUN_STREAMING || run->state == SL_RUN_ABANDONED)
        return SL_OK;
    snprintf(rig->saved[rig->saves++ % SAVES_MAX], sizeof rig->saved[0], "%s %s %llu/%u%s", run->id,
             sl_run_state_name(run->state), (unsigned long long)run->entities[0].read,
             run->entities[0].batches, run->unsettled ? " unsettled" : "");
    for (unsigned i = 0; i < rig->earlier_count; i++)
        if (!strcmp(rig->earlier[i].id, run->id))
            rig->earlier[i].unsettled = run->unsettled;
    return rig->save_unanswered ? sl_err_set(err, SL_CANCELED, "cancelled") : SL_OK;
}

static int ledger_sum(struct sl_state *state, const char *run, uint32_t attempt, const char *entity,
                      struct sl_ledger_sum *ret, struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    int number = (int)strtol(strrchr(run, '-') + 1, NULL, 10);
    (void)attempt;
    (void)entity;
    if (rig->away)
        return sl_err_set(err, SL_TIMEOUT, "the store is away");
    ret->batches = rig->booked[number];
    ret->applied = rig->booked_rows[number];
    return SL_OK;
}

static int runs_open(struct sl_state *state, const char *feed, int64_t after, struct sl_run *ret,
                     unsigned max, unsigned *ret_count, struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    unsigned count = 0;
    (void)feed;
    for (unsigned i = 0; i < rig->earlier_count && count < max; i++)
        if (rig->earlier[i].number > after)
            ret[count++] = rig->earlier[i];
    *ret_count = count;
    return after && rig->more_fails ? sl_err_set(err, SL_TIMEOUT, "the store is away") : SL_OK;
}

static int run_unsettled(struct sl_state *state, const char *feed, int64_t after,
                         struct sl_run *ret, struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    for (unsigned i = 0; i < rig->earlier_count; i++)
        if (rig->earlier[i].unsettled && rig->earlier[i].number > after) {
            *ret = rig->earlier[i];
            return SL_OK;
        }
    return sl_err_set(err, SL_NOTFOUND, "none of '%s'", feed);
}

static int runs_abandon(struct sl_state *state, const char *feed, int64_t epoch,
                        int64_t saved_before_ms, const char *why, struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    (void)feed, (void)epoch, (void)saved_before_ms, (void)why, (void)err;
    rig->begun_when_abandoning = rig->begun;
    rig->earlier_count += rig->late;
    rig->late = 0;
    return SL_OK;
}

static int run_newest(struct sl_state *state, const char *feed, struct sl_run *ret,
                      struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    (void)feed;
    if (!rig->newest)
        return sl_err_set(err, SL_NOTFOUND, "none");
    ret->number = rig->newest;
    return SL_OK;
}

static int overtake_get(struct sl_state *state, const char *feed, struct sl_overtake *ret,
                        struct sl_err *err)
{
    const struct rig *rig = (const struct rig *)state;
    if (!rig->overtaken)
        return sl_err_set(err, SL_NOTFOUND, "nothing of '%s'", feed);
    *ret = (struct sl_overtake){.run = rig->overtaken};
    return SL_OK;
}

static const struct sl_state_type state_type = {.run_newest = run_newest,
                                                .overtake_get = overtake_get,
                                                .run_save = run_save,
                                                .ledger_sum = ledger_sum,
                                                .runs_open = runs_open,
                                                .run_unsettled = run_unsettled,
                                                .runs_abandon = runs_abandon};

/* --- the owner --- */

static void tell(struct rig *rig, char what, const struct sl_journal_run *run)
{
    size_t used = strlen(rig->told);
    snprintf(rig->told + used, sizeof rig->told - used, "%c%d:%s ", what,
             (int)strtol(strrchr(run->id, '-') + 1, NULL, 10), run->mark ? run->mark : "-");
}

static int on_published(void *ctx, const struct sl_journal_run *run, struct sl_err *err)
{
    struct rig *rig = ctx;
    tell(rig, 'P', run);
    if (rig->told_slow)
        sl_fiber_sleep(20);
    return rig->told_fails ? sl_err_set(err, SL_TIMEOUT, "no answer") : SL_OK;
}

static int on_closed(void *ctx, const struct sl_journal_run *run, struct sl_err *err)
{
    (void)err;
    tell(ctx, 'C', run);
    return SL_OK;
}

static int on_rewind(void *ctx, const struct sl_journal_run *run, struct sl_err *err)
{
    struct rig *rig = ctx;
    if (rig->rewind_fails)
        return sl_err_set(err, SL_TIMEOUT, "the store is away");
    tell(rig, 'R', run);
    return SL_OK;
}

static void on_stuck(void *ctx, const struct sl_journal_run *run)
{
    struct rig *rig = ctx;
    tell(rig, 'S', run);
    rig->stuck++;
}

/* "L2:2-4/7 ": two runs of seven rows, from number 2 to 4. */
static void on_lost(void *ctx, const struct sl_journal_lost *lost)
{
    struct rig *rig = ctx;
    size_t used = strlen(rig->told);
    snprintf(rig->told + used, sizeof rig->told - used, "L%d:%d-%d/%d ", (int)lost->runs,
             (int)strtol(strrchr(lost->first, '-') + 1, NULL, 10),
             (int)strtol(strrchr(lost->last, '-') + 1, NULL, 10), (int)lost->rows);
    rig->stuck++;
}

static void on_broken(void *ctx)
{
    ((struct rig *)ctx)->broken++;
}

static void on_stir(void *ctx)
{
    ((struct rig *)ctx)->stirred++;
}

static const struct sl_journal_handler handler = {
    .published = on_published,
    .closed = on_closed,
    .rewind = on_rewind,
    .stuck = on_stuck,
    .lost = on_lost,
    .broken = on_broken,
    .stir = on_stir,
};

/* --- the rig --- */

static void set_up_as(struct rig *rig, uint64_t span_ms, uint64_t ledger_deadline_ms,
                      bool read_once)
{
    static const struct sl_batcher_limits limits = {
        .max_rows = 2, .max_bytes = 65536, .linger_ms = 20, .max_row_bytes = 1000};
    rig->state.type = &state_type;
    sl_credit_init(&rig->credits[SL_LANE_FAST], "fast", 10 << 20);
    sl_credit_init(&rig->credits[SL_LANE_BULK], "bulk", 10 << 20);
    rig->batcher = sl_batcher_new(&limits, rig->credits);
    const struct sl_journal_options options = {.feed = "feed",
                                               .entity = "table",
                                               .prefix = "feed",
                                               .state = &rig->state,
                                               .batcher = rig->batcher,
                                               .span_ms = span_ms,
                                               .ledger_deadline_ms = ledger_deadline_ms,
                                               .epoch = 1,
                                               .orphan_ms = rig->orphan_ms,
                                               .read_once = read_once,
                                               .handler = &handler,
                                               .ctx = rig};
    rig->journal = sl_journal_new(&options);
}

static void set_up(struct rig *rig, uint64_t span_ms, uint64_t ledger_deadline_ms)
{
    struct sl_err err;
    set_up_as(rig, span_ms, ledger_deadline_ms, false);
    EXPECT(sl_journal_adopt(rig->journal, 7, 0, NULL, &err) == SL_OK);
}

static void tear_down(struct rig *rig)
{
    for (unsigned i = 0; i < rig->taken_count; i++)
        sl_batch_free(rig->taken[i]);
    sl_journal_free(rig->journal);
    sl_batcher_free(rig->batcher);
}

static void add_row(struct rig *rig, int id)
{
    static const struct sl_journal_kind kind = {.lane = SL_LANE_FAST};
    struct sl_err err;
    struct sl_batch *batch;
    EXPECT(sl_journal_begin(rig->journal, &kind, &err) == SL_OK);
    REQUIRE(sl_batcher_open(rig->batcher, &batch, &err) == SL_OK);
    char text[16];
    snprintf(text, sizeof text, "%d", id);
    struct sl_record record = {.op = SL_DELETE, .version = 1};
    record.id = (struct sl_str){sl_arena_text(&batch->arena, text, strlen(text)), strlen(text)};
    EXPECT(sl_batcher_add(rig->batcher, &record, &err) == SL_OK);
}

/* What the flow's reader does, all the time. */
static void take_all(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    struct sl_batch *batch;
    while (sl_batcher_take(rig->batcher, SL_FOREVER, &batch, &err) == SL_OK)
        rig->taken[rig->taken_count++] = batch;
}

static void commit_taken(struct rig *rig)
{
    for (unsigned i = 0; i < rig->taken_count; i++) {
        sl_journal_commit(rig->journal, rig->taken[i]);
        sl_batch_free(rig->taken[i]);
    }
    rig->taken_count = 0;
}

/* One run of three rows, in two batches. Ends it with mark. */
static void make_run(struct rig *rig, const char *mark)
{
    struct sl_err err;
    for (int i = 0; i < 3; i++)
        add_row(rig, i);
    EXPECT(sl_journal_end(rig->journal, mark, &err) == SL_OK);
}

static int keep(struct rig *rig)
{
    struct sl_err err;
    uint64_t wait_ms;
    return sl_journal_keep(rig->journal, &wait_ms, &err);
}

/* One that somebody published before, with nothing in it. */
static struct sl_run earlier_run(const char *id, int64_t number, uint32_t attempt)
{
    struct sl_run run = {
        .number = number, .attempt = attempt, .entities = {{.name = "table"}}, .entity_count = 1};
    snprintf(run.id, sizeof run.id, "%s", id);
    return run;
}

static struct sl_fiber *taker_of(struct rig *rig)
{
    return sl_fiber_spawn_joinable("take", take_all, rig);
}

static void stop_taking(struct sl_fiber *taker)
{
    sl_fiber_cancel(taker);
    sl_fiber_join(taker);
}

/* --- cases --- */

static void lives_of_two_runs(void *arg)
{
    struct rig *rig = arg;
    set_up(rig, 100000, 100000);
    struct sl_fiber *taker = taker_of(rig);
    make_run(rig, "a");
    EXPECT(keep(rig) == SL_OK && !rig->saves); /* nothing is confirmed */
    EXPECT(keep(rig) == SL_OK && rig->begun == 1);
    UNTIL(rig->taken_count == 2);
    commit_taken(rig);
    make_run(rig, "b");
    EXPECT(keep(rig) == SL_OK);
    EXPECT(!strcmp(rig->told, "P1:a "));
    EXPECT(!strcmp(rig->saved[0], "feed-000001 published 3/2"));
    UNTIL(rig->taken_count == 2);
    commit_taken(rig);
    rig->booked[2] = 2, rig->booked_rows[2] = 3; /* the later one agrees first */
    EXPECT(keep(rig) == SL_OK);
    EXPECT(!strcmp(rig->told, "P1:a P2:b "));
    rig->booked[1] = 2, rig->booked_rows[1] = 3;
    sl_fiber_sleep(300);
    EXPECT(keep(rig) == SL_OK);
    EXPECT(!strcmp(rig->told, "P1:a P2:b C1:a C2:b "));
    EXPECT(!strcmp(rig->saved[3], "feed-000002 done 3/2"));
    EXPECT(!sl_journal_unclosed(rig->journal) && sl_journal_number(rig->journal) == 2);
    stop_taking(taker);
    tear_down(rig);
}

static void a_batch_comes_back(void *arg)
{
    struct rig *rig = arg;
    set_up(rig, 100000, 100000);
    struct sl_fiber *taker = taker_of(rig);
    make_run(rig, "a");
    EXPECT(keep(rig) == SL_OK && rig->begun == 1);
    UNTIL(rig->taken_count == 2);
    sl_journal_commit(rig->journal, rig->taken[0]);
    sl_journal_release(rig->journal, rig->taken[1]);
    EXPECT(rig->broken == 1);
    sl_journal_abandon(rig->journal);
    sl_journal_commit(rig->journal, rig->taken[1]); /* of a run that is no more */
    EXPECT(!rig->abandoned && keep(rig) == SL_OK && !rig->saves && !*rig->told);
    EXPECT(rig->abandoned == 1 && keep(rig) == SL_OK && rig->abandoned == 1);
    sl_batch_free(rig->taken[0]);
    sl_batch_free(rig->taken[1]);
    rig->taken_count = 0;
    make_run(rig, "again");
    UNTIL(rig->taken_count == 2);
    commit_taken(rig);
    EXPECT(keep(rig) == SL_OK);
    EXPECT(!strcmp(rig->told, "P2:again ")); /* never the number of the other */
    stop_taking(taker);
    tear_down(rig);
}

/* That it begins may be journaled although no answer came: nobody else closes a run of this epoch.
 */
static void begun_without_an_answer(void *arg)
{
    struct rig *rig = arg;
    set_up(rig, 100000, 100000);
    struct sl_fiber *taker = taker_of(rig);
    make_run(rig, "a");
    rig->save_unanswered = true;
    EXPECT(keep(rig) == SL_TIMEOUT && rig->begun == 1);
    EXPECT(keep(rig) == SL_TIMEOUT && rig->begun == 2); /* until there is an answer */
    rig->save_unanswered = false;
    UNTIL(rig->taken_count == 2);
    sl_journal_release(rig->journal, rig->taken[0]);
    sl_journal_abandon(rig->journal);
    EXPECT(keep(rig) == SL_OK && rig->begun == 2 && rig->abandoned == 1);
    sl_batch_free(rig->taken[0]);
    sl_batch_free(rig->taken[1]);
    rig->taken_count = 0;
    stop_taking(taker);
    tear_down(rig);
}

static void keep_once(void *arg)
{
    keep(arg);
}

/* Given up while it is being saved: nobody may be told of its mark, and it is not to look as if its
 * ledger were waited for. */
static void given_up_meanwhile(void *arg)
{
    struct rig *rig = arg;
    set_up(rig, 100000, 100000);
    struct sl_fiber *taker = taker_of(rig);
    make_run(rig, "a");
    UNTIL(rig->taken_count == 2);
    commit_taken(rig);
    rig->save_slow = true;
    struct sl_fiber *keeper = sl_fiber_spawn_joinable("keep", keep_once, rig);
    sl_fiber_sleep(5);
    sl_journal_abandon(rig->journal);
    sl_fiber_join(keeper);
    EXPECT(!*rig->told && rig->saves == 1 && strstr(rig->saved[0], "published"));
    EXPECT(!sl_journal_unpublished(rig->journal) && !sl_journal_unclosed(rig->journal));
    EXPECT(keep(rig) == SL_OK && rig->abandoned == 1);
    stop_taking(taker);
    tear_down(rig);
}

/* What the owner was told, it may have noted for good, whether or not it could say so: nobody will
 * read those rows again, so their ledger is waited for. */
static void told_and_then_given_up(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig, 100000, 100000);
    struct sl_fiber *taker = taker_of(rig);
    make_run(rig, "a");
    EXPECT(keep(rig) == SL_OK && rig->begun == 1);
    UNTIL(rig->taken_count == 2);
    commit_taken(rig);
    rig->told_slow = rig->told_fails = true;
    struct sl_fiber *keeper = sl_fiber_spawn_joinable("keep", keep_once, rig);
    sl_fiber_sleep(5);
    EXPECT(!strcmp(rig->told, "P1:a "));
    sl_journal_abandon(rig->journal);
    sl_fiber_join(keeper);
    sl_journal_abandon(rig->journal);
    rig->told_slow = rig->told_fails = false;
    EXPECT(keep(rig) == SL_OK && !strcmp(rig->told, "P1:a P1:a "));
    EXPECT(!rig->abandoned && sl_journal_unclosed(rig->journal) == 1);

    /* The lease was out of sight meanwhile: it is taken up from the state, and stays as it is
     * there.
     */
    make_run(rig, "b");
    EXPECT(keep(rig) == SL_OK && rig->begun == 2);
    UNTIL(rig->taken_count == 2);
    commit_taken(rig);
    rig->told_fails = true;
    EXPECT(keep(rig) == SL_TIMEOUT);
    rig->earlier[0] = earlier_run("feed-000001", 1, 7);
    rig->earlier[1] = earlier_run("feed-000002", 2, 7);
    rig->earlier_count = 2;
    EXPECT(sl_journal_adopt(rig->journal, 7, 2, "b", &err) == SL_OK);
    EXPECT(keep(rig) == SL_OK && !rig->abandoned);
    EXPECT(!strcmp(rig->told, "P1:a P1:a P2:b C1:- C2:b "));
    stop_taking(taker);
    tear_down(rig);
}

static void a_ledger_stands_still(void *arg)
{
    struct rig *rig = arg;
    set_up(rig, 100000, 50);
    struct sl_fiber *taker = taker_of(rig);
    make_run(rig, "a");
    UNTIL(rig->taken_count == 2);
    commit_taken(rig);
    EXPECT(keep(rig) == SL_OK);
    rig->booked[1] = 1, rig->booked_rows[1] = 2; /* a batch is missing */
    rig->rewind_fails = true; /* no run may fail before it is known where to read again from */
    unsigned saves = rig->saves;
    while (keep(rig) == SL_OK)
        sl_fiber_sleep(20);
    EXPECT(rig->saves == saves && !rig->stuck && sl_journal_unclosed(rig->journal) == 1);
    rig->rewind_fails = false;
    for (int i = 0; i < 100 && !rig->stuck; i++) {
        sl_fiber_sleep(20);
        EXPECT(keep(rig) == SL_OK);
    }
    EXPECT(rig->stuck == 1);
    EXPECT(!strcmp(rig->told, "P1:a R1:a S1:a "));
    EXPECT(strstr(rig->saved[rig->saves - 1], "failed"));
    EXPECT(!sl_journal_unclosed(rig->journal));
    stop_taking(taker);
    tear_down(rig);
}

/* Its time runs while the appliers could have got to it, and neither while they were busy with the
 * run before it, nor while the database that holds the ledger was away. */
static void ledgers_that_are_late(void *arg)
{
    struct rig *rig = arg;
    set_up(rig, 100000, 500);
    struct sl_fiber *taker = taker_of(rig);
    make_run(rig, "a");
    make_run(rig, "b");
    UNTIL(rig->taken_count == 4);
    commit_taken(rig);
    EXPECT(keep(rig) == SL_OK && !strcmp(rig->told, "P1:a P2:b "));
    sl_fiber_sleep(300);
    rig->booked[1] = 1, rig->booked_rows[1] = 2; /* it moves */
    EXPECT(keep(rig) == SL_OK);
    rig->booked[1] = 2, rig->booked_rows[1] = 3;
    sl_fiber_sleep(510);
    EXPECT(keep(rig) == SL_OK);
    EXPECT(!strcmp(rig->told, "P1:a P2:b C1:a "));
    rig->away = true;
    sl_fiber_sleep(600);
    EXPECT(keep(rig) == SL_TIMEOUT);
    rig->away = false;
    EXPECT(keep(rig) == SL_OK && !rig->stuck);
    rig->booked[2] = 2, rig->booked_rows[2] = 3;
    for (int i = 0; i < 200 && !strstr(rig->told, "C2"); i++) {
        EXPECT(keep(rig) == SL_OK);
        sl_fiber_sleep(20);
    }
    EXPECT(!strcmp(rig->told, "P1:a P2:b C1:a C2:b "));
    stop_taking(taker);
    tear_down(rig);
}

static void another_owner(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig, 100000, 100000);
    struct sl_fiber *taker = taker_of(rig);
    rig->save_refused = true;
    make_run(rig, "a");
    UNTIL(rig->taken_count == 2);
    commit_taken(rig);
    EXPECT(keep(rig) == SL_REJECTED && !*rig->told);
    rig->save_refused = false;

    struct sl_run *run = &rig->earlier[0];
    *run = earlier_run("feed-000005", 5, 6);
    run->entities[0].read = 3;
    run->entities[0].batches = 2;
    rig->late = 1;
    EXPECT(sl_journal_adopt(rig->journal, 8, 4, "theirs", &err) == SL_OK);
    EXPECT(sl_journal_number(rig->journal) == 5 && sl_journal_unclosed(rig->journal) == 1);
    rig->booked[5] = 2, rig->booked_rows[5] = 3;
    EXPECT(keep(rig) == SL_OK);
    EXPECT(!strcmp(rig->told, "C5:theirs "));

    /* A lease that was out of sight for a while: the numbers go on. */
    make_run(rig, "b");
    UNTIL(rig->taken_count == 2);
    EXPECT(sl_journal_number(rig->journal) == 6);
    EXPECT(sl_journal_adopt(rig->journal, 8, 5, "theirs", &err) == SL_OK);
    EXPECT(sl_journal_number(rig->journal) == 6);

    /* Journal and checkpoint were lost: none is numbered below what a full read has overtaken. */
    rig->overtaken = sl_journal_number(rig->journal) + 40;
    EXPECT(sl_journal_adopt(rig->journal, 9, 1, NULL, &err) == SL_OK);
    EXPECT(sl_journal_number(rig->journal) == rig->overtaken);
    EXPECT(sl_journal_skip(rig->journal, 16) == rig->overtaken + 16);
    stop_taking(taker);
    tear_down(rig);
}

/* The link that follows from the newest of them is safe when all are done, however many there are.
 */
static void many_runs_of_another_owner(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig, 100000, 100000);
    for (int i = 0; i < EARLIER_MAX; i++) {
        char id[32];
        snprintf(id, sizeof id, "feed-%06d", i + 1);
        rig->earlier[i] = earlier_run(id, i + 1, 6);
    }
    rig->earlier_count = EARLIER_MAX;
    rig->more_fails = true;
    EXPECT(sl_journal_adopt(rig->journal, 8, 1, "theirs", &err) == SL_TIMEOUT);
    EXPECT(!sl_journal_unclosed(rig->journal));
    rig->more_fails = false;
    EXPECT(sl_journal_adopt(rig->journal, 8, 1, "theirs", &err) == SL_OK);
    EXPECT(sl_journal_unclosed(rig->journal) == EARLIER_MAX);
    EXPECT(sl_journal_number(rig->journal) == EARLIER_MAX);
    EXPECT(keep(rig) == SL_OK && strstr(rig->told, "C69:- C70:theirs "));
    tear_down(rig);
}

/* What the books have begun for an earlier owner they end before the new one takes them up. */
static void another_owner_while_the_books_are_kept(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig, 100000, 100000);
    struct sl_fiber *taker = taker_of(rig);
    make_run(rig, "a");
    EXPECT(keep(rig) == SL_OK && rig->begun == 1);
    UNTIL(rig->taken_count == 2);
    sl_journal_abandon(rig->journal);
    rig->save_slow = true;
    struct sl_fiber *keeper = sl_fiber_spawn_joinable("keep", keep_once, rig);
    sl_fiber_yield();
    EXPECT(!rig->abandoned);
    EXPECT(sl_journal_adopt(rig->journal, 8, 0, NULL, &err) == SL_OK);
    EXPECT(rig->abandoned == 1 && keep(rig) == SL_OK && rig->abandoned == 1);
    sl_fiber_join(keeper);
    stop_taking(taker);
    tear_down(rig);
}

static void spans_and_kinds(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig, 30, 100000);
    struct sl_fiber *taker = taker_of(rig);
    EXPECT(!sl_journal_is_due(rig->journal));
    add_row(rig, 1);
    EXPECT(sl_journal_is_open(rig->journal) && !sl_journal_is_due(rig->journal));
    sl_fiber_sleep(40);
    EXPECT(sl_journal_is_due(rig->journal));
    const struct sl_journal_kind full = {.lane = SL_LANE_BULK, .seen = "read-1"};
    EXPECT(sl_journal_begin(rig->journal, &full, &err) == SL_OK);
    EXPECT(sl_journal_number(rig->journal) == 2);
    EXPECT(sl_journal_end(rig->journal, "empty", &err) == SL_OK);
    UNTIL(rig->taken_count == 3); /* a row, an end; an end */
    const struct sl_origin *last = &rig->taken[rig->taken_count - 1]->origin;
    EXPECT(last->last && last->full && !strcmp(last->seen, "read-1"));
    EXPECT(last->attempt == 7 && last->lane == SL_LANE_BULK);
    commit_taken(rig);
    EXPECT(keep(rig) == SL_OK);
    EXPECT(!strcmp(rig->told, "P1:- P2:empty "));
    stop_taking(taker);
    tear_down(rig);
}

/* Nobody is owner, and nobody can read again: the run that is stuck goes alone, and what is being
 * added stays. */
static void rows_that_come_once(void *arg)
{
    struct rig *rig = arg;
    set_up_as(rig, 100000, 50, true);
    struct sl_fiber *taker = taker_of(rig);
    make_run(rig, NULL);
    make_run(rig, NULL);
    UNTIL(rig->taken_count == 4);
    EXPECT(rig->taken[0]->origin.attempt == 1);
    commit_taken(rig);
    rig->booked[2] = 2, rig->booked_rows[2] = 3;
    EXPECT(keep(rig) == SL_OK && !strcmp(rig->told, "P1:- P2:- "));
    add_row(rig, 9);
    for (int i = 0; i < 100 && !strstr(rig->told, "C2"); i++) {
        sl_fiber_sleep(20);
        EXPECT(keep(rig) == SL_OK);
    }
    EXPECT(rig->stuck == 1 && !strcmp(rig->told, "P1:- P2:- L1:1-1/3 C2:- "));
    EXPECT(sl_journal_is_open(rig->journal) && sl_journal_end(rig->journal, NULL, NULL) == SL_OK);
    UNTIL(rig->taken_count == 2);
    EXPECT(rig->taken[0]->count == 1);
    commit_taken(rig);
    EXPECT(keep(rig) == SL_OK && strstr(rig->told, "P3"));
    stop_taking(taker);
    tear_down(rig);
}

/* Such a run must not look as if its process were dead, to others or to itself. */
static void a_run_that_stays_open_for_long(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    uint64_t wait_ms;
    rig->orphan_ms = 400;
    set_up_as(rig, 1, 100000, true);
    struct sl_fiber *taker = taker_of(rig);
    add_row(rig, 1);
    EXPECT(keep(rig) == SL_OK && rig->begun == 1 && rig->begun_when_abandoning == 1);
    EXPECT(sl_journal_keep(rig->journal, &wait_ms, &err) == SL_OK && rig->begun == 1);
    EXPECT(wait_ms <= sl_deadline_in(100));
    sl_fiber_sleep(110);
    EXPECT(keep(rig) == SL_OK && rig->begun == 2);
    EXPECT(sl_journal_end(rig->journal, NULL, NULL) == SL_OK);
    UNTIL(rig->taken_count == 2);
    sl_fiber_sleep(110); /* RabbitMQ confirms nothing */
    EXPECT(keep(rig) == SL_OK && rig->begun == 3);
    commit_taken(rig);
    sl_fiber_sleep(110);
    EXPECT(keep(rig) == SL_OK && rig->begun == 3 && !strcmp(rig->told, "P1:- "));
    sl_fiber_sleep(110);
    EXPECT(keep(rig) == SL_OK && rig->begun == 3);
    stop_taking(taker);
    tear_down(rig);
}

/* Runs of a process that was killed: those that nobody finished for a while, and no others. */
static void runs_of_the_dead(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up_as(rig, 100000, 50, true);
    struct sl_fiber *taker = taker_of(rig);
    add_row(rig, 9); /* the open run stays in its place */
    int64_t now_ms = sl_wall_ms();
    for (int i = 0; i < 3; i++) {
        char id[32];
        struct sl_run *run = &rig->earlier[rig->earlier_count++];
        snprintf(id, sizeof id, "feed-dead-%06d", 3 + i);
        *run = earlier_run(id, 3 + i, 1);
        run->state_ms = i < 2 ? now_ms - 5000 : now_ms;
        run->entities[0].read = run->entities[0].batches = 1;
    }
    rig->booked[3] = 1, rig->booked_rows[3] = 1; /* 4 is lost, 5 may have an owner */
    EXPECT(sl_journal_take_orphans(rig->journal, 1000, &err) == SL_OK);
    EXPECT(sl_journal_take_orphans(rig->journal, 1000, &err) == SL_OK); /* knows them already */
    EXPECT(sl_journal_unclosed(rig->journal) == 2 && sl_journal_is_open(rig->journal));
    for (int i = 0; i < 100 && !rig->stuck; i++) {
        EXPECT(keep(rig) == SL_OK);
        sl_fiber_sleep(20);
    }
    EXPECT(!strcmp(rig->told, "C3:- L1:4-4/1 "));
    EXPECT(!strcmp(rig->saved[0], "feed-dead-000003 done 1/1"));
    EXPECT(!strcmp(rig->saved[1], "feed-dead-000004 failed 1/1 unsettled"));
    EXPECT(sl_journal_number(rig->journal) == 1 && sl_journal_is_open(rig->journal));
    stop_taking(taker);
    tear_down(rig);
}

/* Whoever gave runs up may have been killed before he could tell; and some may have closed since.
 * One word is said of all: of several, the last alone would be told in time. */
static void runs_that_were_given_up(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up_as(rig, 100000, 50, true);
    for (int i = 0; i < 6; i++) {
        char id[32];
        struct sl_run *run = &rig->earlier[rig->earlier_count++];
        int number = i < 5 ? 3 + i : 6; /* two of the same number: of two processes */
        snprintf(id, sizeof id, "feed-%s-%06d", i < 5 ? "dead" : "gone", number);
        *run = earlier_run(id, number, 1);
        run->unsettled = true;
        run->entities[0].read = run->entities[0].batches = 1;
    }
    snprintf(rig->earlier[0].execution_id, sizeof rig->earlier[0].execution_id, "a package's");
    rig->booked[4] = 1, rig->booked_rows[4] = 1;
    EXPECT(sl_journal_tell_again(rig->journal, &err) == SL_OK);
    EXPECT(!strcmp(rig->told, "L4:5-6/4 ") && rig->saves == 5);
    EXPECT(!strcmp(rig->saved[0], "feed-dead-000004 done 1/1"));
    EXPECT(!strcmp(rig->saved[1], "feed-dead-000005 failed 1/1"));
    EXPECT(sl_journal_tell_again(rig->journal, &err) == SL_OK && rig->stuck == 1);
    rig->earlier[2].unsettled = rig->away = true;
    EXPECT(sl_journal_tell_again(rig->journal, &err) == SL_TIMEOUT && rig->stuck == 1);
    char words[SL_JOURNAL_LOST_BYTES];
    sl_journal_lost_words(&rig->journal->lost, words);
    EXPECT(!strcmp(words, "4 runs so far (4 rows; the first was feed-dead-000005, the last "
                          "feed-gone-000006)"));
    rig->earlier[2].unsettled = rig->save_unanswered = true;
    rig->away = false;
    EXPECT(sl_journal_tell_again(rig->journal, &err) == SL_CANCELED && rig->stuck == 2);
    EXPECT(!rig->earlier[2].unsettled);
    tear_down(rig);
}

/* The feed's name was that of packages, or of another table, or had an owner of greater epochs. */
static void runs_of_another_kind(void *arg)
{
    enum { OURS = 4 };
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig, 100000, 100000);
    for (int i = 0; i <= OURS; i++) {
        char id[32];
        snprintf(id, sizeof id, "feed-%06d", i + 1);
        rig->earlier[i] = earlier_run(id, i + 1, i == 3 ? 9 : 1);
    }
    snprintf(rig->earlier[0].execution_id, SL_NAME_MAX, "sluice-feed-000001");
    snprintf(rig->earlier[1].sweeps, SL_NAME_MAX, "feed-000001");
    snprintf(rig->earlier[2].entities[0].name, SL_NAME_MAX, "another");
    rig->earlier_count = OURS + 1;
    EXPECT(sl_journal_adopt(rig->journal, 8, 0, "theirs", &err) == SL_OK);
    EXPECT(sl_journal_unclosed(rig->journal) == 1);
    EXPECT(sl_journal_number(rig->journal) == OURS + 1);
    EXPECT(keep(rig) == SL_OK && !strcmp(rig->told, "C5:theirs "));
    tear_down(rig);

    set_up_as(rig, 100000, 100000, true);
    EXPECT(sl_journal_take_orphans(rig->journal, 1000, &err) == SL_OK);
    EXPECT(sl_journal_unclosed(rig->journal) == 1);
    tear_down(rig);
}

static void run_case(void (*fn)(void *))
{
    struct rig *rig = calloc(1, sizeof *rig);
    run_in_fiber(fn, rig);
    free(rig);
}

#define CASE(name)                                                                                 \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        run_case(name);                                                                            \
    }

CASE(lives_of_two_runs)
CASE(a_batch_comes_back)
CASE(begun_without_an_answer)
CASE(given_up_meanwhile)
CASE(told_and_then_given_up)
CASE(a_ledger_stands_still)
CASE(ledgers_that_are_late)
CASE(another_owner)
CASE(another_owner_while_the_books_are_kept)
CASE(many_runs_of_another_owner)
CASE(spans_and_kinds)
CASE(rows_that_come_once)
CASE(a_run_that_stays_open_for_long)
CASE(runs_of_the_dead)
CASE(runs_that_were_given_up)
CASE(runs_of_another_kind)

static int end_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lives_of_two_runs),
        cmocka_unit_test(test_a_batch_comes_back),
        cmocka_unit_test(test_begun_without_an_answer),
        cmocka_unit_test(test_given_up_meanwhile),
        cmocka_unit_test(test_told_and_then_given_up),
        cmocka_unit_test(test_a_ledger_stands_still),
        cmocka_unit_test(test_another_owner),
        cmocka_unit_test(test_spans_and_kinds),
        cmocka_unit_test(test_rows_that_come_once),
        cmocka_unit_test(test_ledgers_that_are_late),
        cmocka_unit_test(test_a_run_that_stays_open_for_long),
        cmocka_unit_test(test_runs_of_the_dead),
        cmocka_unit_test(test_runs_that_were_given_up),
        cmocka_unit_test(test_runs_of_another_kind),
        cmocka_unit_test(test_another_owner_while_the_books_are_kept),
        cmocka_unit_test(test_many_runs_of_another_owner),
    };
    return cmocka_run_group_tests(tests, NULL, end_all);
}
