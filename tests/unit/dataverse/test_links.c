/* How far a table was read, and what full reads, sweeps and refreshes have come to, while the
 * checkpoint that tells of it is on its way, or does not arrive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "dataverse/dataverse_own.h"
#include "loop/in_fiber.h"
#include "source/journal_own.h"

enum { SAVES_MAX = 16, SAVE_MS = 20, COUNT_MS = 5, DEADLINE_MS = 300 };

static const char READ[] = "accounts-full-000007", NEXT_READ[] = "accounts-full-000008";
static const char NEWEST[] = "delta https://crm/new", KEPT[] = "delta https://crm/kept";
static const char SHAPE[] = "accounts into d365.accounts";
static const char SAFE[] = "delta https://crm/safe", PAGE[] = "page https://crm/2";

struct saved {
    char reading[SL_NAME_MAX], sweeping[SL_NAME_MAX], newest[64], safe[64], kept[64];
    bool full_dead;
};

struct rig {
    struct sl_state state; /* first */
    struct sl_credit credits[SL_LANES];
    struct sl_batcher *batcher;
    struct sl_dataverse dataverse;
    struct sl_dataverse_feed_settings settings;
    struct sl_entity_config entity;
    struct sl_feed_config config;
    struct sl_source_config source;
    struct sl_dataverse_source_settings source_settings;
    struct sl_dv_feed feed;

    struct saved saved[SAVES_MAX]; /* also those that failed */
    unsigned arrived;              /* the number of the last one that did */
    unsigned saves, failing;       /* so many of the next ones fail */
    bool open_run;                 /* one is published and not done */
    bool after_full;               /* … and so is the last one of a full read, before it */
    bool arrives;                  /* that one is in the ledger, and not only the one before it */
    struct sl_refresh refresh;     /* as stored; no number: none was asked for */
    unsigned counts, walks, nameless;
    unsigned deletions; /* given to the broker */
    bool rewinds_late;  /* the owner before goes back to SAFE when the checkpoint is taken */
};

/* --- the state --- */

static int checkpoint_save(struct sl_state *state, const char *feed, const struct sl_checkpoint *at,
                           int64_t epoch, struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    struct saved *saved = &rig->saved[rig->saves++ % SAVES_MAX];
    bool fails = rig->failing && rig->failing--;
    (void)feed, (void)epoch;
    snprintf(saved->reading, sizeof saved->reading, "%s", at->reading);
    snprintf(saved->sweeping, sizeof saved->sweeping, "%s", at->sweeping);
    snprintf(saved->newest, sizeof saved->newest, "%s", at->newest ? at->newest : "");
    snprintf(saved->kept, sizeof saved->kept, "%s", at->kept ? at->kept : "");
    snprintf(saved->safe, sizeof saved->safe, "%s", at->safe ? at->safe : "");
    saved->full_dead = at->full_dead;
    sl_fiber_sleep(SAVE_MS);
    if (!fails)
        rig->arrived = rig->saves;
    return fails ? sl_err_set(err, SL_TIMEOUT, "no answer") : SL_OK;
}

static char *text_of(const char *text)
{
    return *text ? sl_strdup(text) : NULL;
}

/* What was saved last. */
static int checkpoint_load(struct sl_state *state, const char *feed, struct sl_checkpoint *ret,
                           struct sl_err *err)
{
    const struct rig *rig = (const struct rig *)state;
    const struct saved *saved = &rig->saved[(rig->arrived - 1) % SAVES_MAX];
    if (!rig->arrived)
        return sl_err_set(err, SL_NOTFOUND, "none of '%s'", feed);
    *ret = (struct sl_checkpoint){
        .newest = text_of(saved->newest), .safe = text_of(saved->safe), .query = sl_strdup(SHAPE)};
    snprintf(ret->source, sizeof ret->source, "%s", rig->dataverse.counters[SL_DV_OWN].name);
    snprintf(ret->sweeping, sizeof ret->sweeping, "%s", saved->sweeping);
    return SL_OK;
}

/* What the owner before has left, which may have been on its way when it was loaded. */
static int checkpoint_take(struct sl_state *state, const char *feed, int64_t epoch,
                           struct sl_checkpoint *ret, struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    (void)epoch;
    *ret = (struct sl_checkpoint){0};
    if (rig->rewinds_late) {
        snprintf(rig->saved[(rig->arrived - 1) % SAVES_MAX].newest, SL_NAME_MAX, "%s", SAFE);
        rig->open_run = false;
    }
    return rig->arrived ? checkpoint_load(state, feed, ret, err) : SL_OK;
}

static int overtake_get(struct sl_state *state, const char *feed, struct sl_overtake *ret,
                        struct sl_err *err)
{
    (void)state, (void)ret;
    return sl_err_set(err, SL_NOTFOUND, "nothing of '%s'", feed);
}

static int run_newest(struct sl_state *state, const char *feed, struct sl_run *ret,
                      struct sl_err *err)
{
    (void)state, (void)ret;
    return sl_err_set(err, SL_NOTFOUND, "none of '%s'", feed);
}

static int run_latest(struct sl_state *state, const char *feed, struct sl_run *ret,
                      struct sl_err *err)
{
    return run_newest(state, feed, ret, err);
}

static int run_save(struct sl_state *state, const struct sl_run *run, int64_t epoch,
                    struct sl_err *err)
{
    (void)epoch, (void)err;
    ((struct rig *)state)->open_run = run->state == SL_RUN_PUBLISHED;
    return SL_OK;
}

static int runs_abandon(struct sl_state *state, const char *feed, int64_t epoch,
                        int64_t saved_before_ms, const char *why, struct sl_err *err)
{
    (void)state, (void)feed, (void)epoch, (void)saved_before_ms, (void)why, (void)err;
    return SL_OK;
}

static int runs_open(struct sl_state *state, const char *feed, int64_t after, struct sl_run *ret,
                     unsigned max, unsigned *ret_count, struct sl_err *err)
{
    const struct rig *rig = (const struct rig *)state;
    (void)feed, (void)after, (void)max, (void)err;
    *ret_count = 0;
    if (rig->after_full)
        ret[(*ret_count)++] = (struct sl_run){.id = "accounts-000004", .number = 4, .full = true};
    if (rig->open_run)
        ret[(*ret_count)++] = (struct sl_run){.id = "accounts-000005", .number = 5};
    for (unsigned i = 0; i < *ret_count; i++) {
        ret[i].attempt = ret[i].entity_count = 1;
        snprintf(ret[i].entities[0].name, SL_NAME_MAX, "account");
        ret[i].entities[0].read = ret[i].entities[0].batches = 1;
    }
    return SL_OK;
}

/* What was published is lost, or was on its way. */
static int ledger_sum(struct sl_state *state, const char *run, uint32_t attempt, const char *entity,
                      struct sl_ledger_sum *ret, struct sl_err *err)
{
    const struct rig *rig = (const struct rig *)state;
    (void)attempt, (void)entity, (void)err;
    if (rig->arrives || (rig->after_full && !strcmp(run, "accounts-000004")))
        ret->applied = ret->batches = 1;
    return SL_OK;
}

static int refresh_get(struct sl_state *state, const char *feed, struct sl_refresh *ret,
                       struct sl_err *err)
{
    const struct rig *rig = (const struct rig *)state;
    *ret = rig->refresh;
    return ret->number ? SL_OK : sl_err_set(err, SL_NOTFOUND, "none of '%s'", feed);
}

static int refresh_save(struct sl_state *state, const struct sl_refresh *refresh, int64_t epoch,
                        struct sl_err *err)
{
    (void)epoch, (void)err;
    ((struct rig *)state)->refresh = *refresh;
    return SL_OK;
}

static int overtake(struct sl_state *state, const struct sl_overtake *by, struct sl_err *err)
{
    (void)state, (void)by, (void)err;
    return SL_OK;
}

static int unseen_count(struct sl_state *state, const struct sl_unseen *of, uint64_t *ret_unseen,
                        uint64_t *ret_live, struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    (void)err;
    rig->counts++;
    sl_fiber_sleep(COUNT_MS);
    rig->nameless += !*of->seen;
    *ret_unseen = 1;
    *ret_live = 1000;
    return SL_OK;
}

static int unseen_ids(struct sl_state *state, const struct sl_unseen *of, const char *after,
                      unsigned max, struct sl_arena *arena, struct sl_str *ret_ids,
                      unsigned *ret_count, struct sl_err *err)
{
    struct rig *rig = (struct rig *)state;
    (void)max, (void)err;
    rig->walks++;
    rig->nameless += !*of->seen;
    *ret_count = !*after;
    if (*ret_count)
        ret_ids[0] = (struct sl_str){sl_arena_text(arena, "gone", 4), 4};
    return SL_OK;
}

static const struct sl_state_type state_type = {.checkpoint_load = checkpoint_load,
                                                .checkpoint_take = checkpoint_take,
                                                .checkpoint_save = checkpoint_save,
                                                .overtake_get = overtake_get,
                                                .run_newest = run_newest,
                                                .run_latest = run_latest,
                                                .run_save = run_save,
                                                .runs_abandon = runs_abandon,
                                                .runs_open = runs_open,
                                                .ledger_sum = ledger_sum,
                                                .refresh_get = refresh_get,
                                                .refresh_save = refresh_save,
                                                .overtake = overtake,
                                                .unseen_count = unseen_count,
                                                .unseen_ids = unseen_ids};

/* --- the rig --- */

static void raise_nothing(enum sl_alert_kind kind, const char *subject, const char *what,
                          const char *why)
{
    (void)kind, (void)subject, (void)what, (void)why;
}

static void clear_nothing(enum sl_alert_kind kind, const char *subject)
{
    (void)kind, (void)subject;
}

static const struct sl_alerter alerter = {
    .raise = raise_nothing, .clear = clear_nothing, .remind = raise_nothing};

static void set_up_feed(struct rig *rig)
{
    struct sl_dv_feed *feed = &rig->feed;
    const struct sl_journal_options options = {.feed = "accounts",
                                               .entity = "account",
                                               .prefix = "accounts",
                                               .state = &rig->state,
                                               .batcher = rig->batcher,
                                               .span_ms = 10000,
                                               .ledger_deadline_ms = 0,
                                               .epoch = 1,
                                               .handler = &sl_dv_journal_handler,
                                               .ctx = feed};
    feed->dataverse = &rig->dataverse;
    feed->config = &rig->config;
    feed->settings = &rig->settings;
    feed->counter = &rig->dataverse.counters[SL_DV_OWN];
    feed->batcher = rig->batcher;
    feed->journal = sl_journal_new(&options);
    feed->shape = sl_strdup(SHAPE);
    feed->at.newest = sl_strdup(NEWEST);
    feed->at.full_number = 7;
    feed->at.floor = 201;
    sl_dv_go_back(feed);
}

/* A full read has ended, and is to be swept. */
static void set_up(struct rig *rig)
{
    static const struct sl_batcher_limits limits = {
        .max_rows = 2, .max_bytes = 65536, .linger_ms = 20, .max_row_bytes = 1000};
    sl_credit_init(&rig->credits[SL_LANE_FAST], "fast", 10 << 20);
    sl_credit_init(&rig->credits[SL_LANE_BULK], "bulk", 10 << 20);
    rig->state.type = &state_type;
    rig->batcher = sl_batcher_new(&limits, rig->credits);
    rig->entity.collection = "accounts";
    rig->source.type = &sl_dataverse_config_type;
    rig->config.name = "accounts";
    rig->config.entities = &rig->entity;
    rig->config.settings = &rig->settings;
    rig->config.source = &rig->source;
    rig->settings.table = "account";
    rig->settings.sweep_limit_percent = 10;
    rig->dataverse.settings = &rig->source_settings;
    rig->dataverse.env.state = &rig->state;
    rig->dataverse.env.database = "d365";
    rig->dataverse.env.alerter = &alerter;
    rig->dataverse.counters[SL_DV_OWN].greatest = 900; /* much was read since */
    set_up_feed(rig);
    snprintf(rig->feed.at.sweeping, SL_NAME_MAX, "%s", READ);
    rig->feed.at.safe = sl_strdup(SAFE);
}

static void tear_down(struct rig *rig)
{
    sl_dv_sweep_stop(&rig->feed);
    sl_journal_free(rig->feed.journal);
    sl_batcher_free(rig->batcher);
    sl_checkpoint_done(&rig->feed.at);
    free(rig->feed.link);
    free(rig->feed.shape);
}

/* A refresh is what the full read was for. */
static void ask(struct rig *rig, bool dry_run)
{
    rig->refresh = (struct sl_refresh){
        .feed = "accounts", .number = 3, .dry_run = dry_run, .state = SL_REFRESH_READING};
    rig->feed.at.refresh = 3;
    rig->feed.at.kept = sl_strdup(KEPT);
}

/* The books: the run that holds the sweep's deletions is closed. */
static void close_sweep(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err = {0};
    const struct sl_journal_run run = {
        .id = "accounts-000050", .number = 50, .mark = "sweep accounts-full-000007"};
    sl_dv_journal_handler.closed(&rig->feed, &run, &err);
}

/* The same for a run of a full read, one of whose rows is a dead letter. */
static void close_with_dead_row(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err = {0};
    const struct sl_journal_run run = {
        .id = "accounts-000049", .number = 49, .full = true, .dead = 1, .mark = PAGE};
    sl_dv_journal_handler.closed(&rig->feed, &run, &err);
}

static struct sl_fiber *books_begin(struct rig *rig, void (*what)(void *))
{
    struct sl_fiber *books = sl_fiber_spawn_joinable("books", what, rig);
    sl_fiber_sleep(SAVE_MS / 4);
    EXPECT(rig->saves == 1);
    return books;
}

static void take_all(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    struct sl_batch *batch;
    while (sl_batcher_take(rig->batcher, SL_FOREVER, &batch, &err) == SL_OK) {
        rig->deletions += batch->count;
        sl_batch_free(batch);
    }
}

static void begin_sweep(struct rig *rig)
{
    struct sl_err err;
    EXPECT(sl_dv_sweep_is_due(&rig->feed) && sl_dv_sweep(&rig->feed, &err) == SL_OK);
}

/* --- cases --- */

/* What fails to be journaled of the old one must not come back into the new one: its sweep would
 * take all that the new one reads for gone. */
static void a_full_read_begins_while_a_sweep_ends(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig);
    rig->feed.sweep_published = true;
    rig->failing = 1;
    struct sl_fiber *books = books_begin(rig, close_sweep);
    EXPECT(sl_dv_begin_full(&rig->feed, "the link is void", &err) == SL_OK);
    sl_fiber_join(books);
    EXPECT(rig->saves == 2 && !strcmp(rig->saved[1].reading, NEXT_READ));
    EXPECT(!rig->saved[1].sweeping[0] && !rig->feed.at.sweeping[0]);
    EXPECT(!sl_dv_sweep_is_due(&rig->feed));
    close_sweep(rig); /* the books try again */
    EXPECT(!strcmp(rig->feed.at.reading, NEXT_READ) && rig->saves == 2);
    tear_down(rig);
}

static void a_refresh_waits_until_the_end_of_a_sweep_is_journaled(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig);
    rig->refresh = (struct sl_refresh){.feed = "accounts", .number = 4};
    rig->feed.sweep_published = true;
    rig->failing = 1;
    struct sl_fiber *books = books_begin(rig, close_sweep);
    EXPECT(sl_dv_refresh(&rig->feed, &err) == SL_OK && !rig->feed.at.refresh);
    sl_fiber_join(books);
    EXPECT(!strcmp(rig->feed.at.sweeping, READ) && !rig->feed.at.reading[0]);
    close_sweep(rig);
    EXPECT(!rig->feed.at.sweeping[0] && !rig->saved[1].sweeping[0]);
    EXPECT(sl_dv_refresh(&rig->feed, &err) == SL_OK && rig->feed.at.refresh == 4);
    EXPECT(!strcmp(rig->feed.at.reading, NEXT_READ));
    tear_down(rig);
}

/* Were it told to be over before, what is swept once more would be swept as if nobody had asked
 * for a trial. */
static void a_trial_is_over_when_that_is_journaled(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig);
    ask(rig, true);
    rig->failing = 1;
    rig->feed.base_ms = sl_loop_now_ms();
    begin_sweep(rig);
    UNTIL(rig->saves == 1);
    EXPECT(sl_dv_refresh(&rig->feed, &err) == SL_OK && sl_refresh_is_open(&rig->refresh));
    UNTIL(rig->feed.swept);
    EXPECT(sl_dv_sweep(&rig->feed, &err) == SL_OK && sl_refresh_is_open(&rig->refresh));
    EXPECT(!strcmp(rig->feed.at.newest, NEWEST) && !strcmp(rig->feed.at.kept, KEPT));
    rig->feed.sweep_again_ms = 0; /* five seconds later */
    begin_sweep(rig);
    UNTIL(rig->feed.swept);
    EXPECT(sl_dv_sweep(&rig->feed, &err) == SL_OK && !rig->walks);
    EXPECT(!strcmp(rig->saved[1].newest, KEPT) && !rig->saved[1].kept[0]);
    EXPECT(!strcmp(rig->feed.at.newest, KEPT) && !rig->feed.at.kept && !rig->feed.at.sweeping[0]);
    EXPECT(!strcmp(rig->feed.link, strchr(KEPT, ' ') + 1) && !rig->feed.base_ms);
    EXPECT(sl_dv_refresh(&rig->feed, &err) == SL_OK && rig->refresh.state == SL_REFRESH_DONE);
    tear_down(rig);
}

/* A batch came back, so that the sweep was begun anew, and the run of the first one closes. */
static void a_sweep_ends_while_it_is_done_again(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig);
    struct sl_fiber *taker = sl_fiber_spawn_joinable("take", take_all, rig);
    begin_sweep(rig);
    UNTIL(rig->counts == 1);
    close_sweep(rig);
    UNTIL(rig->feed.swept);
    EXPECT(!rig->nameless && !rig->walks && !rig->deletions);
    EXPECT(sl_dv_sweep(&rig->feed, &err) == SL_OK && !sl_dv_sweep_is_due(&rig->feed));
    sl_fiber_cancel(taker);
    sl_fiber_join(taker);
    tear_down(rig);
}

/* It is to be done again, and the refresh goes on. */
static void a_run_is_lost_while_a_sweep_ends(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    const struct sl_journal_run stuck = {.id = "accounts-000005", .number = 5};
    set_up(rig);
    ask(rig, true);
    EXPECT(sl_mutex_lock(&rig->feed.adding, SL_FOREVER, &err) == SL_OK); /* a poll */
    begin_sweep(rig);
    UNTIL(rig->refresh.state == SL_REFRESH_SWEEPING);
    EXPECT(sl_dv_journal_handler.rewind(&rig->feed, &stuck, &err) == SL_OK);
    sl_mutex_unlock(&rig->feed.adding);
    UNTIL(rig->feed.swept);
    EXPECT(sl_dv_sweep(&rig->feed, &err) == SL_OK && rig->saves == 1);
    EXPECT(!strcmp(rig->feed.at.sweeping, READ) && !strcmp(rig->feed.at.newest, SAFE));
    EXPECT(!strcmp(rig->feed.at.kept, KEPT) && sl_refresh_is_open(&rig->refresh));
    tear_down(rig);
}

/* A run of the full read before, whose link could not be noted, is told once more. */
static void a_link_of_an_earlier_full_read_leads_nowhere(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    const struct sl_journal_run run = {
        .id = "accounts-000001", .number = 1, .full = true, .seen = READ, .mark = NEWEST};
    set_up(rig);
    EXPECT(sl_journal_skip(rig->feed.journal, 1) == 1);
    EXPECT(sl_dv_begin_full(&rig->feed, "the link is void", &err) == SL_OK);
    EXPECT(sl_dv_journal_handler.published(&rig->feed, &run, &err) == SL_OK);
    EXPECT(!rig->feed.at.newest && !strcmp(rig->feed.at.reading, NEXT_READ));
    tear_down(rig);
}

/* Those of the one before are none of the new one's. */
static void dead_rows_of_an_earlier_full_read(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig);
    EXPECT(sl_journal_skip(rig->feed.journal, 49) == 49);
    rig->failing = 1;
    struct sl_fiber *books = books_begin(rig, close_with_dead_row);
    EXPECT(rig->saved[0].full_dead);
    EXPECT(sl_dv_begin_full(&rig->feed, "the link is void", &err) == SL_OK);
    sl_fiber_join(books);
    EXPECT(!rig->saved[1].full_dead && !rig->feed.at.full_dead);
    close_with_dead_row(rig);
    EXPECT(!rig->feed.at.full_dead);
    tear_down(rig);
}

/* Told until it is noted. */
static void dead_rows_of_a_full_read(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    rig->failing = 1;
    close_with_dead_row(rig);
    EXPECT(rig->arrived == 0);
    close_with_dead_row(rig);
    EXPECT(rig->arrived == 2 && rig->saved[1].full_dead && rig->feed.at.full_dead);
    tear_down(rig);
}

static void keep_books(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    uint64_t wait_ms;
    EXPECT(sl_journal_keep(rig->feed.journal, &wait_ms, &err) == SL_OK);
}

/* Its changes are followed: everything up to SAFE is stored, and read up to NEWEST. */
static void set_up_followed(struct rig *rig)
{
    struct sl_err err;
    set_up(rig);
    rig->feed.at.sweeping[0] = '\0';
    EXPECT(sl_dv_save(&rig->feed, &err) == SL_OK);
}

/* The lease was out of sight, and is back, while the books have a lost run read again: what they
 * write belongs to what is taken up. */
static void taken_up_while_a_run_is_given_up(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up_followed(rig);
    rig->open_run = true;
    EXPECT(sl_dv_take_up(&rig->feed, 1, &err) == SL_OK);
    EXPECT(!strcmp(rig->feed.at.newest, NEWEST) && sl_journal_unclosed(rig->feed.journal) == 1);
    struct sl_fiber *books = sl_fiber_spawn_joinable("books", keep_books, rig);
    UNTIL(rig->saves == 2);
    EXPECT(rig->open_run && sl_dv_take_up(&rig->feed, 1, &err) == SL_OK);
    sl_fiber_join(books);
    EXPECT(!rig->open_run && !strcmp(rig->saved[1].newest, SAFE));
    EXPECT(!strcmp(rig->feed.at.newest, SAFE) && !strcmp(rig->feed.at.safe, SAFE));
    EXPECT(!strcmp(rig->feed.link, strchr(SAFE, ' ') + 1));
    tear_down(rig);
}

/* Its last writes come between loading and taking: the runs that it gave up are not open any more,
 * and nothing else tells that their rows must be read again. */
static void an_owner_of_old_goes_back_while_it_is_replaced(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up_followed(rig);
    rig->open_run = rig->rewinds_late = true;
    EXPECT(sl_dv_take_up(&rig->feed, 2, &err) == SL_OK);
    EXPECT(!strcmp(rig->feed.at.newest, SAFE) && !strcmp(rig->feed.at.safe, SAFE));
    tear_down(rig);
}

/* The full read for it forgets the links, and rows of before may be lost on their way meanwhile. */
static void a_trial_goes_back_to_where_all_is_safe(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up_followed(rig);
    rig->open_run = true;
    EXPECT(sl_dv_take_up(&rig->feed, 1, &err) == SL_OK);
    rig->refresh = (struct sl_refresh){.feed = "accounts", .number = 4, .dry_run = true};
    EXPECT(sl_dv_refresh(&rig->feed, &err) == SL_OK && rig->feed.at.refresh == 4);
    EXPECT(!strcmp(rig->feed.at.kept, SAFE));
    tear_down(rig);
}

/* By an owner that has all of its full read, and does not know it yet: the link that is safe is a
 * page of it still, and the last run that was published is one of changes. */
static void set_up_taken_up(struct rig *rig)
{
    struct sl_err err;
    set_up(rig);
    rig->feed.journal->options.ledger_deadline_ms = DEADLINE_MS;
    free(rig->feed.at.safe);
    rig->feed.at.safe = sl_strdup(PAGE);
    EXPECT(sl_dv_save(&rig->feed, &err) == SL_OK);
    rig->after_full = rig->open_run = true;
    EXPECT(sl_dv_take_up(&rig->feed, 2, &err) == SL_OK);
    EXPECT(sl_journal_unclosed(rig->feed.journal) == 2 && !sl_dv_sweep_is_due(&rig->feed));
    keep_books(rig);
    EXPECT(sl_journal_unclosed(rig->feed.journal) == 1 && !strcmp(rig->feed.at.safe, PAGE));
}

/* Were it swept before, the feed would go back to a page of a full read that has no name any more.
 */
static void a_sweep_waits_for_all_that_was_taken_up(void *arg)
{
    struct rig *rig = arg;
    set_up_taken_up(rig);
    EXPECT(!sl_dv_sweep_is_due(&rig->feed));
    rig->arrives = true;
    sl_fiber_sleep(SL_JOURNAL_LOOK_MIN_MS);
    keep_books(rig);
    EXPECT(!sl_journal_unclosed(rig->feed.journal) && !strcmp(rig->feed.at.safe, NEWEST));
    EXPECT(sl_dv_sweep_is_due(&rig->feed));
    tear_down(rig);
}

static void a_full_read_goes_on_under_its_name_when_a_run_behind_it_is_lost(void *arg)
{
    struct rig *rig = arg;
    set_up_taken_up(rig);
    sl_fiber_sleep(DEADLINE_MS);
    keep_books(rig);
    EXPECT(rig->feed.lost && !strcmp(rig->feed.at.newest, PAGE));
    EXPECT(!strcmp(rig->feed.at.reading, READ) && !rig->feed.at.sweeping[0]);
    sl_dv_go_back(&rig->feed);
    EXPECT(rig->feed.linked_full && !strcmp(rig->feed.link, strchr(PAGE, ' ') + 1));
    tear_down(rig);
}

/* Its rows would carry no name either, and a full read is begun instead. */
static void a_page_of_a_full_read_without_a_name_leads_nowhere(void *arg)
{
    struct rig *rig = arg;
    set_up(rig);
    free(rig->feed.at.newest);
    rig->feed.at.newest = sl_strdup(PAGE);
    sl_dv_go_back(&rig->feed);
    EXPECT(!rig->feed.link && rig->feed.linked_full);
    tear_down(rig);
}

/* What makes documents look as they do has changed: the table is read in full for that. */
static void read_other_columns(struct rig *rig)
{
    struct sl_err err;
    free(rig->feed.shape);
    rig->feed.shape = sl_strdup("accounts?$select=name");
    EXPECT(sl_dv_begin_full(&rig->feed, "other columns", &err) == SL_OK && !rig->feed.at.kept);
    const struct sl_journal_run last = {.id = "accounts-000060",
                                        .number = 60,
                                        .full = true,
                                        .seen = rig->feed.at.reading,
                                        .mark = NEWEST};
    EXPECT(sl_dv_journal_handler.published(&rig->feed, &last, &err) == SL_OK);
    EXPECT(sl_dv_journal_handler.closed(&rig->feed, &last, &err) == SL_OK);
    sl_dv_go_back(&rig->feed);
}

/* Nothing leads back behind it: it is swept like one that nobody asked for, within the limit. */
static void expect_failed_trial(struct rig *rig)
{
    struct sl_err err;
    rig->settings.sweep_limit_percent = 0;
    begin_sweep(rig);
    UNTIL(rig->feed.swept);
    EXPECT(sl_dv_sweep(&rig->feed, &err) == SL_OK && !rig->feed.at.sweeping[0]);
    EXPECT(strstr(rig->feed.at.note, "would be deleted, more than sweep_limit") != NULL);
    EXPECT(sl_dv_refresh(&rig->feed, &err) == SL_OK && rig->refresh.state == SL_REFRESH_FAILED);
    EXPECT(strstr(rig->refresh.note, "its sweep deletes") != NULL);
}

static void a_trial_fails_when_the_columns_change_meanwhile(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up_followed(rig);
    rig->feed.at.query = sl_strdup(rig->feed.shape);
    rig->refresh = (struct sl_refresh){.feed = "accounts", .number = 4, .dry_run = true};
    EXPECT(sl_dv_refresh(&rig->feed, &err) == SL_OK && !strcmp(rig->feed.at.kept, SAFE));
    read_other_columns(rig);
    expect_failed_trial(rig);
    tear_down(rig);
}

/* It was left, and a successor with another configuration comes before that is told. */
static void a_trial_fails_when_the_columns_change_before_its_end_is_told(void *arg)
{
    struct rig *rig = arg;
    struct sl_err err;
    set_up(rig);
    ask(rig, true);
    rig->feed.at.query = sl_strdup(rig->feed.shape);
    begin_sweep(rig);
    UNTIL(rig->feed.swept);
    EXPECT(sl_dv_sweep(&rig->feed, &err) == SL_OK && sl_refresh_is_open(&rig->refresh));
    EXPECT(!strcmp(rig->feed.at.newest, KEPT) && !rig->feed.at.kept);
    read_other_columns(rig);
    expect_failed_trial(rig);
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

CASE(a_full_read_begins_while_a_sweep_ends)
CASE(a_refresh_waits_until_the_end_of_a_sweep_is_journaled)
CASE(a_trial_is_over_when_that_is_journaled)
CASE(a_sweep_ends_while_it_is_done_again)
CASE(a_run_is_lost_while_a_sweep_ends)
CASE(a_link_of_an_earlier_full_read_leads_nowhere)
CASE(dead_rows_of_an_earlier_full_read)
CASE(dead_rows_of_a_full_read)
CASE(taken_up_while_a_run_is_given_up)
CASE(an_owner_of_old_goes_back_while_it_is_replaced)
CASE(a_trial_goes_back_to_where_all_is_safe)
CASE(a_sweep_waits_for_all_that_was_taken_up)
CASE(a_full_read_goes_on_under_its_name_when_a_run_behind_it_is_lost)
CASE(a_page_of_a_full_read_without_a_name_leads_nowhere)
CASE(a_trial_fails_when_the_columns_change_meanwhile)
CASE(a_trial_fails_when_the_columns_change_before_its_end_is_told)

static int end_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_read_begins_while_a_sweep_ends),
        cmocka_unit_test(test_a_refresh_waits_until_the_end_of_a_sweep_is_journaled),
        cmocka_unit_test(test_a_trial_is_over_when_that_is_journaled),
        cmocka_unit_test(test_a_sweep_ends_while_it_is_done_again),
        cmocka_unit_test(test_a_run_is_lost_while_a_sweep_ends),
        cmocka_unit_test(test_a_link_of_an_earlier_full_read_leads_nowhere),
        cmocka_unit_test(test_dead_rows_of_an_earlier_full_read),
        cmocka_unit_test(test_dead_rows_of_a_full_read),
        cmocka_unit_test(test_taken_up_while_a_run_is_given_up),
        cmocka_unit_test(test_an_owner_of_old_goes_back_while_it_is_replaced),
        cmocka_unit_test(test_a_trial_goes_back_to_where_all_is_safe),
        cmocka_unit_test(test_a_sweep_waits_for_all_that_was_taken_up),
        cmocka_unit_test(test_a_full_read_goes_on_under_its_name_when_a_run_behind_it_is_lost),
        cmocka_unit_test(test_a_page_of_a_full_read_without_a_name_leads_nowhere),
        cmocka_unit_test(test_a_trial_fails_when_the_columns_change_meanwhile),
        cmocka_unit_test(test_a_trial_fails_when_the_columns_change_before_its_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, end_all);
}
