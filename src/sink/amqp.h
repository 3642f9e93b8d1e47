/* The sink that publishes batches to RabbitMQ: one connection, shared by all feeds of the process.
 * It connects when the first batch comes and again whenever the connection was lost.
 *
 * A queue that is full (broker.max_backlog) and a broker that blocks publishing are backpressure,
 * not failures: write waits for their end however long it takes (see sl_sink_amqp_limit_wait); its
 * deadline counts from then on. */
#ifndef SL_SINK_AMQP_H
#define SL_SINK_AMQP_H

#include "broker/settings.h"
#include "flow/sink.h"

/* Each batch leaves with the place that its rows go to: the collection that route tells, in
 * database. All of these must outlive the sink. Close it from a fiber, when no write is under way.
 */
struct sl_sink *sl_sink_amqp_new(const struct sl_broker *broker, const char *database,
                                 sl_route_fn *route, const void *context);

/* From now on a write waits no longer for room in a full queue; then it fails with SL_THROTTLED. */
void sl_sink_amqp_limit_wait(struct sl_sink *sink, uint64_t wait_ms);

/* NULL when publishing works or has not been tried, else what is wrong, for /readyz. Valid until
 * the fiber suspends. */
const char *sl_sink_amqp_trouble(const struct sl_sink *sink);

/* The name of a queue that had no room when last asked about; NULL: none. */
const char *sl_sink_amqp_full(const struct sl_sink *sink);

#endif
