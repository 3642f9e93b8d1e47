/* A client of the fake broker, and how each script begins: to log in, to open a channel, to
 * consume. */
#ifndef FAKE_CLIENT_H
#define FAKE_CLIENT_H

#include "base/metric.h"
#include "broker/amqp.h"
#include "broker/fake_broker.h"
#include "loop/dns.h"
#include "loop/fiber.h"

enum { BODY_MAX = 1000 };

#define START                                                                                      \
    METHOD(0, "\0\x0A\0\x0A\0\x09\0\0\0\x0F\x07version"                                            \
              "S\0\0\0\x02"                                                                        \
              "9a\0\0\0\x05PLAIN\0\0\0\x05"                                                        \
              "en_US")
#define TUNE METHOD(0, "\0\x0A\0\x1E\0\0\0\x02\0\0\0\0")
#define START_OK WAIT(0x000A000B)
#define OPEN WAIT(0x000A0028)
#define OPEN_OK METHOD(0, "\0\x0A\0\x29\0")
#define CHANNEL_OPEN WAIT(0x0014000A)
#define CHANNEL_OPEN_OK METHOD(1, "\0\x14\0\x0B\0\0\0\0")
#define CONSUME WAIT(0x003C0014)
#define CONSUME_OK METHOD(1, "\0\x3C\0\x15\x06sluice")

static const struct step log_in[] = {START, START_OK, TUNE, OPEN, OPEN_OK, {0}};
static const struct step open_channel[] = {CHANNEL_OPEN, CHANNEL_OPEN_OK, {0}};
static const struct step consuming[] = {CONSUME, CONSUME_OK, {0}};

/* Not connected yet; one at a time. */
static inline struct sl_amqp *fake_client(const struct fake_broker *broker, bool by_certificate)
{
    static struct sl_amqp_address address;
    address = (struct sl_amqp_address){.host = (char *)"127.0.0.1",
                                       .port = broker->port,
                                       .user = (char *)"guest",
                                       .password = (char *)"hunter2",
                                       .vhost = (char *)"/"};
    const struct sl_amqp_options options = {
        .address = &address, .by_certificate = by_certificate, .max_body_bytes = BODY_MAX};
    return sl_amqp_new(&options);
}

/* A teardown of the group. */
static inline int fake_clients_end(void **state)
{
    (void)state;
    sl_dns_close();
    sl_metric_free_all();
    return sl_loop_close();
}

#endif
