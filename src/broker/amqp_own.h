/* Inside of a connection and its channels, shared by the files of broker/. What arrives goes this
 * way; calls.c and publish.c write.
 *
 *   frames ─► amqp.c ─┬─ channel 0 ─► handshake.c
 *                     └─ others ───► channel.c ─┬─ replies ───► the waiting call
 *                                               ├─ confirms ──► publish.c
 *                                               └─ content ───► content.c ─► delivery or return */
#ifndef SL_BROKER_AMQP_OWN_H
#define SL_BROKER_AMQP_OWN_H

#include <uv.h>

#include "base/metric.h"
#include "broker/amqp.h"
#include "broker/codec.h"
#include "loop/fiber.h"

enum { SL_CHANNELS_MAX = 15, SL_SHORT_MAX = 255 };

enum sl_amqp_state {
    SL_AMQP_CLOSED,
    SL_AMQP_CONNECTING, /* TCP and TLS */
    SL_AMQP_STARTING,   /* header sent, connection.start awaited */
    SL_AMQP_LOGIN,      /* start-ok sent, connection.tune awaited */
    SL_AMQP_OPENING,    /* open sent, open-ok awaited */
    SL_AMQP_OPEN,
    SL_AMQP_CLOSING, /* close sent, close-ok awaited; everything else is ignored */
};

struct sl_amqp {
    struct sl_amqp_options options;
    enum sl_amqp_state state;
    struct sl_stream *stream; /* NULL while closed or connecting */
    size_t turn;              /* of the host's addresses: the next one after a failure */
    struct sl_frame_reader reader;
    struct sl_codec codec;
    size_t frame_max;
    uint64_t heartbeat_ms; /* agreed; 0: none */
    uv_timer_t *tick;      /* twice a heartbeat interval */
    unsigned silent_ticks; /* since the last byte from the server */
    struct sl_waitlist changed;
    struct sl_err why;
    bool blocked;
    struct sl_metric *blocked_metric;
    char blocked_reason[SL_SHORT_MAX + 1];
    char version[32];
    uint16_t channel_max;
    struct sl_channel *channels[SL_CHANNELS_MAX + 1]; /* by number; 0 is not used */
};

/* A call that awaits the server's reply. On the heap, because the reply still comes when the caller
 * has given up. */
struct sl_rpc {
    struct sl_rpc *next;
    amqp_method_number_t reply;
    struct sl_queue_state queue; /* from queue.declare-ok */
    bool done, abandoned;
    struct sl_err err;
    struct sl_waitlist waiting;
};

enum sl_content_state { SL_CONTENT_NONE, SL_CONTENT_HEAD_NEXT, SL_CONTENT_BODY_NEXT };

struct sl_short {
    uint8_t length;
    char text[SL_SHORT_MAX + 1];
};

/* The message that is being received. */
struct sl_content_in {
    enum sl_content_state state;
    bool returned; /* basic.return, else basic.deliver */
    bool redelivered, oversize;
    uint64_t tag, size, received, returns;
    struct sl_short exchange, routing_key, content_type, message_id, reply_text;
    char *body;
};

enum sl_channel_state {
    SL_CHANNEL_OPENING,
    SL_CHANNEL_OPEN,
    SL_CHANNEL_CLOSING, /* freed by its owner; close-ok awaited */
    SL_CHANNEL_CLOSED,
};

struct sl_sending; /* publish.c: one message on its way */

struct sl_confirm_slot {
    struct sl_sending *sending; /* NULL: its publisher gave up */
    size_t bytes;
    bool done;
};

struct sl_channel {
    struct sl_amqp *amqp; /* NULL when the connection was freed */
    uint16_t number;
    enum sl_channel_state state;
    const struct sl_channel_handler *handler;
    void *ctx;
    struct sl_err why;
    struct sl_rpc *first_rpc, *last_rpc;
    struct sl_content_in in;

    struct sl_sending *first_queued, *last_queued; /* wait for room in the window */
    struct sl_confirm_slot *slots;                 /* by tag % window; NULL: no confirms */
    unsigned window;
    size_t window_bytes, unconfirmed_bytes;
    uint64_t low_tag, next_tag; /* low: the oldest unconfirmed */
};

/* amqp.c: notes it, and shows it as a metric. */
void sl_amqp_set_blocked(struct sl_amqp *amqp, bool blocked);

/* handshake.c: a method on channel 0. */
int sl_amqp_handshake(struct sl_amqp *amqp, const struct sl_method *method, struct sl_err *err);

/* handshake.c: fills err with a server's close: its code as cause, its text in the message. */
int sl_amqp_server_said(struct sl_err *err, enum sl_code code, const char *what,
                        uint16_t reply_code, amqp_bytes_t reply_text);

/* channel.c */
int sl_channel_frame(struct sl_channel *channel, const struct sl_frame *frame, struct sl_err *err);
void sl_channel_lost(struct sl_channel *channel, const struct sl_err *why);

/* Sends a method and waits for its reply; ret_queue may be NULL. */
int sl_channel_call(struct sl_channel *channel, amqp_method_number_t id, void *decoded,
                    amqp_method_number_t reply, uint64_t deadline_ms,
                    struct sl_queue_state *ret_queue, struct sl_err *err);

/* calls.c: names the right that a refused method needs, which RabbitMQ's text does not; SL_CONFIG.
 * What failed otherwise stays as it is. */
int sl_amqp_name_right(int rc, struct sl_err *err, const char *right, ...)
    __attribute__((format(printf, 3, 4)));

/* The default exchange as rights name it, which is published to as "". */
static inline const char *sl_exchange_name(const char *exchange)
{
    return *exchange ? exchange : "amq.default";
}

/* Copies at most SL_SHORT_MAX bytes, ended by NUL. */
void sl_short_set(struct sl_short *ret, amqp_bytes_t bytes);

/* content.c */
int sl_content_begin(struct sl_channel *channel, const struct sl_method *method,
                     struct sl_err *err);
int sl_content_frame(struct sl_channel *channel, const struct sl_frame *frame, struct sl_err *err);

/* publish.c */
void sl_publish_pump(struct sl_channel *channel);
int sl_publish_confirmed(struct sl_channel *channel, uint64_t tag, bool multiple, bool refused,
                         struct sl_err *err);
void sl_publish_returned(struct sl_channel *channel, const struct sl_content_in *in);
void sl_publish_lost(struct sl_channel *channel);

#endif
