#include "source/sweep.h"

#include <stdio.h>

#include "source/feed_names.h"

enum { IDS_AT_ONCE = 1000, ARENA_BYTES = 64 * 1024 };

/* What is stored under one of the feed's names. */
static struct sl_unseen unseen_of(const struct sl_sweep *sweep, const struct sl_refresh_part *part,
                                  const char *name)
{
    return (struct sl_unseen){
        .collection = part->collection, .feed = name, .seen = sweep->read, .floor = part->floor};
}

int sl_sweep_count(const struct sl_sweep *sweep, struct sl_refresh_part *part, struct sl_err *err)
{
    struct sl_state *state = sweep->state;
    const char *name;
    int rc = SL_OK;
    part->unseen = part->live = 0;
    for (size_t i = 0; rc == SL_OK && (name = sl_feed_name(sweep->feed, i)); i++) {
        const struct sl_unseen of = unseen_of(sweep, part, name);
        uint64_t unseen = 0, live = 0;
        rc = state->type->unseen_count(state, &of, &unseen, &live, err);
        part->unseen += unseen;
        part->live += live;
    }
    return rc;
}

bool sl_sweep_is_allowed(const struct sl_sweep *sweep, const struct sl_refresh_part *part,
                         char ret_why[SL_ERR_TEXT_BYTES])
{
    if (!part->unseen)
        return true;
    if (sweep->dead) {
        snprintf(ret_why, SL_ERR_TEXT_BYTES,
                 "%s: rows of the full read are dead letters, so %llu documents in '%s' that "
                 "it did not bring may be alive; mend the rows and refresh again",
                 sweep->read, (unsigned long long)part->unseen, part->collection);
        return false;
    }
    if (sweep->doubt && !sweep->force) {
        snprintf(ret_why, SL_ERR_TEXT_BYTES,
                 "%s: %s, so %llu of %llu documents in '%s' "
                 "that it did not bring may be alive; if they are to go: sluice refresh %s --force",
                 sweep->read, sweep->doubt, (unsigned long long)part->unseen,
                 (unsigned long long)part->live, part->collection, sweep->feed->name);
        return false;
    }
    if (sweep->force || part->unseen * 100 <= part->live * (uint64_t)sweep->limit_percent)
        return true;
    snprintf(
        ret_why, SL_ERR_TEXT_BYTES,
        "%s: %llu of %llu documents in '%s' would be deleted, more than sweep_limit (%lld %%); "
        "if that is right: sluice refresh %s --force",
        sweep->read, (unsigned long long)part->unseen, (unsigned long long)part->live,
        part->collection, (long long)sweep->limit_percent, sweep->feed->name);
    return false;
}

/* In portions; each goes on behind the last id of the one before. */
static int walk_name(struct sl_state *state, const struct sl_unseen *of, sl_sweep_take *take,
                     void *ctx, struct sl_err *err)
{
    struct sl_str ids[IDS_AT_ONCE];
    struct sl_buf after;
    unsigned count = 1;
    int rc = SL_OK;
    sl_buf_init(&after);
    sl_buf_add_text(&after, "");
    while (rc == SL_OK && count) {
        struct sl_arena arena;
        sl_arena_init(&arena, ARENA_BYTES);
        rc = state->type->unseen_ids(state, of, after.data, IDS_AT_ONCE, &arena, ids, &count, err);
        for (unsigned i = 0; rc == SL_OK && i < count; i++)
            rc = take(ctx, ids[i], err);
        if (rc == SL_OK && count) {
            sl_buf_clear(&after);
            sl_buf_add(&after, ids[count - 1].at, ids[count - 1].length);
        }
        sl_arena_done(&arena);
    }
    sl_buf_done(&after);
    return rc;
}

int sl_sweep_walk(const struct sl_sweep *sweep, const struct sl_refresh_part *part,
                  sl_sweep_take *take, void *ctx, struct sl_err *err)
{
    const char *name;
    int rc = SL_OK;
    for (size_t i = 0; rc == SL_OK && (name = sl_feed_name(sweep->feed, i)); i++) {
        const struct sl_unseen of = unseen_of(sweep, part, name);
        rc = walk_name(sweep->state, &of, take, ctx, err);
    }
    return rc;
}
