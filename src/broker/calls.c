/* The calls of a channel that are one method and its reply, and the acknowledgements. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/kill_point.h"
#include "broker/amqp_own.h"

static const char consumer_tag[] = "sluice";

/* RabbitMQ refuses for other reasons, too: a reserved name, a queue that is another consumer's. */
int sl_amqp_name_right(int rc, struct sl_err *err, const char *right, ...)
{
    if (rc != SL_CLOSED || !err || err->cause != AMQP_ACCESS_REFUSED)
        return rc;
    if (strstr(err->message, "refused for user")) {
        char text[SL_ERR_TEXT_BYTES];
        va_list args;
        va_start(args, right);
        vsnprintf(text, sizeof text, right, args);
        va_end(args);
        sl_err_wrap(err, "the user in broker.url needs the right to %s", text);
    }
    return err->code = SL_CONFIG;
}

int sl_channel_declare_exchange(struct sl_channel *channel, const char *name, const char *type,
                                uint64_t deadline_ms, struct sl_err *err)
{
    amqp_exchange_declare_t method = {
        .exchange = sl_codec_bytes(name), .type = sl_codec_bytes(type), .durable = 1};
    int rc = sl_channel_call(channel, AMQP_EXCHANGE_DECLARE_METHOD, &method,
                             AMQP_EXCHANGE_DECLARE_OK_METHOD, deadline_ms, NULL, err);
    return sl_amqp_name_right(rc, err, "configure exchange '%s'", name);
}

static void add_text(amqp_table_t *table, const char *key, const char *text)
{
    amqp_table_entry_t *entry = &table->entries[table->num_entries++];
    entry->key = sl_codec_bytes(key);
    entry->value.kind = AMQP_FIELD_KIND_UTF8;
    entry->value.value.bytes = sl_codec_bytes(text);
}

static void add_number(amqp_table_t *table, const char *key, int32_t number)
{
    amqp_table_entry_t *entry = &table->entries[table->num_entries++];
    entry->key = sl_codec_bytes(key);
    entry->value.kind = AMQP_FIELD_KIND_I32;
    entry->value.value.i32 = number;
}

int sl_channel_declare_queue(struct sl_channel *channel, const char *name,
                             const struct sl_queue_options *options, uint64_t deadline_ms,
                             struct sl_err *err)
{
    amqp_table_entry_t entries[7];
    amqp_queue_declare_t method = {
        .queue = sl_codec_bytes(name),
        .durable = !options->fleeting,
        .exclusive = options->fleeting,
        .auto_delete = options->fleeting,
        .arguments = {0, entries},
    };
    if (options->type)
        add_text(&method.arguments, "x-queue-type", options->type);
    if (options->dead_letter_exchange)
        add_text(&method.arguments, "x-dead-letter-exchange", options->dead_letter_exchange);
    if (options->dead_letter_key)
        add_text(&method.arguments, "x-dead-letter-routing-key", options->dead_letter_key);
    if (options->dead_letter_surely) { /* the one goes with the other */
        add_text(&method.arguments, "x-dead-letter-strategy", "at-least-once");
        add_text(&method.arguments, "x-overflow", "reject-publish");
    }
    if (options->ttl_ms)
        add_number(&method.arguments, "x-message-ttl", options->ttl_ms);
    if (options->no_delivery_limit)
        add_number(&method.arguments, "x-delivery-limit", -1);
    int rc = sl_channel_call(channel, AMQP_QUEUE_DECLARE_METHOD, &method,
                             AMQP_QUEUE_DECLARE_OK_METHOD, deadline_ms, NULL, err);
    if (!options->dead_letter_exchange)
        return sl_amqp_name_right(rc, err, "configure queue '%s'", name);
    return sl_amqp_name_right(rc, err,
                              "configure and to read queue '%s', and to write to exchange '%s'",
                              name, sl_exchange_name(options->dead_letter_exchange));
}

int sl_channel_queue_state(struct sl_channel *channel, const char *queue, uint64_t deadline_ms,
                           struct sl_queue_state *ret, struct sl_err *err)
{
    struct sl_err own;
    if (!err)
        err = &own;
    amqp_queue_declare_t method = {.queue = sl_codec_bytes(queue), .passive = 1};
    int rc = sl_channel_call(channel, AMQP_QUEUE_DECLARE_METHOD, &method,
                             AMQP_QUEUE_DECLARE_OK_METHOD, deadline_ms, ret, err);
    if (rc == SL_CLOSED && err->cause == AMQP_NOT_FOUND)
        rc = err->code = SL_NOTFOUND;
    return rc;
}

int sl_channel_bind(struct sl_channel *channel, const char *queue, const char *exchange,
                    const char *routing_key, uint64_t deadline_ms, struct sl_err *err)
{
    amqp_queue_bind_t method = {.queue = sl_codec_bytes(queue),
                                .exchange = sl_codec_bytes(exchange),
                                .routing_key = sl_codec_bytes(routing_key)};
    int rc = sl_channel_call(channel, AMQP_QUEUE_BIND_METHOD, &method, AMQP_QUEUE_BIND_OK_METHOD,
                             deadline_ms, NULL, err);
    return sl_amqp_name_right(rc, err, "write to queue '%s' and to read exchange '%s'", queue,
                              exchange);
}

int sl_channel_qos(struct sl_channel *channel, uint16_t prefetch, uint64_t deadline_ms,
                   struct sl_err *err)
{
    amqp_basic_qos_t method = {.prefetch_count = prefetch};
    return sl_channel_call(channel, AMQP_BASIC_QOS_METHOD, &method, AMQP_BASIC_QOS_OK_METHOD,
                           deadline_ms, NULL, err);
}

int sl_channel_consume(struct sl_channel *channel, const char *queue, uint64_t deadline_ms,
                       struct sl_err *err)
{
    amqp_basic_consume_t method = {.queue = sl_codec_bytes(queue),
                                   .consumer_tag = sl_codec_bytes(consumer_tag)};
    int rc = sl_channel_call(channel, AMQP_BASIC_CONSUME_METHOD, &method,
                             AMQP_BASIC_CONSUME_OK_METHOD, deadline_ms, NULL, err);
    return sl_amqp_name_right(rc, err, "read queue '%s'", queue);
}

/* A priority must be a number. Should a server take it all the same, one message comes, and goes
 * back with the channel. */
int sl_channel_try_consume(struct sl_channel *channel, const char *queue, uint64_t deadline_ms,
                           struct sl_err *err)
{
    amqp_table_entry_t entries[1];
    amqp_basic_consume_t method = {
        .queue = sl_codec_bytes(queue),
        .consumer_tag = sl_codec_bytes(consumer_tag),
        .arguments = {0, entries}
    };
    add_text(&method.arguments, "x-priority", "tried only");
    int rc = sl_channel_qos(channel, 1, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_call(channel, AMQP_BASIC_CONSUME_METHOD, &method,
                             AMQP_BASIC_CONSUME_OK_METHOD, deadline_ms, NULL, err);
    bool looked = err->cause == AMQP_PRECONDITION_FAILED || err->cause == AMQP_NOT_FOUND;
    if (rc == SL_CLOSED && looked)
        return SL_OK;
    return sl_amqp_name_right(rc, err, "read queue '%s'", queue);
}

void sl_channel_name_cast(struct sl_err *why, const char *exchange)
{
    sl_amqp_name_right((int)why->code, why, "write to exchange '%s'", sl_exchange_name(exchange));
}

/* The server looks at the right as the message comes, and at where it goes only with a commit. */
int sl_channel_try_publish(struct sl_channel *channel, const char *exchange,
                           const char *routing_key, uint64_t deadline_ms, struct sl_err *err)
{
    amqp_tx_select_t select = {0};
    amqp_tx_rollback_t rollback = {0};
    int rc = sl_channel_call(channel, AMQP_TX_SELECT_METHOD, &select, AMQP_TX_SELECT_OK_METHOD,
                             deadline_ms, NULL, err);
    if (rc != SL_OK)
        return rc;
    if (!sl_channel_cast(channel, exchange, routing_key, sl_str_of("")))
        return sl_err_set(err, SL_TIMEOUT, "RabbitMQ blocks publishing");
    rc = sl_channel_call(channel, AMQP_TX_ROLLBACK_METHOD, &rollback, AMQP_TX_ROLLBACK_OK_METHOD,
                         deadline_ms, NULL, err);
    return sl_amqp_name_right(rc, err, "write to exchange '%s'", sl_exchange_name(exchange));
}

static void put(struct sl_channel *channel, amqp_method_number_t id, void *decoded)
{
    if (channel->state == SL_CHANNEL_OPEN)
        sl_codec_put_method(&channel->amqp->codec, channel->amqp->stream, channel->number, id,
                            decoded, NULL);
}

void sl_channel_ack(struct sl_channel *channel, uint64_t tag)
{
    amqp_basic_ack_t method = {.delivery_tag = tag};
    sl_kill_point("ack", NULL);
    put(channel, AMQP_BASIC_ACK_METHOD, &method);
    sl_kill_point("acked", NULL);
}

void sl_channel_nack(struct sl_channel *channel, uint64_t tag, bool requeue)
{
    amqp_basic_nack_t method = {.delivery_tag = tag, .requeue = requeue};
    put(channel, AMQP_BASIC_NACK_METHOD, &method);
}

/* A dead-letter exchange without a queue drops the message, and nobody is told. Binding the queue
 * once more changes nothing where it is there, and fails where it is not. */
void sl_channel_set_aside(struct sl_channel *channel, uint64_t tag, const char *dead_letters)
{
    amqp_queue_bind_t method = {.queue = sl_codec_bytes(dead_letters),
                                .exchange = sl_codec_bytes(dead_letters),
                                .routing_key = sl_codec_bytes(""),
                                .nowait = 1};
    put(channel, AMQP_QUEUE_BIND_METHOD, &method);
    sl_channel_nack(channel, tag, false);
}
