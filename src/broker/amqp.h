/* A client for AMQP 0-9-1 as RabbitMQ speaks it, on the loop: one connection with channels on it.
 * librabbitmq only encodes and decodes; frames, handshake, heartbeats, confirms are here.
 *
 * A connection that broke is not repaired: its calls fail with SL_CLOSED, its owner frees the
 * channels and connects again. Callbacks run on the loop, outside every fiber; they must not
 * suspend and must not free the connection.
 *
 * Protocol: AMQP 0-9-1 specification, and RabbitMQ's extensions (confirms, basic.nack,
 * connection.blocked, consumer cancel notification). */
#ifndef SL_BROKER_AMQP_H
#define SL_BROKER_AMQP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "loop/tls.h"

struct sl_amqp;
struct sl_channel;

/* ---- address ---- */

struct sl_amqp_address {
    char *host;
    uint16_t port;
    char *user, *password; /* percent-decoded */
    char *vhost;           /* the URL's path, percent-decoded; "/" when there is none */
    bool tls;
    bool anonymous; /* the URL names no user: user and password are guest's */
};

/* Reads amqp://user:password@host:port/vhost (or amqps). SL_CONFIG; the message never holds any of
 * the URL but its scheme. */
int sl_amqp_address_parse(const char *url, struct sl_amqp_address *ret, struct sl_err *err);
void sl_amqp_address_done(struct sl_amqp_address *address);

/* ---- connection ---- */

struct sl_amqp_options {
    const struct sl_amqp_address *address; /* lives as long as the connection */
    struct sl_tls *tls;                    /* NULL: plain TCP; else lives as long */
    bool by_certificate;   /* logs in as whom the certificate names (EXTERNAL), not by password */
    uint64_t heartbeat_ms; /* asked for; the server may want it shorter. 0: none */
    const char *name;      /* copied */
    size_t max_body_bytes; /* larger messages are received without their body */
};

struct sl_amqp *sl_amqp_new(const struct sl_amqp_options *options);

/* Closes at once. Channels must have been freed. NULL is fine. */
void sl_amqp_free(struct sl_amqp *amqp);

/* Connects and logs in; may be called again after the connection was lost. Suspends. Fails with
 * SL_CLOSED (unreachable, refused, no AMQP), SL_CONFIG (login or vhost refused, either side's
 * certificate not accepted),
 * SL_TIMEOUT, SL_CANCELED. */
int sl_amqp_connect(struct sl_amqp *amqp, uint64_t deadline_ms, struct sl_err *err);

/* Ends the connection in order: what was written before (acks) has been processed by the server
 * when this returns before deadline_ms. Suspends; does not fail. All channels are closed. */
void sl_amqp_close(struct sl_amqp *amqp, uint64_t deadline_ms);

/* The server's reason while it does not read what we publish (an alarm), else NULL. */
const char *sl_amqp_blocked(const struct sl_amqp *amqp);

/* Suspends while the connection is open and blocked. SL_OK, SL_TIMEOUT or SL_CANCELED. */
int sl_amqp_wait_unblocked(struct sl_amqp *amqp, uint64_t deadline_ms);

/* "3.10.8" and 3; "" and 0 before the first connect. */
const char *sl_amqp_server_version(const struct sl_amqp *amqp);
unsigned sl_amqp_server_major(const struct sl_amqp *amqp);

/* ---- channels ---- */

/* Headers that travel with a message; names and texts are borrowed, ended by a NULL name. */
struct sl_amqp_header {
    const char *name; /* at most 128 bytes */
    const char *text;
};

/* A message that was delivered. Everything but body is borrowed for the callback. */
struct sl_amqp_delivery {
    uint64_t tag;
    bool redelivered;
    bool oversize;    /* larger than max_body_bytes: body is NULL */
    uint64_t returns; /* how often it came back, as a quorum queue counts it for its limit */
    struct sl_str exchange, routing_key, content_type, message_id;
    char *body; /* the callback takes it (free) */
    size_t size;
};

struct sl_channel_handler {
    void (*on_delivery)(void *ctx, const struct sl_amqp_delivery *delivery);
    /* The server ended the consumer: its queue was deleted or lost its leader. */
    void (*on_cancel)(void *ctx);
    /* The channel or its connection is gone, not by sl_channel_free; all tags are void. */
    void (*on_close)(void *ctx, const struct sl_err *err);
};

/* Opens a channel. handler (may be NULL) and ctx live as long as the channel. Suspends.
 * Fails with SL_CLOSED, SL_TIMEOUT, SL_CANCELED. */
int sl_channel_open(struct sl_amqp *amqp, const struct sl_channel_handler *handler, void *ctx,
                    uint64_t deadline_ms, struct sl_channel **ret, struct sl_err *err);

/* Closes the channel without waiting and frees it; fibers that wait on it get SL_CLOSED. The server
 * requeues what was not acknowledged. NULL is fine. */
void sl_channel_free(struct sl_channel *channel);
bool sl_channel_is_open(const struct sl_channel *channel);

/* Calls that the server answers. All suspend and fail with SL_TIMEOUT, SL_CANCELED, or SL_CLOSED;
 * when the server closed the channel because of the call, err->cause is its reply code (404 not
 * found, 405 locked, 406 precondition failed) and the message its text. Where the user lacks a
 * right, SL_CONFIG (403): the message names what the call needs. */
int sl_channel_declare_exchange(struct sl_channel *channel, const char *name, const char *type,
                                uint64_t deadline_ms, struct sl_err *err); /* durable */

struct sl_queue_options {
    const char *type;                 /* x-queue-type: "quorum", "classic" */
    const char *dead_letter_exchange; /* NULL: none */
    const char *dead_letter_key;      /* routing key of what goes there; NULL: the message's own */
    bool dead_letter_surely;          /* … at least once: of a quorum queue alone */
    int32_t ttl_ms;                   /* what is older goes there; 0: nothing grows old */
    bool no_delivery_limit;           /* x-delivery-limit -1: only for broker 4.0 and later */
    bool fleeting;                    /* this connection's alone, and gone with it; else durable */
};
int sl_channel_declare_queue(struct sl_channel *channel, const char *name,
                             const struct sl_queue_options *options, uint64_t deadline_ms,
                             struct sl_err *err);
int sl_channel_bind(struct sl_channel *channel, const char *queue, const char *exchange,
                    const char *routing_key, uint64_t deadline_ms, struct sl_err *err);

struct sl_queue_state {
    uint32_t messages; /* ready, not those delivered and unacknowledged */
    uint32_t consumers;
};
/* SL_NOTFOUND when there is no such queue (the channel is closed then). */
int sl_channel_queue_state(struct sl_channel *channel, const char *queue, uint64_t deadline_ms,
                           struct sl_queue_state *ret, struct sl_err *err);

/* ---- publishing ---- */

/* Turns confirms on and sets the window: how much may be unconfirmed. A message larger than
 * window_bytes travels alone. */
int sl_channel_confirm(struct sl_channel *channel, unsigned window, size_t window_bytes,
                       uint64_t deadline_ms, struct sl_err *err);

struct sl_publish {
    const char *exchange, *routing_key;
    const char *content_type, *message_id;
    const struct sl_amqp_header *headers; /* NULL: none */
    struct sl_str body;                   /* borrowed and not copied */
};

/* Publishes persistent and mandatory, and waits for the confirm. Suspends: while the connection is
 * blocked or the window is full, then until the server has answered. Many fibers at once; messages
 * leave in the order of the calls. SL_OK: the broker is responsible for it. SL_NOTFOUND: no queue
 * wanted it. SL_CLOSED: connection lost or refused by the broker (it may or may not have arrived).
 * SL_REJECTED: cannot be put into AMQP (a name too long). SL_CONFIG: the user may not.
 * SL_TIMEOUT, SL_CANCELED: unknown. */
int sl_channel_publish(struct sl_channel *channel, const struct sl_publish *message,
                       uint64_t deadline_ms, struct sl_err *err);

/* Publishes for whoever listens right now, on a channel without confirms: neither persistent nor
 * mandatory. Queued, never suspends; body is copied. False: dropped, because the channel is closed
 * or the connection blocked. */
bool sl_channel_cast(struct sl_channel *channel, const char *exchange, const char *routing_key,
                     struct sl_str body);

/* For on_close of a channel that casts to that exchange: names the right to, where that was refused
 * (SL_CONFIG). */
void sl_channel_name_cast(struct sl_err *why, const char *exchange);

/* Publishes and takes it back, on a channel without confirms that serves nothing else: nobody is
 * given anything. Suspends and fails as the calls above that the server answers; SL_TIMEOUT also
 * while an alarm blocks the connection. */
int sl_channel_try_publish(struct sl_channel *channel, const char *exchange,
                           const char *routing_key, uint64_t deadline_ms, struct sl_err *err);

/* ---- consuming ---- */

/* Asks to consume in a way that is refused for its form, after the right was looked at: nothing is
 * delivered. The channel is closed by it. Suspends and fails as the calls above; SL_OK also where
 * there is no such queue. err must be given. */
int sl_channel_try_consume(struct sl_channel *channel, const char *queue, uint64_t deadline_ms,
                           struct sl_err *err);

/* How many deliveries may be unacknowledged (0: any number). Suspends and fails as the calls above
 * that the server answers. */
int sl_channel_qos(struct sl_channel *channel, uint16_t prefetch, uint64_t deadline_ms,
                   struct sl_err *err);

/* Starts the channel's consumer, likewise; deliveries may come before this returns. */
int sl_channel_consume(struct sl_channel *channel, const char *queue, uint64_t deadline_ms,
                       struct sl_err *err);

/* Queued, never suspend; on a closed channel they do nothing (the server requeues by itself).
 * nack with requeue false sends the message to the dead-letter exchange, if there is any queue. */
void sl_channel_ack(struct sl_channel *channel, uint64_t tag);
void sl_channel_nack(struct sl_channel *channel, uint64_t tag, bool requeue);

/* Like nack to a dead-letter exchange that has a queue of its name. When that is gone the server
 * closes the channel, and has the message still. */
void sl_channel_set_aside(struct sl_channel *channel, uint64_t tag, const char *dead_letters);

#endif
