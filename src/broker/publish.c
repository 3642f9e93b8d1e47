/* Publishing with confirms. A message waits in the queue until the window has room and the
 * connection is not blocked; then it is written and takes the next tag; the server's confirm of
 * that tag ends it. An unroutable message is returned first and confirmed then. */
#include <stdlib.h>
#include <string.h>

#include "base/kill_point.h"
#include "base/mem.h"
#include "broker/amqp_own.h"

enum { HEADERS_MAX = 32, HEADER_NAME_MAX = 128, DELIVERY_TRANSIENT = 1, DELIVERY_PERSISTENT = 2 };

/* Lives on its publisher's stack. */
struct sl_sending {
    struct sl_sending *next; /* in the channel's queue */
    const struct sl_publish *message;
    uint64_t tag; /* 0: still queued */
    bool returned, done;
    char return_text[SL_SHORT_MAX + 1];
    struct sl_err err;
    struct sl_waitlist waiting;
};

static void finish(struct sl_sending *sending)
{
    sending->done = true;
    sl_wake_all(&sending->waiting);
}

/* --- the window --- */

int sl_channel_confirm(struct sl_channel *channel, unsigned window, size_t window_bytes,
                       uint64_t deadline_ms, struct sl_err *err)
{
    amqp_confirm_select_t method = {0};
    int rc = sl_channel_call(channel, AMQP_CONFIRM_SELECT_METHOD, &method,
                             AMQP_CONFIRM_SELECT_OK_METHOD, deadline_ms, NULL, err);
    if (rc != SL_OK)
        return rc;
    channel->window = window ? window : 1;
    channel->window_bytes = window_bytes;
    channel->slots = sl_calloc(channel->window, sizeof *channel->slots);
    return SL_OK;
}

static struct sl_confirm_slot *slot_of(struct sl_channel *channel, uint64_t tag)
{
    return &channel->slots[tag % channel->window];
}

static bool has_room(const struct sl_channel *channel, size_t bytes)
{
    uint64_t unconfirmed = channel->next_tag - channel->low_tag;
    return unconfirmed < channel->window &&
           (!channel->unconfirmed_bytes ||
            channel->unconfirmed_bytes + bytes <= channel->window_bytes);
}

/* --- writing --- */

static int count_headers(const struct sl_amqp_header *headers)
{
    int count = 0;
    while (headers && headers[count].name)
        count++;
    return count;
}

static int put(struct sl_channel *channel, const struct sl_publish *message, struct sl_err *err)
{
    struct sl_amqp *amqp = channel->amqp;
    amqp_table_entry_t entries[HEADERS_MAX];
    int count = count_headers(message->headers);
    for (int i = 0; i < count; i++) {
        entries[i].key = sl_codec_bytes(message->headers[i].name);
        entries[i].value.kind = AMQP_FIELD_KIND_UTF8;
        entries[i].value.value.bytes = sl_codec_bytes(message->headers[i].text);
    }
    amqp_basic_publish_t method = {
        .exchange = sl_codec_bytes(message->exchange),
        .routing_key = sl_codec_bytes(message->routing_key),
        .mandatory = 1,
    };
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG |
                  AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .delivery_mode = DELIVERY_PERSISTENT,
        .content_type = sl_codec_bytes(message->content_type),
        .message_id = sl_codec_bytes(message->message_id),
        .headers = {count, entries},
    };
    return sl_codec_put_publish(&amqp->codec, amqp->stream, channel->number, amqp->frame_max,
                                &method, &properties, message->body, err);
}

static void send_now(struct sl_channel *channel, struct sl_sending *sending)
{
    sl_kill_point("publish", sending->message->routing_key);
    if (put(channel, sending->message, &sending->err) != SL_OK) {
        finish(sending);
        return;
    }
    size_t bytes = sending->message->body.length;
    sending->tag = channel->next_tag++;
    *slot_of(channel, sending->tag) = (struct sl_confirm_slot){.sending = sending, .bytes = bytes};
    channel->unconfirmed_bytes += bytes;
}

void sl_publish_pump(struct sl_channel *channel)
{
    while (channel->first_queued && channel->state == SL_CHANNEL_OPEN && channel->slots &&
           !channel->amqp->blocked &&
           has_room(channel, channel->first_queued->message->body.length)) {
        struct sl_sending *sending = channel->first_queued;
        channel->first_queued = sending->next;
        if (!channel->first_queued)
            channel->last_queued = NULL;
        send_now(channel, sending);
    }
}

/* --- what the server answers --- */

static void confirm_one(struct sl_channel *channel, uint64_t tag, bool refused)
{
    struct sl_confirm_slot *slot = slot_of(channel, tag);
    if (slot->done)
        return;
    slot->done = true;
    channel->unconfirmed_bytes -= slot->bytes;
    struct sl_sending *sending = slot->sending;
    slot->sending = NULL;
    if (!sending)
        return;
    sl_kill_point("confirmed", sending->message->routing_key);
    /* Normally all of it is gone; but a confirm must not free memory that is still to be written.
     */
    sl_stream_disown(channel->amqp->stream, sending->message->body.at,
                     sending->message->body.length);
    if (refused)
        sl_err_set(&sending->err, SL_CLOSED, "RabbitMQ could not store the message (basic.nack)");
    else if (sending->returned)
        sl_err_set(&sending->err, SL_NOTFOUND,
                   "no queue takes routing key '%s' of exchange '%s': %s",
                   sending->message->routing_key, sending->message->exchange, sending->return_text);
    finish(sending);
}

int sl_publish_confirmed(struct sl_channel *channel, uint64_t tag, bool multiple, bool refused,
                         struct sl_err *err)
{
    if (multiple && !tag) /* all so far */
        tag = channel->next_tag - 1;
    if (!channel->slots || tag >= channel->next_tag)
        return sl_err_set(err, SL_CLOSED, "a confirm of message %llu, which was not published",
                          (unsigned long long)tag);
    if (tag < channel->low_tag)
        return SL_OK;
    for (uint64_t at = multiple ? channel->low_tag : tag; at <= tag; at++)
        confirm_one(channel, at, refused);
    while (channel->low_tag < channel->next_tag && slot_of(channel, channel->low_tag)->done)
        channel->low_tag++;
    sl_publish_pump(channel);
    return SL_OK;
}

/* A return names no tag. The oldest unconfirmed message with its id is the one: the server returns
 * and confirms in the order of publishing. */
void sl_publish_returned(struct sl_channel *channel, const struct sl_content_in *in)
{
    for (uint64_t tag = channel->low_tag; tag < channel->next_tag; tag++) {
        struct sl_sending *sending = slot_of(channel, tag)->sending;
        if (!sending || sending->returned ||
            strcmp(sending->message->message_id, in->message_id.text) != 0 ||
            strcmp(sending->message->routing_key, in->routing_key.text) != 0)
            continue;
        sending->returned = true;
        memcpy(sending->return_text, in->reply_text.text, (size_t)in->reply_text.length + 1);
        return;
    }
}

void sl_publish_lost(struct sl_channel *channel)
{
    while (channel->first_queued) {
        struct sl_sending *sending = channel->first_queued;
        channel->first_queued = sending->next;
        sending->err = channel->why;
        finish(sending);
    }
    channel->last_queued = NULL;
    for (uint64_t tag = channel->low_tag; tag < channel->next_tag; tag++) {
        struct sl_sending *sending = slot_of(channel, tag)->sending;
        if (!sending)
            continue;
        if (channel->amqp && channel->amqp->stream) /* a channel alone ended: its bytes still go */
            sl_stream_disown(channel->amqp->stream, sending->message->body.at,
                             sending->message->body.length);
        sending->err = channel->why;
        finish(sending);
    }
    channel->low_tag = channel->next_tag;
    channel->unconfirmed_bytes = 0;
}

/* --- the publisher --- */

static bool is_short(const char *text)
{
    return text && strlen(text) <= SL_SHORT_MAX;
}

static int check(const struct sl_channel *channel, const struct sl_publish *message,
                 struct sl_err *err)
{
    if (channel->state != SL_CHANNEL_OPEN || !channel->slots) {
        if (err)
            *err = channel->why;
        return channel->state == SL_CHANNEL_OPEN
                   ? sl_err_set(err, SL_CLOSED, "confirms are not switched on")
                   : SL_CLOSED;
    }
    if (!is_short(message->exchange) || !is_short(message->routing_key) ||
        !is_short(message->content_type) || !is_short(message->message_id))
        return sl_err_set(err, SL_REJECTED, "a name of the message is longer than %u bytes",
                          SL_SHORT_MAX);
    if (count_headers(message->headers) > HEADERS_MAX)
        return sl_err_set(err, SL_REJECTED, "more than %u headers", HEADERS_MAX);
    for (int i = 0; message->headers && message->headers[i].name; i++)
        if (strlen(message->headers[i].name) > HEADER_NAME_MAX)
            return sl_err_set(err, SL_REJECTED, "a header's name is longer than %u bytes",
                              HEADER_NAME_MAX);
    return SL_OK;
}

static void queue(struct sl_channel *channel, struct sl_sending *sending)
{
    if (channel->last_queued)
        channel->last_queued->next = sending;
    else
        channel->first_queued = sending;
    channel->last_queued = sending;
}

static void unqueue(struct sl_channel *channel, struct sl_sending *sending)
{
    struct sl_sending *previous = NULL;
    for (struct sl_sending *at = channel->first_queued; at != sending; at = at->next)
        previous = at;
    if (previous)
        previous->next = sending->next;
    else
        channel->first_queued = sending->next;
    if (channel->last_queued == sending)
        channel->last_queued = previous;
}

/* The publisher stops waiting; what is written of the message goes on without it. */
static void give_up(struct sl_channel *channel, struct sl_sending *sending)
{
    if (!sending->tag) {
        unqueue(channel, sending);
        sl_publish_pump(channel);
        return;
    }
    slot_of(channel, sending->tag)->sending = NULL;
    sl_stream_disown(channel->amqp->stream, sending->message->body.at,
                     sending->message->body.length);
}

int sl_channel_publish(struct sl_channel *channel, const struct sl_publish *message,
                       uint64_t deadline_ms, struct sl_err *err)
{
    int rc = check(channel, message, err);
    if (rc != SL_OK)
        return rc;
    struct sl_sending sending = {.message = message};
    queue(channel, &sending);
    sl_publish_pump(channel);

    while (!sending.done) {
        rc = sl_wait(&sending.waiting, deadline_ms);
        if (rc == SL_OK || sending.done)
            continue;
        give_up(channel, &sending);
        return sl_err_set(err, rc,
                          rc == SL_TIMEOUT ? "RabbitMQ did not confirm in time"
                                           : "cancelled while publishing");
    }
    rc = sl_amqp_name_right(sending.err.code, &sending.err, "write to exchange '%s'",
                            sl_exchange_name(message->exchange));
    if (rc != SL_OK && err)
        *err = sending.err;
    return rc;
}

bool sl_channel_cast(struct sl_channel *channel, const char *exchange, const char *routing_key,
                     struct sl_str body)
{
    struct sl_amqp *amqp = channel->amqp;
    if (channel->state != SL_CHANNEL_OPEN || channel->slots || amqp->blocked ||
        !is_short(exchange) || !is_short(routing_key))
        return false;
    amqp_basic_publish_t method = {
        .exchange = sl_codec_bytes(exchange),
        .routing_key = sl_codec_bytes(routing_key),
    };
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
        .delivery_mode = DELIVERY_TRANSIENT,
    };
    int rc = sl_codec_put_publish(&amqp->codec, amqp->stream, channel->number, amqp->frame_max,
                                  &method, &properties, body, NULL);
    sl_stream_disown(amqp->stream, body.at, body.length);
    return rc == SL_OK;
}
