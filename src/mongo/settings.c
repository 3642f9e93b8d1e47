/* Names, defaults and bounds of the section "mongo". */
#include "mongo/settings.h"

#include <string.h>
#include <strings.h>

#define FIELD(name) offsetof(struct sl_mongo_settings, name)

const struct sl_setting sl_mongo_table[] = {
    {.name = "url",
     .kind = SL_SET_URL,
     .offset = FIELD(url),
     .required = true,
     .help = "connection string of the replica set: mongodb://host:port/?replicaSet=rs0, or "
             "mongodb+srv://cluster/"},
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
     .minimum = SL_SECOND_MS,
     .maximum = 3600 * (int64_t)SL_SECOND_MS,
     .help = "how long one command may take, its wait for a majority of members included; the same "
             "in all processes: a sweep waits twice its own for late writes of the others"},
    {.name = "lease",
     .kind = SL_SET_DURATION,
     .offset = FIELD(lease_ms),
     .fallback = "30s",
     .minimum = 10 * SL_SECOND_MS,
     .maximum = 600 * (int64_t)SL_SECOND_MS,
     .help = "when another process takes a feed over from one that hangs, or whose machine is "
             "gone; the same in all processes"},
    {.name = "tombstone_ttl",
     .kind = SL_SET_DURATION,
     .offset = FIELD(tombstone_ttl_ms),
     .fallback = "30d",
     .minimum = 3600 * (int64_t)SL_SECOND_MS,
     .maximum = 3650 * SL_DAY_MS,
     .help = "how long a deletion is remembered, so that nothing older brings the document back"},
    {.name = "dead_ttl",
     .kind = SL_SET_DURATION,
     .offset = FIELD(dead_ttl_ms),
     .minimum = 3600 * (int64_t)SL_SECOND_MS,
     .maximum = 3650 * SL_DAY_MS,
     .help = "how long a dead letter stays; without it until it is replayed or dropped"},
    {0                                                         },
};

const char *sl_mongo_database_wrong(const char *name)
{
    static const char *const of_the_server[] = {"admin", "config", "local"};
    if (!name || !*name)
        return "must not be empty";
    if (strlen(name) > 63)
        return "is longer than 63 bytes";
    if (strpbrk(name, "/\\. \"$"))
        return "must not hold / \\ . \" $ or a blank: MongoDB takes no such name";
    /* It takes no second one that differs by case alone. */
    for (size_t i = 0; i < sizeof of_the_server / sizeof *of_the_server; i++)
        if (!strcasecmp(name, of_the_server[i]))
            return "is a database of the server's own";
    return NULL;
}

bool sl_mongo_state_has(const char *collection)
{
    static const char *const names[] = {"runs",   "checkpoints", "refreshes", "overtaken",
                                        "feeds",  "counters",    "leases",    "members",
                                        "ledger", "dead"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(collection, names[i]))
            return true;
    return false;
}
