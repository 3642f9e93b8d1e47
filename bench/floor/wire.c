/* RabbitMQ and MongoDB by bytes: what is sent was made before but for a few numbers, and of what
 * comes no more is read than what it is. librabbitmq logs in, libbson makes the commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#endif
#include <mongoc/mongoc.h>

#include "floor.h"

enum {
    CHANNEL = 1,
    FRAME_HEAD = 7, /* type, channel, size; an octet ends the frame (AMQP 0-9-1, 2.3) */
    FRAME_END = 0xce,
    ACK_EVERY = 8, /* rows, as sluice does */
    OP_MSG = 2013,
    COMMANDS_MAX = 2 * FLOOR_ROWS_MAX,
};

static struct floor_peer publisher, consumer, mongo;
static const struct floor_options *options;
static uint8_t message[1024 + FLOOR_ROW_BYTES]; /* the frames of one; its row follows the head */
static size_t head_length;
static bool commands[COMMANDS_MAX]; /* that are not answered yet: is it a mark? A ring. */
static size_t sent, answered;
static uint64_t written; /* rows, and so the tag of the last delivery that was */
static bson_t command;

static void put_32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_32(const char *data)
{
    const uint8_t *at = (const uint8_t *)data;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* --- RabbitMQ --- */

/* basic.publish to the default exchange, the header of a persistent message, the body's head: all
 * but the two sizes. */
static void prepare_message(const char *queue)
{
    static const uint8_t method[] = {0, 60, 0, 40, 0, 0, 0};
    static const uint8_t header[] = {2, 0, CHANNEL, 0, 0, 0, 15,   0, 60, 0,         0, 0, 0,
                                     0, 0, 0,       0, 0, 0, 0x10, 0, 2,  FRAME_END, 3, 0, CHANNEL};
    uint8_t *at = message;
    size_t length = strlen(queue);
    if (length > UINT8_MAX)
        floor_fail("queue", "a name of at most 255 bytes");
    *at++ = AMQP_FRAME_METHOD;
    *at++ = 0;
    *at++ = CHANNEL;
    put_32(at, (uint32_t)(sizeof method + 1 + length + 1));
    at += 4;
    memcpy(at, method, sizeof method);
    at += sizeof method;
    *at++ = (uint8_t)length;
    memcpy(at, queue, length);
    at += length;
    *at++ = 0;
    *at++ = FRAME_END;
    memcpy(at, header, sizeof header);
    head_length = (size_t)(at - message) + sizeof header + 4;
}

void floor_publish(const struct floor_row *row)
{
    uint8_t *body_size = message + head_length - 4;
    put_32(body_size, (uint32_t)row->length);
    put_32(body_size - 11, (uint32_t)row->length); /* the lower half of the header's */
    memcpy(message + head_length, row->text, row->length);
    message[head_length + row->length] = FRAME_END;
    floor_send(&publisher, message, head_length + row->length + 1);
}

static void acknowledge(uint64_t tag)
{
    uint8_t frame[21] = {AMQP_FRAME_METHOD, 0, CHANNEL, 0, 0, 0, 13, 0, 60, 0, 80};
    put_32(frame + 11, (uint32_t)(tag >> 32));
    put_32(frame + 15, (uint32_t)tag);
    frame[19] = 1; /* and all before it */
    frame[20] = FRAME_END;
    floor_send(&consumer, frame, sizeof frame);
}

/* --- MongoDB --- */

static void send_command(bool is_mark)
{
    static char whole[FLOOR_PIECE_BYTES];
    struct __attribute__((packed)) {
        int32_t length, request, answer_to, op;
        uint32_t flags;
        uint8_t kind;
    } head = {.request = (int32_t)sent + 1, .op = OP_MSG};
    head.length = (int32_t)(sizeof head + command.len);
    if ((size_t)head.length > sizeof whole || sent - answered == COMMANDS_MAX)
        floor_fail("MongoDB", "too much to do");
    memcpy(whole, &head, sizeof head);
    memcpy(whole + sizeof head, bson_get_data(&command), command.len);
    commands[sent++ % COMMANDS_MAX] = is_mark;
    floor_send(&mongo, whole, (size_t)head.length);
}

/* {_id: id, body: text}, with write concern majority and journal. */
static void upsert(const char *collection, const char *id, const char *text, size_t length)
{
    bson_t updates, update, query, document, concern;
    bson_reinit(&command);
    BSON_APPEND_UTF8(&command, "update", collection);
    BSON_APPEND_ARRAY_BEGIN(&command, "updates", &updates);
    BSON_APPEND_DOCUMENT_BEGIN(&updates, "0", &update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "q", &query);
    BSON_APPEND_UTF8(&query, "_id", id);
    bson_append_document_end(&update, &query);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "u", &document);
    BSON_APPEND_UTF8(&document, "_id", id);
    bson_append_utf8(&document, "body", 4, text, (int)length);
    bson_append_document_end(&update, &document);
    BSON_APPEND_BOOL(&update, "upsert", true);
    bson_append_document_end(&updates, &update);
    bson_append_array_end(&command, &updates);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "writeConcern", &concern);
    BSON_APPEND_UTF8(&concern, "w", "majority");
    BSON_APPEND_BOOL(&concern, "j", true);
    bson_append_document_end(&command, &concern);
    BSON_APPEND_UTF8(&command, "$db", options->database);
}

void floor_mark(void)
{
    upsert("mark", "mark", "", 0);
    send_command(true);
}

static void write_row(const char *text, size_t length)
{
    static const char member[] = "\"order_id\": \"";
    char id[32];
    const char *found = memmem(text, length, member, strlen(member));
    if (!found || sscanf(found + strlen(member), "%31[^\"]", id) != 1)
        floor_fail("row", "no order_id");
    upsert("orders", id, text, length);
    send_command(false);
}

static size_t read_reply(struct floor *floor, const char *data, size_t length)
{
    size_t at = 0;
    int32_t size;
    while (length - at >= sizeof size) {
        memcpy(&size, data + at, sizeof size);
        if (length - at < (size_t)size)
            break;
        if (memmem(data + at, (size_t)size, "rrors", 5) ||
            memmem(data + at, (size_t)size, "errmsg", 6))
            floor_fail("MongoDB", "it refused a command");
        at += (size_t)size;
        if (commands[answered++ % COMMANDS_MAX])
            floor_marked(floor);
        else if (++written % ACK_EVERY == 0)
            acknowledge(written);
    }
    return at;
}

/* --- frames --- */

static void on_frame(struct floor *floor, const char *frame, size_t size)
{
    const char *payload = frame + FRAME_HEAD;
    uint32_t method = frame[0] == AMQP_FRAME_METHOD ? get_32(payload) : 0;
    if (method == AMQP_BASIC_ACK_METHOD)
        floor_confirmed(floor);
    else if (frame[0] == AMQP_FRAME_BODY) /* a row is so small that it is one frame */
        write_row(payload, size);
    else if (method && method != AMQP_BASIC_DELIVER_METHOD)
        floor_fail("RabbitMQ", "it refused something");
}

static size_t read_frames(struct floor *floor, const char *data, size_t length)
{
    size_t at = 0;
    while (length - at >= FRAME_HEAD) {
        size_t size = get_32(data + at + 3);
        if (length - at < FRAME_HEAD + size + 1)
            break;
        on_frame(floor, data + at, size);
        at += FRAME_HEAD + size + 1;
    }
    return at;
}

/* --- the start --- */

static void check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        floor_fail(what, "RabbitMQ refused");
}

static amqp_connection_state_t log_in(const char *url)
{
    struct amqp_connection_info info;
    char *parts = strdup(url); /* info points into it */
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    amqp_default_connection_info(&info);
    if (!parts || amqp_parse_url(parts, &info) != AMQP_STATUS_OK)
        floor_fail("RabbitMQ", "no such URL");
    if (!socket || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK)
        floor_fail("RabbitMQ", "no connection");
    check(amqp_login(connection, info.vhost[0] ? info.vhost : "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0,
                     AMQP_SASL_METHOD_PLAIN, info.user, info.password),
          "login");
    free(parts);
    amqp_channel_open(connection, CHANNEL);
    check(amqp_get_rpc_reply(connection), "channel");
    return connection;
}

static void start_amqp(struct floor *floor)
{
    amqp_connection_state_t out = log_in(options->amqp_url), in = log_in(options->amqp_url);
    amqp_confirm_select(out, CHANNEL);
    check(amqp_get_rpc_reply(out), "confirms");
    amqp_basic_consume(in, CHANNEL, amqp_cstring_bytes(options->queue), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    check(amqp_get_rpc_reply(in), "consumer");
    prepare_message(options->queue);
    publisher.used = consumer.used = read_frames;
    floor_watch(floor, &publisher, amqp_get_sockfd(out));
    floor_watch(floor, &consumer, amqp_get_sockfd(in));
}

void floor_wire_start(struct floor *floor)
{
    options = &floor->options;
    mongoc_uri_t *uri = mongoc_uri_new(options->mongo_url);
    if (!uri)
        floor_fail("MongoDB", "no such URL");
    const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri);
    mongo.used = read_reply;
    floor_watch(floor, &mongo, floor_connect(host->host, host->port));
    mongoc_uri_destroy(uri);
    bson_init(&command);
    start_amqp(floor);
}
