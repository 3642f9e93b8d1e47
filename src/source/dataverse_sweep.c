/* Deletions that a full read implies: what it did not see is gone. Change tracking carries them as
 * long as its token lives; after an expired one only this finds them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "source/dataverse_own.h"

enum { IDS_AT_ONCE = 1000, ARENA_BYTES = 64 * 1024 };

bool sl_dv_sweep_is_due(const struct sl_dv_feed *feed)
{
    return feed->at.sweeping[0] && !feed->sweep_published && !sl_journal_reads_full(feed->journal);
}

/* Tells why the documents stay, and leaves it at that until the next full read. */
static int refuse(struct sl_dv_feed *feed, const char *why, struct sl_err *err)
{
    snprintf(feed->at.note, sizeof feed->at.note, "%s", why);
    feed->at.sweeping[0] = '\0';
    sl_log(SL_ERROR, "sweep refused", SL_T("feed", feed->config->name), SL_T("why", why));
    feed->dataverse->env.alert(feed->config->name, "sweep refused", why);
    return sl_dv_save(feed, err);
}

static int check(struct sl_dv_feed *feed, uint64_t *ret_unseen, struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    const char *collection = feed->config->entities[0].collection;
    uint64_t live = 0;
    char why[SL_ERR_TEXT_BYTES];
    int rc = state->type->unseen_count(state, collection, feed->config->name, feed->at.sweeping,
                                       feed->at.floor, ret_unseen, &live, err);
    if (rc != SL_OK || !*ret_unseen)
        return rc;
    if (feed->at.full_dead) {
        snprintf(why, sizeof why,
                 "%s: %lld rows of the full read are dead letters, so %llu documents that it did "
                 "not bring may be alive; mend the rows and read again",
                 feed->at.sweeping, (long long)feed->at.full_dead, (unsigned long long)*ret_unseen);
        *ret_unseen = 0;
        return refuse(feed, why, err);
    }
    if (*ret_unseen * 100 > live * (uint64_t)feed->settings->sweep_limit_percent) {
        snprintf(why, sizeof why,
                 "%s: %llu of %llu documents in '%s' would be deleted, more than sweep_limit "
                 "(%lld %%); raise it when that is right, and read again",
                 feed->at.sweeping, (unsigned long long)*ret_unseen, (unsigned long long)live,
                 collection, (long long)feed->settings->sweep_limit_percent);
        *ret_unseen = 0;
        return refuse(feed, why, err);
    }
    return SL_OK;
}

static int delete_one(struct sl_dv_feed *feed, struct sl_str id, struct sl_err *err)
{
    static const struct sl_journal_kind kind = {.lane = SL_LANE_BULK};
    struct sl_batch *batch;
    if (feed->lost)
        return sl_err_set(err, SL_CLOSED, "a batch came back");
    int rc = sl_journal_begin(feed->journal, &kind, err);
    if (rc == SL_OK)
        rc = sl_batcher_open(feed->batcher, &batch, err);
    if (rc != SL_OK)
        return rc;
    const struct sl_record record = {
        .op = SL_DELETE,
        .id = {sl_arena_copy(&batch->arena, id.at, id.length), id.length},
        .version = feed->at.floor,
    };
    return sl_batcher_add(feed->batcher, &record, err);
}

/* Deletes one portion; after is where it ended. *ret_count 0: there was none. */
static int delete_some(struct sl_dv_feed *feed, char *after, size_t after_bytes,
                       unsigned *ret_count, struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    struct sl_arena arena;
    struct sl_str ids[IDS_AT_ONCE];
    sl_arena_init(&arena, ARENA_BYTES);
    int rc = state->type->unseen_ids(state, feed->config->entities[0].collection,
                                     feed->config->name, feed->at.sweeping, feed->at.floor, after,
                                     IDS_AT_ONCE, &arena, ids, ret_count, err);
    for (unsigned i = 0; rc == SL_OK && i < *ret_count; i++) {
        rc = delete_one(feed, ids[i], err);
        snprintf(after, after_bytes, SL_STR_FORMAT, SL_STR_ARGS(ids[i]));
    }
    sl_arena_done(&arena);
    return rc;
}

int sl_dv_sweep(struct sl_dv_feed *feed, struct sl_err *err)
{
    char after[1024] = "";
    uint64_t unseen = 0;
    unsigned count = 1;
    feed->at.note[0] = '\0';
    int rc = check(feed, &unseen, err);
    if (rc != SL_OK || !feed->at.sweeping[0])
        return rc;
    if (!unseen) {
        feed->at.sweeping[0] = '\0';
        return sl_dv_save(feed, err);
    }
    sl_log(SL_INFO, "sweep begins", SL_T("feed", feed->config->name),
           SL_T("read", feed->at.sweeping), SL_N("documents", unseen));
    while (rc == SL_OK && count)
        rc = delete_some(feed, after, sizeof after, &count, err);
    char *mark = sl_dv_sweep_mark(feed);
    if (rc == SL_OK)
        rc = sl_journal_end(feed->journal, mark, err);
    free(mark);
    feed->sweep_published = rc == SL_OK; /* over when that run is done; not twice until then */
    return rc;
}
