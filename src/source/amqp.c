/* A keeper fiber holds the connection; deliveries go to a list, from which next() takes them.
 *
 *   keeper: connect ─► declare ─► consume ─► (lost, cancelled by the server, suspended) ─► close ─┐
 *             ▲──────────────────────────── backoff, or resume ◄──────────────────────────────────┘
 *
 * Whatever was delivered before a close belongs to an older generation: the server has it back, and
 * commit or release of it does nothing. */
#include "source/amqp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "broker/topology.h"
#include "flow/message.h"
#include "source/amqp_held.h"

enum {
    PREFETCH_MIN = 2,
    PREFETCH_MAX = 64,
    PREFETCH_FAST = 16,     /* live changes are small, and must not wait for acks to travel */
    DECODED_FACTOR = 2,     /* memory a message needs when decoded, to its size */
    CLOSE_TIMEOUT_MS = 800, /* three connections may hang, and an end has ten seconds */
    TAG_BITS = 40,          /* of a batch's tag; the rest is the generation */
    INTERNAL_ERROR = 541,   /* AMQP's reply code */
};

struct amqp_source {
    struct sl_source source;
    const struct sl_broker *broker;
    struct sl_credit *credit;
    enum sl_lane lane;
    char queue[SL_QUEUE_NAME_MAX];
    uint16_t prefetch;

    struct sl_fiber *keeper;
    struct sl_amqp *amqp;
    struct sl_channel *channel; /* NULL: not consuming */
    uint32_t generation;
    bool suspended;
    bool over; /* this consuming has ended: lost, or cancelled by the server */
    struct sl_err why;
    struct sl_waitlist changed; /* for the keeper: suspended, over, held */

    struct sl_held_list held;        /* deliveries that next() has not given yet */
    struct sl_waitlist arrived;      /* for next() */
    char trouble[SL_ERR_TEXT_BYTES]; /* "" : none */
    struct sl_metric *unreadable;
};

/* Gives a delivery back to the queue, for another try. */
static void hand_back(struct amqp_source *self, struct sl_held *held)
{
    if (self->channel)
        sl_channel_nack(self->channel, held->tag, true);
    sl_held_free(held);
}

static void on_delivery(void *ctx, const struct sl_amqp_delivery *delivery)
{
    struct amqp_source *self = ctx;
    uint64_t give_up_ms = sl_deadline_in(self->broker->settings->consumer_timeout_ms / 2);
    bool only = !self->held.first;
    sl_held_add(&self->held, delivery, give_up_ms);
    sl_wake_one(&self->arrived);
    if (only)
        sl_wake_all(&self->changed); /* the keeper watches its age */
}

/* --- the keeper --- */

static void end_consuming(struct amqp_source *self, const struct sl_err *why)
{
    self->over = true;
    self->why = *why;
    sl_wake_all(&self->changed);
}

static void on_cancel(void *ctx)
{
    struct amqp_source *self = ctx;
    struct sl_err why;
    sl_err_set(&why, SL_CLOSED, "RabbitMQ cancelled the consumer: queue '%s' was deleted or moved",
               self->queue);
    end_consuming(self, &why);
}

static void on_close(void *ctx, const struct sl_err *why)
{
    end_consuming(ctx, why);
}

/* The queue was declared a moment ago, and is not given: a quorum queue without a majority, or one
 * that RabbitMQ 3.10 cannot serve any more because it was killed right after its declaration. The
 * server keeps silent for a minute, then it closes the connection. */
static int consume(struct amqp_source *self, uint64_t deadline_ms, struct sl_err *err)
{
    int rc = sl_channel_consume(self->channel, self->queue, deadline_ms, err);
    if (rc == SL_TIMEOUT || (rc == SL_CLOSED && err->cause == INTERNAL_ERROR))
        sl_err_wrap(err,
                    "queue '%s' is there, but RabbitMQ does not serve it: if that stays with all "
                    "nodes up, it has to be deleted, which loses posted rows and events in it "
                    "(OPERATIONS.md, \"A queue that is not served\")",
                    self->queue);
    return rc;
}

static int start_consuming(struct amqp_source *self, struct sl_err *err)
{
    static const struct sl_channel_handler handler = {on_delivery, on_cancel, on_close};
    const struct sl_broker_settings *settings = self->broker->settings;
    uint64_t deadline_ms = sl_deadline_in(settings->connect_timeout_ms);
    self->over = false;
    int rc = sl_amqp_connect(self->amqp, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_topology_declare(self->amqp, settings, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_open(self->amqp, &handler, self, deadline_ms, &self->channel, err);
    if (rc == SL_OK)
        rc = sl_channel_qos(self->channel, self->prefetch, deadline_ms, err);
    if (rc == SL_OK)
        rc = consume(self, deadline_ms, err);
    return rc;
}

/* In order, so that the acks sent so far count; the server takes back all else. */
static void stop_consuming(struct amqp_source *self)
{
    struct sl_channel *channel = self->channel;
    self->generation++;
    self->channel = NULL;
    sl_held_clear(&self->held);
    sl_fiber_shield(true);
    sl_amqp_close(self->amqp, sl_deadline_in(CLOSE_TIMEOUT_MS));
    sl_fiber_shield(false);
    sl_channel_free(channel);
    sl_held_clear(&self->held);
}

/* Watches until the consuming is over; deliveries that nobody took in time go back. */
static void keep_consuming(struct amqp_source *self)
{
    while (!self->over && !self->suspended) {
        const struct sl_held *oldest = self->held.first;
        uint64_t oldest_ms = oldest ? oldest->give_up_ms : SL_FOREVER;
        if (sl_loop_now_ms() >= oldest_ms)
            hand_back(self, sl_held_take(&self->held));
        else if (sl_wait(&self->changed, oldest_ms) == SL_CANCELED)
            return;
    }
}

static void note_trouble(struct amqp_source *self, const struct sl_err *err)
{
    if (strcmp(self->trouble, err->message) != 0)
        sl_log(err->code == SL_CONFIG ? SL_ERROR : SL_WARN, "cannot consume, will try again",
               SL_T("queue", self->queue), SL_T("error", err->message));
    snprintf(self->trouble, sizeof self->trouble, "%s", err->message);
}

/* One life of the connection. SL_OK: it was consumed from, and ended without a failure. */
static int consume_once(struct amqp_source *self, unsigned *failures)
{
    struct sl_err err = {0};
    int rc = start_consuming(self, &err);
    if (rc == SL_OK) {
        sl_log(SL_INFO, "consuming", SL_T("queue", self->queue), SL_N("prefetch", self->prefetch),
               SL_T("server", sl_amqp_server_version(self->amqp)));
        *failures = 0;
        self->trouble[0] = 0;
        keep_consuming(self);
        if (self->over) {
            err = self->why;
            rc = SL_CLOSED;
        }
    }
    stop_consuming(self);
    if (rc != SL_OK && rc != SL_CANCELED)
        note_trouble(self, &err);
    return rc;
}

static void keep(void *arg)
{
    struct amqp_source *self = arg;
    unsigned failures = 0;
    while (!sl_fiber_cancelled()) {
        if (self->suspended) {
            sl_wait(&self->changed, SL_FOREVER);
            continue;
        }
        if (consume_once(self, &failures) != SL_OK)
            sl_fiber_sleep(sl_broker_backoff_ms(++failures));
    }
}

/* --- giving batches --- */

/* What cannot be read goes to the dead-letter exchange. */
static void refuse(struct amqp_source *self, struct sl_held *held, const char *reason)
{
    sl_log(SL_WARN, "unreadable message set aside", SL_T("queue", self->queue),
           SL_T("message_id", held->message_id), SL_N("bytes", held->size), SL_T("reason", reason));
    sl_metric_add(self->unreadable, 1);
    if (self->channel)
        sl_topology_set_aside(self->broker->settings, self->channel, held->tag);
    sl_held_free(held);
}

static struct sl_batch *decode(struct amqp_source *self, struct sl_held *held, size_t credit_bytes,
                               int *ret_code, struct sl_err *err)
{
    struct sl_batch *batch = sl_batch_new(self->credit, credit_bytes);
    batch->origin.lane = self->lane;
    *ret_code = sl_message_take(batch, held->content_type, held->body, held->size, err);
    held->body = NULL;
    if (*ret_code == SL_OK)
        return batch;
    sl_batch_free(batch);
    return NULL;
}

static struct sl_batch *finished(struct sl_batch *batch, const struct sl_held *held,
                                 uint32_t generation)
{
    batch->tag = (uint64_t)generation << TAG_BITS | held->tag;
    batch->give_up_ms = held->give_up_ms;
    batch->consumed_at_us = held->arrived_us;
    sl_batch_settle_credit(batch);
    return batch;
}

/* Makes a batch of the delivery, which it takes. SL_TIMEOUT: it came to nothing, take the next. */
static int give(struct amqp_source *self, struct sl_held *held, struct sl_batch **ret,
                struct sl_err *err)
{
    uint32_t generation = self->generation; /* may change whenever we suspend */
    size_t credit_bytes = held->size * DECODED_FACTOR;
    struct sl_batch *batch = NULL;

    if (!held->body) {
        refuse(self, held, "larger than broker.max_message");
        return SL_TIMEOUT;
    }
    int rc = sl_credit_take(self->credit, credit_bytes, held->give_up_ms);
    if (rc == SL_OK)
        batch = decode(self, held, credit_bytes, &rc, err);
    if (generation != self->generation) {
        sl_batch_free(batch);
        sl_held_free(held);
        return rc == SL_CANCELED ? rc : SL_TIMEOUT;
    }
    if (rc == SL_REJECTED) {
        refuse(self, held, err->message);
        return SL_TIMEOUT;
    }
    if (rc != SL_OK) {
        hand_back(self, held);
        return rc;
    }
    *ret = finished(batch, held, generation);
    sl_held_free(held);
    return SL_OK;
}

static int source_next(struct sl_source *source, struct sl_batch **ret_batch, struct sl_err *err)
{
    struct amqp_source *self = (struct amqp_source *)source;
    struct sl_err own; /* decoding needs one, for the log */
    if (!err)
        err = &own;
    for (;;) {
        struct sl_held *held = sl_held_take(&self->held);
        int rc;
        if (!held)
            rc = sl_wait(&self->arrived, SL_FOREVER);
        else if (sl_loop_now_ms() >= held->give_up_ms)
            rc = (hand_back(self, held), SL_TIMEOUT);
        else
            rc = give(self, held, ret_batch, err);
        if (held && rc == SL_OK)
            return SL_OK;
        if (rc == SL_CANCELED)
            return sl_err_set(err, rc, "cancelled");
    }
}

/* --- what becomes of them --- */

static bool is_current(const struct amqp_source *self, const struct sl_batch *batch)
{
    return self->channel && batch->tag >> TAG_BITS == self->generation;
}

static uint64_t delivery_tag(const struct sl_batch *batch)
{
    return batch->tag & (((uint64_t)1 << TAG_BITS) - 1);
}

static void source_commit(struct sl_source *source, struct sl_batch *batch)
{
    struct amqp_source *self = (struct amqp_source *)source;
    if (is_current(self, batch))
        sl_channel_ack(self->channel, delivery_tag(batch));
    sl_batch_free(batch);
}

static void source_release(struct sl_source *source, struct sl_batch *batch)
{
    struct amqp_source *self = (struct amqp_source *)source;
    if (is_current(self, batch))
        sl_channel_nack(self->channel, delivery_tag(batch), true);
    sl_batch_free(batch);
}

/* To the dead-letter exchange. The ledger stays open: what can be read again is, the rest is told.
 */
static void source_set_aside(struct sl_source *source, struct sl_batch *batch)
{
    struct amqp_source *self = (struct amqp_source *)source;
    sl_metric_add(self->unreadable, 1);
    if (is_current(self, batch))
        sl_topology_set_aside(self->broker->settings, self->channel, delivery_tag(batch));
    sl_batch_free(batch);
}

static void source_suspend(struct sl_source *source)
{
    struct amqp_source *self = (struct amqp_source *)source;
    self->suspended = true;
    sl_wake_all(&self->changed);
}

static void source_resume(struct sl_source *source)
{
    struct amqp_source *self = (struct amqp_source *)source;
    self->suspended = false;
    sl_wake_all(&self->changed);
}

static void source_close(struct sl_source *source)
{
    struct amqp_source *self = (struct amqp_source *)source;
    sl_fiber_end(&self->keeper);
    sl_amqp_free(self->amqp);
    free(self);
}

static const struct sl_source_type type = {
    .name = "amqp",
    .summary = "RabbitMQ: one of sluice's queues",
    .next = source_next,
    .commit = source_commit,
    .release = source_release,
    .set_aside = source_set_aside,
    .suspend = source_suspend,
    .resume = source_resume,
    .close = source_close,
};

static uint16_t choose_prefetch(enum sl_lane lane, const struct sl_credit *credit,
                                size_t batch_bytes)
{
    size_t prefetch = credit->total_bytes / (DECODED_FACTOR * (batch_bytes ? batch_bytes : 1));
    size_t least = lane == SL_LANE_FAST ? PREFETCH_FAST : PREFETCH_MIN;
    if (prefetch < least)
        return (uint16_t)least;
    return (uint16_t)(prefetch < PREFETCH_MAX ? prefetch : PREFETCH_MAX);
}

struct sl_source *sl_source_amqp_new(const struct sl_broker *broker, enum sl_lane lane,
                                     struct sl_credit *credit, size_t batch_bytes)
{
    struct amqp_source *self = SL_NEW(struct amqp_source);
    sl_topology_queue(broker->settings, sl_lane_name(lane), self->queue);
    self->source = (struct sl_source){.type = &type, .name = self->queue};
    self->broker = broker;
    self->lane = lane;
    self->credit = credit;
    self->prefetch = choose_prefetch(lane, credit, batch_bytes);
    snprintf(self->trouble, sizeof self->trouble, "not yet consuming queue '%s'", self->queue);
    self->unreadable =
        sl_counter("unreadable_messages_total", "Messages that could not be read as batches.",
                   "queue=\"%s\"", self->queue);
    char name[64];
    snprintf(name, sizeof name, "sluice consumer %s", sl_lane_name(lane));
    self->amqp = sl_broker_amqp(broker, name);
    self->keeper = sl_fiber_spawn_joinable("amqp.keeper", keep, self);
    return &self->source;
}

const char *sl_source_amqp_trouble(const struct sl_source *source)
{
    const struct amqp_source *self = (const struct amqp_source *)source;
    return self->suspended || !self->trouble[0] ? NULL : self->trouble;
}
