/* Messages from the server: method (deliver or return), header frame, body frames.
 *
 *   NONE ─ deliver, return ─► HEAD_NEXT ─ header ─► BODY_NEXT ─ all bytes ─► NONE */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/amqp_own.h"

int sl_content_begin(struct sl_channel *channel, const struct sl_method *method, struct sl_err *err)
{
    struct sl_content_in *in = &channel->in;
    (void)err;
    in->state = SL_CONTENT_HEAD_NEXT;
    in->returned = method->id == AMQP_BASIC_RETURN_METHOD;
    if (in->returned) {
        const amqp_basic_return_t *returned = method->decoded;
        sl_short_set(&in->exchange, returned->exchange);
        sl_short_set(&in->routing_key, returned->routing_key);
        sl_short_set(&in->reply_text, returned->reply_text);
    } else {
        const amqp_basic_deliver_t *deliver = method->decoded;
        in->tag = deliver->delivery_tag;
        in->redelivered = deliver->redelivered;
        sl_short_set(&in->exchange, deliver->exchange);
        sl_short_set(&in->routing_key, deliver->routing_key);
    }
    return SL_OK;
}

static struct sl_str view(const struct sl_short *text)
{
    return (struct sl_str){text->text, text->length};
}

static void deliver(struct sl_channel *channel)
{
    struct sl_content_in *in = &channel->in;
    struct sl_amqp_delivery delivery = {
        .tag = in->tag,
        .redelivered = in->redelivered,
        .returns = in->returns,
        .oversize = in->oversize,
        .exchange = view(&in->exchange),
        .routing_key = view(&in->routing_key),
        .content_type = view(&in->content_type),
        .message_id = view(&in->message_id),
        .body = in->body,
        .size = (size_t)in->size,
    };
    in->body = NULL;
    if (channel->handler && channel->handler->on_delivery)
        channel->handler->on_delivery(channel->ctx, &delivery);
    else
        free(delivery.body);
}

static void complete(struct sl_channel *channel)
{
    channel->in.state = SL_CONTENT_NONE;
    if (channel->in.returned)
        sl_publish_returned(channel, &channel->in);
    else
        deliver(channel);
}

/* The body of a returned message, and one above the limit, is read but not kept. */
static void prepare_body(struct sl_channel *channel)
{
    struct sl_content_in *in = &channel->in;
    in->received = 0;
    in->oversize = in->size > channel->amqp->options.max_body_bytes;
    free(in->body);
    in->body = NULL;
    if (!in->returned && !in->oversize)
        in->body = sl_alloc((size_t)in->size + 1);
    if (in->body)
        in->body[in->size] = 0;
}

/* Of the header x-delivery-count; 0: there is none. */
static uint64_t count_returns(const amqp_basic_properties_t *has)
{
    int count = has->_flags & AMQP_BASIC_HEADERS_FLAG ? has->headers.num_entries : 0;
    for (int i = 0; i < count; i++) {
        const amqp_table_entry_t *entry = &has->headers.entries[i];
        if (entry->value.kind == AMQP_FIELD_KIND_I64 && entry->value.value.i64 > 0 &&
            sl_str_is(sl_codec_view(entry->key), "x-delivery-count"))
            return (uint64_t)entry->value.value.i64;
    }
    return 0;
}

static int on_header(struct sl_channel *channel, const struct sl_frame *frame, struct sl_err *err)
{
    struct sl_content_in *in = &channel->in;
    struct sl_content_head head;
    int rc = sl_codec_header(&channel->amqp->codec, frame, &head, err);
    if (rc != SL_OK)
        return rc;
    const amqp_basic_properties_t *has = head.properties;
    const amqp_bytes_t none = {0, NULL};
    sl_short_set(&in->content_type,
                 has->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG ? has->content_type : none);
    sl_short_set(&in->message_id,
                 has->_flags & AMQP_BASIC_MESSAGE_ID_FLAG ? has->message_id : none);
    in->returns = count_returns(has);
    in->size = head.body_size;
    in->state = SL_CONTENT_BODY_NEXT;
    prepare_body(channel);
    if (!in->size)
        complete(channel);
    return SL_OK;
}

int sl_content_frame(struct sl_channel *channel, const struct sl_frame *frame, struct sl_err *err)
{
    struct sl_content_in *in = &channel->in;
    if (frame->type == SL_FRAME_HEADER && in->state == SL_CONTENT_HEAD_NEXT)
        return on_header(channel, frame, err);
    if (frame->type != SL_FRAME_BODY || in->state != SL_CONTENT_BODY_NEXT)
        return sl_err_set(err, SL_CLOSED, "a %s frame out of order on channel %u",
                          frame->type == SL_FRAME_HEADER ? "header" : "body", channel->number);
    if (frame->size > in->size - in->received)
        return sl_err_set(err, SL_CLOSED, "a message's body is longer than announced");
    if (in->body)
        memcpy(in->body + in->received, frame->payload, frame->size);
    in->received += frame->size;
    if (in->received == in->size)
        complete(channel);
    return SL_OK;
}
