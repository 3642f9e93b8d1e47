/* A flow joins one source to one sink and is the only place with delivery policy: how many batches
 * are in flight, retries with backoff, dead letters, the ledger, counting. */
#ifndef SL_FLOW_FLOW_H
#define SL_FLOW_FLOW_H

#include "flow/sink.h"
#include "flow/source.h"
#include "flow/state.h"

struct sl_flow_options {
    const char *name;        /* "vendors", "sluice.bulk" */
    unsigned window;         /* batches in flight at most */
    bool ledger;             /* the sink is the final one: write the ledger */
    const char *read_stage;  /* metric label of rows that the source gave: "read", "consumed" */
    const char *write_stage; /* … and of those the sink took: "published", "applied" */
    uint64_t write_timeout_ms;
    uint64_t retry_min_ms, retry_max_ms;
    uint64_t suspend_after_ms; /* the source lets go when the sink is away so long; 0: never */
};

struct sl_flow;

/* Starts the flow's fibers. Takes source (closed at the end); borrows sink and state, which must
 * outlive it. */
struct sl_flow *sl_flow_start(const struct sl_flow_options *options, struct sl_source *source,
                              struct sl_sink *sink, struct sl_state *state);

/* Asks the reader to stop; does not wait. */
void sl_flow_stop_reading(struct sl_flow *flow);

/* Stops reading; what is in flight is finished until deadline_ms, then released. Suspends. */
void sl_flow_stop(struct sl_flow *flow, uint64_t deadline_ms);
void sl_flow_free(struct sl_flow *flow);

/* NULL when all is well, else what is wrong, for /readyz. Valid until the next call. */
const char *sl_flow_trouble(const struct sl_flow *flow);

#endif
