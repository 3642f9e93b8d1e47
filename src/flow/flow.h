/* A flow joins one source to one sink and is the only place with delivery policy: how many batches
 * are in flight, retries with backoff, dead letters, the ledger, counting. */
#ifndef SL_FLOW_FLOW_H
#define SL_FLOW_FLOW_H

#include "flow/sink.h"
#include "flow/source.h"
#include "flow/state.h"

struct sl_flow_options {
    const char *name; /* "vendors", "sluice.bulk" */
    unsigned window;  /* batches on their way to the sink at most */
    bool ledger;      /* the sink is the final one: write the ledger, and do not count in the window
                       * what the sink refuses though it answers; the source bounds how many */
    /* A small batch waits so long for others, until there are so many, before they are entered in
     * the ledger together; 0: not at all, and the window counts until a batch is entered. Its rows
     * are written before; its delivery is acknowledged after. */
    uint64_t book_hold_ms;
    unsigned book_count;
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

/* The feed's rows are counted from 0 on: a series that begins with its first row has not risen, as
 * Prometheus sees it. */
void sl_flow_count_from_zero(const struct sl_flow *flow, const char *feed);

/* How late the live rows of a feed came to their end, since the last call: not those of full reads
 * and replays. */
struct sl_flow_lag {
    const char *feed;
    uint64_t worst_ms; /* from its change on; 0: no row came */
    uint64_t last_ms;  /* loop clock, when the last one came; 0: never */
};

/* Gives it for each feed of which a live row came ever, and begins anew. The flow is the final one.
 * take must not suspend. */
void sl_flow_take_lags(struct sl_flow *flow, void (*take)(void *ctx, const struct sl_flow_lag *lag),
                       void *ctx);

/* Whether it is among those. */
bool sl_flow_has_lag(const struct sl_flow *flow, const char *feed);

/* NULL when all is well, else what is wrong, for /readyz. Valid until the next call. */
const char *sl_flow_trouble(const struct sl_flow *flow);

/* As that, but not that the sink is away: what a sink that answers refuses, or the books do. */
const char *sl_flow_refusal(const struct sl_flow *flow);

#endif
