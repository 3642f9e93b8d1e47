/* A hostile broker: a client that logs in, opens a channel, declares, consumes and publishes, while
 * the other side sends what the input says. The stream is not a socket: its functions are here.
 *
 * The first byte says how the client behaves. The rest is a row of pieces, each a byte of length
 * and that many bytes; a length of 255 is the next step of a broker that behaves, so that the later
 * states can be reached; after one of 254 a byte says how much time passes. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/amqp.h"
#include "broker/frame.h"
#include "loop/fiber.h"
#include "loop/stream.h"

#include "fuzz.h"

enum { GOOD = 255, TIME = 254, TIME_STEP_MS = 20, PIECES_MAX = 200, LARGE_BYTES = 5000 };

/* How the client behaves; each bit alone. */
enum {
    CLOSES = 1,         /* in order, while the other side may still talk */
    HURRIES = 2,        /* gives its calls no time */
    BEATS = 4,          /* wants heartbeats, and to stay for some seconds */
    BY_CERTIFICATE = 8, /* logs in by it */
    THOROUGH = 16,      /* declares more, and publishes more */
    REFUSED = 32,       /* its first connection does not come about, and it tries again */
    CROWDED = 64,       /* opens channels until there are no more */
};

/* --- time: it stands still, unless the input says otherwise --- */

static uint64_t now_ms = 1000;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (clock == CLOCK_REALTIME) /* libFuzzer's */
        return (int)syscall(SYS_clock_gettime, clock, ret);
    *ret = (struct timespec){(time_t)(now_ms / 1000), (long)(now_ms % 1000) * 1000000};
    return 0;
}

/* --- the stream --- */

struct sl_stream {
    const struct sl_stream_handler *handler;
    void *ctx;
    bool open;
};
static struct sl_stream stream;
static bool refuse_next;

int sl_stream_connect(const char *host, uint16_t port, size_t turn, struct sl_tls *tls,
                      const struct sl_stream_handler *handler, void *ctx, uint64_t deadline_ms,
                      struct sl_stream **ret, struct sl_err *err)
{
    (void)host, (void)port, (void)turn, (void)tls, (void)deadline_ms;
    if (refuse_next) {
        refuse_next = false;
        return sl_err_set(err, SL_CLOSED, "nobody listens");
    }
    stream = (struct sl_stream){handler, ctx, true};
    *ret = &stream;
    return SL_OK;
}

void sl_stream_close(struct sl_stream *closed)
{
    if (closed)
        closed->open = false;
}

static uint64_t written; /* so that the bytes are looked at */

void sl_stream_write(struct sl_stream *to, const void *bytes, size_t size)
{
    FUZZ_REQUIRE(to->open);
    for (size_t i = 0; i < size; i++)
        written += ((const uint8_t *)bytes)[i];
}

void sl_stream_write_ref(struct sl_stream *to, const void *bytes, size_t size)
{
    sl_stream_write(to, bytes, size);
}

void sl_stream_disown(struct sl_stream *of, const void *bytes, size_t size)
{
    (void)of, (void)bytes, (void)size;
}

size_t sl_stream_queued(const struct sl_stream *of)
{
    (void)of;
    return 0;
}

/* --- a broker that behaves, step by step --- */

struct step {
    enum sl_frame_type type;
    uint16_t channel;
    const char *payload;
    size_t size;
};
#define STEP(type, channel, literal)                                                               \
    {                                                                                              \
        SL_FRAME_##type, channel, literal, sizeof(literal) - 1                                     \
    }
static const struct step good[] = {
    /* connection.start, tune, open-ok */
    STEP(METHOD, 0, "\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x0ePLAIN EXTERNAL\0\0\0\5en_US"),
    STEP(METHOD, 0, "\0\x0a\0\x1e\0\x0f\0\2\0\0\0\0"),
    STEP(METHOD, 0, "\0\x0a\0\x29\0"),
    /* channel.open-ok, confirm.select-ok, queue.declare-ok, basic.qos-ok, basic.consume-ok */
    STEP(METHOD, 1, "\0\x14\0\x0b\0\0\0\0"),
    STEP(METHOD, 1, "\0\x55\0\x0b"),
    STEP(METHOD, 1, "\0\x32\0\x0b\1q\0\0\0\1\0\0\0\0"),
    STEP(METHOD, 1, "\0\x3c\0\x0b"),
    STEP(METHOD, 1, "\0\x3c\0\x15\1c"),
    /* basic.deliver of two bytes, basic.ack of what the client published */
    STEP(METHOD, 1, "\0\x3c\0\x3c\1c\0\0\0\0\0\0\0\1\0\2ex\2rk"),
    STEP(HEADER, 1, "\0\x3c\0\0\0\0\0\0\0\0\0\2\0\0"),
    STEP(BODY, 1, "hi"),
    STEP(METHOD, 1, "\0\x3c\0\x50\0\0\0\0\0\0\0\1\0"),
};

/* Likewise, for a thorough client. */
static const struct step thorough[] = {
    STEP(METHOD, 0, "\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x0ePLAIN EXTERNAL\0\0\0\5en_US"),
    STEP(METHOD, 0, "\0\x0a\0\x1e\0\x0f\0\2\0\0\0\1"),
    STEP(METHOD, 0, "\0\x0a\0\x29\0"),
    /* channel.open-ok, exchange.declare-ok, queue.declare-ok, queue.bind-ok, and its state */
    STEP(METHOD, 1, "\0\x14\0\x0b\0\0\0\0"),
    STEP(METHOD, 1, "\0\x28\0\x0b"),
    STEP(METHOD, 1, "\0\x32\0\x0b\1q\0\0\0\1\0\0\0\0"),
    STEP(METHOD, 1, "\0\x32\0\x15"),
    STEP(METHOD, 1, "\0\x32\0\x0b\1q\0\0\0\1\0\0\0\0"),
    /* confirm.select-ok, basic.qos-ok, basic.consume-ok, basic.nack */
    STEP(METHOD, 1, "\0\x55\0\x0b"),
    STEP(METHOD, 1, "\0\x3c\0\x0b"),
    STEP(METHOD, 1, "\0\x3c\0\x15\1c"),
    STEP(METHOD, 1, "\0\x3c\0\x78\0\0\0\0\0\0\0\1\0"),
    /* what ends in order: channel.close-ok, connection.close-ok */
    STEP(METHOD, 1, "\0\x14\0\x29"),
    STEP(METHOD, 0, "\0\x0a\0\x33"),
};

/* --- the client --- */

struct client {
    struct sl_amqp *amqp;
    unsigned choice;
    bool done;
};

/* Whom a certificate names; there is none here. */
const char *sl_tls_subject(const struct sl_tls *tls)
{
    (void)tls;
    return "CN=sluice";
}

static void on_delivery(void *ctx, const struct sl_amqp_delivery *delivery)
{
    struct client *client = ctx;
    (void)client;
    FUZZ_REQUIRE(delivery->oversize ? !delivery->body : delivery->body != NULL);
    for (size_t i = 0; delivery->body && i < delivery->size; i++)
        written += (uint8_t)delivery->body[i];
    free(delivery->body);
}

static void on_cancel(void *ctx)
{
    FUZZ_REQUIRE(!((struct client *)ctx)->done);
}

static void on_close(void *ctx, const struct sl_err *err)
{
    FUZZ_REQUIRE(!((struct client *)ctx)->done && *err->message);
}

static int declare(const struct client *client, struct sl_channel *channel, uint64_t until,
                   struct sl_err *err)
{
    static const struct sl_queue_options queue = {.type = "quorum"},
                                         other = {.type = "classic",
                                                  .dead_letter_exchange = "d",
                                                  .no_delivery_limit = true,
                                                  .fleeting = true};
    struct sl_queue_state state;
    if (!(client->choice & THOROUGH)) {
        int rc = sl_channel_confirm(channel, 4, 1000, until, err);
        return rc == SL_OK ? sl_channel_declare_queue(channel, "q", &queue, until, err) : rc;
    }
    int rc = sl_channel_declare_exchange(channel, "e", "topic", until, err);
    if (rc == SL_OK)
        rc = sl_channel_declare_queue(channel, "q", &other, until, err);
    if (rc == SL_OK)
        rc = sl_channel_bind(channel, "q", "e", "#", until, err);
    if (rc == SL_OK)
        rc = sl_channel_queue_state(channel, "q", until, &state, err);
    return rc == SL_OK ? sl_channel_confirm(channel, 4, 1000, until, err) : rc;
}

static void publish(const struct client *client, struct sl_channel *channel, uint64_t until,
                    struct sl_err *err)
{
    static char large[LARGE_BYTES];
    static const struct sl_amqp_header headers[] = {
        {"name", "value"},
        {NULL,   NULL   }
    };
    struct sl_publish message = {
        .exchange = "e",
        .routing_key = "fast.a.b",
        .content_type = "application/json",
        .message_id = "m",
        .body = {"{}", 2}
    };
    if (client->choice & THOROUGH) {
        message.body = (struct sl_str){large, sizeof large};
        message.headers = headers;
    }
    sl_channel_publish(channel, &message, until, err);
}

static const struct sl_channel_handler handler = {on_delivery, on_cancel, on_close};

static void crowd(struct client *client)
{
    struct sl_channel *channel;
    for (unsigned i = 0; i < 20; i++) {
        struct sl_err err = {0};
        if (sl_channel_open(client->amqp, &handler, client, 0, &channel, &err) == SL_OK)
            sl_channel_free(channel);
        else
            FUZZ_REQUIRE(*err.message);
    }
}

static void run_client(void *arg)
{
    struct client *client = arg;
    struct sl_channel *channel = NULL;
    struct sl_err err = {0};
    uint64_t until =
        client->choice & HURRIES ? 0 : sl_deadline_in(client->choice & BEATS ? 5000 : 200);
    if (client->choice & REFUSED) {
        refuse_next = true;
        FUZZ_REQUIRE(sl_amqp_connect(client->amqp, until, &err) == SL_CLOSED && *err.message);
    }
    if (sl_amqp_connect(client->amqp, until, &err) == SL_OK &&
        sl_channel_open(client->amqp, &handler, client, until, &channel, &err) == SL_OK &&
        declare(client, channel, until, &err) == SL_OK &&
        sl_channel_qos(channel, 3, until, &err) == SL_OK &&
        sl_channel_consume(channel, "q", until, &err) == SL_OK)
        publish(client, channel, until, &err);
    if (client->choice & CROWDED)
        crowd(client);
    while (channel && sl_channel_is_open(channel) && !(client->choice & CLOSES) &&
           sl_amqp_wait_unblocked(client->amqp, until) == SL_OK && sl_fiber_park(until) == SL_OK)
        ;
    FUZZ_REQUIRE(strlen(sl_amqp_server_version(client->amqp)) < 32);
    sl_amqp_server_major(client->amqp);
    sl_amqp_blocked(client->amqp);
    if (channel && client->choice & CLOSES) {
        sl_channel_ack(channel, 1);
        sl_channel_nack(channel, 2, true);
        sl_channel_cast(channel, "e", "k", sl_str_of("{}"));
        sl_channel_qos(channel, 3, until, &err);
    }
    sl_channel_free(channel);
    if (client->choice & CLOSES)
        sl_amqp_close(client->amqp, until);
    client->done = true;
}

static void turn(void)
{
    for (int i = 0; i < 4; i++) /* each step of the client takes one */
        uv_run(sl_loop(), UV_RUN_NOWAIT);
}

static void feed(const void *bytes, size_t size)
{
    if (!stream.open || !size)
        return;
    uint8_t *exact = sl_alloc(size);
    memcpy(exact, bytes, size);
    stream.handler->on_data(stream.ctx, exact, size);
    free(exact);
    turn();
}

static void feed_step(const struct step *step)
{
    uint8_t frame[128];
    sl_frame_head(frame, step->type, step->channel, step->size);
    memcpy(frame + SL_FRAME_HEAD_BYTES, step->payload, step->size);
    frame[SL_FRAME_HEAD_BYTES + step->size] = SL_FRAME_END_BYTE;
    feed(frame, step->size + SL_FRAME_OVERHEAD_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sl_amqp_address address = {.host = (char *)"h",
                                             .port = 1,
                                             .user = (char *)"u",
                                             .password = (char *)"p",
                                             .vhost = (char *)"/"};
    struct fuzz_input input = {data, size};
    uint8_t choice = fuzz_byte(&input);
    const struct sl_amqp_options options = {.address = &address,
                                            .max_body_bytes = 10000,
                                            .heartbeat_ms = choice & BEATS ? 1 : 0,
                                            .by_certificate = choice & BY_CERTIFICATE};
    struct client client = {.amqp = sl_amqp_new(&options), .choice = choice};
    struct sl_fiber *fiber = sl_fiber_spawn("client", run_client, &client);
    const struct step *steps = choice & THOROUGH ? thorough : good;
    size_t count =
        choice & THOROUGH ? sizeof thorough / sizeof *thorough : sizeof good / sizeof *good;
    size_t next = 0;
    refuse_next = false;
    turn();
    for (unsigned i = 0; i < PIECES_MAX && input.left && stream.open; i++) {
        uint8_t length = fuzz_byte(&input);
        if (length == GOOD) {
            if (next < count)
                feed_step(&steps[next++]);
            continue;
        }
        if (length == TIME) {
            now_ms += TIME_STEP_MS * (uint64_t)fuzz_byte(&input);
            turn();
            continue;
        }
        size_t part = length < input.left ? length : input.left;
        feed(input.at, part);
        input.at += part;
        input.left -= part;
    }
    if (stream.open) {
        static const struct sl_err gone = {.code = SL_CLOSED, .message = "the input has ended"};
        stream.handler->on_close(stream.ctx, &gone);
    }
    turn();
    if (!client.done)
        sl_fiber_cancel(fiber);
    while (!client.done)
        turn();
    turn();
    sl_amqp_free(client.amqp);
    turn();
    return 0;
}
