/* The batcher of a feed, by the limits of the configuration. */
#ifndef SL_SOURCE_BATCHES_H
#define SL_SOURCE_BATCHES_H

#include "config/config.h"
#include "flow/batcher.h"

/* credits: the ingest pools, by enum sl_lane; they outlive the batcher. */
static inline struct sl_batcher *sl_batches_new(const struct sl_config_limits *limits,
                                                struct sl_credit *credits)
{
    const struct sl_batcher_limits batches = {
        .max_rows = (uint32_t)limits->batch_rows,
        .max_bytes = limits->batch_bytes,
        .linger_ms = limits->linger_ms,
        .max_row_bytes = limits->max_row_bytes,
    };
    return sl_batcher_new(&batches, credits);
}

#endif
