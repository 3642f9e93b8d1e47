/* Can RabbitMQ be used: login, queues and their type. */
#include "broker/topology.h"
#include "cli/doctor.h"
#include "loop/fiber.h"

#define WHAT "broker"

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
    if (sl_doctor_works(doctor, rc, &err, WHAT " queues", NULL))
        sl_doctor_say(doctor, SL_DOCTOR_OK, WHAT " queues", NULL,
                      "%s.fast, %s.bulk and %s.unreadable are there, of type %s",
                      settings->exchange, settings->exchange, settings->exchange,
                      settings->queue_type == SL_QUEUE_CLASSIC ? "classic" : "quorum");
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
