/* The `broker` section of the configuration, and what follows from it: where to connect and how. */
#ifndef SL_BROKER_SETTINGS_H
#define SL_BROKER_SETTINGS_H

#include "base/err.h"
#include "base/setting.h"
#include "broker/amqp.h"
#include "loop/tls.h"

enum sl_queue_type { SL_QUEUE_QUORUM, SL_QUEUE_CLASSIC };

struct sl_broker_tls_settings {
    char *ca_file;
    char *certificate;
    char *key;
};

struct sl_broker_settings {
    char *url;      /* secret: holds the password */
    char *exchange; /* also the prefix of the queues' names */
    int queue_type; /* enum sl_queue_type */
    int content;    /* 0 json, 1 bson: the values of enum sl_content */
    int64_t window; /* messages published and not yet confirmed, at most */
    uint64_t window_bytes;
    int64_t max_backlog; /* messages waiting in a queue above which publishing pauses */
    uint64_t heartbeat_ms;
    uint64_t connect_timeout_ms;
    uint64_t consumer_timeout_ms; /* the broker's own setting: how long a delivery may be held */
    uint64_t max_message_bytes;   /* a larger message cannot be read */
    struct sl_broker_tls_settings tls;
};

/* Ended by a NULL name. */
extern const struct sl_setting sl_broker_table[];

/* The parsed form, shared by all connections of the process. */
struct sl_broker {
    const struct sl_broker_settings *settings; /* borrowed, lives longer */
    struct sl_amqp_address address;
    struct sl_tls *tls; /* NULL: amqp:// */
};

/* Parses the URL and loads the TLS files. NULL with SL_CONFIG (no password in the message). */
struct sl_broker *sl_broker_new(const struct sl_broker_settings *settings, struct sl_err *err);
void sl_broker_free(struct sl_broker *broker);

/* A connection, not yet connected; name is shown in RabbitMQ's own pages. broker must outlive it.
 */
struct sl_amqp *sl_broker_amqp(const struct sl_broker *broker, const char *name);

/* How long to wait before try number `failures` (1 = after the first failure): 0.5 s doubling to
 * 10 s, of which a random half is taken off so that processes do not come back in step. */
uint64_t sl_broker_backoff_ms(unsigned failures);

#endif
