/* What a sink is: it takes batches and answers with counts and the rows it rejected. */
#ifndef SL_FLOW_SINK_H
#define SL_FLOW_SINK_H

#include "flow/batch.h"

struct sl_sink;

/* One record that the destination refuses for good. */
struct sl_reject {
    uint32_t index;       /* into batch->records */
    const char *code;     /* dead-letter code, a constant */
    struct sl_str reason; /* in the batch's arena */
};

struct sl_result {
    uint32_t applied;
    uint32_t stale;
    struct sl_reject *rejects; /* in the batch's arena */
    uint32_t reject_count;
};

/* The collection of a feed's entity as it is configured, or NULL. Does not suspend; lives as long
 * as the configuration. */
typedef const char *sl_route_fn(const void *context, const char *feed, const char *entity);

/* What lies between a sink and whoever takes it from there. */
struct sl_waiting {
    uint32_t batches; /* that nobody has taken so far */
    uint32_t takers;
};

struct sl_sink_type {
    const char *name;    /* "mongo" */
    const char *summary; /* one line */

    /* Writes the batch and waits until the destination has confirmed it durably. Suspends, at most
     * until deadline_ms (loop clock). Several fibers may call at once. Borrows the batch.
     * SL_OK: *ret is filled, applied + stale + reject_count = batch->count. Transient codes:
     * nothing is known; the same batch is written again later. SL_NOTFOUND: there
     * is no place here for the batch's feed or entity, which concerns no other batch. SL_REJECTED:
     * the batch as a whole can never be written. */
    int (*write)(struct sl_sink *sink, struct sl_batch *batch, uint64_t deadline_ms,
                 struct sl_result *ret, struct sl_err *err);

    /* SL_OK when the destination answers. Suspends. */
    int (*ping)(struct sl_sink *sink, uint64_t deadline_ms, struct sl_err *err);

    /* How much of a lane waits behind the sink to be taken, and by how many. Suspends, at most
     * until deadline_ms. NULL: what is written is where it belongs. */
    int (*waiting)(struct sl_sink *sink, enum sl_lane lane, struct sl_waiting *ret,
                   uint64_t deadline_ms, struct sl_err *err);

    void (*close)(struct sl_sink *sink);
};

/* Embedded first in every sink. */
struct sl_sink {
    const struct sl_sink_type *type;
    const char *name;
};

/* Whether batches wait behind the sink and nobody takes them, for a ledger of the feed that is
 * late: to publish its rows again would just make more of them wait. Counts that, and logs it the
 * first time. Suspends. False also when it cannot be told; sink may be NULL. */
bool sl_sink_stands(struct sl_sink *sink, const char *feed, bool first);

#endif
