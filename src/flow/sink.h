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

    void (*close)(struct sl_sink *sink);
};

/* Embedded first in every sink. */
struct sl_sink {
    const struct sl_sink_type *type;
    const char *name;
};

#endif
