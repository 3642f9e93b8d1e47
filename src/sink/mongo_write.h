/* A batch's rows into one collection, in as few commands as there can be. */
#ifndef SL_SINK_MONGO_WRITE_H
#define SL_SINK_MONGO_WRITE_H

#include "base/metric.h"
#include "flow/overtaken.h"
#include "flow/sink.h"
#include "mongo/client.h"

/* A collection that was written to, or is about to be. */
struct sl_mongo_collection {
    struct sl_mongo_collection *next;
    bool ready; /* its tombstones expire, unless it was dropped since */
    /* Loop clock, all of them. */
    uint64_t index_after_ms; /* its index takes long, and is not asked for before; 0: it does not */
    uint64_t refused_ms;     /* the server refuses it since then; 0: it does not */
    uint64_t refused_last_ms; /* and did so last */
    uint64_t taken_ms;   /* when the last write began that was taken; 0: none, or refused since */
    unsigned new_seen;   /* batches in a row of which no row was there before */
    unsigned new_wanted; /* so many, and the next one is taken for new; 1 to begin with */
    char *database, *name;
};

struct sl_mongo_target {
    struct sl_mongo *mongo;
    struct sl_mongo_collection *collection;
    uint64_t tombstone_ttl_ms;
    struct sl_overtaken *overtaken; /* may be NULL */
    struct sl_metric *inserted;     /* rows that were taken for new and were */
    struct sl_metric *refused;      /* rows that were taken for new, and not inserted */
};

/* Writes the rows, each unless what is stored is as new. Suspends, and yields. ret as of
 * sl_sink_type.write; fails with what the server says. */
int sl_mongo_write_batch(const struct sl_mongo_target *to, struct sl_batch *batch,
                         uint64_t deadline_ms, struct sl_result *ret, struct sl_err *err);

#endif
