/* Events on their way through RabbitMQ: the connection that publishes them and carries bells, and
 * the messages themselves,
 *
 *     {"event":1,"feed":"visits","at":1790000123000,"rows":[["new_visit","60c4e274-…"]]}
 *
 * of a relationship with two rows in one: ["account","60c4e274-…","new_tag","11111111-…"]. Only
 * sluice reads them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "format/json.h"
#include "webhook/webhook_own.h"

enum {
    VERSION = 1,
    ROWS_MAX = 100, /* in one message: they all wait for each other */
    AGAIN_MS = 100,
    WINDOW = 256,
    WINDOW_BYTES = 4 * 1024 * 1024,
};

/* --- the connection --- */

static void on_out_close(void *ctx, const struct sl_err *why)
{
    struct sl_webhook *webhook = ctx;
    sl_hook_link_end(&webhook->out, why);
}

static void on_bells_cancel(void *ctx)
{
    struct sl_err why;
    sl_err_set(&why, SL_CLOSED, "RabbitMQ has deleted the queue of the bells");
    on_out_close(ctx, &why);
}

/* Bells may be lost, so a right that only they need does not take the connection of the events. */
static void on_bells_out_close(void *ctx, const struct sl_err *why)
{
    struct sl_webhook *webhook = ctx;
    struct sl_err named = *why;
    sl_channel_name_cast(&named, webhook->bells_exchange);
    if (named.code == SL_CONFIG)
        sl_hook_bells_refused(webhook, &named);
    else
        on_out_close(ctx, &named);
}

static const struct sl_channel_handler out_handler = {.on_close = on_out_close};
static const struct sl_channel_handler bells_out_handler = {.on_close = on_bells_out_close};
static const struct sl_channel_handler bells_handler = {
    .on_delivery = sl_hook_hear_bell, .on_cancel = on_bells_cancel, .on_close = on_out_close};

static int open_bells(struct sl_webhook *webhook, struct sl_amqp *amqp, uint64_t deadline_ms,
                      struct sl_err *err)
{
    char queue[SL_QUEUE_NAME_MAX];
    int rc = sl_topology_declare_bells(amqp, webhook->env.broker->settings, webhook->bells_exchange,
                                       queue, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_open(amqp, &bells_handler, webhook, deadline_ms, &webhook->bells_in, err);
    return rc == SL_OK ? sl_channel_consume(webhook->bells_in, queue, deadline_ms, err) : rc;
}

/* RabbitMQ would refuse the first event that must wait, and that may come much later. */
static int try_events(struct sl_webhook *webhook, struct sl_amqp *amqp, uint64_t deadline_ms,
                      struct sl_err *err)
{
    int rc = sl_topology_may_publish(amqp, "", webhook->events_queue, deadline_ms, err);
    return rc == SL_TIMEOUT && sl_amqp_blocked(amqp) ? SL_OK : rc; /* an alarm: it tells nothing */
}

static int open_events(struct sl_webhook *webhook, struct sl_amqp *amqp, uint64_t deadline_ms,
                       struct sl_err *err)
{
    int rc = sl_hook_declare_queues(webhook, amqp, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_open(amqp, &out_handler, webhook, deadline_ms, &webhook->publish, err);
    return rc == SL_OK
               ? sl_channel_confirm(webhook->publish, WINDOW, WINDOW_BYTES, deadline_ms, err)
               : rc;
}

/* What publishes is last: during an alarm RabbitMQ answers nothing after it. */
static int open_out(void *ctx, struct sl_amqp *amqp, uint64_t deadline_ms, struct sl_err *err)
{
    struct sl_webhook *webhook = ctx;
    int rc = open_bells(webhook, amqp, deadline_ms, err);
    if (rc == SL_OK && webhook->feeds)
        rc = open_events(webhook, amqp, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_open(amqp, &bells_out_handler, webhook, deadline_ms, &webhook->bells_out,
                             err);
    return rc == SL_OK && webhook->feeds ? try_events(webhook, amqp, deadline_ms, err) : rc;
}

static void shut_out(void *ctx)
{
    struct sl_webhook *webhook = ctx;
    sl_channel_free(webhook->publish);
    sl_channel_free(webhook->bells_out);
    sl_channel_free(webhook->bells_in);
    webhook->publish = webhook->bells_out = webhook->bells_in = NULL;
}

const struct sl_hook_link_type sl_hook_out_type = {
    .name = "sluice webhook", .open = open_out, .shut = shut_out};

/* --- writing --- */

/* An association is told from either end, and must be one document all the same: the table whose
 * name comes first is its target; of a table with itself, the end that refers. */
static bool is_turned(const struct sl_webhook_event *event, const struct sl_webhook_row *related)
{
    int order = strcmp(event->rows[0].table, related->table);
    return order ? order > 0 : event->target_referenced;
}

uint32_t sl_hook_pair_count(const struct sl_webhook_feed *feed,
                            const struct sl_webhook_event *event)
{
    return event->row_count - (feed->settings->relationship && event->row_count ? 1 : 0);
}

struct sl_hook_pair sl_hook_pair_of(const struct sl_webhook_feed *feed,
                                    const struct sl_webhook_event *event, uint32_t index)
{
    const struct sl_webhook_row *rows = event->rows, *related = &rows[index + 1];
    if (!feed->settings->relationship)
        return (struct sl_hook_pair){.row = rows[index]};
    if (is_turned(event, related))
        return (struct sl_hook_pair){.row = *related, .related = rows[0]};
    return (struct sl_hook_pair){.row = rows[0], .related = *related};
}

void sl_hook_pair_id(const struct sl_hook_pair *pair, char ret[SL_HOOK_ID_BYTES])
{
    snprintf(ret, SL_HOOK_ID_BYTES, "%s%s%s", pair->row.id, pair->related.id[0] ? "|" : "",
             pair->related.id);
}

/* Names and ids have nothing to escape. */
static void add_pair(struct sl_buf *body, const struct sl_hook_pair *pair)
{
    sl_buf_printf(body, "%s[\"%s\",\"%s\"", body->data[body->length - 1] == '[' ? "" : ",",
                  pair->row.table, pair->row.id);
    if (pair->related.id[0])
        sl_buf_printf(body, ",\"%s\",\"%s\"", pair->related.table, pair->related.id);
    sl_buf_add_char(body, ']');
}

static void write_letter(const struct sl_webhook_feed *feed, const struct sl_webhook_event *event,
                         uint32_t first, uint32_t count, struct sl_buf *body)
{
    sl_buf_printf(body, "{\"event\":%d,\"feed\":\"%s\",\"at\":%" PRId64 ",\"rows\":[", VERSION,
                  feed->config->name, event->at_ms);
    for (uint32_t i = first; i < first + count; i++) {
        const struct sl_hook_pair pair = sl_hook_pair_of(feed, event, i);
        add_pair(body, &pair);
    }
    sl_buf_add_text(body, "]}");
}

/* A queue that was deleted meanwhile is declared again with the next connection. */
static int publish(struct sl_webhook *webhook, const char *queue, struct sl_str body,
                   uint64_t deadline_ms, struct sl_err *err)
{
    char message_id[64];
    snprintf(message_id, sizeof message_id, "event/%016" PRIx64,
             (uint64_t)arc4random() << 32 | arc4random());
    const struct sl_publish message = {
        .exchange = "",
        .routing_key = queue,
        .content_type = "application/json",
        .message_id = message_id,
        .body = body,
    };
    for (;;) {
        int rc = sl_hook_link_wait(&webhook->out, deadline_ms, err);
        if (rc != SL_OK)
            return rc;
        if (webhook->publish)
            rc = sl_channel_publish(webhook->publish, &message, deadline_ms, err);
        else /* connected before there were feeds */
            rc = sl_err_set(err, SL_NOTFOUND, "no queue for events yet");
        if (rc != SL_NOTFOUND && rc != SL_CLOSED)
            return rc;
        if (rc == SL_NOTFOUND)
            sl_hook_link_end(&webhook->out, err);
        if (sl_loop_now_ms() >= deadline_ms)
            return err->code = SL_CLOSED; /* not that nobody wants it */
        if (sl_fiber_sleep(AGAIN_MS) != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    }
}

int sl_hook_publish(struct sl_webhook *webhook, const struct sl_webhook_feed *feed,
                    const struct sl_webhook_event *event, uint64_t deadline_ms, struct sl_err *err)
{
    const char *queue = event->asynchronous ? webhook->events_queue : webhook->later_queue;
    uint32_t at = 0, end = sl_hook_pair_count(feed, event);
    int rc = SL_OK;
    struct sl_buf body;
    sl_buf_init(&body);
    while (at < end && rc == SL_OK) {
        uint32_t count = end - at < ROWS_MAX ? end - at : ROWS_MAX;
        sl_buf_clear(&body);
        write_letter(feed, event, at, count, &body);
        rc = publish(webhook, queue, sl_buf_view(&body), deadline_ms, err);
        at += count;
    }
    sl_buf_done(&body);
    if (rc == SL_OK)
        webhook->published++;
    return rc;
}

int sl_hook_publish_again(struct sl_webhook *webhook, struct sl_str body, uint64_t deadline_ms,
                          struct sl_err *err)
{
    return publish(webhook, webhook->events_queue, body, deadline_ms, err);
}

/* --- reading --- */

static struct sl_webhook_feed *find_feed(const struct sl_webhook *webhook, const char *name)
{
    struct sl_webhook_feed *feed = webhook->feeds;
    while (feed && strcmp(feed->config->name, name) != 0)
        feed = feed->next;
    return feed;
}

/* Reads a table and an id; *at is moved behind them. */
static bool read_row(const struct sl_json **at, struct sl_webhook_row *ret)
{
    const char *table = sl_json_text(*at);
    const struct sl_json *id = *at ? (*at)->next : NULL;
    if (!table || !id || id->kind != SL_JSON_TEXT || strlen(table) >= sizeof ret->table)
        return false;
    snprintf(ret->table, sizeof ret->table, "%s", table);
    *at = id->next;
    return sl_guid_read(id->text, ret->id);
}

static bool read_pair(const struct sl_json *node, bool related, struct sl_hook_pair *ret)
{
    const struct sl_json *at = node->kind == SL_JSON_LIST ? node->first : NULL;
    return read_row(&at, &ret->row) && (!related || read_row(&at, &ret->related));
}

static int read_root(struct sl_webhook *webhook, const struct sl_json *root,
                     struct sl_hook_letter *ret, struct sl_err *err)
{
    const struct sl_json *rows = sl_json_get(root, "rows");
    const char *feed = sl_json_text(sl_json_get(root, "feed"));
    int64_t version;
    if (!sl_json_int(sl_json_get(root, "event"), &version) || !feed || !rows ||
        rows->kind != SL_JSON_LIST || !rows->count)
        return sl_err_set(err, SL_REJECTED, "no event of sluice");
    if (version != VERSION)
        return sl_err_set(err, SL_REJECTED, "an event of a newer sluice (version %" PRId64 ")",
                          version);
    if (!(ret->feed = find_feed(webhook, feed)))
        return sl_err_set(err, SL_REJECTED, "an event of feed '%.100s', which is not configured",
                          feed);
    sl_json_int(sl_json_get(root, "at"), &ret->at_ms);
    bool related = ret->feed->settings->relationship != NULL;
    ret->pairs = sl_calloc(rows->count, sizeof *ret->pairs);
    for (const struct sl_json *at = rows->first; at; at = at->next)
        if (!read_pair(at, related, &ret->pairs[ret->count++]))
            return sl_err_set(err, SL_REJECTED, "an event with a row that is none");
    return SL_OK;
}

int sl_hook_letter_read(struct sl_webhook *webhook, struct sl_str body, struct sl_hook_letter *ret,
                        struct sl_err *err)
{
    struct sl_hook_letter letter = {0};
    struct sl_json_doc *doc;
    int rc = sl_json_parse(body.at, body.length, NULL, &doc, err);
    if (rc != SL_OK)
        return rc;
    rc = read_root(webhook, sl_json_root(doc), &letter, err);
    sl_json_free(doc);
    if (rc == SL_OK)
        *ret = letter;
    else
        free(letter.pairs);
    return rc;
}
