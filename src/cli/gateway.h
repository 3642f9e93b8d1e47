/* The gateway: every part of a running sluice, put together as the configuration says.
 *
 *   feeds ─► dmf sources ─► ingest flows ─► amqp sink      (role ingest, all)
 *   queues ─► amqp sources ─► apply flows ─► mongo sink    (role apply, all) */
#ifndef SL_CLI_GATEWAY_H
#define SL_CLI_GATEWAY_H

#include "base/err.h"
#include "config/config.h"

struct sl_gateway;

/* Starts everything; peers may be away. Suspends. Borrows config until stopped. Returns NULL with
 * SL_CONFIG when an operator must act first: a port is taken, a queue has the wrong type, a CA file
 * cannot be read. */
struct sl_gateway *sl_gateway_start(const struct sl_config *config, struct sl_err *err);

/* Stops reading, finishes what is in flight until deadline_ms (loop clock), gives the rest back to
 * the broker, and frees everything. again: another one follows at once. Suspends. */
void sl_gateway_stop(struct sl_gateway *gateway, uint64_t deadline_ms, bool again);

/* Forgets what one gateway leaves to the next: after the last stop. */
void sl_gateway_end(void);

#endif
