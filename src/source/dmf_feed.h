/* Inside of the dmf source: one feed's state, shared by its parts.
 *
 *   dmf.c          the source: gives batches, hears commits
 *   dmf_runner.c   the journaled state machine that moves a run on
 *   dmf_plan.c     when the next run is due, and what it is
 *   dmf_package.c  a package's files, one after the other, into batches
 *   dmf_rows.c     one file's rows into records
 *   dmf_blob.c     the package's bytes
 *   dmf_api.c      the environment's actions */
#ifndef SL_SOURCE_DMF_FEED_H
#define SL_SOURCE_DMF_FEED_H

#include "config/config.h"
#include "flow/batcher.h"
#include "flow/source.h"
#include "flow/state.h"
#include "source/dmf.h"
#include "source/dmf_api.h"

struct sl_dmf {
    struct sl_source source; /* first */
    struct sl_dmf_env env;
    const struct sl_feed_config *feed;
    const struct sl_dmf_feed_settings *settings;
    struct sl_batcher *batcher;

    struct sl_run run;          /* the newest one; number 0: there was none yet */
    struct sl_lease lease;      /* of the feed */
    struct sl_lease *exclusive; /* of its collections, while an export's snapshot is taken */
    size_t exclusive_count;
    unsigned failures;   /* failed runs in a row */
    unsigned broken;     /* attempts of this run that ended in a broken package */
    int64_t next_run_ms; /* wall clock, when the next run is due; 0: one is under way */

    uint32_t committed; /* batches of the current attempt that are safe downstream */
    bool released;      /* one of them came back: the attempt must be repeated */
    struct sl_waitlist committed_changed;

    struct sl_fiber *runner, *keeper;
    char trouble[240]; /* "" when all is well */
};

/* Moves the run on by one state. SL_OK: the state was changed and journaled (or the run ended);
 * else nothing changed. SL_REJECTED: the lease was lost. */
int sl_dmf_step(struct sl_dmf *dmf, struct sl_err *err);

/* Journals the run in its new state. */
int sl_dmf_enter(struct sl_dmf *dmf, enum sl_run_state state, struct sl_err *err);

/* Waits until a run is due and plans it. SL_OK: dmf->run is a new, journaled run. */
int sl_dmf_plan(struct sl_dmf *dmf, struct sl_err *err);

/* Leases of the collections: runs into one collection take their snapshots one after the other, so
 * that a higher counter means a newer snapshot. take suspends until all are held. */
int sl_dmf_take_collections(struct sl_dmf *dmf, struct sl_err *err);
void sl_dmf_drop_collections(struct sl_dmf *dmf);

/* Downloads the run's package and gives its rows to the batcher; waits until every batch is
 * committed, and fills the run's entities. */
int sl_dmf_stream(struct sl_dmf *dmf, struct sl_err *err);

/* The feed is in trouble (logged once for each text), or no longer. */
void sl_dmf_trouble(struct sl_dmf *dmf, const char *text);

enum { SL_LEASE_TTL_MS = 30 * 1000 };

#endif
