/* Can RabbitMQ be used: login, queues and their type, rights to publish. */
#include "broker/topology.h"
#include "cli/doctor.h"
#include "loop/fiber.h"
#include "webhook/settings.h"

#define WHAT "broker"
#define PUBLISHING WHAT " publishing"
#define CONSUMING WHAT " consuming"

enum { NO_EXCHANGE = 404 }; /* not declared yet: the right was looked at before */

/* Nothing stays of it. */
static bool may_publish(struct sl_doctor *doctor, struct sl_amqp *amqp, const char *exchange,
                        const char *routing_key)
{
    struct sl_err err = {0};
    int rc = sl_topology_may_publish(amqp, exchange, routing_key, sl_deadline_in(SL_DOCTOR_WAIT_MS),
                                     &err);
    const char *blocked = sl_amqp_blocked(amqp);
    if (rc == SL_CLOSED && err.cause == NO_EXCHANGE)
        return true;
    if (rc != SL_TIMEOUT || !blocked)
        return sl_doctor_works(doctor, rc, &err, PUBLISHING, NULL);
    sl_doctor_say(doctor, SL_DOCTOR_WARN, PUBLISHING,
                  "see to its memory and its disk, then ask again",
                  "could not be tried: RabbitMQ blocks publishing: %s", blocked);
    return false;
}

/* Events that must wait go to their queue by its name alone. */
static bool keeps_events(const struct sl_config *config)
{
    for (size_t i = 0; i < config->feed_count; i++)
        if (config->feeds[i].source->type == &sl_webhook_config_type)
            return true;
    return false;
}

/* Bells may go to another process, which owns the source. */
static bool rings(const struct sl_config *config)
{
    for (size_t i = 0; i < config->source_count; i++)
        if (config->sources[i].type == &sl_webhook_config_type)
            return true;
    return false;
}

static void try_publishing(struct sl_doctor *doctor, struct sl_amqp *amqp,
                           const struct sl_broker_settings *settings)
{
    bool events = keeps_events(doctor->config);
    bool may = may_publish(doctor, amqp, settings->exchange, "fast.sluice.doctor");
    if (events && !sl_amqp_blocked(amqp))
        may &= may_publish(doctor, amqp, "", "sluice.doctor");
    if (rings(doctor->config) && !sl_amqp_blocked(amqp)) {
        char bells[SL_QUEUE_NAME_MAX];
        sl_topology_queue(settings, "bells", bells);
        may &= may_publish(doctor, amqp, bells, "");
    }
    if (may)
        sl_doctor_say(doctor, SL_DOCTOR_OK, PUBLISHING, NULL,
                      "the user may write to exchange '%s'%s", settings->exchange,
                      events ? " and, for events, to 'amq.default'" : "");
}

static bool may_consume(struct sl_doctor *doctor, struct sl_amqp *amqp, const char *queue)
{
    struct sl_err err = {0};
    int rc = sl_topology_may_consume(amqp, queue, sl_deadline_in(SL_DOCTOR_WAIT_MS), &err);
    return sl_doctor_works(doctor, rc, &err, CONSUMING, NULL);
}

/* Where the queues are there already, nothing before a run has needed the right. */
static void try_consuming(struct sl_doctor *doctor, struct sl_amqp *amqp,
                          const struct sl_broker_settings *settings)
{
    static const char *const lanes[] = {"fast", "bulk"};
    const struct sl_config *config = doctor->config;
    char queue[SL_QUEUE_NAME_MAX], later[SL_QUEUE_NAME_MAX];
    bool may = true;
    for (unsigned i = 0; i < 2 && sl_config_applies(config); i++) {
        sl_topology_queue(settings, lanes[i], queue);
        may &= may_consume(doctor, amqp, queue);
    }
    for (size_t i = 0; i < config->source_count; i++)
        if (sl_config_ingests(config) && config->sources[i].type == &sl_webhook_config_type) {
            sl_topology_events(settings, config->sources[i].name, queue, later);
            may &= may_consume(doctor, amqp, queue);
        }
    if (may)
        sl_doctor_say(doctor, SL_DOCTOR_OK, CONSUMING, NULL, "the user may read the queues");
}

static void examine(struct sl_doctor *doctor, const struct sl_broker *broker, struct sl_amqp *amqp)
{
    const struct sl_broker_settings *settings = broker->settings;
    uint64_t deadline_ms = sl_deadline_in(SL_DOCTOR_WAIT_MS);
    struct sl_err err = {0};
    int rc = sl_amqp_connect(amqp, deadline_ms, &err);
    if (!sl_doctor_works(doctor, rc, &err, WHAT, "is it running, and is broker.url right?"))
        return;
    sl_doctor_say(doctor, SL_DOCTOR_OK, WHAT, NULL, "RabbitMQ %s at %s:%u, vhost '%s'%s",
                  sl_amqp_server_version(amqp), broker->address.host, broker->address.port,
                  broker->address.vhost, broker->tls ? ", TLS" : "");
    rc = sl_topology_declare(amqp, settings, deadline_ms, &err);
    if (sl_doctor_works(doctor, rc, &err, WHAT " queues", NULL)) {
        sl_doctor_say(doctor, SL_DOCTOR_OK, WHAT " queues", NULL,
                      "%s.fast, %s.bulk and %s.unreadable are there, of type %s",
                      settings->exchange, settings->exchange, settings->exchange,
                      settings->queue_type == SL_QUEUE_CLASSIC ? "classic" : "quorum");
        try_publishing(doctor, amqp, settings);
        try_consuming(doctor, amqp, settings);
    }
    sl_amqp_close(amqp, deadline_ms);
}

void sl_doctor_broker(struct sl_doctor *doctor)
{
    struct sl_err err = {0};
    struct sl_broker *broker = sl_broker_new(&doctor->settings->broker, &err);
    if (!broker) {
        sl_doctor_works(doctor, SL_CONFIG, &err, WHAT, NULL);
        return;
    }
    struct sl_amqp *amqp = sl_broker_amqp(broker, "sluice doctor");
    examine(doctor, broker, amqp);
    sl_amqp_free(amqp);
    sl_broker_free(broker);
}
