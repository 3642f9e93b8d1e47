/* The source of Dataverse's webhooks: POST /webhook/NAME. An event about a table that is followed
 * by change tracking is a bell; for a table (or relationship) of a feed of its own, the row is read
 * back. */
#ifndef SL_WEBHOOK_WEBHOOK_H
#define SL_WEBHOOK_WEBHOOK_H

#include "base/alert_kind.h"
#include "base/str.h"
#include "broker/settings.h"
#include "config/config.h"
#include "dataverse/dataverse.h"
#include "flow/credit.h"
#include "flow/sink.h"
#include "flow/source.h"
#include "flow/state.h"
#include "source/listeners.h"

/* What it works with; all outlive it. */
struct sl_webhook_env {
    struct sl_state *state;
    struct sl_sink *sink; /* where the batches go */
    const struct sl_broker *broker;
    struct sl_credit *credits; /* ingest pools, by enum sl_lane */
    const struct sl_config_limits *limits;
    const char *database; /* where the documents go */
    struct sl_listeners *listeners;
    struct sl_dataverse **doorbell; /* the environments it rings, ended by NULL; copied */
    const struct sl_alerter *alerter;
};

struct sl_webhook;

/* A source entry of the configuration: adds its route to the listener, starts the fibers that carry
 * bells and events between processes. Call it from a fiber. NULL with SL_CONFIG. */
struct sl_webhook *sl_webhook_new(const struct sl_webhook_env *env,
                                  const struct sl_source_config *source, struct sl_err *err);

/* The listeners were stopped and its feeds closed before. Suspends. NULL is fine. */
void sl_webhook_free(struct sl_webhook *webhook);

/* A feed that reads rows back. Close it from a fiber. */
struct sl_source *sl_source_webhook_new(struct sl_webhook *webhook,
                                        const struct sl_feed_config *feed);

/* NULL when all is well, else what is wrong, for /readyz. Valid until the fiber suspends. */
const char *sl_webhook_trouble(const struct sl_webhook *webhook);

/* Adds the state of the source as a JSON object. */
void sl_webhook_status(const struct sl_webhook *webhook, struct sl_buf *buf);

/* Whether this process owns the environment that the feed's rows are read from. */
bool sl_source_webhook_owns(const struct sl_source *source);

/* As sl_source_dataverse_waiting_ms. */
uint64_t sl_source_webhook_waiting_ms(const struct sl_source *source);

/* NULL when all is well, else what is wrong, for /readyz. Valid until the fiber suspends. */
const char *sl_source_webhook_trouble(const struct sl_source *source);

/* Adds the feed's state as a JSON object. */
void sl_source_webhook_status(const struct sl_source *source, struct sl_buf *buf);

#endif
