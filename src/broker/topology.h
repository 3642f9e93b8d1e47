/* The exchange and queues that sluice needs, declared again at every connect:
 *
 *   <exchange>             topic   ── fast.# ──►  queue <exchange>.fast
 *                                  ── bulk.# ──►  queue <exchange>.bulk
 *   <exchange>.unreadable  fanout  ──────────►    queue <exchange>.unreadable
 *
 * The first two dead-letter into <exchange>.unreadable. */
#ifndef SL_BROKER_TOPOLOGY_H
#define SL_BROKER_TOPOLOGY_H

#include "broker/settings.h"

/* Declares all of it on a channel of its own. Suspends. Fails with SL_CONFIG when something of that
 * name exists with other properties, or the user lacks the right; the message says which setting
 * helps. Else SL_CLOSED, SL_TIMEOUT, SL_CANCELED. */
int sl_topology_declare(struct sl_amqp *amqp, const struct sl_broker_settings *settings,
                        uint64_t deadline_ms, struct sl_err *err);

/* Connects, declares and closes: for the check at the start. SL_CONFIG: an operator must act;
 * transient codes: the broker is away. */
int sl_topology_check(const struct sl_broker *broker, uint64_t deadline_ms, struct sl_err *err);

/* "sluice.bulk": names queue `lane` ("fast", "bulk", "unreadable"). */
enum { SL_QUEUE_NAME_MAX = 256 };
void sl_topology_queue(const struct sl_broker_settings *settings, const char *lane,
                       char ret[SL_QUEUE_NAME_MAX]);

#endif
