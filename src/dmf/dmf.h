/* The source of Dynamics 365 Finance & Operations export packages: one for each feed. It exports by
 * its schedule, follows every export to its end, and resumes after a crash by the journaled id:
 * planned, requested, executing, packaged, streaming, published, done (or failed). */
#ifndef SL_DMF_DMF_H
#define SL_DMF_DMF_H

#include "base/alert_kind.h"
#include "base/str.h"
#include "config/config.h"
#include "dmf/api.h"
#include "flow/credit.h"
#include "flow/sink.h"
#include "flow/source.h"
#include "flow/state.h"
#include "source/keeper.h"
#include "source/share.h"

/* What a feed works with; all outlive it. */
struct sl_dmf_env {
    struct sl_dmf_remote *remote;
    struct sl_state *state;
    struct sl_sink *sink;      /* where the batches go */
    struct sl_credit *credits; /* ingest pools, by enum sl_lane */
    const struct sl_config *config;
    struct sl_share *share;   /* with other processes; NULL: there are none */
    struct sl_keeper *keeper; /* renews its leases; NULL: nobody does */
    const struct sl_alerter *alerter;
};

/* Starts the feed's fibers. Close it from a fiber. */
struct sl_source *sl_source_dmf_new(const struct sl_dmf_env *env,
                                    const struct sl_feed_config *feed);

/* The state may hold a refresh of the feed. Does not suspend. */
void sl_source_dmf_refresh(struct sl_source *source);

/* Whether this process runs the feed. */
bool sl_source_dmf_owns(const struct sl_source *source);

/* NULL when all is well, else what is wrong, for /readyz. Valid until the fiber suspends. */
const char *sl_source_dmf_trouble(const struct sl_source *source);

/* The same of the newest run that has ended: that it failed, or did not bring all. */
const char *sl_source_dmf_failure(const struct sl_source *source);

/* How long rows of its run have been confirmed and nobody applies any, once ledger_deadline has
 * gone by with that; 0: not so. */
uint64_t sl_source_dmf_waiting_ms(const struct sl_source *source);

/* Adds the feed's state as a JSON object: run, state, attempt, full, rows, next run, trouble. */
void sl_source_dmf_status(const struct sl_source *source, struct sl_buf *buf);

#endif
