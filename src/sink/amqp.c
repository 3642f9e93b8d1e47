#include "sink/amqp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/probe.h"
#include "flow/message.h"
#include "sink/amqp_link.h"

enum {
    SILENCE_MAX_MS = 10000, /* no confirm for so long: the connection is doubtful */
    REFUSALS_MAX = 3,       /* so many in a row: so it is, too */
    PRECONDITION_FAILED = 406,
};

struct amqp_sink {
    struct sl_sink sink;
    struct sl_amqp_link link;
    const char *database;
    sl_route_fn *route;
    const void *context;
    uint64_t wait_ms; /* for room in a full queue */
    struct sl_metric *messages, *bytes, *confirm;
    unsigned refusals;    /* publishes in a row that the broker refused or left unanswered */
    enum sl_lane refused; /* where the last of them should have gone */
    bool forbidden;       /* the user may not publish; told until a publish succeeds */
    char trouble[SL_ERR_TEXT_BYTES];
};

/* --- what travels with a message --- */

struct labels {
    char routing_key[512], message_id[512], traceparent[64], source[160], time[SL_ISO_BYTES];
    struct sl_amqp_header headers[8];
};

/* Chance for a trace context, which is no secret: one call of the kernel serves 64 of them. */
static void take_chance(uint64_t ret[3])
{
    static uint64_t pool[64 * 3];
    static unsigned left;
    if (!left) {
        arc4random_buf(pool, sizeof pool);
        left = sizeof pool / sizeof *pool;
    }
    left -= 3;
    memcpy(ret, &pool[left], 3 * sizeof *ret);
}

/* W3C trace context: version, 16 bytes of trace id, 8 of span id, sampled. */
static void make_traceparent(char *out, size_t size)
{
    uint64_t random[3];
    take_chance(random);
    random[1] |= 1; /* all zeros would be invalid */
    random[2] |= 1;
    snprintf(out, size, "00-%016llx%016llx-%016llx-01", (unsigned long long)random[0],
             (unsigned long long)random[1], (unsigned long long)random[2]);
}

/* docs/MESSAGE.md describes them for other consumers. The CloudEvents names are those of its AMQP
 * binding. */
static void make_labels(const struct sl_batch *batch, struct labels *ret)
{
    const struct sl_origin *origin = &batch->origin;
    snprintf(ret->routing_key, sizeof ret->routing_key, "%s.%s.%s", sl_lane_name(origin->lane),
             origin->feed, origin->entity);
    snprintf(ret->message_id, sizeof ret->message_id, "%s/%u/%s/%u", origin->run, origin->attempt,
             origin->entity, origin->number);
    snprintf(ret->source, sizeof ret->source, "/sluice/%s", origin->feed);
    make_traceparent(ret->traceparent, sizeof ret->traceparent);
    sl_iso_format(batch->published_at_us / 1000, ret->time);

    const struct sl_amqp_header headers[] = {
        {"traceparent",             ret->traceparent },
        {"cloudEvents:specversion", "1.0"            },
        {"cloudEvents:type",        "sluice.batch.v1"},
        {"cloudEvents:source",      ret->source      },
        {"cloudEvents:id",          ret->message_id  },
        {"cloudEvents:time",        ret->time        },
        {NULL,                      NULL             },
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        ret->headers[i] = headers[i];
}

/* --- writing --- */

/* Waits until there is a connection and the lane may take one more message. */
static int wait_turn(struct amqp_sink *self, enum sl_lane lane, uint64_t budget_ms,
                     struct sl_err *err)
{
    uint64_t room_ms = sl_deadline_in(self->wait_ms);
    int rc;
    do {
        rc = sl_amqp_link_open(&self->link, sl_deadline_in(budget_ms), err);
        if (rc != SL_OK)
            return rc;
        rc = sl_amqp_link_wait_turn(&self->link, lane, room_ms, err);
    } while (rc == SL_CLOSED);
    return rc;
}

static const char *cannot_store(struct amqp_sink *self)
{
    snprintf(self->trouble, sizeof self->trouble,
             "RabbitMQ answers but stores no message in queue '%s': it is full (a policy's limit), "
             "or slow; if it is neither, and that stays with all nodes up, it has to be deleted, "
             "which loses posted rows and events in it (OPERATIONS.md, \"A queue that is not "
             "served\")",
             self->link.lanes[self->refused].queue);
    return self->trouble;
}

/* RabbitMQ closes the channel, and all that is on its way fails; it names the size that it does not
 * take. */
static bool is_too_large(const struct sl_err *err, size_t size)
{
    char text[64];
    snprintf(text, sizeof text, "message size %zu is larger", size);
    return err && err->cause == PRECONDITION_FAILED && strstr(err->message, text) != NULL;
}

static int refuse_size(const struct sl_batch *batch, size_t size, struct sl_err *err)
{
    if (batch->count == 1)
        return sl_err_set(err, SL_REJECTED,
                          "RabbitMQ takes no message as large as this row makes (%zu bytes): its "
                          "max_message_size is smaller",
                          size);
    return sl_err_set(
        err, SL_CONFIG,
        "RabbitMQ takes no message of %zu bytes: raise its max_message_size, or lower "
        "limits.batch_bytes",
        size);
}

static const char *may_not_publish(struct amqp_sink *self)
{
    snprintf(self->trouble, sizeof self->trouble,
             "the user in broker.url needs the right to write to exchange '%s'", self->sink.name);
    return self->trouble;
}

/* A failed publish says something about the connection too. */
static int judge(struct amqp_sink *self, enum sl_lane lane, int rc, uint64_t waited_ms,
                 struct sl_err *err)
{
    struct sl_amqp_link *link = &self->link;
    if (rc == SL_NOTFOUND) { /* a queue was deleted: the next opening declares it again */
        link->doubtful = true;
        if (err)
            err->code = SL_CLOSED;
        return SL_CLOSED;
    }
    bool silent = rc == SL_TIMEOUT && waited_ms >= SILENCE_MAX_MS && !sl_amqp_blocked(link->amqp);
    bool refused = rc == SL_CLOSED && sl_amqp_link_ready(link);
    if (silent || refused) {
        self->refused = lane;
        if (++self->refusals == REFUSALS_MAX)
            sl_log(SL_ERROR, "cannot publish", SL_T("error", cannot_store(self)));
    }
    if (silent || (refused && self->refusals % REFUSALS_MAX == 0))
        link->doubtful = true;
    return rc;
}

static int publish(struct amqp_sink *self, struct sl_batch *batch, enum sl_content content,
                   struct sl_str body, uint64_t budget_ms, struct sl_err *err)
{
    if (!sl_amqp_link_ready(&self->link))
        return sl_err_set(err, SL_CLOSED, "the connection to RabbitMQ was lost");
    struct labels *labels = SL_NEW(struct labels); /* too large for the stack of a fiber */
    make_labels(batch, labels);
    struct sl_publish message = {
        .exchange = self->link.broker->settings->exchange,
        .routing_key = labels->routing_key,
        .content_type = sl_content_type(content),
        .message_id = labels->message_id,
        .headers = labels->headers,
        .body = body,
    };
    uint64_t began_ns = sl_now_ns();
    int rc = sl_channel_publish(self->link.publish, &message, sl_deadline_in(budget_ms), err);
    uint64_t waited_us = (sl_now_ns() - began_ns) / 1000;
    free(labels);
    if (rc == SL_CLOSED && is_too_large(err, body.length))
        return refuse_size(batch, body.length, err);
    if (rc == SL_CONFIG) { /* the channel is closed, the next one opens all the same */
        self->forbidden = true;
        return rc;
    }
    if (rc != SL_OK)
        return judge(self, batch->origin.lane, rc, waited_us / 1000, err);
    self->refusals = 0;
    self->forbidden = false;
    sl_metric_add(self->messages, 1);
    sl_metric_add(self->bytes, (int64_t)body.length);
    sl_histogram_add(self->confirm->histogram, waited_us, 1);
    return SL_OK;
}

static int encode_and_publish(struct amqp_sink *self, struct sl_batch *batch, uint64_t budget_ms,
                              struct sl_err *err)
{
    enum sl_content content = (enum sl_content)self->link.broker->settings->content;
    struct sl_buf body;
    sl_buf_init(&body);
    batch->published_at_us = sl_wall_us();
    batch->origin.database = self->database;
    batch->origin.collection = self->route(self->context, batch->origin.feed, batch->origin.entity);
    SL_PROBE6(published, batch->origin.feed, batch->origin.run, batch->origin.number, batch->count,
              (int)batch->origin.lane, batch->published_at_us / 1000 - batch->origin.read_at_ms);
    int rc = sl_message_encode(batch, content, &body, err);
    if (rc == SL_OK)
        rc = publish(self, batch, content, sl_buf_view(&body), budget_ms, err);
    sl_buf_done(&body);
    return rc;
}

static int sink_write(struct sl_sink *sink, struct sl_batch *batch, uint64_t deadline_ms,
                      struct sl_result *ret, struct sl_err *err)
{
    struct amqp_sink *self = (struct amqp_sink *)sink;
    uint64_t now_ms = sl_loop_now_ms();
    uint64_t budget_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    int rc = wait_turn(self, batch->origin.lane, budget_ms, err);
    if (rc != SL_OK)
        return rc;
    rc = encode_and_publish(self, batch, budget_ms, err);
    sl_amqp_link_end_turn(&self->link, batch->origin.lane);
    if (rc == SL_OK)
        *ret = (struct sl_result){.applied = batch->count};
    return rc;
}

static int sink_ping(struct sl_sink *sink, uint64_t deadline_ms, struct sl_err *err)
{
    struct amqp_sink *self = (struct amqp_sink *)sink;
    return sl_amqp_link_open(&self->link, deadline_ms, err);
}

static int sink_waiting(struct sl_sink *sink, enum sl_lane lane, struct sl_waiting *ret,
                        uint64_t deadline_ms, struct sl_err *err)
{
    struct amqp_sink *self = (struct amqp_sink *)sink;
    struct sl_queue_state state;
    int rc = sl_amqp_link_open(&self->link, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_amqp_link_look(&self->link, lane, &state, err);
    if (rc == SL_OK)
        *ret = (struct sl_waiting){state.messages, state.consumers};
    return rc;
}

static void sink_close(struct sl_sink *sink)
{
    struct amqp_sink *self = (struct amqp_sink *)sink;
    sl_amqp_link_done(&self->link);
    free(self);
}

static const struct sl_sink_type type = {
    .name = "amqp",
    .summary = "RabbitMQ: batches as messages, confirmed",
    .write = sink_write,
    .ping = sink_ping,
    .waiting = sink_waiting,
    .close = sink_close,
};

struct sl_sink *sl_sink_amqp_new(const struct sl_broker *broker, const char *database,
                                 sl_route_fn *route, const void *context)
{
    struct amqp_sink *self = SL_NEW(struct amqp_sink);
    self->database = database;
    self->route = route;
    self->context = context;
    self->wait_ms = SL_FOREVER;
    self->sink = (struct sl_sink){.type = &type, .name = broker->settings->exchange};
    sl_amqp_link_init(&self->link, broker);
    self->messages = sl_counter("published_messages_total", "Messages RabbitMQ confirmed.", "");
    self->bytes = sl_counter("published_bytes_total", "Bytes of confirmed messages.", "");
    self->confirm = sl_histogram_metric("broker_confirm_seconds",
                                        "Time from publishing a message to its confirm.", "");
    return &self->sink;
}

void sl_sink_amqp_limit_wait(struct sl_sink *sink, uint64_t wait_ms)
{
    struct amqp_sink *self = (struct amqp_sink *)sink;
    self->wait_ms = wait_ms;
}

const char *sl_sink_amqp_trouble(const struct sl_sink *sink)
{
    struct amqp_sink *self = (struct amqp_sink *)sink;
    const struct sl_amqp_link *link = &self->link;
    if (link->trouble.code != SL_OK)
        return link->trouble.message;
    const char *blocked = sl_amqp_blocked(link->amqp);
    if (blocked)
        snprintf(self->trouble, sizeof self->trouble, "RabbitMQ blocks publishing: %s", blocked);
    else if (self->forbidden)
        return may_not_publish(self);
    else if (self->refusals >= REFUSALS_MAX)
        return cannot_store(self);
    else
        return NULL;
    return self->trouble;
}

const char *sl_sink_amqp_full(const struct sl_sink *sink)
{
    const struct amqp_sink *self = (const struct amqp_sink *)sink;
    for (size_t i = 0; i < SL_LANES; i++)
        if (self->link.lanes[i].messages >= self->link.broker->settings->max_backlog)
            return self->link.lanes[i].queue;
    return NULL;
}
