#include "broker/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum {
    PRECONDITION_FAILED = 406,
    MAJOR_WITH_NO_LIMIT = 4,
    /* The service ends a message with all its synchronous steps after two minutes; the rest is for
     * its clean-up. */
    LATER_MS = 150 * 1000,
};

struct declaring {
    struct sl_amqp *amqp;
    struct sl_channel *channel;
    const struct sl_broker_settings *settings;
    char dead_letters[SL_QUEUE_NAME_MAX]; /* exchange and queue of that name */
    uint64_t deadline_ms;
};

void sl_topology_queue(const struct sl_broker_settings *settings, const char *lane,
                       char ret[SL_QUEUE_NAME_MAX])
{
    snprintf(ret, SL_QUEUE_NAME_MAX, "%s.%s", settings->exchange, lane);
}

void sl_topology_events(const struct sl_broker_settings *settings, const char *source,
                        char ret_events[SL_QUEUE_NAME_MAX], char ret_later[SL_QUEUE_NAME_MAX])
{
    snprintf(ret_events, SL_QUEUE_NAME_MAX, "%s.events.%s", settings->exchange, source);
    snprintf(ret_later, SL_QUEUE_NAME_MAX, "%s.later.%s", settings->exchange, source);
}

static const char *type_name(int queue_type)
{
    return queue_type == SL_QUEUE_CLASSIC ? "classic" : "quorum";
}

/* Turns RabbitMQ's refusal into what an operator can do about it. RabbitMQ's own words stay last:
 * they name the argument, what is asked for and what is there. */
static int explain(const struct declaring *d, const char *kind, const char *name,
                   struct sl_err *err)
{
    if (!err)
        return SL_CLOSED;
    if (err->code == SL_CONFIG) /* a right is missing, and named */
        return SL_CONFIG;
    int cause = err->cause;
    if (cause == PRECONDITION_FAILED && !strcmp(kind, "exchange")) {
        err->code = SL_CONFIG;
        sl_err_wrap(err,
                    "exchange '%s' exists with other properties: delete it or set "
                    "broker.exchange to another name",
                    name);
    } else if (cause == PRECONDITION_FAILED) {
        err->code = SL_CONFIG;
        bool type = strstr(err->message, "x-queue-type") != NULL;
        int other =
            d->settings->queue_type == SL_QUEUE_CLASSIC ? SL_QUEUE_QUORUM : SL_QUEUE_CLASSIC;
        if (type)
            sl_err_wrap(err,
                        "queue '%s' is not of type %s: set broker.queue_type: \"%s\" or "
                        "delete the queue",
                        name, type_name(d->settings->queue_type), type_name(other));
        else
            sl_err_wrap(err,
                        "queue '%s' exists with other arguments: delete it or set "
                        "broker.exchange to another name",
                        name);
    } else {
        sl_err_wrap(err, "cannot declare %s '%s'", kind, name);
    }
    err->cause = cause;
    return err->code;
}

static bool differs_in_limit(const struct sl_err *err)
{
    return err && err->cause == PRECONDITION_FAILED &&
           strstr(err->message, "x-delivery-limit") != NULL;
}

static int exchange(const struct declaring *d, const char *name, const char *type,
                    struct sl_err *err)
{
    int rc = sl_channel_declare_exchange(d->channel, name, type, d->deadline_ms, err);
    return rc == SL_OK ? rc : explain(d, "exchange", name, err);
}

/* Once a queue and process: each connection declares all of them. */
static void tell_limit(const struct declaring *d, const char *name, bool dead_letters)
{
    static uint64_t told[16];
    static unsigned count;
    uint64_t hash = sl_hash(name, strlen(name));
    for (unsigned i = 0; i < count; i++)
        if (told[i] == hash)
            return;
    if (count < sizeof told / sizeof *told)
        told[count++] = hash;
    sl_log(SL_WARN,
           dead_letters
               ? "queue was made by another version of RabbitMQ: a message that comes back often, "
                 "while MongoDB is away say, leaves it for the queue of the unreadable; when it is "
                 "empty, delete it, and it is made anew"
               : "queue was made by another version of RabbitMQ, and drops a message that comes "
                 "back often: sluice dead makes it anew before that; when the queue is empty, "
                 "delete it, and it is made anew",
           SL_T("queue", name), SL_T("server", sl_amqp_server_version(d->amqp)));
}

/* An answer that refuses, or says that there is no such thing, has closed the channel. */
static int open_again(struct declaring *d, struct sl_err *err)
{
    sl_channel_free(d->channel);
    d->channel = NULL;
    return sl_channel_open(d->amqp, NULL, NULL, d->deadline_ms, &d->channel, err);
}

/* A queue that another version of RabbitMQ made: messages are in it, so it is taken as it is. */
static int take_as_made(struct declaring *d, const char *name, struct sl_queue_options *options,
                        struct sl_err *err)
{
    options->no_delivery_limit = !options->no_delivery_limit;
    int rc = open_again(d, err);
    if (rc == SL_OK)
        rc = sl_channel_declare_queue(d->channel, name, options, d->deadline_ms, err);
    bool hands_on = options->dead_letter_exchange && !*options->dead_letter_exchange;
    if (rc == SL_OK && !hands_on) /* of that one nobody takes messages, to give them back */
        tell_limit(d, name, options->dead_letter_exchange != NULL);
    return rc;
}

static bool is_quorum(const struct declaring *d)
{
    return d->settings->queue_type == SL_QUEUE_QUORUM;
}

/* A durable one, of the configured type. */
static int durable_queue(struct declaring *d, const char *name, struct sl_queue_options options,
                         struct sl_err *err)
{
    options.type = type_name(d->settings->queue_type);
    /* From 4.0 quorum queues drop a message at the 20th return unless told otherwise; before, -1
     * would drop it at the first. */
    options.no_delivery_limit =
        is_quorum(d) && sl_amqp_server_major(d->amqp) >= MAJOR_WITH_NO_LIMIT;
    int rc = sl_channel_declare_queue(d->channel, name, &options, d->deadline_ms, err);
    if (rc != SL_OK && is_quorum(d) && differs_in_limit(err))
        rc = take_as_made(d, name, &options, err);
    return rc == SL_OK ? rc : explain(d, "queue", name, err);
}

/* bound_to NULL: reached by its name alone. */
static int queue(struct declaring *d, const char *name, const char *dead_letter_exchange,
                 const char *bound_to, const char *routing_key, struct sl_err *err)
{
    const struct sl_queue_options options = {.dead_letter_exchange = dead_letter_exchange};
    int rc = durable_queue(d, name, options, err);
    if (rc != SL_OK || !bound_to)
        return rc;
    rc = sl_channel_bind(d->channel, name, bound_to, routing_key, d->deadline_ms, err);
    return rc == SL_OK ? rc : explain(d, "queue", name, err);
}

/* What is put there goes to queue `then` by itself, after a while. */
static int later_queue(struct declaring *d, const char *name, const char *then, struct sl_err *err)
{
    const struct sl_queue_options options = {.dead_letter_exchange = "",
                                             .dead_letter_key = then,
                                             .dead_letter_surely = is_quorum(d),
                                             .ttl_ms = LATER_MS};
    return durable_queue(d, name, options, err);
}

/* A new name each time: the queue of a connection that was cut off may still be locked. */
static int fleeting_queue(const struct declaring *d, const char *exchange_name,
                          char ret[SL_QUEUE_NAME_MAX], struct sl_err *err)
{
    const struct sl_queue_options options = {.fleeting = true};
    uint64_t random[2];
    arc4random_buf(random, sizeof random);
    snprintf(ret, SL_QUEUE_NAME_MAX, "%.200s.%016" PRIx64 "%016" PRIx64, exchange_name, random[0],
             random[1]);
    int rc = sl_channel_declare_queue(d->channel, ret, &options, d->deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_channel_bind(d->channel, ret, exchange_name, "", d->deadline_ms, err);
    return rc == SL_OK ? rc : explain(d, "queue", ret, err);
}

static int declare_all(struct declaring *d, struct sl_err *err)
{
    const char *topic = d->settings->exchange;
    char name[SL_QUEUE_NAME_MAX];
    int rc = exchange(d, topic, "topic", err);
    if (rc == SL_OK)
        rc = exchange(d, d->dead_letters, "fanout", err);
    if (rc == SL_OK)
        rc = queue(d, d->dead_letters, NULL, d->dead_letters, "", err);

    static const char *const lanes[] = {"fast", "bulk"};
    for (unsigned i = 0; i < 2 && rc == SL_OK; i++) {
        char routing_key[16];
        snprintf(routing_key, sizeof routing_key, "%s.#", lanes[i]);
        sl_topology_queue(d->settings, lanes[i], name);
        rc = queue(d, name, d->dead_letters, topic, routing_key, err);
    }
    return rc;
}

static int begin(struct declaring *d, struct sl_amqp *amqp,
                 const struct sl_broker_settings *settings, uint64_t deadline_ms,
                 struct sl_err *err)
{
    *d = (struct declaring){.amqp = amqp, .settings = settings, .deadline_ms = deadline_ms};
    sl_topology_queue(settings, "unreadable", d->dead_letters);
    return sl_channel_open(amqp, NULL, NULL, deadline_ms, &d->channel, err);
}

int sl_topology_declare(struct sl_amqp *amqp, const struct sl_broker_settings *settings,
                        uint64_t deadline_ms, struct sl_err *err)
{
    struct sl_err own; /* explain needs one */
    if (!err)
        err = &own;
    struct declaring d;
    int rc = begin(&d, amqp, settings, deadline_ms, err);
    if (rc != SL_OK)
        return rc;
    rc = declare_all(&d, err);
    sl_channel_free(d.channel);
    return rc;
}

/* Whether there is no such queue, or its node is away: then it cannot be made, either. */
static int look_for(struct declaring *d, const char *name, bool *ret_missing, struct sl_err *err)
{
    struct sl_queue_state queue;
    int rc = sl_channel_queue_state(d->channel, name, d->deadline_ms, &queue, err);
    if (rc != SL_NOTFOUND)
        return rc;
    *ret_missing = true;
    return open_again(d, err);
}

int sl_topology_declare_events(struct sl_amqp *amqp, const struct sl_broker_settings *settings,
                               const char *source, bool *ret_made, uint64_t deadline_ms,
                               struct sl_err *err)
{
    struct declaring d;
    char events[SL_QUEUE_NAME_MAX], later[SL_QUEUE_NAME_MAX];
    sl_topology_events(settings, source, events, later);
    int rc = begin(&d, amqp, settings, deadline_ms, err);
    if (rc != SL_OK)
        return rc;
    bool no_events = false, no_later = false;
    rc = declare_all(&d, err);
    if (rc == SL_OK)
        rc = look_for(&d, events, &no_events, err);
    if (rc == SL_OK)
        rc = look_for(&d, later, &no_later, err);
    if (rc == SL_OK)
        rc = queue(&d, events, d.dead_letters, NULL, NULL, err);
    *ret_made |= rc == SL_OK && no_events;
    if (rc == SL_OK)
        rc = later_queue(&d, later, events, err);
    *ret_made |= rc == SL_OK && no_later;
    sl_channel_free(d.channel);
    return rc;
}

int sl_topology_declare_bells(struct sl_amqp *amqp, const struct sl_broker_settings *settings,
                              char ret_exchange[SL_QUEUE_NAME_MAX],
                              char ret_queue[SL_QUEUE_NAME_MAX], uint64_t deadline_ms,
                              struct sl_err *err)
{
    struct declaring d;
    sl_topology_queue(settings, "bells", ret_exchange);
    int rc = begin(&d, amqp, settings, deadline_ms, err);
    if (rc != SL_OK)
        return rc;
    rc = exchange(&d, ret_exchange, "fanout", err);
    if (rc == SL_OK)
        rc = fleeting_queue(&d, ret_exchange, ret_queue, err);
    sl_channel_free(d.channel);
    return rc;
}

int sl_topology_may_publish(struct sl_amqp *amqp, const char *exchange, const char *routing_key,
                            uint64_t deadline_ms, struct sl_err *err)
{
    struct sl_channel *channel;
    int rc = sl_channel_open(amqp, NULL, NULL, deadline_ms, &channel, err);
    if (rc != SL_OK)
        return rc;
    rc = sl_channel_try_publish(channel, exchange, routing_key, deadline_ms, err);
    sl_channel_free(channel);
    return rc;
}

int sl_topology_may_consume(struct sl_amqp *amqp, const char *queue, uint64_t deadline_ms,
                            struct sl_err *err)
{
    struct sl_channel *channel;
    int rc = sl_channel_open(amqp, NULL, NULL, deadline_ms, &channel, err);
    if (rc != SL_OK)
        return rc;
    rc = sl_channel_try_consume(channel, queue, deadline_ms, err);
    sl_channel_free(channel);
    return rc;
}

void sl_topology_set_aside(const struct sl_broker_settings *settings, struct sl_channel *channel,
                           uint64_t tag)
{
    char dead_letters[SL_QUEUE_NAME_MAX];
    sl_topology_queue(settings, "unreadable", dead_letters);
    sl_channel_set_aside(channel, tag, dead_letters);
}

int sl_topology_check(const struct sl_broker *broker, uint64_t deadline_ms, struct sl_err *err)
{
    struct sl_amqp *amqp = sl_broker_amqp(broker, "sluice check");
    int rc = sl_amqp_connect(amqp, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_topology_declare(amqp, broker->settings, deadline_ms, err);
    sl_amqp_close(amqp, deadline_ms);
    sl_amqp_free(amqp);
    return rc;
}
