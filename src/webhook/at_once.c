/* A row is read back while its post waits, when nothing is in the way: what RabbitMQ confirms then
 * is the row, and the event has no need of a queue (docs/adr/0032-read-at-once.md).
 *
 * A post of a synchronous step must not wait for that: its transaction has not ended, and would not
 * before it is answered. */
#include "base/mem.h"
#include "webhook/webhook_own.h"

enum {
    LATER_MS = 10 * 1000, /* after one that took too long, events are queued for so long */
    ROWS_MAX = 4,         /* of one event */
};

static bool is_possible(const struct sl_webhook *webhook, const struct sl_webhook_feed *feed,
                        const struct sl_webhook_event *event)
{
    bool ours = webhook->in.up && webhook->epoch == feed->epoch && sl_hook_feed_is_ours(feed);
    bool well = !webhook->closing && !feed->broken && !feed->trouble[0] &&
                sl_loop_now_ms() >= webhook->at_once_after_ms;
    bool room = !webhook->first_due && webhook->running < sl_hook_jobs_max(webhook) / 2;
    return event->asynchronous && ours && well && room &&
           sl_hook_pair_count(feed, event) <= ROWS_MAX;
}

static void begin(struct sl_webhook_feed *feed, const struct sl_webhook_event *event,
                  struct sl_hook_delivery *delivery)
{
    uint32_t count = delivery->pending;
    for (uint32_t i = 0; i < count; i++) {
        const struct sl_hook_pair pair = sl_hook_pair_of(feed, event, i);
        struct sl_hook_claim *claim = SL_NEW(struct sl_hook_claim);
        claim->delivery = delivery;
        sl_hook_jobs_add(feed, &pair, event->at_ms, claim);
    }
}

int sl_hook_read_at_once(struct sl_webhook *webhook, struct sl_webhook_feed *feed,
                         const struct sl_webhook_event *event, uint64_t until_ms,
                         struct sl_err *err)
{
    struct sl_hook_waiter waiter = {0};
    int rc = SL_OK;
    if (!is_possible(webhook, feed, event))
        return sl_err_set(err, SL_TIMEOUT, "not now");
    struct sl_hook_delivery *delivery = SL_NEW(struct sl_hook_delivery);
    delivery->posted = true;
    delivery->waiter = &waiter;
    delivery->pending = sl_hook_pair_count(feed, event);
    delivery->give_up_ms = until_ms;
    begin(feed, event, delivery);
    while (!waiter.over && rc == SL_OK)
        rc = sl_wait(&waiter.ended, until_ms);
    if (!waiter.over)
        delivery->waiter = NULL; /* what is under way goes on, for nobody */
    if (rc == SL_CANCELED && !waiter.over)
        return sl_err_set(err, SL_CANCELED, "cancelled");
    if (waiter.over && waiter.safe)
        return SL_OK;
    webhook->at_once_after_ms = sl_deadline_in(LATER_MS);
    return sl_err_set(err, SL_TIMEOUT, "it takes longer");
}
