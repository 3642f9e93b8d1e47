#include "source/webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "source/webhook_own.h"

enum { BOOKS_RETRY_MS = 500 };

/* --- the books of the feeds --- */

static void sooner(uint64_t *wait_ms, uint64_t at_ms)
{
    if (at_ms < *wait_ms)
        *wait_ms = at_ms;
}

static int keep_feed(struct sl_webhook_feed *feed, uint64_t *wait_ms)
{
    struct sl_err err = {0};
    uint64_t next_ms = SL_FOREVER;
    int rc = SL_OK;
    if (feed->due_ms && sl_loop_now_ms() >= feed->due_ms)
        rc = sl_hook_feed_end_due(feed, &err);
    if (rc == SL_OK)
        rc = sl_journal_keep(feed->journal, &next_ms, &err);
    if (rc != SL_OK && rc != SL_CANCELED) {
        sl_log(SL_DEBUG, "cannot keep the books, will try again", SL_T("feed", feed->config->name),
               SL_T("error", err.message));
        next_ms = sl_deadline_in(BOOKS_RETRY_MS);
    }
    sooner(wait_ms, next_ms);
    if (feed->due_ms)
        sooner(wait_ms, feed->due_ms);
    return rc;
}

static void keep_books(void *arg)
{
    struct sl_webhook *webhook = arg;
    for (;;) {
        uint64_t wait_ms = SL_FOREVER;
        webhook->stirred = false;
        for (struct sl_webhook_feed *feed = webhook->feeds; feed; feed = feed->next) {
            if (!feed->epoch || feed->epoch != sl_dataverse_epoch(sl_hook_reader(webhook)))
                continue;
            webhook->keeping = feed;
            int rc = keep_feed(feed, &wait_ms);
            webhook->keeping = NULL;
            sl_wake_all(&webhook->kept);
            if (rc == SL_CANCELED || sl_fiber_cancelled())
                return;
        }
        if (!webhook->stirred && sl_wait(&webhook->stir, wait_ms) == SL_CANCELED)
            return;
    }
}

/* --- the source --- */

static struct sl_metric *outcome(const struct sl_webhook *webhook, const char *name)
{
    return sl_counter("webhook_events_total", "Posts to a webhook, by what became of them.",
                      "source=\"%s\",outcome=\"%s\"", webhook->config->name, name);
}

static void find_counts(struct sl_webhook *webhook)
{
    webhook->counts = (struct sl_hook_counts){
        .bell = outcome(webhook, "bell"),
        .passed_on = outcome(webhook, "passed_on"),
        .queued = outcome(webhook, "queued"),
        .unclaimed = outcome(webhook, "unclaimed"),
        .malformed = outcome(webhook, "malformed"),
        .refused = outcome(webhook, "refused"),
        .unavailable = outcome(webhook, "unavailable"),
    };
}

static void add_route(struct sl_webhook *webhook)
{
    snprintf(webhook->path, sizeof webhook->path, "/webhook/%s", webhook->config->name);
    webhook->route = (struct sl_http_route){
        .method = "POST",
        .path = webhook->path,
        .fiber = true,
        .authorize = sl_hook_authorize,
        .handler = sl_hook_post,
        .ctx = webhook,
        .max_body_bytes = (size_t)webhook->settings->listen.max_body_bytes,
    };
    sl_listeners_add(webhook->env.listeners, webhook->config, &webhook->route);
}

static struct sl_dataverse **copy_doorbell(struct sl_dataverse **from)
{
    size_t count = 0;
    while (from[count])
        count++;
    struct sl_dataverse **copy = sl_calloc(count + 1, sizeof(void *));
    for (size_t i = 0; i < count; i++)
        copy[i] = from[i];
    return copy;
}

struct sl_webhook *sl_webhook_new(const struct sl_webhook_env *env,
                                  const struct sl_source_config *source, struct sl_err *err)
{
    struct sl_webhook *webhook = SL_NEW(struct sl_webhook);
    char lane[SL_QUEUE_NAME_MAX];
    (void)err;
    webhook->env = *env;
    webhook->config = source;
    webhook->settings = source->settings;
    webhook->doorbell = copy_doorbell(env->doorbell);
    webhook->env.doorbell = webhook->doorbell;
    snprintf(lane, sizeof lane, "events.%s", source->name);
    sl_topology_queue(env->broker->settings, lane, webhook->events_queue);
    find_counts(webhook);
    add_route(webhook);
    sl_hook_link_start(&webhook->out, &sl_hook_out_type, env->broker, webhook);
    webhook->ringer = sl_fiber_spawn_joinable("hook.bells", sl_hook_run_bells, webhook);
    webhook->books = sl_fiber_spawn_joinable("hook.books", keep_books, webhook);
    return webhook;
}

void sl_webhook_free(struct sl_webhook *webhook)
{
    if (!webhook)
        return;
    sl_fiber_cancel(webhook->ringer);
    sl_fiber_cancel(webhook->books);
    sl_fiber_join(webhook->ringer);
    sl_fiber_join(webhook->books);
    sl_hook_link_stop(&webhook->out);
    sl_hook_bells_done(webhook);
    sl_hook_tables_done(webhook);
    sl_idset_done(&webhook->unclaimed);
    sl_arrival_leave(webhook->arrival);
    free(webhook->doorbell);
    free(webhook);
}

/* --- what the outside sees --- */

const char *sl_webhook_trouble(const struct sl_webhook *webhook)
{
    if (webhook->out.trouble[0])
        return webhook->out.trouble;
    if (webhook->in.trouble[0])
        return webhook->in.trouble;
    return webhook->arrival ? sl_arrival_trouble(webhook->arrival) : NULL;
}

void sl_webhook_status(const struct sl_webhook *webhook, struct sl_buf *buf)
{
    const struct sl_hook_counts *counts = &webhook->counts;
    sl_buf_printf(buf,
                  "{\"path\":\"%s\",\"bells\":%" PRId64 ",\"passed_on\":%" PRId64
                  ",\"bells_heard\":%llu,\"queued\":%" PRId64 ",\"reading\":%u,\"trouble\":",
                  webhook->path, counts->bell->value, counts->passed_on->value,
                  (unsigned long long)webhook->bells_heard, counts->queued->value,
                  webhook->running);
    const char *trouble = sl_webhook_trouble(webhook);
    sl_buf_add_json_text(buf, trouble ? trouble : "");
    sl_buf_add_char(buf, '}');
}
