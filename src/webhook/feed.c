/* A feed that reads rows back, as a source: what was read goes into batches, and a batch's commit
 * answers the events behind its rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "source/batches.h"
#include "webhook/webhook_own.h"

enum { TRY_AGAIN_MS = 100 };

void sl_hook_feed_trouble(struct sl_webhook_feed *feed, const char *text)
{
    if (text[0] && sl_fiber_cancelled())
        return;                       /* it ends: what it leaves undone is no trouble */
    if (!feed->trouble[0] && text[0]) /* one log line, although each row says it in its words */
        sl_log(SL_WARN, "feed in trouble, will try again", SL_T("feed", feed->config->name),
               SL_T("error", text));
    else if (feed->trouble[0] && !text[0])
        sl_log(SL_INFO, "feed works again", SL_T("feed", feed->config->name));
    snprintf(feed->trouble, sizeof feed->trouble, "%s", text);
}

void sl_hook_feed_sees(struct sl_webhook_feed *feed, const char *sight)
{
    if (!strcmp(feed->sight, sight))
        return;
    snprintf(feed->sight, sizeof feed->sight, "%s", sight);
    sl_dataverse_reach_announce(feed->webhook->env.alerter, feed->config->name, sight);
}

/* --- the journal --- */

static int on_told(void *ctx, const struct sl_journal_run *run, struct sl_err *err)
{
    (void)ctx, (void)run, (void)err; /* the queue of events remembers what is to be read */
    return SL_OK;
}

/* The events of those rows were answered long ago. */
static void on_lost(void *ctx, const struct sl_journal_lost *lost)
{
    struct sl_webhook_feed *feed = ctx;
    char runs[SL_JOURNAL_LOST_BYTES], text[SL_JOURNAL_LOST_BYTES + 560];
    sl_journal_lost_words(lost, runs);
    snprintf(
        text, sizeof text,
        "The ledger does not close of %s: these rows were read back and published, and not all of "
        "them are in the database after ledger_deadline. If the appliers are just behind, they "
        "still will be. "
        "If they lie in the queue of unreadable messages (sluice dead list shows that), mend "
        "the cause and replay them: what is dropped there is lost. Else their events are gone: "
        "compare the table in full, or touch its rows, so that events come again.",
        runs);
    feed->webhook->env.alerter->raise(SL_ALERT_NOTICE, feed->config->name,
                                      "rows read back may be lost", text);
}

/* Consuming begins anew: what is not answered is delivered again. Where the environment is not ours
 * the link ends for that reason, at once: it may be ours again, under the same epoch, in a moment.
 */
static void on_broken(void *ctx)
{
    struct sl_webhook_feed *feed = ctx;
    struct sl_err why;
    feed->broken = true;
    if (feed->epoch != sl_dataverse_epoch(sl_hook_reader(feed->webhook))) {
        sl_wake_all(&feed->webhook->in.changed);
        return;
    }
    sl_err_set(&why, SL_CLOSED, "feed '%s': a batch came back; its rows are read again",
               feed->config->name);
    sl_hook_link_end(&feed->webhook->in, &why);
}

static void on_stir(void *ctx)
{
    struct sl_webhook_feed *feed = ctx;
    sl_books_stir(&feed->webhook->books);
}

static const struct sl_journal_handler journal_handler = {
    .published = on_told,
    .closed = on_told,
    .lost = on_lost,
    .broken = on_broken,
    .stir = on_stir,
};

/* Notes in what order versions are, for who may take the collection over: change tracking, or a
 * sluice from before, which had two. Links of an earlier change tracking lead nowhere any more. */
static bool note_order(const struct sl_webhook_feed *feed, struct sl_checkpoint *at)
{
    struct sl_buf text;
    sl_buf_init(&text);
    sl_buf_printf(&text, SL_DATAVERSE_ASKED " in %s.%s", feed->webhook->env.database,
                  feed->config->entities[0].collection);
    char *order = sl_buf_take(&text);
    bool news = !at->query || strcmp(at->query, order) != 0;
    free(at->query);
    at->query = order;
    if (news) {
        free(at->newest);
        free(at->safe);
        at->newest = at->safe = NULL;
    }
    return news;
}

/* The source that reads rows back may be another one than before: its epochs do not compare. */
static int claim(struct sl_webhook_feed *feed, struct sl_checkpoint *at, int64_t epoch,
                 struct sl_err *err)
{
    struct sl_state *state = feed->webhook->env.state;
    const char *name = feed->config->name;
    const char *reader = sl_dataverse_name(sl_hook_reader(feed->webhook));
    bool moved = strcmp(at->source, reader) != 0;
    if (!note_order(feed, at) && !moved)
        return SL_OK;
    if (moved)
        sl_dataverse_sign(reader, name, at);
    return state->type->checkpoint_save(state, name, at, at->fence_base + epoch, err);
}

static int adopt(struct sl_webhook_feed *feed, int64_t epoch, struct sl_err *err)
{
    struct sl_state *state = feed->webhook->env.state;
    struct sl_checkpoint at = {0};
    feed->epoch = 0;
    /* Another owner may have seen it change; and what an operator was told of here may be forgotten
     * by now. */
    feed->sight[0] = feed->trouble[0] = '\0';
    feed->alerted = false;
    int rc = state->type->checkpoint_load(state, feed->config->name, &at, err);
    if (rc == SL_OK || rc == SL_NOTFOUND)
        rc = claim(feed, &at, epoch, err);
    if (rc == SL_OK)
        rc = sl_journal_adopt(feed->journal, at.fence_base + epoch, 0, NULL, err);
    sl_checkpoint_done(&at);
    if (rc == SL_OK)
        rc = sl_journal_tell_again(feed->journal, err);
    if (rc != SL_OK)
        return rc;
    feed->epoch = epoch;
    on_stir(feed); /* until now the books were not ours to keep */
    return SL_OK;
}

int sl_hook_feed_take_up(struct sl_webhook_feed *feed, int64_t epoch, struct sl_err *err)
{
    if (!epoch)
        return sl_err_set(err, SL_CLOSED, "the environment has another owner now");
    int rc = sl_mutex_lock(&feed->adding, SL_FOREVER, err);
    if (rc != SL_OK)
        return rc;
    if (feed->epoch != epoch)
        rc = adopt(feed, epoch, err);
    else if (feed->broken)
        sl_journal_abandon(feed->journal);
    if (rc == SL_OK)
        feed->broken = false;
    sl_mutex_unlock(&feed->adding);
    return rc;
}

/* Ends the open run when its time has come. Suspends. */
static int end_due(struct sl_webhook_feed *feed, struct sl_err *err)
{
    if (!sl_mutex_try(&feed->adding)) { /* perhaps for long, while the broker is away */
        feed->due_ms = sl_deadline_in(TRY_AGAIN_MS);
        return SL_OK;
    }
    feed->due_ms = 0;
    int rc = sl_journal_is_due(feed->journal) ? sl_journal_end(feed->journal, NULL, err) : SL_OK;
    sl_mutex_unlock(&feed->adding);
    if (sl_journal_is_open(feed->journal) && !feed->due_ms) /* too many wait for their ledgers */
        feed->due_ms = sl_deadline_in(feed->settings->run_span_ms);
    return rc;
}

/* --- the source --- */

static struct sl_webhook_feed *feed_of(const struct sl_source *source)
{
    return (struct sl_webhook_feed *)(uintptr_t)source;
}

static void end_batch(struct sl_webhook_feed *feed, struct sl_batch *batch, bool safe)
{
    sl_hook_feed_end_sheaf(feed, batch, safe);
    sl_batch_free(batch);
}

static void feed_commit(struct sl_source *source, struct sl_batch *batch)
{
    struct sl_webhook_feed *feed = feed_of(source);
    sl_journal_commit(feed->journal, batch);
    end_batch(feed, batch, true);
}

static void feed_release(struct sl_source *source, struct sl_batch *batch)
{
    struct sl_webhook_feed *feed = feed_of(source);
    sl_journal_release(feed->journal, batch);
    end_batch(feed, batch, false);
}

/* What an owner of old has read does no harm. But its run is over, and its events are delivered to
 * the new owner. */
static bool is_ours(const struct sl_webhook_feed *feed, const struct sl_batch *batch)
{
    return sl_hook_feed_is_ours(feed) && sl_journal_is_ours(feed->journal, batch);
}

static int feed_next(struct sl_source *source, struct sl_batch **ret_batch, struct sl_err *err)
{
    struct sl_webhook_feed *feed = feed_of(source);
    for (;;) {
        struct sl_batch *batch;
        int rc = sl_batcher_take(feed->batcher, SL_FOREVER, &batch, err);
        if (rc != SL_OK)
            return rc;
        sl_wake_all(&feed->taken);
        if (is_ours(feed, batch)) {
            *ret_batch = batch;
            return SL_OK;
        }
        feed_release(source, batch);
    }
}

/* The events of the last rows were answered: nobody would see that their ledger does not close.
 * What is being read is dropped, and its events are delivered again. */
static void feed_finish(struct sl_source *source, uint64_t deadline_ms)
{
    struct sl_webhook_feed *feed = feed_of(source);
    struct sl_err err;
    feed->webhook->closing = true;
    sl_hook_missed_tell(feed);
    if (!sl_hook_feed_is_ours(feed) || feed->broken ||
        sl_mutex_lock(&feed->adding, deadline_ms, NULL) != SL_OK)
        return;
    feed->finished = true;
    sl_batcher_set_deadline(feed->batcher, deadline_ms);
    sl_journal_end(feed->journal, NULL, &err); /* when the flow does not move, it is cut off */
    sl_mutex_unlock(&feed->adding);
    sl_journal_wait_published(feed->journal, deadline_ms);
}

static void unlink_feed(struct sl_webhook_feed *feed)
{
    struct sl_webhook_feed **at = &feed->webhook->feeds;
    sl_books_leave(&feed->webhook->books, &feed->book);
    while (*at != feed)
        at = &(*at)->next;
    *at = feed->next;
}

/* The first feed that closes ends the reading for all. */
static void feed_close(struct sl_source *source)
{
    struct sl_webhook_feed *feed = feed_of(source);
    sl_hook_link_stop(&feed->webhook->in);
    sl_hook_jobs_stop(feed->webhook);
    unlink_feed(feed);
    sl_hook_feed_drop_sheaves(feed);
    sl_journal_free(feed->journal);
    sl_batcher_free(feed->batcher);
    free(feed->missed.ids);
    free(feed);
}

static const struct sl_source_type webhook_type = {
    .name = "webhook",
    .summary = "Rows of Dataverse that events name, read back",
    .next = feed_next,
    .commit = feed_commit,
    .release = feed_release,
    .finish = feed_finish,
    .close = feed_close,
};

static struct sl_metric *outcome(const struct sl_webhook_feed *feed, const char *name)
{
    return sl_counter("read_backs_total", "Rows that events named, by what was found.",
                      "feed=\"%s\",outcome=\"%s\"", feed->config->name, name);
}

/* Before its books are kept: a run whose time has come is ended. */
static int end_due_run(void *ctx, uint64_t *wait_ms, struct sl_err *err)
{
    struct sl_webhook_feed *feed = ctx;
    int rc = SL_OK;
    sl_hook_missed_tell_due(feed, wait_ms);
    if (!sl_hook_feed_is_ours(feed))
        return SL_END;
    if (feed->due_ms && sl_loop_now_ms() >= feed->due_ms)
        rc = end_due(feed, err);
    if (feed->due_ms)
        sl_books_sooner(wait_ms, feed->due_ms);
    return rc;
}

static void make_books(struct sl_webhook_feed *feed)
{
    const struct sl_journal_options options = {
        .feed = feed->config->name,
        .entity = feed->config->entities[0].route,
        .prefix = feed->config->name,
        .state = feed->webhook->env.state,
        .batcher = feed->batcher,
        .sink = feed->webhook->env.sink,
        .span_ms = feed->settings->run_span_ms,
        .ledger_deadline_ms = feed->settings->ledger_deadline_ms,
        .read_once = true,
        .handler = &journal_handler,
        .ctx = feed,
    };
    feed->journal = sl_journal_new(&options);
    feed->book = (struct sl_book){
        .journal = feed->journal, .feed = feed->config->name, .ctx = feed, .before = end_due_run};
    sl_books_join(&feed->webhook->books, &feed->book);
    feed->upserts_metric = outcome(feed, "upsert");
    feed->deletions_metric = outcome(feed, "deletion");
    feed->dead_metric = outcome(feed, "dead");
    feed->failed_metric = outcome(feed, "failed");
}

struct sl_source *sl_source_webhook_new(struct sl_webhook *webhook,
                                        const struct sl_feed_config *config)
{
    struct sl_webhook_feed *feed = SL_NEW(struct sl_webhook_feed), **at = &webhook->feeds;
    feed->source.type = &webhook_type;
    feed->source.name = config->name;
    feed->webhook = webhook;
    feed->config = config;
    feed->settings = config->settings;
    feed->batcher = sl_batches_new(webhook->env.limits, webhook->env.credits);
    make_books(feed);
    while (*at)
        at = &(*at)->next;
    *at = feed;
    if (!webhook->in.keeper)
        sl_hook_link_start(&webhook->in, &sl_hook_in_type, webhook->env.broker, webhook);
    return &feed->source;
}

/* --- what the outside sees --- */

bool sl_source_webhook_owns(const struct sl_source *source)
{
    const struct sl_dataverse *reader = sl_hook_reader(feed_of(source)->webhook);
    return !reader || sl_dataverse_epoch(reader);
}

uint64_t sl_source_webhook_waiting_ms(const struct sl_source *source)
{
    bool ours = sl_source_webhook_owns(source); /* else its ledgers are another's */
    return ours ? sl_journal_waiting_ms(feed_of(source)->journal) : 0;
}

/* What it cannot do, else what it does not see; of either a standby knows nothing. */
static const char *trouble_of(const struct sl_webhook_feed *feed)
{
    if (!sl_hook_feed_is_ours(feed))
        return "";
    return feed->trouble[0] ? feed->trouble : feed->sight;
}

const char *sl_source_webhook_trouble(const struct sl_source *source)
{
    const char *trouble = trouble_of(feed_of(source));
    return trouble[0] ? trouble : NULL;
}

static const char *state_name(const struct sl_webhook_feed *feed)
{
    if (!sl_dataverse_epoch(sl_hook_reader(feed->webhook)))
        return "standby";
    return feed->webhook->in.up ? "reading back" : "starting";
}

void sl_source_webhook_status(const struct sl_source *source, struct sl_buf *buf)
{
    const struct sl_webhook_feed *feed = feed_of(source);
    const struct sl_webhook_feed_settings *settings = feed->settings;
    sl_buf_printf(buf,
                  "{\"source\":\"webhook\",\"%s\":\"%s\",\"state\":\"%s\",\"upserts\":%llu,"
                  "\"deletions\":%llu,\"dead\":%llu,\"runs_open\":%u,\"trouble\":",
                  settings->table ? "table" : "relationship",
                  settings->table ? settings->table : settings->relationship, state_name(feed),
                  (unsigned long long)feed->upserts, (unsigned long long)feed->deletions,
                  (unsigned long long)feed->dead,
                  sl_journal_unclosed(feed->journal) + sl_journal_unpublished(feed->journal));
    sl_buf_add_json_text(buf, trouble_of(feed));
    sl_buf_add_char(buf, '}');
}
