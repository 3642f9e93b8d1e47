/* The source of Dynamics 365 Finance & Operations export packages: one for each feed. It exports by
 * its schedule, follows every export to its end, and resumes after a crash by the journaled id:
 * planned, requested, executing, packaged, streaming, published, done (or failed). */
#ifndef SL_SOURCE_DMF_H
#define SL_SOURCE_DMF_H

#include "base/str.h"
#include "config/config.h"
#include "flow/credit.h"
#include "flow/source.h"
#include "flow/state.h"
#include "source/dmf_api.h"

/* What a feed works with; all outlive it. */
struct sl_dmf_env {
    struct sl_dmf_remote *remote;
    struct sl_state *state;
    struct sl_credit *credits; /* ingest pools, by enum sl_lane */
    const struct sl_config_limits *limits;
    void (*alert)(const char *feed, const char *subject, const char *text); /* never suspends */
};

/* Starts the feed's fibers. Close it from a fiber. */
struct sl_source *sl_source_dmf_new(const struct sl_dmf_env *env,
                                    const struct sl_feed_config *feed);

/* NULL when all is well, else what is wrong, for /readyz. Valid until the fiber suspends. */
const char *sl_source_dmf_trouble(const struct sl_source *source);

/* Adds the feed's state as a JSON object: run, state, attempt, full, rows, next run, trouble. */
void sl_source_dmf_status(const struct sl_source *source, struct sl_buf *buf);

#endif
