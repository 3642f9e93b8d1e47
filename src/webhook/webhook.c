#include "webhook/webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "webhook/webhook_own.h"

enum { UNAVAILABLE = 503 }; /* of 429 Dataverse never tries again */

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
        .read_back = outcome(webhook, "read_back"),
        .queued = outcome(webhook, "queued"),
        .unclaimed = outcome(webhook, "unclaimed"),
        .malformed = outcome(webhook, "malformed"),
        .refused = outcome(webhook, "refused"),
        .unavailable = outcome(webhook, "unavailable"),
        .unreadable =
            sl_counter("unreadable_messages_total", "Messages that could not be read as batches.",
                       "queue=\"%s\"", webhook->events_queue),
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
        .rate_status = UNAVAILABLE,
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
    (void)err;
    webhook->env = *env;
    webhook->config = source;
    webhook->settings = source->settings;
    webhook->doorbell = copy_doorbell(env->doorbell);
    webhook->env.doorbell = webhook->doorbell;
    sl_topology_events(env->broker->settings, source->name, webhook->events_queue,
                       webhook->later_queue);
    find_counts(webhook);
    add_route(webhook);
    sl_hook_link_start(&webhook->out, &sl_hook_out_type, env->broker, webhook);
    webhook->ringer = sl_fiber_spawn_joinable("hook.bells", sl_hook_run_bells, webhook);
    webhook->mover = sl_fiber_spawn_joinable("hook.kept", sl_hook_run_kept, webhook);
    webhook->noter = sl_fiber_spawn_joinable("hook.queues", sl_hook_run_queues, webhook);
    sl_books_start(&webhook->books, "hook.books");
    return webhook;
}

void sl_webhook_free(struct sl_webhook *webhook)
{
    if (!webhook)
        return;
    sl_fiber_end(&webhook->ringer);
    sl_fiber_end(&webhook->mover);
    sl_books_stop(&webhook->books);
    sl_hook_link_stop(&webhook->out);
    sl_fiber_end(&webhook->noter);
    sl_hook_bells_done(webhook);
    sl_hook_tables_done(webhook);
    sl_idset_done(&webhook->unclaimed);
    sl_idset_done(&webhook->synchronous);
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
                  ",\"bells_heard\":%llu,\"read_back\":%" PRId64 ",\"queued\":%" PRId64
                  ",\"reading\":%u,\"trouble\":",
                  webhook->path, counts->bell->value, counts->passed_on->value,
                  (unsigned long long)webhook->bells_heard, counts->read_back->value,
                  counts->queued->value, webhook->running);
    const char *trouble = sl_webhook_trouble(webhook);
    sl_buf_add_json_text(buf, trouble ? trouble : "");
    sl_buf_add_char(buf, '}');
}
