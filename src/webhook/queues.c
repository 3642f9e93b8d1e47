/* Were the queues of the events lost, and with them what Dataverse was told is safe? They are made
 * anew at the next connect, and then look like those of a first start. So it is noted in the state
 * when they were made: the process may have come anew together with RabbitMQ. */
#include <stdio.h>

#include "base/clock.h"
#include "webhook/webhook_own.h"

enum {
    AGAIN_MS = 1000,
    /* Processes that start together may each find no queue; the note of one is none of a loss. */
    TOGETHER_MS = 30 * 1000,
};

static void tell(const struct sl_webhook *webhook)
{
    char text[2 * SL_QUEUE_NAME_MAX + 480];
    snprintf(text, sizeof text,
             "The queue '%s' or '%s' was not in RabbitMQ any more and was made anew. Whatever was "
             "in it is lost: events that were answered 200 and whose rows were not read back yet. "
             "If it was deleted when it was empty, or RabbitMQ was moved like that, nothing is. "
             "Else compare the tables of its feeds in full, or touch their rows, so that events "
             "come again; and have RabbitMQ keep its disk.",
             webhook->events_queue, webhook->later_queue);
    webhook->env.alerter->raise(SL_ALERT_NOTICE, webhook->config->name, "events were lost", text);
}

static int note(struct sl_webhook *webhook)
{
    struct sl_state *state = webhook->env.state;
    struct sl_err err;
    struct sl_mark mark = {0};
    char name[SL_QUEUE_NAME_MAX + 8];
    snprintf(name, sizeof name, "queue:%s", webhook->events_queue);
    int64_t made_ms = webhook->queues.made_ms;
    int rc = state->type->mark_get(state, name, &mark, &err);
    if (rc != SL_OK && rc != SL_NOTFOUND)
        return rc;
    if (rc == SL_OK && made_ms > mark.value + TOGETHER_MS)
        tell(webhook);
    if (rc == SL_NOTFOUND || made_ms)
        rc = state->type->mark_raise(state, name, made_ms ? made_ms : sl_wall_ms(), 1, NULL, &err);
    if (rc == SL_OK && webhook->queues.made_ms == made_ms)
        webhook->queues.made_ms = 0;
    return rc;
}

int sl_hook_declare_queues(struct sl_webhook *webhook, struct sl_amqp *amqp, uint64_t deadline_ms,
                           struct sl_err *err)
{
    bool made = false;
    int rc = sl_topology_declare_events(amqp, webhook->env.broker->settings, webhook->config->name,
                                        &made, deadline_ms, err);
    if (made) /* also when what came then failed */
        webhook->queues.made_ms = sl_wall_ms();
    webhook->queues.news |= made || (rc == SL_OK && !webhook->queues.noted);
    sl_wake_all(&webhook->queues.declared);
    return rc;
}

void sl_hook_run_queues(void *arg)
{
    struct sl_webhook *webhook = arg;
    for (;;) {
        while (!webhook->queues.news)
            if (sl_wait(&webhook->queues.declared, SL_FOREVER) == SL_CANCELED)
                return;
        webhook->queues.news = false;
        webhook->queues.noted = true;
        while (note(webhook) != SL_OK)
            if (sl_fiber_sleep(AGAIN_MS) == SL_CANCELED)
                return;
    }
}
