/* Sweeps: what a full read did not bring is gone in the source, and is deleted here. Careful ones:
 * a row that the read did bring and could not store looks just as absent, and so does a whole table
 * that the source was not allowed to read. */
#ifndef SL_SOURCE_SWEEP_H
#define SL_SOURCE_SWEEP_H

#include "config/config.h"
#include "flow/state.h"

struct sl_sweep {
    struct sl_state *state;
    const struct sl_feed_config *feed; /* documents under the names that it had before are its */
    const char *read;                  /* name of the full read, whose ledger has closed */
    bool dead;                         /* rows of it are dead letters */
    const char *doubt;                 /* why it may lack rows that there are; NULL: it does not */
    int64_t limit_percent;             /* of the feed's documents in a collection */
    bool force;                        /* neither that nor the limit counts */
};

/* Counts what the sweep of part->collection would delete. part->floor is given: documents of a
 * greater version are newer than the read. Suspends: minutes, when the collection is large. */
int sl_sweep_count(const struct sl_sweep *sweep, struct sl_refresh_part *part, struct sl_err *err);

/* Whether the counted part may be swept; else why not, for a person. */
bool sl_sweep_is_allowed(const struct sl_sweep *sweep, const struct sl_refresh_part *part,
                         char ret_why[SL_ERR_TEXT_BYTES]);

/* Gives each id that the read did not bring to take, which may suspend; id is valid during the
 * call. A failure of take ends the walk. */
typedef int sl_sweep_take(void *ctx, struct sl_str id, struct sl_err *err);
int sl_sweep_walk(const struct sl_sweep *sweep, const struct sl_refresh_part *part,
                  sl_sweep_take *take, void *ctx, struct sl_err *err);

#endif
