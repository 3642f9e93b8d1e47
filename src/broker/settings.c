#include "broker/settings.h"

#include <stdlib.h>

#include "base/backoff.h"
#include "base/mem.h"

enum { BACKOFF_MIN_MS = 500, BACKOFF_MAX_MS = 10000 };

static const char *const queue_types[] = {"quorum", "classic", NULL};
static const char *const contents[] = {"json", "bson", NULL};

#define AT(field) offsetof(struct sl_broker_tls_settings, field)
static const struct sl_setting tls_table[] = {
    {.name = "ca_file",
     .kind = SL_SET_TEXT,
     .offset = AT(ca_file),
     .help = "PEM file of the CAs that may sign the broker's certificate; default: the system's"},
    {.name = "certificate",
     .kind = SL_SET_TEXT,
     .offset = AT(certificate),
     .help =
         "PEM file of the certificate that sluice shows to the broker; it is the login too when "
         "url names no user"},
    {.name = "key",
     .kind = SL_SET_TEXT,
     .offset = AT(key),
     .help = "PEM file of that certificate's key, not encrypted"},
    {0  },
};
#undef AT

#define AT(field) offsetof(struct sl_broker_settings, field)
const struct sl_setting sl_broker_table[] = {
    {.name = "url",
     .kind = SL_SET_URL,
     .offset = AT(url),
     .required = true,
     .choices = (const char *const[]){"amqp", "amqps", NULL},
     .help = "RabbitMQ: amqp:// or amqps://user:password@host:port/vhost; the path is the vhost; "
             "each address of the host is tried"},
    {.name = "exchange",
     .kind = SL_SET_TEXT,
     .offset = AT(exchange),
     .fallback = "sluice",
     .help = "topic exchange to publish to, and the prefix of the queues' names"},
    {.name = "queue_type",
     .kind = SL_SET_CHOICE,
     .offset = AT(queue_type),
     .fallback = "quorum",
     .choices = queue_types,
     .help = "type of the queues; quorum survives the loss of a broker node"},
    {.name = "content",
     .kind = SL_SET_CHOICE,
     .offset = AT(content),
     .fallback = "json",
     .choices = contents,
     .help = "form of the messages: json for any consumer, bson for the least CPU"},
    {.name = "window",
     .kind = SL_SET_INT,
     .offset = AT(window),
     .fallback = "64",
     .minimum = 1,
     .maximum = 65535,
     .help = "messages published and not yet confirmed, at most"},
    {.name = "window_bytes",
     .kind = SL_SET_SIZE,
     .offset = AT(window_bytes),
     .fallback = "16MiB",
     .minimum = 1,
     .maximum = INT64_MAX,
     .help = "bytes published and not yet confirmed, at most (a larger message goes alone)"},
    {.name = "max_backlog",
     .kind = SL_SET_INT,
     .offset = AT(max_backlog),
     .fallback = "64",
     .minimum = 1,
     .maximum = INT32_MAX,
     .help = "messages waiting in a queue above which publishing to it pauses"},
    {.name = "heartbeat",
     .kind = SL_SET_DURATION,
     .offset = AT(heartbeat_ms),
     .fallback = "30s",
     .minimum = 0,
     .maximum = SL_HOUR_MS,
     .help = "heartbeat interval asked of the broker; silence of two intervals ends a connection"},
    {.name = "connect_timeout",
     .kind = SL_SET_DURATION,
     .offset = AT(connect_timeout_ms),
     .fallback = "10s",
     .minimum = 100,
     .maximum = 10 * SL_MINUTE_MS,
     .help = "time for connecting, login and declaring the queues"},
    {.name = "consumer_timeout",
     .kind = SL_SET_DURATION,
     .offset = AT(consumer_timeout_ms),
     .fallback = "30m",
     .minimum = SL_SECOND_MS,
     .maximum = 30 * SL_DAY_MS,
     .help = "the broker's own consumer_timeout; deliveries are handed back before half of it"},
    {.name = "max_message",
     .kind = SL_SET_SIZE,
     .offset = AT(max_message_bytes),
     .fallback = "64MiB",
     .minimum = SL_KIB,
     .maximum = 512 * SL_MIB,
     .help = "larger messages are not read but sent to the unreadable queue"},
    {.name = "tls",
     .kind = SL_SET_SECTION,
     .offset = AT(tls),
     .section = tls_table,
     .help = "TLS of amqps:// connections"},
    {0                                                    },
};
#undef AT

/* Somebody who names files believes that the connection is protected. */
static bool has_tls_files(const struct sl_broker_tls_settings *tls)
{
    return tls->ca_file || tls->certificate || tls->key;
}

struct sl_broker *sl_broker_new(const struct sl_broker_settings *settings, struct sl_err *err)
{
    struct sl_broker *broker = SL_NEW(struct sl_broker);
    broker->settings = settings;
    if (sl_amqp_address_parse(settings->url, &broker->address, err) != SL_OK) {
        free(broker);
        return NULL;
    }
    if (!broker->address.tls) {
        if (!has_tls_files(&settings->tls))
            return broker;
        sl_err_set(err, SL_CONFIG, "broker.tls needs a broker.url that begins with amqps://");
        sl_broker_free(broker);
        return NULL;
    }
    struct sl_tls_options options = {.ca_file = settings->tls.ca_file,
                                     .certificate = settings->tls.certificate,
                                     .key = settings->tls.key};
    broker->tls = sl_tls_new(&options, err);
    if (broker->tls)
        return broker;
    sl_err_wrap(err, "broker.tls");
    sl_broker_free(broker);
    return NULL;
}

void sl_broker_free(struct sl_broker *broker)
{
    if (!broker)
        return;
    sl_amqp_address_done(&broker->address);
    sl_tls_free(broker->tls);
    free(broker);
}

struct sl_amqp *sl_broker_amqp(const struct sl_broker *broker, const char *name)
{
    struct sl_amqp_options options = {
        .address = &broker->address,
        .tls = broker->tls,
        .by_certificate = broker->tls && sl_tls_subject(broker->tls) && broker->address.anonymous,
        .heartbeat_ms = broker->settings->heartbeat_ms,
        .name = name,
        .max_body_bytes = (size_t)broker->settings->max_message_bytes,
    };
    return sl_amqp_new(&options);
}

uint64_t sl_broker_backoff_ms(unsigned failures)
{
    uint32_t full_ms = (uint32_t)sl_backoff_after(failures, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
    return full_ms / 2 + arc4random_uniform(full_ms / 2 + 1);
}
