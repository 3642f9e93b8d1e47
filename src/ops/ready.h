/* Readiness: a registry of named checks. Each part of sluice that can be in trouble registers one,
 * and /readyz, /status and the log ask them all. */
#ifndef SL_OPS_READY_H
#define SL_OPS_READY_H

#include <stdbool.h>

#include "base/str.h"

/* NULL when all is well, else what is wrong (valid until the next call). Must not suspend. */
typedef const char *(*sl_ready_check)(void *ctx);

/* Adds a check, at the end. name is copied ("mongo", "feed vendors"). */
void sl_ready_register(const char *name, sl_ready_check check, void *ctx);

/* True when no check is in trouble. Otherwise adds to buf (may be NULL) a JSON array of
 * {"what":"mongo","message":"…"}; an empty array when true. */
bool sl_ready_ask(struct sl_buf *buf);

/* Adds sluice_ready{part="NAME"}, 1 or 0, for each check, as Prometheus reads it. */
void sl_ready_metrics(struct sl_buf *buf);

/* Forgets all: their ctx may go then. */
void sl_ready_clear(void);

#endif
