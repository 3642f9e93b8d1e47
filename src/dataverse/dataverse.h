/* The source of Dataverse: an environment as one application user sees it, and a feed for each
 * table that is followed by change tracking. The process that holds the source's lease polls all
 * its tables, so that one budget governs them; a bell (sl_dataverse_ring) makes it poll at once. */
#ifndef SL_DATAVERSE_DATAVERSE_H
#define SL_DATAVERSE_DATAVERSE_H

#include "base/alert_kind.h"
#include "base/str.h"
#include "config/config.h"
#include "dataverse/api.h"
#include "flow/credit.h"
#include "flow/sink.h"
#include "flow/source.h"
#include "flow/state.h"
#include "source/share.h"

/* What it works with; all outlive it. */
struct sl_dataverse_env {
    struct sl_http *http;
    struct sl_state *state;
    struct sl_sink *sink;      /* where the batches go */
    struct sl_credit *credits; /* ingest pools, by enum sl_lane */
    const struct sl_config *config;
    const char *database;   /* where the documents go */
    size_t *held_bytes;     /* ids held by the polls of all sources; its users count it */
    struct sl_share *share; /* with other processes; NULL: there are none */
    const struct sl_alerter *alerter;
};

struct sl_dataverse;

/* Prepares the environment and starts the fibers that hold its lease and keep the books of its
 * feeds. Call it from a fiber. NULL with SL_CONFIG when the settings cannot be used. */
struct sl_dataverse *sl_dataverse_new(const struct sl_dataverse_env *env,
                                      const struct sl_source_config *source, struct sl_err *err);

/* Its feeds were closed before. Gives the lease back. Suspends. NULL is fine. */
void sl_dataverse_free(struct sl_dataverse *dataverse);

/* NULL when all is well, else what is wrong, for /readyz. Valid until the fiber suspends. */
const char *sl_dataverse_trouble(const struct sl_dataverse *dataverse);

/* Whether the budget of its application user is used up, and why. Does not suspend. */
bool sl_dataverse_budget_is_used_up(const struct sl_dataverse *dataverse,
                                    char ret_why[SL_ERR_TEXT_BYTES]);

/* Adds the state of the environment as a JSON object: owner, budget, marks. */
void sl_dataverse_status(const struct sl_dataverse *dataverse, struct sl_buf *buf);

/* As the configuration calls the source. */
const char *sl_dataverse_name(const struct sl_dataverse *dataverse);

/* --- for whoever reads rows of it by other ways --- */

/* Its budget and login, for requests of their own. Lives as long as the source. */
struct sl_dataverse_remote *sl_dataverse_remote(struct sl_dataverse *dataverse);

/* The epoch of the lease while this process owns the source; 0: another one does, or nobody. */
int64_t sl_dataverse_epoch(const struct sl_dataverse *dataverse);

/* Waits until this process owns the source. Suspends. SL_TIMEOUT, SL_CANCELED. */
int sl_dataverse_wait_owner(struct sl_dataverse *dataverse, uint64_t deadline_ms);

/* --- checkpoints --- */

/* The checkpoint of a feed, which was another source's or counter's, is now that of the one of this
 * name. The epochs of two sources do not compare: the new one's are put on top of the old one's
 * (fence_base). Does not suspend. */
void sl_dataverse_sign(const char *reader, const char *feed, struct sl_checkpoint *at);

/* How the query of a checkpoint begins whose feed reads rows back: "order of asking in
 * d365.visits". Those versions are far above all that a counter counts, so that change tracking
 * cannot go on in such a collection. */
#define SL_DATAVERSE_ASKED "order of asking"

/* --- tables --- */

/* Starts the feed of a table. Close it from a fiber; with the first one the books of all end, so
 * that a database that hangs is waited for by none. */
struct sl_source *sl_source_dataverse_new(struct sl_dataverse *dataverse,
                                          const struct sl_feed_config *feed);

/* A row of the table changed: its feeds poll at once. False: no feed here follows the table, or
 * another process owns the source. Does not suspend. */
bool sl_dataverse_ring(struct sl_dataverse *dataverse, const char *table);

/* Whether a feed follows the table by change tracking, whoever owns the source. */
bool sl_dataverse_follows(const struct sl_dataverse *dataverse, const char *table);

/* The state may hold a refresh of the feed, or one that has just ended. Does not suspend. */
void sl_source_dataverse_refresh(struct sl_source *source);

/* How long rows of the feed that RabbitMQ has confirmed have waited for the database; 0: none do.
 * Does not suspend. */
uint64_t sl_source_dataverse_waiting_ms(const struct sl_source *source);

/* NULL when all is well, else what is wrong, for /readyz. Valid until the fiber suspends. */
const char *sl_source_dataverse_trouble(const struct sl_source *source);

/* Adds the feed's state as a JSON object. */
void sl_source_dataverse_status(const struct sl_source *source, struct sl_buf *buf);

#endif
