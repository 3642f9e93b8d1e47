/* The section "mongo" of the configuration. */
#ifndef SL_MONGO_SETTINGS_H
#define SL_MONGO_SETTINGS_H

#include "base/setting.h"

struct sl_mongo_settings {
    char *url;                 /* mongodb://…; may hold a password */
    char *database;            /* where the data goes */
    char *state_database;      /* where sluice remembers its runs, leases and counters */
    int64_t writers;           /* bulk writes in flight for each queue */
    int64_t max_clients;       /* connections at most */
    uint64_t write_timeout_ms; /* one command, its wait for a majority included */
    uint64_t lease_ms;         /* for how long a lease is held without being renewed */
    uint64_t tombstone_ttl_ms; /* how long a deletion is remembered */
    uint64_t dead_ttl_ms;      /* how long a dead letter stays; 0: until somebody drops it */
};

/* Ended by a NULL name. */
extern const struct sl_setting sl_mongo_table[];

/* What is wrong with the name of a database, to follow it in a message; NULL: nothing. Source:
 * "Naming Restrictions" of the MongoDB manual; Unix. */
const char *sl_mongo_database_wrong(const char *name);

/* Whether the state keeps a collection of that name in state_database (docs/STATE.md). */
bool sl_mongo_state_has(const char *collection);

/* The file with the key that a connection string names, for who must judge it; NULL: none. The
 * caller frees it. */
char *sl_mongo_key_file(const char *url);

#endif
