/* Events of a table that fails. As many as leave room for those of others wait until it works
 * (jobs.c); the rest would take all places of the prefetch. So they are kept for half a
 * second and go to the end of their queue, behind the others: published anew, since a message that
 * is returned may come back to the head of the queue, and is counted by its delivery limit. */
#include <stdlib.h>

#include "base/mem.h"
#include "webhook/webhook_own.h"

enum { KEEP_MS = 500, PUBLISH_TIMEOUT_MS = 2000 };

void sl_hook_keep(struct sl_webhook *webhook, const struct sl_amqp_delivery *delivery)
{
    struct sl_hook_kept *kept = SL_NEW(struct sl_hook_kept);
    *kept = (struct sl_hook_kept){.tag = delivery->tag,
                                  .generation = webhook->generation,
                                  .body = delivery->body,
                                  .size = delivery->size,
                                  .until_ms = sl_deadline_in(KEEP_MS)};
    if (webhook->last_kept)
        webhook->last_kept->next = kept;
    else
        webhook->first_kept = kept;
    webhook->last_kept = kept;
    sl_wake_all(&webhook->kept);
}

static struct sl_hook_kept *take_first(struct sl_webhook *webhook)
{
    struct sl_hook_kept *kept = webhook->first_kept;
    webhook->first_kept = kept->next;
    if (!webhook->first_kept)
        webhook->last_kept = NULL;
    return kept;
}

static void free_kept(struct sl_hook_kept *kept)
{
    free(kept->body);
    free(kept);
}

/* A crash between the two leaves it twice, which does no harm. */
static void move(struct sl_webhook *webhook, const struct sl_hook_kept *kept)
{
    const struct sl_str body = {kept->body, kept->size};
    struct sl_err err;
    int rc = sl_hook_publish_again(webhook, body, sl_deadline_in(PUBLISH_TIMEOUT_MS), &err);
    if (!webhook->events || kept->generation != webhook->generation)
        return; /* it is delivered again */
    if (rc == SL_OK)
        sl_channel_ack(webhook->events, kept->tag);
    else
        sl_channel_nack(webhook->events, kept->tag, true);
}

void sl_hook_run_kept(void *arg)
{
    struct sl_webhook *webhook = arg;
    while (!sl_fiber_cancelled()) {
        const struct sl_hook_kept *first = webhook->first_kept;
        uint64_t until_ms = sl_hook_hand_back_due(webhook);
        if (!first || sl_loop_now_ms() < first->until_ms) {
            sl_wait(&webhook->kept,
                    first && first->until_ms < until_ms ? first->until_ms : until_ms);
            continue;
        }
        struct sl_hook_kept *kept = take_first(webhook);
        move(webhook, kept);
        free_kept(kept);
    }
}

void sl_hook_kept_drop(struct sl_webhook *webhook)
{
    while (webhook->first_kept)
        free_kept(take_first(webhook));
}
