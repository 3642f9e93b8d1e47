/* The exchange and queues that sluice needs, declared again at every connect:
 *
 *   <exchange>             topic   ── fast.# ──►  queue <exchange>.fast
 *                                  ── bulk.# ──►  queue <exchange>.bulk
 *   <exchange>.unreadable  fanout  ──────────►    queue <exchange>.unreadable
 *
 * The first two dead-letter into <exchange>.unreadable. Who takes events adds
 *
 *   (the default exchange) ─────────────────► queue <exchange>.events.NAME
 *   (the default exchange) ─► queue <exchange>.later.NAME ─ after 150 s ─► that one
 *   <exchange>.bells       fanout  ──────────► a queue of each connection, gone with it
 *
 * of which the first dead-letters there, too. */
#ifndef SL_BROKER_TOPOLOGY_H
#define SL_BROKER_TOPOLOGY_H

#include "broker/settings.h"

enum { SL_QUEUE_NAME_MAX = 256 }; /* room for the name of a queue or an exchange */

/* Declares all of it on a channel of its own. Suspends. Fails with SL_CONFIG when something of that
 * name exists with other properties, or the user lacks the right; the message says which setting
 * helps. Else SL_CLOSED, SL_TIMEOUT, SL_CANCELED. */
int sl_topology_declare(struct sl_amqp *amqp, const struct sl_broker_settings *settings,
                        uint64_t deadline_ms, struct sl_err *err);

/* Declares, besides all that, the two durable queues of a source's events: of those that are ready,
 * and of those that are to become so later. *ret_made becomes true when one of them was made,
 * also when what follows fails. Suspends; fails likewise. */
int sl_topology_declare_events(struct sl_amqp *amqp, const struct sl_broker_settings *settings,
                               const char *source, bool *ret_made, uint64_t deadline_ms,
                               struct sl_err *err);

/* Declares, besides the exchange of the bells, a queue of this connection that hears them all;
 * the two ret_ get their names. Suspends; fails likewise. */
int sl_topology_declare_bells(struct sl_amqp *amqp, const struct sl_broker_settings *settings,
                              char ret_exchange[SL_QUEUE_NAME_MAX],
                              char ret_queue[SL_QUEUE_NAME_MAX], uint64_t deadline_ms,
                              struct sl_err *err);

/* Connects, declares and closes: for the check at the start. SL_CONFIG: an operator must act;
 * transient codes: the broker is away. */
int sl_topology_check(const struct sl_broker *broker, uint64_t deadline_ms, struct sl_err *err);

/* Whether the user may publish to exchange ("" is the default one) with that routing key: tries it,
 * on a channel of its own, and takes it back. Suspends. SL_CONFIG: no, and the message says which
 * right is missing. Else SL_CLOSED, SL_CANCELED, SL_TIMEOUT (also while RabbitMQ blocks
 * publishing).
 */
int sl_topology_may_publish(struct sl_amqp *amqp, const char *exchange, const char *routing_key,
                            uint64_t deadline_ms, struct sl_err *err);

/* The same of consuming from a queue. Nothing is taken. err must be given. */
int sl_topology_may_consume(struct sl_amqp *amqp, const char *queue, uint64_t deadline_ms,
                            struct sl_err *err);

/* Gives the message to <exchange>.unreadable, never to nobody: when that queue was deleted the
 * server closes the channel, and delivers the message again to who connects and declares anew. Does
 * not suspend. */
void sl_topology_set_aside(const struct sl_broker_settings *settings, struct sl_channel *channel,
                           uint64_t tag);

/* "sluice.bulk": names queue `lane` ("fast", "bulk", "unreadable", "events.hook"). */
void sl_topology_queue(const struct sl_broker_settings *settings, const char *lane,
                       char ret[SL_QUEUE_NAME_MAX]);

/* "sluice.events.hook", "sluice.later.hook": names the queues of a source's events. */
void sl_topology_events(const struct sl_broker_settings *settings, const char *source,
                        char ret_events[SL_QUEUE_NAME_MAX], char ret_later[SL_QUEUE_NAME_MAX]);

#endif
