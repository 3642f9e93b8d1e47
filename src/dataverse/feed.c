/* A table's feed as a source: batches out, commits in, trouble and status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dataverse/dataverse_own.h"
#include "source/batches.h"

void sl_dv_trouble(struct sl_dv_feed *feed, const char *text)
{
    if (text[0] && sl_fiber_cancelled())
        return; /* it ends: what it leaves undone is no trouble */
    if (strcmp(feed->trouble, text) && text[0])
        sl_log(SL_WARN, "feed in trouble, will try again", SL_T("feed", feed->config->name),
               SL_T("error", text));
    else if (feed->trouble[0] && !text[0])
        sl_log(SL_INFO, "feed works again", SL_T("feed", feed->config->name));
    snprintf(feed->trouble, sizeof feed->trouble, "%s", text);
}

/* --- the source --- */

static struct sl_dv_feed *feed_of(const struct sl_source *source)
{
    return (struct sl_dv_feed *)(uintptr_t)source;
}

static void feed_release(struct sl_source *source, struct sl_batch *batch)
{
    sl_journal_release(feed_of(source)->journal, batch);
    sl_batch_free(batch);
}

/* A batch leaves only when a successor would know how new its rows were. */
static int feed_next(struct sl_source *source, struct sl_batch **ret_batch, struct sl_err *err)
{
    struct sl_dv_feed *feed = feed_of(source);
    for (;;) {
        int rc = SL_OK;
        if (!feed->pending)
            rc = sl_batcher_take(feed->batcher, SL_FOREVER, &feed->pending, err);
        if (rc != SL_OK)
            return rc;
        int64_t epoch = sl_journal_is_ours(feed->journal, feed->pending) ? feed->epoch : 0;
        rc = sl_dv_clear(feed->counter, epoch, feed->pending, err);
        if (rc != SL_OK && rc != SL_REJECTED)
            return rc;
        struct sl_batch *batch = feed->pending;
        feed->pending = NULL;
        if (rc == SL_OK) {
            *ret_batch = batch;
            return SL_OK;
        }
        feed_release(source, batch); /* the new owner reads its rows itself */
    }
}

static void feed_commit(struct sl_source *source, struct sl_batch *batch)
{
    sl_journal_commit(feed_of(source)->journal, batch);
    sl_batch_free(batch);
}

static void unlink_feed(struct sl_dv_feed *feed)
{
    struct sl_dv_feed **at = &feed->dataverse->feeds;
    sl_books_leave(&feed->dataverse->books, &feed->book);
    while (*at != feed)
        at = &(*at)->next;
    *at = feed->next;
}

static void feed_close(struct sl_source *source)
{
    struct sl_dv_feed *feed = feed_of(source);
    sl_dv_look_stop(feed->dataverse);
    sl_fiber_end(&feed->poller);
    sl_dv_sweep_stop(feed);
    unlink_feed(feed);
    sl_budget_leave(feed->dataverse->remote.budget, &feed->member);
    sl_batch_free(feed->pending);
    sl_journal_free(feed->journal);
    sl_batcher_free(feed->batcher);
    sl_dataverse_table_done(&feed->table);
    sl_checkpoint_done(&feed->at);
    free(feed->link);
    free(feed->query);
    free(feed->prefer);
    free(feed->shape);
    sl_idset_done(&feed->strangers);
    free(feed);
}

static const struct sl_source_type dataverse_type = {
    .name = "dataverse",
    .summary = "Tables of Dataverse, by change tracking",
    .next = feed_next,
    .commit = feed_commit,
    .release = feed_release,
    .close = feed_close,
};

/* What is known under an older lease is taken up anew before it is worth anything. */
static int only_owned(void *ctx, uint64_t *wait_ms, struct sl_err *err)
{
    const struct sl_dv_feed *feed = ctx;
    int64_t epoch = sl_dataverse_epoch(feed->dataverse);
    (void)wait_ms, (void)err;
    return epoch && feed->epoch == epoch ? SL_OK : SL_END;
}

static void give_way(void *ctx)
{
    sl_dv_lose(((struct sl_dv_feed *)ctx)->dataverse);
}

static void make_journal(struct sl_dv_feed *feed)
{
    const struct sl_journal_options options = {
        .feed = feed->config->name,
        .entity = feed->config->entities[0].route,
        .prefix = feed->config->name,
        .state = feed->dataverse->env.state,
        .batcher = feed->batcher,
        .sink = feed->dataverse->env.sink,
        .span_ms = feed->settings->run_span_ms,
        .ledger_deadline_ms = feed->settings->ledger_deadline_ms,
        .handler = &sl_dv_journal_handler,
        .ctx = feed,
    };
    feed->journal = sl_journal_new(&options);
    feed->book = (struct sl_book){
        .journal = feed->journal,
        .feed = feed->config->name,
        .ctx = feed,
        .before = only_owned,
        .refused = give_way,
    };
    sl_books_join(&feed->dataverse->books, &feed->book);
}

struct sl_source *sl_source_dataverse_new(struct sl_dataverse *dataverse,
                                          const struct sl_feed_config *config)
{
    struct sl_dv_feed *feed = SL_NEW(struct sl_dv_feed), **at = &dataverse->feeds;
    feed->source.type = &dataverse_type;
    feed->source.name = config->name;
    feed->dataverse = dataverse;
    feed->config = config;
    feed->settings = config->settings;
    feed->counter = sl_dv_counter_of(dataverse, feed->settings->table);
    sl_dv_cover(feed->counter, config->entities[0].collection);
    feed->batcher = sl_batches_new(&dataverse->env.config->limits, dataverse->env.credits);
    make_journal(feed);
    feed->member = (struct sl_budget_member){
        .every_ms = feed->settings->every_ms,
        .min_interval_ms = sl_dataverse_min_interval_ms(feed->settings),
        .max_interval_ms = feed->settings->max_interval_ms,
        .priority = feed->settings->priority,
    };
    sl_budget_join(dataverse->remote.budget, &feed->member);
    while (*at)
        at = &(*at)->next;
    *at = feed;
    feed->poller = sl_fiber_spawn_joinable("dv.poll", sl_dv_run, feed);
    return &feed->source;
}

/* --- what the outside sees --- */

uint64_t sl_source_dataverse_waiting_ms(const struct sl_source *source)
{
    const struct sl_dv_feed *feed = feed_of(source);
    bool ours = feed->epoch && feed->epoch == sl_dataverse_epoch(feed->dataverse);
    return ours ? sl_journal_waiting_ms(feed->journal) : 0; /* else its ledgers are another's */
}

/* What it cannot do, else what it does not see; of that a standby knows nothing. */
static const char *trouble_of(const struct sl_dv_feed *feed)
{
    bool ours = feed->epoch && feed->epoch == sl_dataverse_epoch(feed->dataverse);
    return feed->trouble[0] || !ours ? feed->trouble : feed->sight.trouble;
}

const char *sl_source_dataverse_trouble(const struct sl_source *source)
{
    const char *trouble = trouble_of(feed_of(source));
    return trouble[0] ? trouble : NULL;
}

static const char *state_name(const struct sl_dv_feed *feed)
{
    if (!sl_dataverse_epoch(feed->dataverse))
        return "standby";
    if (feed->epoch != feed->dataverse->epoch)
        return "starting";
    if (feed->at.reading[0])
        return "full read";
    return feed->at.sweeping[0] ? "sweep due" : "following";
}

void sl_source_dataverse_status(const struct sl_source *source, struct sl_buf *buf)
{
    const struct sl_dv_feed *feed = feed_of(source);
    sl_buf_printf(
        buf,
        "{\"source\":\"dataverse\",\"table\":\"%s\",\"owner\":%s,\"state\":\"%s\","
        "\"polls\":%llu,\"bells\":%llu,\"rows\":%llu,\"interval_ms\":%llu,"
        "\"runs_open\":%u,\"note\":",
        feed->settings->table, sl_dataverse_epoch(feed->dataverse) ? "true" : "false",
        state_name(feed), (unsigned long long)feed->polls, (unsigned long long)feed->bells,
        (unsigned long long)feed->rows,
        (unsigned long long)sl_budget_interval_ms(feed->dataverse->remote.budget, &feed->member),
        sl_journal_unclosed(feed->journal) + sl_journal_unpublished(feed->journal));
    sl_buf_add_json_text(buf, feed->at.note);
    sl_buf_add_text(buf, ",\"trouble\":");
    sl_buf_add_json_text(buf, trouble_of(feed));
    sl_buf_add_char(buf, '}');
}
