/* The source that consumes one of sluice's queues. It has a connection of its own, kept up by a
 * fiber of its own: RabbitMQ stops reading from a connection that published during an alarm, acks
 * included, so consuming and publishing never share one. */
#ifndef SL_SOURCE_AMQP_H
#define SL_SOURCE_AMQP_H

#include "broker/settings.h"
#include "flow/source.h"

/* Consumes the lane's queue; starts the fiber. broker and credit must outlive the source.
 * batch_bytes is the usual size of a message; prefetch = credit / (2 · batch_bytes), from 2 to 64.
 * Close it from a fiber. */
struct sl_source *sl_source_amqp_new(const struct sl_broker *broker, enum sl_lane lane,
                                     struct sl_credit *credit, size_t batch_bytes);

/* NULL when it consumes (or is suspended), else what is wrong, for /readyz. Valid until the fiber
 * suspends. */
const char *sl_source_amqp_trouble(const struct sl_source *source);

#endif
