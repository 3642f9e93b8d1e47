#include "replay/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "replay/replay_own.h"

enum {
    PAGE_LETTERS = 64,     /* found at once, at most so many in a batch: each may have 200 KiB */
    FEEDS_MAX = 10 * 1000, /* those with most letters */
    ARENA_BYTES = 64 * 1024,
    PUBLISH_MS = 60 * 1000,
    LOOK_MIN_MS = 10, /* at the ledger */
    LOOK_MAX_MS = 1000,
    SECOND_MS = 1000,
};

/* Letters of one entity and file, whose rows travel in one batch. */
struct sheaf {
    struct sl_batch *batch;
    const struct sl_entity_config *entity;
    const char *file;
    struct sl_letter letters[PAGE_LETTERS]; /* of the batch's records, in their order */
};

struct replay {
    const struct sl_replay_options *options;
    struct sl_replay_result *result;
    const struct sl_feed_config *feed; /* NULL: not configured */
    struct sl_letter_filter filter;
    struct sl_run run; /* id "": none yet */
    struct sheaf sheaf;
    uint64_t next_ms;   /* loop clock: not before it may the next batch go */
    int64_t full_at_ms; /* wall clock: the newest full read of the table began; 0: not known */
    int64_t full_after; /* runs up to this number came before it; 0: not known */
    bool partial;       /* … of which the application user does not see all */
    struct sl_refresh refresh; /* the newest one of a feed of exports; else no parts */
};

/* --- the run --- */

static void name_run(char out[SL_NAME_MAX])
{
    char now[SL_ISO_BYTES]; /* 2026-11-22T03:10:00.120Z */
    uint32_t chance;
    arc4random_buf(&chance, sizeof chance);
    sl_iso_format(sl_wall_ms(), now);
    snprintf(out, SL_NAME_MAX, "replay-%.4s%.2s%.5s%.2s%.2s-%08x", now, now + 5, now + 8, now + 14,
             now + 17, chance);
}

/* Journals where the run stands: what it says was read is in the ledger, or in the letters. */
static int save_run(struct replay *replay, enum sl_run_state state, const char *error,
                    struct sl_err *err)
{
    struct sl_state *store = replay->options->state;
    struct sl_run *run = &replay->run;
    if (!*run->id)
        return SL_OK;
    run->state = state;
    run->state_ms = sl_wall_ms();
    run->expires_ms = run->state_ms + SL_LEDGER_KEPT_MS;
    snprintf(run->error, sizeof run->error, "%s", error);
    return store->type->run_save(store, run, 1, err);
}

static int begin_run(struct replay *replay, struct sl_err *err)
{
    struct sl_run *run = &replay->run;
    if (*run->id)
        return SL_OK;
    name_run(run->id);
    snprintf(run->feed, sizeof run->feed, SL_REPLAY_FEED_PREFIX "%.120s", replay->feed->name);
    snprintf(replay->result->run, sizeof replay->result->run, "%s", run->id);
    run->attempt = 1;
    run->created_ms = sl_wall_ms();
    return save_run(replay, SL_RUN_STREAMING, "", err);
}

/* NULL: it has as many entities as a run can have. */
static struct sl_run_entity *run_entity(struct replay *replay, const char *name)
{
    struct sl_run *run = &replay->run;
    for (unsigned i = 0; i < run->entity_count; i++)
        if (!strcmp(run->entities[i].name, name))
            return &run->entities[i];
    if (run->entity_count == SL_RUN_ENTITIES_MAX)
        return NULL;
    struct sl_run_entity *entity = &run->entities[run->entity_count++];
    *entity = (struct sl_run_entity){.finished = true};
    snprintf(entity->name, sizeof entity->name, "%.127s", name);
    return entity;
}

/* --- one sheaf --- */

static void begin_sheaf(struct replay *replay, const struct sl_entity_config *entity,
                        const char *file)
{
    struct sheaf *sheaf = &replay->sheaf;
    sheaf->batch = sl_batch_new(NULL, 0);
    sheaf->entity = entity;
    sheaf->file = file;
}

static void end_sheaf(struct replay *replay)
{
    sl_batch_free(replay->sheaf.batch);
    replay->sheaf.batch = NULL;
}

/* Waits until the ledger has all batches of the entity, and counts what became of their rows. */
static int wait_for_ledger(struct replay *replay, const struct sl_run_entity *entity,
                           const struct sl_ledger_sum *before, struct sl_ledger_sum *ret,
                           struct sl_err *err)
{
    struct sl_state *state = replay->options->state;
    uint64_t pause_ms = LOOK_MIN_MS;
    uint64_t deadline_ms = sl_deadline_in(replay->options->ledger_wait_ms);
    for (;;) {
        int rc = state->type->ledger_sum(state, replay->run.id, 1, entity->name, ret, err);
        if (rc != SL_OK)
            return rc;
        if (ret->batches == before->batches + 1)
            return SL_OK;
        if (sl_loop_now_ms() >= deadline_ms)
            return sl_err_set(err, SL_TIMEOUT,
                              "%u rows are on their way, but nobody has applied them yet: is a "
                              "sluice of role apply at work, is the queue long (--wait), or were "
                              "they set aside (sluice dead list --code unreadable)? Their letters "
                              "stay; replaying them again is harmless",
                              replay->sheaf.batch->count);
        if (sl_fiber_sleep(pause_ms) != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        pause_ms = sl_backoff_next(pause_ms, LOOK_MAX_MS);
    }
}

/* Not more rows a second than asked for. */
static int keep_pace(struct replay *replay, uint32_t rows, struct sl_err *err)
{
    uint64_t now_ms = sl_loop_now_ms();
    uint64_t start_ms = replay->next_ms > now_ms ? replay->next_ms : now_ms;
    replay->next_ms = start_ms + rows * SECOND_MS / replay->options->rate;
    if (start_ms > now_ms && sl_fiber_sleep(start_ms - now_ms) != SL_OK)
        return sl_err_set(err, SL_CANCELED, "cancelled");
    return SL_OK;
}

/* Of the batch's rows some are dead letters again: those that this run has written. */
static int tell_again(const struct replay *replay, struct sl_err *err)
{
    const struct sl_replay_options *options = replay->options;
    const struct sheaf *sheaf = &replay->sheaf;
    struct sl_arena arena;
    int rc = SL_OK;
    sl_arena_init(&arena, ARENA_BYTES);
    for (uint32_t i = 0; rc == SL_OK && i < sheaf->batch->count; i++) {
        const struct sl_letter_filter this_one = {.name = &sheaf->letters[i].name};
        const struct sl_letter_query query = {.filter = &this_one, .brief = true, .max = 1};
        struct sl_letter letter;
        unsigned count = 0;
        rc = options->state->type->letters_find(options->state, &query, &arena, &letter, &count,
                                                err);
        if (rc == SL_OK && count && !strcmp(letter.replay, replay->run.id))
            options->again(options->ctx, &letter, letter.reason);
    }
    sl_arena_done(&arena);
    return rc;
}

static int publish(struct replay *replay, struct sl_run_entity *entity, struct sl_err *err)
{
    struct sl_batch *batch = replay->sheaf.batch;
    struct sl_sink *sink = replay->options->sink;
    struct sl_state *state = replay->options->state;
    struct sl_ledger_sum before, after;
    struct sl_result result;
    uint64_t removed = 0;
    int rc = state->type->ledger_sum(state, replay->run.id, 1, entity->name, &before, err);
    if (rc == SL_OK)
        rc = keep_pace(replay, batch->count, err);
    if (rc == SL_OK)
        rc = sink->type->write(sink, batch, sl_deadline_in(PUBLISH_MS), &result, err);
    if (rc == SL_THROTTLED)
        return sl_err_wrap(err,
                           "%u rows are not on their way, since nobody has applied those before "
                           "them: is a sluice of role apply at work, or is the queue long "
                           "(--wait)? Their letters stay",
                           batch->count);
    if (rc == SL_OK)
        rc = wait_for_ledger(replay, entity, &before, &after, err);
    if (rc == SL_OK) /* a letter that was written again on the way is another one, and stays */
        rc = state->type->letters_remove(state, replay->sheaf.letters, batch->count, &removed, err);
    if (rc != SL_OK)
        return rc;
    entity->batches++;
    replay->result->applied += after.applied - before.applied;
    replay->result->stale += after.stale - before.stale;
    replay->result->again += after.dead - before.dead;
    replay->result->removed += removed;
    return after.dead > before.dead ? tell_again(replay, err) : SL_OK;
}

static void set_origin(struct replay *replay, const struct sl_run_entity *entity)
{
    const struct sl_origin origin = {
        .feed = replay->feed->name,
        .entity = replay->sheaf.entity->route,
        .run = replay->run.id,
        .file = replay->sheaf.file,
        .attempt = 1,
        .number = entity->batches,
        .batches = -1,
        .read_at_ms = sl_wall_ms(),
        .lane = SL_LANE_BULK, /* live changes go first */
    };
    sl_batch_set_origin(replay->sheaf.batch, &origin);
}

/* Those that still fail are letters again; the others travel. */
static int send_sheaf(struct replay *replay, struct sl_err *err)
{
    struct sl_batch *batch = replay->sheaf.batch;
    struct sl_state *state = replay->options->state;
    int rc = begin_run(replay, err);
    if (rc != SL_OK)
        return rc;
    struct sl_run_entity *entity = run_entity(replay, replay->sheaf.entity->route);
    if (!entity)
        return sl_err_set(err, SL_CONFIG, "letters of more than %d entities: replay one by one",
                          SL_RUN_ENTITIES_MAX);
    set_origin(replay, entity);
    if (batch->dead_count)
        rc = state->type->dead_put(state, &batch->origin, batch->dead, batch->dead_count, err);
    if (rc == SL_OK && batch->count)
        rc = publish(replay, entity, err);
    if (rc != SL_OK)
        return rc;
    entity->read += sl_batch_read(batch);
    entity->dead += batch->dead_count;
    return save_run(replay, SL_RUN_STREAMING, "", err);
}

/* Sends what is in the sheaf, if anything. */
static int flush(struct replay *replay, struct sl_err *err)
{
    struct sl_batch *batch = replay->sheaf.batch;
    if (!batch)
        return SL_OK;
    replay->result->rows += batch->count;
    replay->result->again += batch->dead_count;
    int rc = replay->options->dry_run ? SL_OK : send_sheaf(replay, err);
    end_sheaf(replay);
    return rc;
}

/* --- one letter --- */

static const struct sl_entity_config *entity_of(const struct replay *replay,
                                                const struct sl_letter *letter)
{
    return replay->feed
               ? sl_config_route(replay->options->config, replay->feed->name, letter->entity)
               : NULL;
}

/* Whether the row may join those in the sheaf: of one entity and file, one key once, not more than
 * a second's worth. */
static bool fits(const struct replay *replay, const struct sl_entity_config *entity,
                 const char *file, const struct sl_record *record)
{
    const struct sheaf *sheaf = &replay->sheaf;
    const struct sl_batch *batch = sheaf->batch;
    if (!batch)
        return false;
    if (sheaf->entity != entity || strcmp(sheaf->file, file) != 0)
        return false;
    if (batch->count == PAGE_LETTERS || batch->count >= replay->options->rate)
        return false;
    if (record && batch->count &&
        batch->bytes + record->id.length + record->doc.length >
            replay->options->config->limits.batch_bytes)
        return false;
    for (uint32_t i = 0; record && i < batch->count; i++)
        if (sl_str_equal(batch->records[i].id, record->id))
            return false;
    return true;
}

/* A full read that began after the row was read has brought it again, or it is gone: then no
 * tombstone is there to hold it back, since a sweep deletes what is stored, and it was not. An
 * export of changes only says nothing of it. */
static bool is_overtaken(const struct replay *replay, const struct sl_entity_config *entity,
                         const struct sl_letter *letter)
{
    int64_t run = sl_overtaken_run_number(letter->name.run.at, replay->filter.feed);
    bool overtaken = run == INT64_MAX || !replay->full_after
                         ? letter->read_at_ms < replay->full_at_ms /* of two clocks, perhaps */
                         : run <= replay->full_after;
    for (unsigned i = 0; i < replay->refresh.part_count; i++) {
        const struct sl_refresh_part *part = &replay->refresh.parts[i];
        if (!part->partial && !strcmp(part->collection, entity->collection))
            overtaken |= letter->version <= part->floor; /* the export's own are above it */
    }
    return letter->op == SL_UPSERT && overtaken;
}

static int add(struct replay *replay, const struct sl_entity_config *entity,
               const struct sl_letter *letter, const struct sl_replay_row *row, struct sl_err *err)
{
    const struct sl_replay_options *options = replay->options;
    const struct sl_record *record = row->fate == SL_REPLAY_ROW ? &row->record : NULL;
    if (!fits(replay, entity, letter->file, record)) {
        int rc = flush(replay, err);
        if (rc != SL_OK)
            return rc;
        begin_sheaf(replay, entity, letter->file);
    }
    struct sl_batch *batch = replay->sheaf.batch;
    if (record) {
        *sl_batch_add(batch) = *record;
        batch->bytes += record->id.length + record->doc.length;
        replay->sheaf.letters[batch->count - 1] = *letter;
    } else {
        *sl_batch_add_dead(batch) = row->dead;
        options->again(options->ctx, letter, row->dead.reason.at);
    }
    return SL_OK;
}

static int take(struct replay *replay, const struct sl_letter *letter, struct sl_arena *arena,
                struct sl_err *err)
{
    const struct sl_replay_options *options = replay->options;
    const struct sl_entity_config *entity = entity_of(replay, letter);
    struct sl_replay_row row;
    replay->result->found++;
    sl_replay_make_row(options, replay->feed, entity, letter, arena, &row);
    if (row.fate != SL_REPLAY_REFUSED && is_overtaken(replay, entity, letter)) {
        row.fate = SL_REPLAY_REFUSED;
        snprintf(row.why, sizeof row.why,
                 "its source was read in full after it: the row has come again, or is gone and "
                 "would be brought back%s",
                 replay->partial ? ", or is out of the application user's sight"
                                 : "; drop the letter");
    }
    if (row.fate != SL_REPLAY_REFUSED)
        return add(replay, entity, letter, &row, err);
    replay->result->refused++;
    options->refused(options->ctx, letter, row.why);
    return SL_OK;
}

/* --- all letters of a feed --- */

static bool is_enough(const struct replay *replay)
{
    return replay->options->limit && replay->result->found >= replay->options->limit;
}

/* Remembers what names the letter, past the end of its page. */
static void remember(struct sl_buf *id, const struct sl_letter *letter)
{
    sl_buf_clear(id);
    sl_buf_add(id, letter->id.at, letter->id.length);
}

/* Anew for each page: a full read may begin while the replay is under way. */
static int learn_full_read(struct replay *replay, struct sl_err *err)
{
    struct sl_state *state = replay->options->state;
    struct sl_checkpoint at = {0};
    int rc = state->type->checkpoint_load(state, replay->filter.feed, &at, err);
    if (rc == SL_OK) {
        replay->full_at_ms = at.full_at_ms;
        replay->full_after = at.full_after;
        replay->partial = at.partial;
    }
    sl_checkpoint_done(&at);
    if (rc == SL_NOTFOUND)
        rc = SL_OK;
    if (rc == SL_OK && replay->feed && !strcmp(replay->feed->source->type->name, "dmf"))
        rc = state->type->refresh_get(state, replay->filter.feed, &replay->refresh, err);
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

static int take_page(struct replay *replay, struct sl_buf *after, struct sl_letter *page,
                     unsigned *ret_count, struct sl_err *err)
{
    struct sl_state *state = replay->options->state;
    const struct sl_letter_query query = {
        .filter = &replay->filter, .after = sl_buf_view(after), .max = PAGE_LETTERS};
    struct sl_arena arena;
    sl_arena_init(&arena, ARENA_BYTES);
    int rc = learn_full_read(replay, err);
    if (rc == SL_OK)
        rc = state->type->letters_find(state, &query, &arena, page, ret_count, err);
    for (unsigned i = 0; rc == SL_OK && i < *ret_count && !is_enough(replay); i++)
        rc = take(replay, &page[i], &arena, err);
    if (rc == SL_OK)
        rc = flush(replay, err);
    else
        end_sheaf(replay);
    if (rc == SL_OK && *ret_count)
        remember(after, &page[*ret_count - 1]);
    sl_arena_done(&arena);
    return rc;
}

static int take_all(struct replay *replay, struct sl_err *err)
{
    struct sl_letter *page = sl_calloc(PAGE_LETTERS, sizeof *page);
    struct sl_buf after;
    unsigned count = 1;
    int rc = SL_OK;
    sl_buf_init(&after);
    while (rc == SL_OK && count && !is_enough(replay))
        rc = take_page(replay, &after, page, &count, err);
    sl_buf_done(&after);
    free(page);
    return rc;
}

static const struct sl_feed_config *feed_named(const struct sl_config *config, const char *name)
{
    for (size_t i = 0; i < config->feed_count; i++)
        if (!strcmp(config->feeds[i].name, name))
            return &config->feeds[i];
    return NULL;
}

static int replay_feed(const struct sl_replay_options *options,
                       const struct sl_letter_filter *filter, const char *feed,
                       struct sl_replay_result *result, struct sl_err *err)
{
    struct replay *replay = SL_NEW(struct replay);
    replay->options = options;
    replay->result = result;
    replay->feed = feed_named(options->config, feed);
    replay->filter = *filter;
    replay->filter.feed = feed;
    int rc = take_all(replay, err);
    struct sl_err own = {0};
    if (rc == SL_OK)
        rc = save_run(replay, SL_RUN_DONE, "", err);
    else if (save_run(replay, SL_RUN_FAILED, err->message, &own) != SL_OK)
        sl_log(SL_WARN, "cannot journal the end of a replay", SL_T("run", replay->run.id),
               SL_T("error", own.message));
    free(replay);
    return rc;
}

/* Then no feed's rows get anywhere. */
static bool nobody_applies(const struct sl_replay_options *options)
{
    struct sl_waiting waiting = {.takers = 1};
    struct sl_sink *sink = options->sink;
    sink->type->waiting(sink, SL_LANE_BULK, &waiting, sl_deadline_in(PUBLISH_MS), NULL);
    return !waiting.takers;
}

/* One whose rows do not arrive (its collection is refused, say) does not hold up the others. */
static int replay_feeds(const struct sl_replay_options *options,
                        const struct sl_letter_filter *filter, const char *const *feeds,
                        unsigned count, struct sl_replay_result *result, struct sl_err *err)
{
    struct sl_err first = {0};
    unsigned failed = 0;
    int rc = SL_OK;
    for (unsigned i = 0; rc == SL_OK && i < count; i++) {
        rc = replay_feed(options, filter, feeds[i], result, err);
        if (rc == SL_OK)
            continue;
        sl_err_wrap(err, "feed '%s'", feeds[i]);
        if (!failed++)
            first = *err;
        if (rc == SL_TIMEOUT && !nobody_applies(options))
            rc = SL_OK;
    }
    if (!failed)
        return SL_OK;
    *err = first;
    if (failed > 1)
        sl_err_wrap(err, "%u feeds have failed, the first was", failed);
    return err->code;
}

int sl_replay(const struct sl_replay_options *options, const struct sl_letter_filter *filter,
              struct sl_replay_result *ret, struct sl_err *err)
{
    struct sl_state *state = options->state;
    const char **feeds = sl_calloc(FEEDS_MAX, sizeof *feeds);
    struct sl_arena arena;
    unsigned count = 0;
    *ret = (struct sl_replay_result){0};
    sl_arena_init(&arena, ARENA_BYTES);
    int rc = state->type->letters_feeds(state, filter, FEEDS_MAX, &arena, feeds, &count, err);
    if (rc == SL_OK)
        rc = replay_feeds(options, filter, feeds, count, ret, err);
    sl_arena_done(&arena);
    free(feeds);
    return rc;
}
