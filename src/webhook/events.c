/* The events queue, consumed by the process that owns the environment: a delivery becomes a job for
 * each row, and is answered when all of them are safe. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "webhook/webhook_own.h"

enum { PREFETCH_MIN = 8, PREFETCH_MAX = 256, OWNER_LOOK_MS = 5000 };

/* --- answers --- */

static void hold(struct sl_webhook *webhook, struct sl_hook_delivery *delivery)
{
    delivery->before = webhook->last_held;
    *(delivery->before ? &delivery->before->after : &webhook->first_held) = delivery;
    webhook->last_held = delivery;
    sl_wake_all(&webhook->kept);
}

static void let_go(struct sl_webhook *webhook, struct sl_hook_delivery *delivery)
{
    struct sl_hook_delivery *before = delivery->before, *after = delivery->after;
    *(before ? &before->after : &webhook->first_held) = after;
    *(after ? &after->before : &webhook->last_held) = before;
}

static bool is_current(const struct sl_webhook *webhook, const struct sl_hook_delivery *delivery)
{
    return !delivery->posted && !delivery->handed_back && webhook->events &&
           delivery->generation == webhook->generation;
}

uint64_t sl_hook_hand_back_due(struct sl_webhook *webhook)
{
    struct sl_hook_delivery *delivery;
    while ((delivery = webhook->first_held) && sl_loop_now_ms() >= delivery->give_up_ms) {
        let_go(webhook, delivery);
        if (is_current(webhook, delivery))
            sl_channel_nack(webhook->events, delivery->tag, true);
        delivery->handed_back = true;
    }
    return delivery ? delivery->give_up_ms : SL_FOREVER;
}

static void answer(struct sl_webhook *webhook, struct sl_hook_delivery *delivery)
{
    bool current = is_current(webhook, delivery);
    if (!delivery->posted && !delivery->handed_back)
        let_go(webhook, delivery);
    if (delivery->waiter) {
        delivery->waiter->over = true;
        delivery->waiter->safe = !delivery->failed;
        sl_wake_all(&delivery->waiter->ended);
    }
    if (current && delivery->failed)
        sl_channel_nack(webhook->events, delivery->tag, true);
    else if (current)
        sl_channel_ack(webhook->events, delivery->tag);
    free(delivery);
}

void sl_hook_claims_end(struct sl_webhook *webhook, struct sl_hook_claim *claims, bool safe)
{
    while (claims) {
        struct sl_hook_claim *claim = claims;
        claims = claim->next;
        claim->delivery->failed |= !safe;
        if (!--claim->delivery->pending)
            answer(webhook, claim->delivery);
        free(claim);
    }
}

/* --- deliveries --- */

/* To the dead-letter exchange, where an operator finds it. */
static void set_aside(struct sl_webhook *webhook, const struct sl_amqp_delivery *delivery,
                      const char *reason)
{
    sl_log(SL_WARN, "unreadable event set aside", SL_T("queue", webhook->events_queue),
           SL_N("bytes", delivery->size), SL_T("reason", reason));
    sl_metric_add(webhook->counts.unreadable, 1);
    sl_topology_set_aside(webhook->env.broker->settings, webhook->events, delivery->tag);
}

static void begin_jobs(struct sl_webhook *webhook, uint64_t tag,
                       const struct sl_hook_letter *letter)
{
    struct sl_hook_delivery *delivery = SL_NEW(struct sl_hook_delivery);
    delivery->tag = tag;
    delivery->generation = webhook->generation;
    delivery->pending = letter->count;
    delivery->give_up_ms = sl_deadline_in(webhook->env.broker->settings->consumer_timeout_ms / 2);
    hold(webhook, delivery);
    for (uint32_t i = 0; i < letter->count; i++) {
        struct sl_hook_claim *claim = SL_NEW(struct sl_hook_claim);
        claim->delivery = delivery;
        sl_hook_jobs_add(letter->feed, &letter->pairs[i], letter->at_ms, claim);
    }
}

static void on_delivery(void *ctx, const struct sl_amqp_delivery *delivery)
{
    struct sl_webhook *webhook = ctx;
    struct sl_hook_letter letter;
    struct sl_err err;
    const struct sl_str body = {delivery->body, delivery->size};
    bool kept = false;
    if (!delivery->body) {
        set_aside(webhook, delivery, "larger than broker.max_message");
    } else if (sl_hook_letter_read(webhook, body, &letter, &err) != SL_OK) {
        set_aside(webhook, delivery, err.message);
    } else {
        if (sl_hook_jobs_full(letter.feed)) {
            sl_hook_keep(webhook, delivery);
            kept = true;
        } else {
            begin_jobs(webhook, delivery->tag, &letter);
        }
        free(letter.pairs);
    }
    if (!kept)
        free(delivery->body);
}

static void on_close(void *ctx, const struct sl_err *why)
{
    struct sl_webhook *webhook = ctx;
    sl_hook_link_end(&webhook->in, why);
}

static void on_cancel(void *ctx)
{
    struct sl_webhook *webhook = ctx;
    struct sl_err why;
    sl_err_set(&why, SL_CLOSED, "RabbitMQ cancelled the consumer: queue '%s' was deleted or moved",
               webhook->events_queue);
    on_close(webhook, &why);
}

/* --- the connection --- */

/* More than are read at once, so that reading goes on while others wait for their confirms. */
static uint16_t choose_prefetch(const struct sl_webhook *webhook)
{
    int64_t prefetch =
        2 * sl_dataverse_remote(sl_hook_reader(webhook))->settings->budget.concurrency;
    if (prefetch < PREFETCH_MIN)
        return PREFETCH_MIN;
    return (uint16_t)(prefetch < PREFETCH_MAX ? prefetch : PREFETCH_MAX);
}

unsigned sl_hook_failing_max(const struct sl_webhook *webhook)
{
    return choose_prefetch(webhook) / 2;
}

static int open_in(void *ctx, struct sl_amqp *amqp, uint64_t deadline_ms, struct sl_err *err)
{
    static const struct sl_channel_handler handler = {on_delivery, on_cancel, on_close};
    struct sl_webhook *webhook = ctx;
    int rc = SL_OK;
    /* In time: the first version may have to wait for another process's end. */
    if (!webhook->arrival)
        webhook->arrival = sl_arrival_join(webhook->env.state);
    webhook->epoch = sl_dataverse_epoch(sl_hook_reader(webhook));
    for (struct sl_webhook_feed *feed = webhook->feeds; feed && rc == SL_OK; feed = feed->next)
        rc = sl_hook_feed_take_up(feed, webhook->epoch, err);
    if (rc == SL_OK)
        rc = sl_hook_declare_queues(webhook, amqp, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_open(amqp, &handler, webhook, deadline_ms, &webhook->events, err);
    if (rc == SL_OK)
        rc = sl_channel_qos(webhook->events, choose_prefetch(webhook), deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_consume(webhook->events, webhook->events_queue, deadline_ms, err);
    for (struct sl_webhook_feed *feed = webhook->feeds; feed && rc == SL_OK; feed = feed->next)
        if (feed->broken) /* meanwhile, when there was no link to end */
            rc = sl_err_set(err, SL_CLOSED, "feed '%s': a batch came back", feed->config->name);
    return rc;
}

/* What was delivered and not answered comes again, to whoever consumes next. */
static void shut_in(void *ctx)
{
    struct sl_webhook *webhook = ctx;
    struct sl_channel *channel = webhook->events;
    webhook->generation++;
    webhook->events = NULL;
    sl_channel_free(channel);
    sl_hook_kept_drop(webhook);
    sl_hook_jobs_drop(webhook);
    for (struct sl_webhook_feed *feed = webhook->feeds; feed; feed = feed->next)
        sl_hook_feed_drop_sheaves(feed);
}

/* What is up ends when the environment is another's, or was lost and is ours again: in another
 * epoch, or in the same, when only a feed knows, whose batch came back meanwhile. */
static bool is_wanted(void *ctx)
{
    const struct sl_webhook *webhook = ctx;
    int64_t epoch = sl_dataverse_epoch(sl_hook_reader(webhook));
    const struct sl_webhook_feed *feed = webhook->feeds;
    while (feed && !feed->broken)
        feed = feed->next;
    return epoch && (!webhook->in.up || (epoch == webhook->epoch && !feed));
}

static int wait_to_own(void *ctx)
{
    struct sl_webhook *webhook = ctx;
    return sl_dataverse_wait_owner(sl_hook_reader(webhook), sl_deadline_in(OWNER_LOOK_MS));
}

const struct sl_hook_link_type sl_hook_in_type = {
    .name = "sluice read-back",
    .open = open_in,
    .shut = shut_in,
    .wanted = is_wanted,
    .wait = wait_to_own,
};
