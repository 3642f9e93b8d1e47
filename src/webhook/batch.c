/* What was read back on its way into batches: one fiber at a time uses the batcher, and the claims
 * of a batch's rows are tied up in a sheaf that ends with it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "webhook/webhook_own.h"

/* --- sheaves --- */

static struct sl_hook_sheaf **find_sheaf(struct sl_webhook_feed *feed, uint64_t number)
{
    struct sl_hook_sheaf **at = &feed->sheaves;
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

/* Ties the claims to the open batch, in which the row is about to be put. */
static void tie(struct sl_webhook_feed *feed, struct sl_batch *batch, struct sl_hook_claim *claims)
{
    struct sl_hook_sheaf *sheaf = batch->tag ? *find_sheaf(feed, batch->tag) : NULL;
    if (!sheaf) {
        sheaf = SL_NEW(struct sl_hook_sheaf);
        sheaf->number = batch->tag = ++feed->sheaf_number;
        sheaf->next = feed->sheaves;
        feed->sheaves = sheaf;
    }
    struct sl_hook_claim **end = &claims;
    while (*end)
        end = &(*end)->next;
    *end = sheaf->claims;
    sheaf->claims = claims;
}

void sl_hook_feed_end_sheaf(struct sl_webhook_feed *feed, const struct sl_batch *batch, bool safe)
{
    struct sl_hook_sheaf **at = find_sheaf(feed, batch->tag), *sheaf = *at;
    if (!sheaf)
        return; /* its events were void, or the batch is an empty last one */
    *at = sheaf->next;
    sl_hook_claims_end(feed->webhook, sheaf->claims, safe);
    free(sheaf);
}

void sl_hook_feed_drop_sheaves(struct sl_webhook_feed *feed)
{
    while (feed->sheaves) {
        struct sl_hook_sheaf *sheaf = feed->sheaves;
        feed->sheaves = sheaf->next;
        sl_hook_claims_end(feed->webhook, sheaf->claims, false);
        free(sheaf);
    }
}

/* --- adding --- */

/* The open batch. A row that fills more than one gets an empty one, because the batcher would move
 * it away from its claims otherwise. */
static int open_batch(struct sl_webhook_feed *feed, size_t size, struct sl_batch **ret,
                      struct sl_err *err)
{
    static const struct sl_journal_kind kind = {.lane = SL_LANE_FAST};
    bool open = sl_journal_is_open(feed->journal);
    int rc = sl_journal_begin(feed->journal, &kind, err);
    if (rc == SL_OK && !open) {
        feed->due_ms = sl_deadline_in(feed->settings->run_span_ms);
        sl_books_stir(&feed->webhook->books);
    }
    while (rc == SL_OK) {
        rc = sl_batcher_open(feed->batcher, ret, err);
        if (rc != SL_OK || size <= feed->webhook->env.limits->batch_bytes || !sl_batch_read(*ret))
            return rc;
        sl_batcher_flush(feed->batcher);
        if (sl_wait(&feed->taken, SL_FOREVER) == SL_CANCELED)
            rc = sl_err_set(err, SL_CANCELED, "cancelled");
    }
    return rc;
}

static int64_t by_our_clock(const struct sl_webhook_feed *feed, int64_t theirs_ms)
{
    const struct sl_dataverse_remote *remote = sl_dataverse_remote(sl_hook_reader(feed->webhook));
    return theirs_ms ? theirs_ms - sl_clock_offset_ms(&remote->offset) : 0;
}

static int add_dead(const struct sl_hook_job *job, const struct sl_hook_reading *reading,
                    struct sl_batch *batch, struct sl_err *err)
{
    struct sl_webhook_feed *feed = job->feed;
    const struct sl_dead dead = {
        .code = reading->dead_code,
        .reason = sl_batch_keep(batch, sl_str_of(reading->dead_reason)),
        .id = sl_batch_keep(batch, sl_str_of(job->id)),
        .row = sl_batch_keep(batch, sl_buf_view(&reading->doc)),
        .row_is_bson = true,
    };
    feed->dead++;
    sl_metric_add(feed->dead_metric, 1);
    return sl_batcher_add_dead(feed->batcher, &dead, err);
}

static int add_record(const struct sl_hook_job *job, const struct sl_hook_reading *reading,
                      struct sl_batch *batch, struct sl_err *err)
{
    struct sl_webhook_feed *feed = job->feed;
    int64_t changed_ms = reading->changed_at_ms ? reading->changed_at_ms : job->at_ms;
    const struct sl_record record = {
        .op = reading->exists ? SL_UPSERT : SL_DELETE,
        .id = sl_batch_keep(batch, sl_str_of(job->id)),
        .version = reading->version,
        .changed_at_ms = by_our_clock(feed, changed_ms),
        .doc =
            reading->exists ? sl_batch_keep(batch, sl_buf_view(&reading->doc)) : (struct sl_str){0},
    };
    *(reading->exists ? &feed->upserts : &feed->deletions) += 1;
    sl_metric_add(reading->exists ? feed->upserts_metric : feed->deletions_metric, 1);
    return sl_batcher_add(feed->batcher, &record, err);
}

static int add_locked(const struct sl_hook_job *job, const struct sl_hook_reading *reading,
                      struct sl_hook_claim *claims, struct sl_err *err)
{
    struct sl_webhook_feed *feed = job->feed;
    struct sl_batch *batch;
    if (feed->finished)
        return sl_err_set(err, SL_CANCELED, "sluice is ending");
    int rc = open_batch(feed, reading->doc.length + strlen(job->id), &batch, err);
    if (rc != SL_OK)
        return rc;
    if (feed->broken || job->epoch != feed->epoch || !sl_hook_feed_is_ours(feed))
        return sl_err_set(err, SL_CLOSED, "the environment has another owner now");
    tie(feed, batch, claims);
    rc = reading->dead_code ? add_dead(job, reading, batch, err)
                            : add_record(job, reading, batch, err);
    sl_batcher_flush(feed->batcher);
    (void)rc; /* cancelled after the row was added: the claims are the sheaf's */
    return SL_OK;
}

int sl_hook_feed_add(const struct sl_hook_job *job, const struct sl_hook_reading *reading,
                     struct sl_hook_claim *claims, struct sl_err *err)
{
    int rc = sl_mutex_lock(&job->feed->adding, SL_FOREVER, err);
    if (rc != SL_OK)
        return rc;
    rc = add_locked(job, reading, claims, err);
    sl_mutex_unlock(&job->feed->adding);
    return rc;
}
