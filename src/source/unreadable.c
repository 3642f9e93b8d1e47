#include "source/unreadable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/topology.h"
#include "flow/message.h"
#include "loop/fiber.h"

enum {
    CONNECT_MS = 5000,
    CLOSE_MS = 2000,
    RETURN_POLL_MS = 20,
    PUBLISH_MS = 30 * 1000,
    QUIET_MS = 3000,                    /* no delivery for so long: somebody else has the rest */
    HELD_BYTES_MAX = 256 * 1024 * 1024, /* not looked at yet, and */
    HELD_MESSAGES = 4,                  /* not more than so many of the largest */
    WINDOW = 16,
    WINDOW_BYTES = 16 * 1024 * 1024,
    RETURNS_MAX = 5, /* of a message, then it is made anew; a queue may drop it at the 20th */
};

struct arrived {
    struct arrived *next;
    uint64_t tag;
    char *routing_key, *content_type, *message_id;
    char *body; /* NULL: larger than broker.max_message */
    size_t size;
    uint64_t returns;
};

struct walk {
    const struct sl_broker *broker;
    struct sl_unreadable_result *result;
    struct sl_amqp *in, *out; /* publishing has a connection of its own: an alarm may stop it */
    struct sl_channel *channel, *publisher;
    struct arrived *first, **last;
    size_t held_bytes;
    bool full;      /* more came than may be held: the walk ends there */
    uint32_t ready; /* messages in the queue, before any was taken */
    bool over;
    bool stale; /* what came back often cannot be made anew */
    struct sl_err why;
    struct sl_waitlist changed;
};

/* --- deliveries --- */

static char *copy(struct sl_str text)
{
    return sl_strndup(text.length ? text.at : "", text.length);
}

/* RabbitMQ sends faster than is looked at, and faster still than is published. */
static bool has_room(const struct walk *walk, const struct sl_amqp_delivery *delivery)
{
    uint64_t max_bytes = HELD_MESSAGES * walk->broker->settings->max_message_bytes;
    if (max_bytes > HELD_BYTES_MAX)
        max_bytes = HELD_BYTES_MAX;
    return !delivery->body || !walk->held_bytes || walk->held_bytes + delivery->size <= max_bytes;
}

static void on_delivery(void *ctx, const struct sl_amqp_delivery *delivery)
{
    struct walk *walk = ctx;
    if (walk->full || !has_room(walk, delivery)) {
        walk->full = true;
        free(delivery->body);
        sl_wake_all(&walk->changed);
        return;
    }
    struct arrived *one = SL_NEW(struct arrived);
    one->tag = delivery->tag;
    one->routing_key = copy(delivery->routing_key);
    one->content_type = copy(delivery->content_type);
    one->message_id = copy(delivery->message_id);
    one->size = delivery->size;
    one->returns = delivery->returns;
    one->body = delivery->body;
    walk->held_bytes += one->body ? one->size : 0;
    *walk->last = one;
    walk->last = &one->next;
    sl_wake_all(&walk->changed);
}

static void on_close(void *ctx, const struct sl_err *why)
{
    struct walk *walk = ctx;
    walk->over = true;
    walk->why = *why;
    sl_wake_all(&walk->changed);
}

static void on_cancel(void *ctx)
{
    struct sl_err why;
    sl_err_set(&why, SL_CLOSED, "RabbitMQ has deleted or moved the queue");
    on_close(ctx, &why);
}

static void free_arrived(struct walk *walk, struct arrived *one)
{
    walk->held_bytes -= one->body ? one->size : 0;
    free(one->routing_key);
    free(one->content_type);
    free(one->message_id);
    free(one->body);
    free(one);
}

/* What was taken is in the queue again. */
static int fail_lost(const struct walk *walk, struct sl_err *err)
{
    *err = walk->why;
    return sl_err_wrap(err, "lost RabbitMQ on the way, do it again");
}

/* NULL: *ret_code is SL_END when no more come, else a failure. */
static struct arrived *take(struct walk *walk, int *ret_code, struct sl_err *err)
{
    uint64_t deadline_ms = sl_deadline_in(QUIET_MS);
    int rc = SL_OK;
    while (!walk->first && !walk->over && !walk->full && rc == SL_OK)
        rc = sl_wait(&walk->changed, deadline_ms);
    struct arrived *one = walk->over ? NULL : walk->first;
    if (one) {
        walk->first = one->next;
        if (!walk->first)
            walk->last = &walk->first;
        return one;
    }
    *ret_code = walk->over ? fail_lost(walk, err) : SL_END;
    if (rc == SL_CANCELED)
        *ret_code = sl_err_set(err, rc, "cancelled");
    return NULL;
}

/* --- what it is --- */

/* "lane.feed.entity", cut in place; what is missing is "". */
static void split_key(char *key, const char **ret_feed, const char **ret_entity)
{
    char *feed = strchr(key, '.');
    char *entity = feed ? strrchr(feed + 1, '.') : NULL; /* a feed's name may hold points */
    *ret_feed = *ret_entity = "";
    if (!entity)
        return;
    *entity = 0;
    *ret_feed = feed + 1;
    *ret_entity = entity + 1;
}

static bool is_event(const struct sl_broker *broker, const char *routing_key)
{
    char events[SL_QUEUE_NAME_MAX];
    sl_topology_queue(broker->settings, "events.", events);
    return !strncmp(routing_key, events, strlen(events));
}

static struct sl_batch *decode(const struct arrived *one, struct sl_err *err)
{
    struct sl_batch *batch = sl_batch_new(NULL, 0);
    if (!one->body)
        sl_err_set(err, SL_REJECTED, "larger than broker.max_message: not looked at");
    else if (sl_message_decode(batch, one->content_type, one->body, one->size, err) == SL_OK)
        return batch;
    sl_batch_free(batch);
    return NULL;
}

/* One that is too large to be looked at is told apart by its id and size. */
static uint64_t hash_of(const struct arrived *one)
{
    uint64_t body = one->body ? sl_hash(one->body, one->size)
                              : sl_hash(one->message_id, strlen(one->message_id)) + one->size;
    return body ^ sl_hash(one->routing_key, strlen(one->routing_key));
}

static enum sl_unreadable_fate show(const struct walk *walk, const struct arrived *one,
                                    sl_unreadable_fn *visit, void *ctx)
{
    struct sl_err err = {0};
    bool event = is_event(walk->broker, one->routing_key);
    char *key = sl_strdup(one->routing_key);
    struct sl_batch *batch = event ? NULL : decode(one, &err);
    struct sl_unreadable message = {
        .hash = hash_of(one),
        .body = {one->body ? one->body : "", one->body ? one->size : 0},
        .size = one->size,
        .routing_key = one->routing_key,
        .content_type = one->content_type,
        .message_id = one->message_id,
        .batch = batch,
        .why = event   ? "an event that could not be read"
               : batch ? ""
                       : err.message,
        .feed = "",
        .entity = "",
    };
    if (batch) {
        message.feed = batch->origin.feed;
        message.entity = batch->origin.entity;
        message.published_at_ms = batch->published_at_us / 1000;
    } else if (!event) {
        split_key(key, &message.feed, &message.entity);
    }
    enum sl_unreadable_fate fate = visit(ctx, &message);
    sl_batch_free(batch);
    free(key);
    return fate;
}

bool sl_unreadable_can_publish(const struct sl_broker *broker, const struct sl_unreadable *message)
{
    return message->body.length && (message->batch || is_event(broker, message->routing_key));
}

/* --- what becomes of it --- */

static int open_publisher(struct walk *walk, struct sl_err *err)
{
    uint64_t deadline_ms = sl_deadline_in(CONNECT_MS);
    if (walk->publisher)
        return SL_OK;
    if (!walk->out)
        walk->out = sl_broker_amqp(walk->broker, "sluice dead publisher");
    int rc = sl_amqp_connect(walk->out, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_topology_declare(walk->out, walk->broker->settings, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_open(walk->out, NULL, NULL, deadline_ms, &walk->publisher, err);
    return rc == SL_OK ? sl_channel_confirm(walk->publisher, WINDOW, WINDOW_BYTES, deadline_ms, err)
                       : rc;
}

/* Its headers are lost: nobody of sluice reads them. */
static int publish(struct walk *walk, const struct arrived *one, const char *exchange,
                   struct sl_err *err)
{
    const struct sl_publish message = {
        .exchange = exchange,
        .routing_key = one->routing_key,
        .content_type = one->content_type,
        .message_id = one->message_id,
        .body = {one->body, one->size},
    };
    int rc = open_publisher(walk, err);
    return rc == SL_OK
               ? sl_channel_publish(walk->publisher, &message, sl_deadline_in(PUBLISH_MS), err)
               : rc;
}

/* To where it was published first. */
static int publish_again(struct walk *walk, const struct arrived *one, struct sl_err *err)
{
    bool event = is_event(walk->broker, one->routing_key);
    return publish(walk, one, event ? "" : walk->broker->settings->exchange, err);
}

/* Each look is a return, and a queue with a limit of returns drops what came back too often: the
 * queue of the unreadable has no other one behind it. A new message with the same content begins
 * anew. Gives whether the old one may go. */
static bool renew(struct walk *walk, const struct arrived *one)
{
    struct sl_err err = {0};
    char exchange[SL_QUEUE_NAME_MAX];
    if (one->returns < RETURNS_MAX || !one->body || walk->stale)
        return false;
    sl_topology_queue(walk->broker->settings, "unreadable", exchange);
    walk->stale = publish(walk, one, exchange, &err) != SL_OK;
    if (walk->stale)
        sl_log(SL_WARN,
               "unreadable messages came back often and cannot be made anew: a queue with a limit "
               "of deliveries will drop them, so do not look at them again until that works",
               SL_T("queue", exchange), SL_N("returns", one->returns), SL_T("error", err.message));
    return !walk->stale;
}

static int treat(struct walk *walk, const struct arrived *one, sl_unreadable_fn *visit, void *ctx,
                 struct sl_err *err)
{
    enum sl_unreadable_fate fate = show(walk, one, visit, ctx);
    int rc = SL_OK;
    walk->result->looked_at++;
    if (fate == SL_UNREADABLE_PUBLISH)
        rc = publish_again(walk, one, err);
    if (rc == SL_NOTFOUND) { /* an event of a source that was taken away: others need not wait */
        sl_log(SL_WARN, "a message is left: the queue that it came from is gone",
               SL_T("routing_key", one->routing_key), SL_T("message_id", one->message_id));
        fate = SL_UNREADABLE_LEAVE;
        rc = SL_OK;
    }
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot publish a message again");
    if (walk->over)
        return fail_lost(walk, err);
    if (fate != SL_UNREADABLE_LEAVE || renew(walk, one))
        sl_channel_ack(walk->channel, one->tag);
    walk->result->published += fate == SL_UNREADABLE_PUBLISH;
    walk->result->dropped += fate == SL_UNREADABLE_DROP;
    return SL_OK;
}

/* --- the walk --- */

/* *ret_count: how many messages to wait for. */
static int open_queue(struct walk *walk, uint32_t *ret_count, struct sl_err *err)
{
    static const struct sl_channel_handler handler = {on_delivery, on_cancel, on_close};
    struct sl_queue_state queue = {0};
    char name[SL_QUEUE_NAME_MAX];
    uint64_t deadline_ms = sl_deadline_in(CONNECT_MS);
    sl_topology_queue(walk->broker->settings, "unreadable", name);
    int rc = sl_amqp_connect(walk->in, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_open(walk->in, &handler, walk, deadline_ms, &walk->channel, err);
    if (rc == SL_OK)
        rc = sl_channel_queue_state(walk->channel, name, deadline_ms, &queue, err);
    if (rc == SL_NOTFOUND) /* somebody deleted it: what is set aside next needs it */
        return sl_topology_declare(walk->in, walk->broker->settings, deadline_ms, err);
    walk->ready = queue.messages;
    *ret_count = queue.messages < SL_UNREADABLE_MAX ? queue.messages : SL_UNREADABLE_MAX;
    if (rc != SL_OK || !*ret_count)
        return rc;
    walk->result->left = queue.messages - *ret_count;
    rc = sl_channel_qos(walk->channel, (uint16_t)*ret_count, deadline_ms, err);
    return rc == SL_OK ? sl_channel_consume(walk->channel, name, deadline_ms, err) : rc;
}

static int go_through(struct walk *walk, uint32_t count, sl_unreadable_fn *visit, void *ctx,
                      struct sl_err *err)
{
    int rc = SL_OK;
    for (uint32_t i = 0; i < count && rc == SL_OK; i++) {
        struct arrived *one = take(walk, &rc, err);
        if (!one)
            break;
        rc = treat(walk, one, visit, ctx, err);
        free_arrived(walk, one);
    }
    if (walk->full)
        walk->result->left += count - walk->result->looked_at;
    return rc == SL_END ? SL_OK : rc;
}

/* An answer tells that RabbitMQ has had the acknowledgements. Without them it gives everything
 * back, so that nothing is surely dropped. */
static int settle(struct walk *walk, int rc, struct sl_err *err)
{
    struct sl_queue_state queue;
    char name[SL_QUEUE_NAME_MAX];
    sl_topology_queue(walk->broker->settings, "unreadable", name);
    if (!walk->result->dropped)
        return rc;
    if (rc == SL_OK) /* which may have a long way behind large deliveries */
        rc = sl_channel_queue_state(walk->channel, name, sl_deadline_in(PUBLISH_MS), &queue, err);
    if (rc == SL_OK)
        return rc;
    sl_err_wrap(err, "%llu messages were to be dropped and may be there still, look again",
                (unsigned long long)walk->result->dropped);
    walk->result->dropped = 0;
    return rc;
}

/* RabbitMQ puts back what was taken some time after the channel is closed: whoever walks next must
 * not find less. */
static void give_back(struct walk *walk)
{
    uint64_t deadline_ms = sl_deadline_in(CLOSE_MS);
    uint64_t kept = walk->ready - walk->result->dropped - walk->result->published;
    struct sl_queue_state queue = {0};
    struct sl_err err;
    char name[SL_QUEUE_NAME_MAX];
    sl_channel_free(walk->channel);
    walk->channel = NULL;
    sl_topology_queue(walk->broker->settings, "unreadable", name);
    int rc = sl_channel_open(walk->in, NULL, NULL, deadline_ms, &walk->channel, &err);
    while (rc == SL_OK && sl_loop_now_ms() < deadline_ms) {
        rc = sl_channel_queue_state(walk->channel, name, deadline_ms, &queue, &err);
        if (rc != SL_OK || queue.messages >= kept)
            return;
        rc = sl_fiber_sleep(RETURN_POLL_MS);
    }
}

static void close_connection(struct sl_amqp *amqp, struct sl_channel *channel)
{
    if (amqp)
        sl_amqp_close(amqp, sl_deadline_in(CLOSE_MS)); /* in order, so that acks count */
    sl_channel_free(channel);
    sl_amqp_free(amqp);
}

int sl_unreadable_walk(const struct sl_broker *broker, sl_unreadable_fn *visit, void *ctx,
                       struct sl_unreadable_result *ret, struct sl_err *err)
{
    struct walk walk = {.broker = broker, .result = ret};
    uint32_t count = 0;
    *ret = (struct sl_unreadable_result){0};
    walk.last = &walk.first;
    walk.in = sl_broker_amqp(broker, "sluice dead");
    int rc = open_queue(&walk, &count, err);
    if (rc == SL_OK && count)
        rc = settle(&walk, go_through(&walk, count, visit, ctx, err), err);
    if (walk.ready && !walk.over)
        give_back(&walk);
    close_connection(walk.out, walk.publisher);
    close_connection(walk.in, walk.channel);
    for (struct arrived *one = walk.first, *next; one; one = next) {
        next = one->next;
        free_arrived(&walk, one);
    }
    return rc;
}
