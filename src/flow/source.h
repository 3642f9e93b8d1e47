/* What a source is: it gives batches, and is told when each is safe. */
#ifndef SL_FLOW_SOURCE_H
#define SL_FLOW_SOURCE_H

#include "flow/batch.h"

struct sl_source;

struct sl_source_type {
    const char *name;    /* "dmf" */
    const char *summary; /* one line */

    /* Gives the next batch. Suspends until there is one. SL_END: no more will come (the flow ends).
     * Transient codes: the flow waits and calls again. */
    int (*next)(struct sl_source *source, struct sl_batch **ret_batch, struct sl_err *err);

    /* The batch is durable downstream. Takes it. Called in any order. Must not fail. */
    void (*commit)(struct sl_source *source, struct sl_batch *batch);

    /* The batch could not be delivered now and must be given again later. Takes it. */
    void (*release)(struct sl_source *source, struct sl_batch *batch);

    /* The destination has no place for the batch: put it where an operator finds it, whole. Takes
     * it. Optional; without it the batch is released. */
    void (*set_aside)(struct sl_source *source, struct sl_batch *batch);

    /* The destination is away for long: give back to the peer what is held, and hold nothing until
     * resume. Optional. */
    void (*suspend)(struct sl_source *source);
    void (*resume)(struct sl_source *source);

    /* Nothing more comes from outside: what is open is ended, while the flow still takes it, and
     * its end made known, as far as that goes until deadline_ms (loop clock). Suspends. Optional.
     */
    void (*finish)(struct sl_source *source, uint64_t deadline_ms);

    /* Frees the source. No batch of it is out any more. */
    void (*close)(struct sl_source *source);
};

/* Embedded first in every source. */
struct sl_source {
    const struct sl_source_type *type;
    const char *name; /* for logs and metrics: the feed or the queue */
};

#endif
