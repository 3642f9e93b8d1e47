/* A feed of posts as a source: batches out, commits in. Every batch is numbered as it is taken, in
 * the order in which it was closed, so that a post knows which batches hold its rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ingest/ingest_own.h"
#include "source/batches.h"

enum {
    ORPHAN_MS = 3600 * 1000, /* a run that no process has journaled for so long was cut off */
    END_PATIENCE_MS = 100,   /* for ending a run: posts wait behind it */
    END_AGAIN_MS = 500,
};

/* --- adding rows --- */

/* Batches that are not confirmed. */
static bool has_waiting(const struct sl_ingest_feed *feed)
{
    uint64_t closings = sl_batcher_closings(feed->batcher);
    return (feed->newest > closings ? feed->newest : closings) > feed->done;
}

bool sl_ingest_is_behind(const struct sl_ingest_feed *feed)
{
    return has_waiting(feed) && sl_loop_now_ms() >= feed->moved_ms + SL_INGEST_PATIENCE_MS;
}

/* Before something is given to the flow: when nothing waits, it is counted from now. */
static void note_first(struct sl_ingest_feed *feed)
{
    if (!has_waiting(feed))
        feed->moved_ms = sl_loop_now_ms();
}

static int open_batch(struct sl_ingest_feed *feed, struct sl_batch **ret, struct sl_err *err)
{
    static const struct sl_journal_kind kind = {.lane = SL_LANE_FAST};
    sl_batcher_set_deadline(feed->batcher, sl_deadline_in(SL_INGEST_PATIENCE_MS));
    if (!sl_journal_is_open(feed->journal)) {
        feed->run_began_ms = sl_loop_now_ms();
        sl_books_stir(&feed->ingest->books); /* it will want to be ended */
    }
    int rc = sl_journal_begin(feed->journal, &kind, err);
    return rc == SL_OK ? sl_batcher_open(feed->batcher, ret, err) : rc;
}

int sl_ingest_add(struct sl_ingest_feed *feed, struct sl_ingest_post *post,
                  const struct sl_record *record, char ret_run[SL_NAME_MAX], struct sl_err *err)
{
    struct sl_batch *batch;
    struct sl_record copy = *record;
    int rc = open_batch(feed, &batch, err);
    if (rc != SL_OK)
        return rc;
    uint64_t before = sl_batcher_closings(feed->batcher);
    note_first(feed);
    if (!post->first)
        post->first = before + 1;
    snprintf(ret_run, SL_NAME_MAX, "%s", batch->origin.run);
    copy.id = sl_batch_keep(batch, record->id);
    copy.doc = sl_batch_keep(batch, record->doc);
    feed->newest = before + 1; /* at once: adding may suspend, and fail, with the row in it */
    rc = sl_batcher_add(feed->batcher, &copy, err);
    uint64_t after = sl_batcher_closings(feed->batcher);
    if (after > before) /* a large row goes alone, behind what was there */
        feed->newest = after;
    return rc;
}

static void end_run(struct sl_ingest_feed *feed, uint64_t deadline_ms)
{
    struct sl_err err;
    if (sl_mutex_lock(&feed->adding, deadline_ms, NULL) != SL_OK)
        return;
    note_first(feed);
    sl_batcher_set_deadline(feed->batcher, deadline_ms);
    sl_journal_end(feed->journal, NULL, &err); /* when the flow does not move: later */
    uint64_t closings = sl_batcher_closings(feed->batcher);
    if (closings > feed->newest) /* an empty one came of it, and is confirmed like all */
        feed->newest = closings;
    sl_mutex_unlock(&feed->adding);
}

void sl_ingest_send(struct sl_ingest_feed *feed, struct sl_ingest_post *post)
{
    sl_batcher_flush(feed->batcher);
    post->last = feed->newest;
}

/* --- posts that wait --- */

void sl_ingest_begin(struct sl_ingest_feed *feed, struct sl_ingest_post *post)
{
    *post = (struct sl_ingest_post){.next = feed->posts, .last = UINT64_MAX};
    feed->posts = post;
}

void sl_ingest_end(struct sl_ingest_feed *feed, struct sl_ingest_post *post)
{
    struct sl_ingest_post **at = &feed->posts;
    while (*at != post)
        at = &(*at)->next;
    *at = post->next;
}

static bool is_settled(const struct sl_ingest_post *post)
{
    return post->failed || post->done == post->last - post->first + 1;
}

/* The flow is through with a batch. */
static void settle(struct sl_ingest_feed *feed, const struct sl_batch *batch, bool confirmed)
{
    uint64_t number = batch->tag;
    feed->done++;
    if (confirmed)
        feed->moved_ms = sl_loop_now_ms();
    for (struct sl_ingest_post *post = feed->posts; post; post = post->next) {
        if (!post->first || number < post->first || number > post->last)
            continue;
        post->done++;
        post->failed |= !confirmed;
        if (is_settled(post))
            sl_wake_all(&post->changed);
    }
}

int sl_ingest_await(struct sl_ingest_feed *feed, struct sl_ingest_post *post, uint64_t deadline_ms)
{
    while (!is_settled(post)) {
        if (sl_ingest_is_behind(feed))
            return SL_CLOSED;
        uint64_t behind_ms = feed->moved_ms + SL_INGEST_PATIENCE_MS;
        int rc = sl_wait(&post->changed, behind_ms < deadline_ms ? behind_ms : deadline_ms);
        if (rc == SL_CANCELED || (rc == SL_TIMEOUT && sl_loop_now_ms() >= deadline_ms))
            return rc;
    }
    return post->failed ? SL_CLOSED : SL_OK;
}

/* --- the books --- */

static int note_published(void *ctx, const struct sl_journal_run *run, struct sl_err *err)
{
    (void)ctx, (void)run, (void)err;
    return SL_OK; /* its posts were answered long ago */
}

static int note_closed(void *ctx, const struct sl_journal_run *run, struct sl_err *err)
{
    (void)ctx, (void)run, (void)err;
    return SL_OK;
}

static void note_lost(void *ctx, const struct sl_journal_lost *lost)
{
    struct sl_ingest_feed *feed = ctx;
    char runs[SL_JOURNAL_LOST_BYTES], text[SL_JOURNAL_LOST_BYTES + 520];
    sl_journal_lost_words(lost, runs);
    snprintf(text, sizeof text,
             "The ledger does not close of %s: of these rows, all confirmed by RabbitMQ, "
             "some were not applied in time. If the appliers are just behind, they still will be. "
             "If they lie in the queue of unreadable messages (sluice dead list shows that), mend "
             "the cause and replay them: what is dropped there is lost. If messages were lost (a "
             "queue deleted), have these rows posted again.",
             runs);
    feed->ingest->env.alerter->raise(SL_ALERT_NOTICE, feed->config->name,
                                     "rows that RabbitMQ confirmed were not applied", text);
}

static void note_broken(void *ctx)
{
    (void)ctx; /* its posts are told by settle() */
}

static void note_stir(void *ctx)
{
    sl_books_stir(&((struct sl_ingest_feed *)ctx)->ingest->books);
}

static const struct sl_journal_handler journal_handler = {
    .published = note_published,
    .closed = note_closed,
    .lost = note_lost,
    .broken = note_broken,
    .stir = note_stir,
};

/* --- the source --- */

static struct sl_ingest_feed *feed_of(const struct sl_source *source)
{
    return (struct sl_ingest_feed *)(uintptr_t)source;
}

static int feed_next(struct sl_source *source, struct sl_batch **ret_batch, struct sl_err *err)
{
    struct sl_ingest_feed *feed = feed_of(source);
    int rc = sl_batcher_take(feed->batcher, SL_FOREVER, ret_batch, err);
    if (rc == SL_OK)
        (*ret_batch)->tag = ++feed->taken;
    return rc;
}

static void feed_commit(struct sl_source *source, struct sl_batch *batch)
{
    struct sl_ingest_feed *feed = feed_of(source);
    sl_journal_commit(feed->journal, batch);
    settle(feed, batch, true);
    sl_batch_free(batch);
}

static void feed_release(struct sl_source *source, struct sl_batch *batch)
{
    struct sl_ingest_feed *feed = feed_of(source);
    sl_journal_release(feed->journal, batch);
    settle(feed, batch, false);
    sl_batch_free(batch);
}

/* Else nobody would see that the ledger of the last rows does not close. */
static void feed_finish(struct sl_source *source, uint64_t deadline_ms)
{
    struct sl_ingest_feed *feed = feed_of(source);
    if (sl_journal_is_open(feed->journal))
        end_run(feed, deadline_ms);
    sl_journal_wait_published(feed->journal, deadline_ms);
}

static void unlink_feed(struct sl_ingest_feed *feed)
{
    struct sl_ingest_feed **at = &feed->ingest->feeds;
    sl_books_leave(&feed->ingest->books, &feed->book);
    while (*at != feed)
        at = &(*at)->next;
    *at = feed->next;
}

static void feed_close(struct sl_source *source)
{
    struct sl_ingest_feed *feed = feed_of(source);
    unlink_feed(feed);
    sl_ingest_line_stop(feed);
    sl_arrival_leave(feed->arrival);
    sl_journal_free(feed->journal);
    sl_batcher_free(feed->batcher);
    sl_ingest_plan_free(feed->plan);
    free(feed->path);
    free(feed);
}

static const struct sl_source_type ingest_type = {
    .name = "ingest",
    .summary = "Rows posted over HTTP",
    .next = feed_next,
    .commit = feed_commit,
    .release = feed_release,
    .finish = feed_finish,
    .close = feed_close,
};

/* A run is named after its process. When that was killed, nobody else would see its ledger close,
 * or not close. */
static int take_orphans(struct sl_ingest_feed *feed, uint64_t *wait_ms, struct sl_err *err)
{
    uint64_t idle_ms = feed->settings->ledger_deadline_ms;
    int rc = SL_OK;
    if (sl_loop_now_ms() >= feed->orphans_ms) {
        if (!feed->told_again)
            rc = sl_journal_tell_again(feed->journal, err);
        feed->told_again |= rc == SL_OK;
        if (rc == SL_OK)
            rc = sl_journal_take_orphans(feed->journal, idle_ms, err);
        feed->orphans_ms = sl_deadline_in(rc == SL_OK ? idle_ms : END_AGAIN_MS);
    }
    sl_books_sooner(wait_ms, feed->orphans_ms);
    return rc;
}

/* Before its books are kept. */
static int end_due_run(void *ctx, uint64_t *wait_ms, struct sl_err *err)
{
    struct sl_ingest_feed *feed = ctx;
    if (sl_journal_is_due(feed->journal))
        end_run(feed, sl_deadline_in(END_PATIENCE_MS));
    if (sl_journal_is_open(feed->journal)) {
        uint64_t due_ms = feed->run_began_ms + feed->settings->run_span_ms;
        bool late = due_ms <= sl_loop_now_ms(); /* the flow does not move */
        sl_books_sooner(wait_ms, late ? sl_deadline_in(END_AGAIN_MS) : due_ms);
    }
    return take_orphans(feed, wait_ms, err);
}

static void make_journal(struct sl_ingest_feed *feed)
{
    char prefix[SL_NAME_MAX];
    snprintf(prefix, sizeof prefix, "%.100s-%s", feed->config->name, feed->ingest->process);
    const struct sl_journal_options options = {
        .feed = feed->config->name,
        .entity = feed->config->entities[0].route,
        .prefix = prefix,
        .state = feed->ingest->env.state,
        .batcher = feed->batcher,
        .sink = feed->ingest->env.sink,
        .span_ms = feed->settings->run_span_ms,
        .ledger_deadline_ms = feed->settings->ledger_deadline_ms,
        .epoch = 1,
        .orphan_ms = ORPHAN_MS,
        .read_once = true,
        .handler = &journal_handler,
        .ctx = feed,
    };
    feed->journal = sl_journal_new(&options);
    feed->book = (struct sl_book){
        .journal = feed->journal, .feed = feed->config->name, .ctx = feed, .before = end_due_run};
    sl_books_join(&feed->ingest->books, &feed->book);
}

static void make_metrics(struct sl_ingest_feed *feed)
{
    static const char *const names[] = {
        [SL_INGEST_ACCEPTED] = "accepted",
        [SL_INGEST_REFUSED] = "refused",
        [SL_INGEST_BEHIND] = "behind",
        [SL_INGEST_UNSURE] = "unsure",
    };
    for (unsigned i = 0; i < SL_INGEST_OUTCOMES; i++)
        feed->outcomes[i] = sl_counter("ingest_posts_total", "Posts answered, by outcome.",
                                       "feed=\"%s\",outcome=\"%s\"", feed->config->name, names[i]);
    feed->rows = sl_counter("ingest_rows_total", "Rows of accepted posts.", "feed=\"%s\"",
                            feed->config->name);
}

static void add_route(struct sl_ingest_feed *feed)
{
    struct sl_ingest *ingest = feed->ingest;
    size_t size = sizeof "/ingest/" + strlen(feed->config->name);
    feed->path = sl_alloc(size);
    snprintf(feed->path, size, "/ingest/%s", feed->config->name);
    const struct sl_http_route route = {
        .method = "POST",
        .path = feed->path,
        .fiber = true,
        .authorize = sl_ingest_authorize,
        .handler = sl_ingest_take,
        .ctx = feed,
        .max_body_bytes = ingest->settings->listen.max_body_bytes,
    };
    sl_listeners_add(ingest->env.listeners, ingest->config, &route);
}

struct sl_source *sl_source_ingest_new(struct sl_ingest *ingest,
                                       const struct sl_feed_config *config)
{
    struct sl_ingest_feed *feed = SL_NEW(struct sl_ingest_feed), **at = &ingest->feeds;
    const struct sl_config_limits *limits = ingest->env.limits;
    feed->source.type = &ingest_type;
    feed->source.name = config->name;
    feed->ingest = ingest;
    feed->config = config;
    feed->settings = config->settings;
    feed->batcher = sl_batches_new(limits, ingest->env.credits);
    feed->plan =
        sl_ingest_plan_new(&config->entities[0], feed->settings->version, limits->max_row_bytes);
    if (!feed->settings->version)
        feed->arrival = sl_arrival_join(ingest->env.state);
    make_journal(feed);
    make_metrics(feed);
    sl_ingest_line_start(feed);
    add_route(feed);
    while (*at)
        at = &(*at)->next;
    *at = feed;
    return &feed->source;
}

/* --- what the outside sees --- */

static const char *trouble_of(struct sl_ingest_feed *feed)
{
    if (sl_ingest_is_behind(feed)) {
        snprintf(feed->trouble, sizeof feed->trouble,
                 "RabbitMQ has confirmed nothing for %llu s; posts are put off (503)",
                 (unsigned long long)(sl_loop_now_ms() - feed->moved_ms) / 1000);
        return feed->trouble;
    }
    if (feed->misfit[0])
        return feed->misfit;
    return feed->arrival ? sl_arrival_trouble(feed->arrival) : NULL;
}

uint64_t sl_source_ingest_waiting_ms(const struct sl_source *source)
{
    return sl_journal_waiting_ms(feed_of(source)->journal);
}

const char *sl_source_ingest_trouble(const struct sl_source *source)
{
    return trouble_of(feed_of(source));
}

static unsigned long long count_of(const struct sl_ingest_feed *feed,
                                   enum sl_ingest_outcome outcome)
{
    return (unsigned long long)feed->outcomes[outcome]->value;
}

void sl_source_ingest_status(const struct sl_source *source, struct sl_buf *buf)
{
    struct sl_ingest_feed *feed = feed_of(source);
    const char *trouble = trouble_of(feed);
    sl_buf_printf(buf,
                  "{\"source\":\"ingest\",\"path\":\"%s\",\"state\":\"%s\","
                  "\"accepted\":%llu,\"refused\":%llu,"
                  "\"behind\":%llu,\"unsure\":%llu,\"rows\":%llu,\"runs_open\":%u,\"trouble\":",
                  feed->path, sl_ingest_is_behind(feed) ? "behind" : "taking posts",
                  count_of(feed, SL_INGEST_ACCEPTED), count_of(feed, SL_INGEST_REFUSED),
                  count_of(feed, SL_INGEST_BEHIND), count_of(feed, SL_INGEST_UNSURE),
                  (unsigned long long)feed->rows->value,
                  sl_journal_unclosed(feed->journal) + sl_journal_unpublished(feed->journal));
    sl_buf_add_json_text(buf, trouble ? trouble : "");
    sl_buf_add_char(buf, '}');
}
