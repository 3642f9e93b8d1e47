/* Bells between processes: {"source":"crm","table":"account"} on the exchange <exchange>.bells,
 * which every process hears. They may be lost: the next poll finds the change all the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"
#include "webhook/webhook_own.h"

enum {
    PAUSE_MS = 50,      /* between two bells for one table */
    TRY_MS = 10 * 1000, /* whether the right to ring is there */
};

/* --- passing on --- */

static struct sl_hook_bell *bell_of(struct sl_webhook *webhook,
                                    const struct sl_dataverse *dataverse, const char *table)
{
    struct sl_hook_bell *bell = webhook->bells;
    while (bell && (bell->dataverse != dataverse || strcmp(bell->table, table) != 0))
        bell = bell->next;
    if (bell)
        return bell;
    bell = SL_NEW(struct sl_hook_bell); /* a table that somebody follows: they are few */
    bell->dataverse = dataverse;
    snprintf(bell->table, sizeof bell->table, "%s", table);
    bell->next = webhook->bells;
    webhook->bells = bell;
    return bell;
}

static void send_bell(struct sl_webhook *webhook, struct sl_hook_bell *bell)
{
    char body[SL_NAME_MAX + SL_TABLE_NAME_BYTES + 32];
    int size = snprintf(body, sizeof body, "{\"source\":\"%s\",\"table\":\"%s\"}",
                        sl_dataverse_name(bell->dataverse), bell->table);
    bell->due = false;
    bell->sent_ms = sl_loop_now_ms();
    if (webhook->out.up) /* else its refusal would be forgotten as it comes up */
        sl_channel_cast(webhook->bells_out, webhook->bells_exchange, "",
                        (struct sl_str){body, (size_t)size});
}

void sl_hook_pass_on(struct sl_webhook *webhook, const struct sl_dataverse *dataverse,
                     const char *table)
{
    struct sl_hook_bell *bell = bell_of(webhook, dataverse, table);
    if (!bell->sent_ms || sl_loop_now_ms() - bell->sent_ms >= PAUSE_MS) {
        send_bell(webhook, bell);
        return;
    }
    bell->due = true; /* the owner's poll may have begun before this change */
    sl_wake_all(&webhook->ring);
}

/* Gives when to call it again. */
static uint64_t send_due(struct sl_webhook *webhook)
{
    uint64_t next_ms = SL_FOREVER, now_ms = sl_loop_now_ms();
    for (struct sl_hook_bell *bell = webhook->bells; bell; bell = bell->next) {
        if (bell->due && now_ms >= bell->sent_ms + PAUSE_MS)
            send_bell(webhook, bell);
        else if (bell->due && bell->sent_ms + PAUSE_MS < next_ms)
            next_ms = bell->sent_ms + PAUSE_MS;
    }
    return next_ms;
}

void sl_hook_bells_refused(struct sl_webhook *webhook, const struct sl_err *why)
{
    sl_hook_link_trouble(&webhook->out, why);
    webhook->try_bells_ms = sl_deadline_in(TRY_MS);
    sl_wake_all(&webhook->ring);
}

/* The closed channel drops what is rung, until there is a new connection. */
static bool is_refused(const struct sl_webhook *webhook)
{
    return webhook->out.up && !webhook->out.over && !sl_channel_is_open(webhook->bells_out);
}

/* Has a new connection made once the right is there. Suspends. Gives when to call it again. */
static uint64_t try_refused(struct sl_webhook *webhook)
{
    if (!is_refused(webhook))
        return SL_FOREVER;
    if (sl_loop_now_ms() < webhook->try_bells_ms)
        return webhook->try_bells_ms;
    uint64_t deadline_ms = sl_deadline_in(webhook->env.broker->settings->connect_timeout_ms);
    int rc =
        sl_topology_may_publish(webhook->out.amqp, webhook->bells_exchange, "", deadline_ms, NULL);
    if (rc == SL_OK && is_refused(webhook))
        sl_hook_link_end(&webhook->out, &(struct sl_err){.code = SL_OK});
    return webhook->try_bells_ms = sl_deadline_in(TRY_MS);
}

void sl_hook_run_bells(void *arg)
{
    struct sl_webhook *webhook = arg;
    for (;;) {
        uint64_t try_ms = try_refused(webhook); /* suspends; from here to the wait nothing does */
        uint64_t next_ms = send_due(webhook);
        if (sl_wait(&webhook->ring, try_ms < next_ms ? try_ms : next_ms) == SL_CANCELED)
            return;
    }
}

void sl_hook_bells_done(struct sl_webhook *webhook)
{
    while (webhook->bells) {
        struct sl_hook_bell *bell = webhook->bells;
        webhook->bells = bell->next;
        free(bell);
    }
}

/* --- hearing --- */

static void ring(struct sl_webhook *webhook, const char *source, const char *table)
{
    for (struct sl_dataverse **at = webhook->doorbell; *at; at++)
        if (!strcmp(sl_dataverse_name(*at), source) && sl_dataverse_ring(*at, table))
            webhook->bells_heard++;
}

void sl_hook_hear_bell(void *ctx, const struct sl_amqp_delivery *delivery)
{
    struct sl_webhook *webhook = ctx;
    struct sl_json_doc *doc;
    if (delivery->body &&
        sl_json_parse(delivery->body, delivery->size, NULL, &doc, NULL) == SL_OK) {
        const struct sl_json *root = sl_json_root(doc);
        const char *source = sl_json_text(sl_json_get(root, "source"));
        const char *table = sl_json_text(sl_json_get(root, "table"));
        if (source && table)
            ring(webhook, source, table);
        sl_json_free(doc);
    }
    free(delivery->body);
    sl_channel_ack(webhook->bells_in, delivery->tag);
}
