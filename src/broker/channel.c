#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/amqp_own.h"

void sl_short_set(struct sl_short *ret, amqp_bytes_t bytes)
{
    ret->length = (uint8_t)(bytes.len < SL_SHORT_MAX ? bytes.len : SL_SHORT_MAX);
    if (ret->length)
        memcpy(ret->text, bytes.bytes, ret->length);
    ret->text[ret->length] = 0;
}

/* --- calls --- */

static struct sl_rpc *take_rpc(struct sl_channel *channel)
{
    struct sl_rpc *rpc = channel->first_rpc;
    channel->first_rpc = rpc->next;
    if (!channel->first_rpc)
        channel->last_rpc = NULL;
    return rpc;
}

static void finish_rpc(struct sl_rpc *rpc, const struct sl_err *err)
{
    if (rpc->abandoned) {
        free(rpc);
        return;
    }
    rpc->done = true;
    if (err)
        rpc->err = *err;
    sl_wake_all(&rpc->waiting);
}

static int refuse_closed(const struct sl_channel *channel, struct sl_err *err)
{
    if (err)
        *err = channel->why;
    return SL_CLOSED;
}

int sl_channel_call(struct sl_channel *channel, amqp_method_number_t id, void *decoded,
                    amqp_method_number_t reply, uint64_t deadline_ms,
                    struct sl_queue_state *ret_queue, struct sl_err *err)
{
    if (channel->state != SL_CHANNEL_OPEN && channel->state != SL_CHANNEL_OPENING)
        return refuse_closed(channel, err);
    struct sl_amqp *amqp = channel->amqp;
    int rc = sl_codec_put_method(&amqp->codec, amqp->stream, channel->number, id, decoded, err);
    if (rc != SL_OK)
        return rc;

    struct sl_rpc *rpc = SL_NEW(struct sl_rpc);
    rpc->reply = reply;
    if (channel->last_rpc)
        channel->last_rpc->next = rpc;
    else
        channel->first_rpc = rpc;
    channel->last_rpc = rpc;

    while (!rpc->done) {
        rc = sl_wait(&rpc->waiting, deadline_ms);
        if (rc == SL_OK || rpc->done)
            continue;
        rpc->abandoned = true; /* its reply frees it */
        return sl_err_set(err, rc, "%s: %s", amqp_method_name(id),
                          rc == SL_TIMEOUT ? "RabbitMQ did not answer in time" : "cancelled");
    }
    rc = rpc->err.code;
    if (rc != SL_OK && err)
        *err = rpc->err;
    if (rc == SL_OK && ret_queue)
        *ret_queue = rpc->queue;
    free(rpc);
    return rc;
}

static int on_reply(struct sl_channel *channel, const struct sl_method *method, struct sl_err *err)
{
    if (!channel->first_rpc || channel->first_rpc->reply != method->id)
        return sl_err_set(err, SL_CLOSED, "unexpected %s on channel %u",
                          amqp_method_name(method->id), channel->number);
    struct sl_rpc *rpc = take_rpc(channel);
    if (method->id == AMQP_QUEUE_DECLARE_OK_METHOD) {
        const amqp_queue_declare_ok_t *declared = method->decoded;
        rpc->queue.messages = declared->message_count;
        rpc->queue.consumers = declared->consumer_count;
    }
    finish_rpc(rpc, NULL);
    return SL_OK;
}

/* --- open and close --- */

static struct sl_channel *make(struct sl_amqp *amqp, const struct sl_channel_handler *handler,
                               void *ctx)
{
    for (uint16_t number = 1; number <= amqp->channel_max; number++) {
        if (amqp->channels[number])
            continue;
        struct sl_channel *channel = SL_NEW(struct sl_channel);
        channel->amqp = amqp;
        channel->number = number;
        channel->handler = handler;
        channel->ctx = ctx;
        channel->low_tag = channel->next_tag = 1;
        amqp->channels[number] = channel;
        return channel;
    }
    return NULL;
}

int sl_channel_open(struct sl_amqp *amqp, const struct sl_channel_handler *handler, void *ctx,
                    uint64_t deadline_ms, struct sl_channel **ret, struct sl_err *err)
{
    if (amqp->state != SL_AMQP_OPEN)
        return sl_err_set(err, SL_CLOSED, "not connected to RabbitMQ");
    struct sl_channel *channel = make(amqp, handler, ctx);
    if (!channel)
        return sl_err_set(err, SL_CLOSED, "no free channel on this connection (%u are in use)",
                          amqp->channel_max);
    amqp_channel_open_t method = {.out_of_band = sl_codec_bytes("")};
    int rc = sl_channel_call(channel, AMQP_CHANNEL_OPEN_METHOD, &method,
                             AMQP_CHANNEL_OPEN_OK_METHOD, deadline_ms, NULL, err);
    if (rc != SL_OK) {
        sl_channel_free(channel);
        return rc;
    }
    *ret = channel;
    return SL_OK;
}

bool sl_channel_is_open(const struct sl_channel *channel)
{
    return channel->state == SL_CHANNEL_OPEN;
}

/* Fails everybody who waits on the channel. */
static void fail_waiters(struct sl_channel *channel)
{
    while (channel->first_rpc)
        finish_rpc(take_rpc(channel), &channel->why);
    sl_publish_lost(channel);
}

static void destroy(struct sl_channel *channel)
{
    if (channel->amqp)
        channel->amqp->channels[channel->number] = NULL;
    free(channel->in.body);
    free(channel->slots);
    free(channel);
}

void sl_channel_lost(struct sl_channel *channel, const struct sl_err *why)
{
    enum sl_channel_state before = channel->state;
    if (before == SL_CHANNEL_CLOSING) {
        destroy(channel);
        return;
    }
    if (before == SL_CHANNEL_CLOSED)
        return;
    channel->state = SL_CHANNEL_CLOSED;
    channel->why = *why;
    channel->why.code = SL_CLOSED; /* to its users it is no more than that */
    fail_waiters(channel);
    if (before == SL_CHANNEL_OPEN && channel->handler && channel->handler->on_close)
        channel->handler->on_close(channel->ctx, &channel->why);
}

void sl_channel_free(struct sl_channel *channel)
{
    if (!channel)
        return;
    bool living = channel->state != SL_CHANNEL_CLOSED;
    sl_err_set(&channel->why, SL_CLOSED, "the channel was closed by its owner");
    channel->state = SL_CHANNEL_CLOSED;
    fail_waiters(channel);
    channel->handler = NULL;
    if (!living || !channel->amqp || channel->amqp->state != SL_AMQP_OPEN) {
        destroy(channel);
        return;
    }
    /* Its number is in use until the server has answered. */
    struct sl_amqp *amqp = channel->amqp;
    amqp_channel_close_t method = {.reply_code = AMQP_REPLY_SUCCESS,
                                   .reply_text = sl_codec_bytes("goodbye")};
    channel->state = SL_CHANNEL_CLOSING;
    sl_codec_put_method(&amqp->codec, amqp->stream, channel->number, AMQP_CHANNEL_CLOSE_METHOD,
                        &method, NULL);
}

static void on_server_close(struct sl_channel *channel, const amqp_channel_close_t *close)
{
    struct sl_amqp *amqp = channel->amqp;
    struct sl_err why;
    sl_amqp_server_said(&why, SL_CLOSED, "RabbitMQ closed the channel", close->reply_code,
                        close->reply_text);
    amqp_channel_close_ok_t reply = {0};
    sl_codec_put_method(&amqp->codec, amqp->stream, channel->number, AMQP_CHANNEL_CLOSE_OK_METHOD,
                        &reply, NULL);
    sl_channel_lost(channel, &why);
}

/* --- dispatch --- */

static int on_method(struct sl_channel *channel, const struct sl_method *method, struct sl_err *err)
{
    switch (method->id) {
    case AMQP_CHANNEL_CLOSE_METHOD:
        on_server_close(channel, method->decoded);
        return SL_OK;
    case AMQP_BASIC_DELIVER_METHOD:
    case AMQP_BASIC_RETURN_METHOD:
        return sl_content_begin(channel, method, err);
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = method->decoded;
        return sl_publish_confirmed(channel, ack->delivery_tag, ack->multiple, false, err);
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *nack = method->decoded;
        return sl_publish_confirmed(channel, nack->delivery_tag, nack->multiple, true, err);
    }
    case AMQP_BASIC_CANCEL_METHOD:
        if (channel->handler && channel->handler->on_cancel)
            channel->handler->on_cancel(channel->ctx);
        return SL_OK;
    default:
        if (method->id == AMQP_CHANNEL_OPEN_OK_METHOD && channel->state == SL_CHANNEL_OPENING)
            channel->state = SL_CHANNEL_OPEN;
        return on_reply(channel, method, err);
    }
}

/* After our close nothing but its answer matters; the server may close at the same moment. */
static int while_closing(struct sl_channel *channel, const struct sl_method *method)
{
    struct sl_amqp *amqp = channel->amqp;
    amqp_channel_close_ok_t reply = {0};
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD)
        sl_codec_put_method(&amqp->codec, amqp->stream, channel->number,
                            AMQP_CHANNEL_CLOSE_OK_METHOD, &reply, NULL);
    else if (method->id == AMQP_CHANNEL_CLOSE_OK_METHOD)
        destroy(channel);
    return SL_OK;
}

int sl_channel_frame(struct sl_channel *channel, const struct sl_frame *frame, struct sl_err *err)
{
    if (channel->state == SL_CHANNEL_CLOSED)
        return SL_OK;
    bool closing = channel->state == SL_CHANNEL_CLOSING;
    if (frame->type != SL_FRAME_METHOD)
        return closing ? SL_OK : sl_content_frame(channel, frame, err);
    if (!closing && channel->in.state != SL_CONTENT_NONE)
        return sl_err_set(err, SL_CLOSED, "a method inside a message on channel %u",
                          channel->number);
    struct sl_method method;
    int rc = sl_codec_method(&channel->amqp->codec, frame, &method, err);
    if (rc != SL_OK)
        return rc;
    return closing ? while_closing(channel, &method) : on_method(channel, &method, err);
}
