/* Names, defaults and bounds of the section "mongo". */
#include "mongo/settings.h"

#define FIELD(name) offsetof(struct sl_mongo_settings, name)

enum { SECOND_MS = 1000 };
#define DAY_MS (86400 * (int64_t)SECOND_MS)

const struct sl_setting sl_mongo_settings_table[] = {
    {.name = "url",
     .kind = SL_SET_URL,
     .offset = FIELD(url),
     .required = true,
     .help = "connection string of the replica set: mongodb://host:port/?replicaSet=rs0"},
    {.name = "database",
     .kind = SL_SET_TEXT,
     .offset = FIELD(database),
     .required = true,
     .help = "database that the documents are written to"},
    {.name = "state_database",
     .kind = SL_SET_TEXT,
     .offset = FIELD(state_database),
     .fallback = "sluice",
     .help = "database for runs, leases, counters, the ledger and dead letters"},
    {.name = "writers",
     .kind = SL_SET_INT,
     .offset = FIELD(writers),
     .fallback = "2",
     .minimum = 1,
     .maximum = 64,
     .help = "bulk writes in flight for each queue"},
    {.name = "max_clients",
     .kind = SL_SET_INT,
     .offset = FIELD(max_clients),
     .fallback = "8",
     .minimum = 1,
     .maximum = 256,
     .help = "connections to MongoDB at most; each is opened when it is needed"},
    {.name = "write_timeout",
     .kind = SL_SET_DURATION,
     .offset = FIELD(write_timeout_ms),
     .fallback = "30s",
     .minimum = SECOND_MS,
     .maximum = 3600 * (int64_t)SECOND_MS,
     .help = "how long one command may take, its wait for a majority of members included"},
    {.name = "tombstone_ttl",
     .kind = SL_SET_DURATION,
     .offset = FIELD(tombstone_ttl_ms),
     .fallback = "30d",
     .minimum = 3600 * (int64_t)SECOND_MS,
     .maximum = 3650 * DAY_MS,
     .help = "how long a deletion is remembered, so that nothing older brings the document back"},
    {0                                                    },
};
