/* The source of rows that anybody posts who has the token: POST /ingest/FEED. A request is answered
 * when RabbitMQ has confirmed its rows. */
#ifndef SL_INGEST_INGEST_H
#define SL_INGEST_INGEST_H

#include "base/alert_kind.h"
#include "base/str.h"
#include "config/config.h"
#include "flow/credit.h"
#include "flow/sink.h"
#include "flow/source.h"
#include "flow/state.h"
#include "source/listeners.h"

/* What it works with; all outlive it. */
struct sl_ingest_env {
    struct sl_state *state;
    struct sl_sink *sink;      /* where the batches go */
    struct sl_credit *credits; /* ingest pools, by enum sl_lane */
    const struct sl_config_limits *limits;
    struct sl_listeners *listeners;
    const struct sl_alerter *alerter;
};

struct sl_ingest;

/* A source entry of the configuration: adds its route to the listener. Call it from a fiber. NULL
 * with SL_CONFIG. */
struct sl_ingest *sl_ingest_new(const struct sl_ingest_env *env,
                                const struct sl_source_config *source, struct sl_err *err);

/* The listeners were stopped and its feeds closed before. NULL is fine. */
void sl_ingest_free(struct sl_ingest *ingest);

/* A feed of it. Close it from a fiber. */
struct sl_source *sl_source_ingest_new(struct sl_ingest *ingest, const struct sl_feed_config *feed);

/* As sl_source_dataverse_waiting_ms. */
uint64_t sl_source_ingest_waiting_ms(const struct sl_source *source);

/* NULL when all is well, else what is wrong, for /readyz. Valid until the fiber suspends. */
const char *sl_source_ingest_trouble(const struct sl_source *source);

/* Adds the feed's state as a JSON object. */
void sl_source_ingest_status(const struct sl_source *source, struct sl_buf *buf);

#endif
