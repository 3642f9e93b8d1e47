/* The state in MongoDB: runs, checkpoints, suspect feeds, version counters, leases, the ledger,
 * dead letters. What each collection holds is told in docs/STATE.md. Nothing here is a cache: every
 * call asks or writes the primary, with a majority and the journal behind it. */
#ifndef SL_STORE_STORE_H
#define SL_STORE_STORE_H

#include "flow/state.h"
#include "mongo/client.h"

/* The state in settings->state_database, owned by this process under a name of its own
 * (host:pid:random). Borrows mongo, which must outlive it; copies what it needs of settings.
 * Nothing is contacted yet. NULL with SL_CONFIG when the databases' names cannot be. */
struct sl_state *sl_store_new(struct sl_mongo *mongo, const struct sl_mongo_settings *settings,
                              struct sl_err *err);

/* The name under which this process holds leases. */
const char *sl_store_owner(const struct sl_state *state);

#endif
