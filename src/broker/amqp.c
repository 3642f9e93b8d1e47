#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/amqp_own.h"

enum { TICKS_SILENT_MAX = 4 }; /* two heartbeat intervals */

static const uint8_t protocol_header[] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};

struct sl_amqp *sl_amqp_new(const struct sl_amqp_options *options)
{
    struct sl_amqp *amqp = SL_NEW(struct sl_amqp);
    amqp->options = *options;
    amqp->options.name = sl_strdup(options->name ? options->name : "sluice");
    amqp->blocked_metric = sl_gauge("broker_blocked", "1 while RabbitMQ blocks publishing.",
                                    "connection=\"%s\"", amqp->options.name);
    sl_frame_reader_init(&amqp->reader);
    sl_codec_init(&amqp->codec);
    amqp->tick = SL_NEW(uv_timer_t);
    uv_timer_init(sl_loop(), amqp->tick);
    amqp->tick->data = amqp;
    return amqp;
}

void sl_amqp_set_blocked(struct sl_amqp *amqp, bool blocked)
{
    amqp->blocked = blocked;
    sl_metric_set(amqp->blocked_metric, blocked);
}

/* The connection is over: fails everything on it. Never from inside a frame's handling: that
 * returns a code instead. */
static void lost(struct sl_amqp *amqp, const struct sl_err *why)
{
    if (amqp->state == SL_AMQP_CLOSED)
        return;
    amqp->state = SL_AMQP_CLOSED;
    amqp->why = *why;
    sl_amqp_set_blocked(amqp, false);
    uv_timer_stop(amqp->tick);
    sl_stream_close(amqp->stream);
    amqp->stream = NULL;
    for (unsigned i = 1; i <= SL_CHANNELS_MAX; i++)
        if (amqp->channels[i])
            sl_channel_lost(amqp->channels[i], &amqp->why);
    sl_wake_all(&amqp->changed);
}

void sl_amqp_free(struct sl_amqp *amqp)
{
    if (!amqp)
        return;
    struct sl_err why;
    sl_err_set(&why, SL_CLOSED, "the connection was closed by its owner");
    lost(amqp, &why);
    for (unsigned i = 1; i <= SL_CHANNELS_MAX; i++)
        if (amqp->channels[i])
            amqp->channels[i]->amqp = NULL;
    sl_frame_reader_done(&amqp->reader);
    sl_codec_done(&amqp->codec);
    uv_close((uv_handle_t *)amqp->tick, sl_handle_free);
    free((char *)amqp->options.name);
    free(amqp);
}

/* --- what arrives --- */

static int on_frame(void *ctx, const struct sl_frame *frame, struct sl_err *err)
{
    struct sl_amqp *amqp = ctx;
    if (frame->type == SL_FRAME_HEARTBEAT)
        return frame->channel
                   ? sl_err_set(err, SL_CLOSED, "a heartbeat on channel %u", frame->channel)
                   : SL_OK;
    if (frame->channel && amqp->state == SL_AMQP_CLOSING)
        return SL_OK; /* also of a channel that is gone on our side: close-ok alone matters */
    if (frame->channel) {
        struct sl_channel *channel =
            frame->channel <= SL_CHANNELS_MAX ? amqp->channels[frame->channel] : NULL;
        if (channel)
            return sl_channel_frame(channel, frame, err);
        return sl_err_set(err, SL_CLOSED, "a frame on channel %u, which is not open",
                          frame->channel);
    }
    if (frame->type != SL_FRAME_METHOD)
        return sl_err_set(err, SL_CLOSED, "content on channel 0");
    struct sl_method method;
    int rc = sl_codec_method(&amqp->codec, frame, &method, err);
    return rc == SL_OK ? sl_amqp_handshake(amqp, &method, err) : rc;
}

static void on_data(void *ctx, const uint8_t *bytes, size_t size)
{
    struct sl_amqp *amqp = ctx;
    struct sl_err err = {0};
    amqp->silent_ticks = 0;
    if (sl_frame_reader_feed(&amqp->reader, bytes, size, on_frame, amqp, &err) != SL_OK)
        lost(amqp, &err);
}

static void on_stream_close(void *ctx, const struct sl_err *why)
{
    lost(ctx, why);
}

/* Counts ticks, not time: a process that was stopped for a while must not blame the server. */
static void on_tick(uv_timer_t *tick)
{
    struct sl_amqp *amqp = tick->data;
    if (++amqp->silent_ticks > TICKS_SILENT_MAX) {
        struct sl_err why;
        sl_err_set(&why, SL_CLOSED,
                   "RabbitMQ was silent for two heartbeat intervals (%llu ms each)",
                   (unsigned long long)amqp->heartbeat_ms);
        lost(amqp, &why);
    } else if (!sl_stream_queued(amqp->stream)) {
        sl_codec_put_heartbeat(amqp->stream);
    }
}

/* --- connecting --- */

static int wait_open(struct sl_amqp *amqp, uint64_t deadline_ms, struct sl_err *err)
{
    while (amqp->state != SL_AMQP_OPEN) {
        if (amqp->state == SL_AMQP_CLOSED) {
            if (err)
                *err = amqp->why;
            return amqp->why.code;
        }
        int rc = sl_wait(&amqp->changed, deadline_ms);
        if (rc == SL_OK)
            continue;
        struct sl_err why;
        sl_err_set(&why, rc, rc == SL_TIMEOUT ? "RabbitMQ did not answer in time" : "cancelled");
        lost(amqp, &why);
    }
    return SL_OK;
}

int sl_amqp_connect(struct sl_amqp *amqp, uint64_t deadline_ms, struct sl_err *err)
{
    static const struct sl_stream_handler handler = {on_data, on_stream_close};
    const struct sl_amqp_address *to = amqp->options.address;
    if (amqp->state != SL_AMQP_CLOSED)
        return amqp->state == SL_AMQP_OPEN
                   ? SL_OK
                   : sl_err_set(err, SL_CLOSED, "the connection is being opened or closed");

    amqp->state = SL_AMQP_CONNECTING;
    sl_frame_reader_done(&amqp->reader);
    sl_frame_reader_init(&amqp->reader);
    amqp->frame_max = SL_FRAME_SIZE_MAX;
    amqp->silent_ticks = 0;
    int rc = sl_stream_connect(to->host, to->port, amqp->turn, amqp->options.tls, &handler, amqp,
                               deadline_ms, &amqp->stream, err);
    if (rc != SL_OK) {
        amqp->turn++;
        amqp->state = SL_AMQP_CLOSED;
        sl_err_wrap(err, "RabbitMQ");
        if (err)
            amqp->why = *err;
        return rc;
    }
    amqp->state = SL_AMQP_STARTING;
    sl_stream_write(amqp->stream, protocol_header, sizeof protocol_header);
    rc = wait_open(amqp, deadline_ms, err);
    if (rc != SL_OK) {
        amqp->turn++;
        sl_err_wrap(err, "RabbitMQ at %s:%u", to->host, (unsigned)to->port);
        return rc;
    }
    if (amqp->heartbeat_ms)
        uv_timer_start(amqp->tick, on_tick, amqp->heartbeat_ms / 2, amqp->heartbeat_ms / 2);
    return SL_OK;
}

void sl_amqp_close(struct sl_amqp *amqp, uint64_t deadline_ms)
{
    struct sl_err why;
    sl_err_set(&why, SL_CLOSED, "the connection was closed by its owner");
    if (amqp->state == SL_AMQP_OPEN) {
        amqp_connection_close_t method = {.reply_code = AMQP_REPLY_SUCCESS,
                                          .reply_text = sl_codec_bytes("goodbye")};
        sl_codec_put_method(&amqp->codec, amqp->stream, 0, AMQP_CONNECTION_CLOSE_METHOD, &method,
                            NULL);
        amqp->state = SL_AMQP_CLOSING;
        for (unsigned i = 1; i <= SL_CHANNELS_MAX; i++)
            if (amqp->channels[i])
                sl_channel_lost(amqp->channels[i], &why);
    }
    while (amqp->state == SL_AMQP_CLOSING && sl_wait(&amqp->changed, deadline_ms) == SL_OK)
        ;
    lost(amqp, &why);
}

/* --- state --- */

int sl_amqp_wait_unblocked(struct sl_amqp *amqp, uint64_t deadline_ms)
{
    while (amqp->state == SL_AMQP_OPEN && amqp->blocked) {
        int rc = sl_wait(&amqp->changed, deadline_ms);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

const char *sl_amqp_blocked(const struct sl_amqp *amqp)
{
    return amqp->blocked ? amqp->blocked_reason : NULL;
}

const char *sl_amqp_server_version(const struct sl_amqp *amqp)
{
    return amqp->version;
}

unsigned sl_amqp_server_major(const struct sl_amqp *amqp)
{
    return (unsigned)strtoul(amqp->version, NULL, 10);
}
