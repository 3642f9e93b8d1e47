/* The records that exist: for each entity and company a table of revisions, eight bytes a record.
 * Nothing here locks: callers hold the simulator's lock. */
#ifndef SIM_RECORDS_H
#define SIM_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/entity.h"

#define SIM_PREFIX_SIZE 40
#define SIM_KEY_SIZE 64
#define SIM_COMPANY_SIZE 16

struct sim_record {
    uint32_t revision;
    uint32_t changed; /* the store's clock at the last change; 0: it is deleted */
};

/* Deleted records are in no package, and no package tells of them. */
static inline bool sim_record_is_dead(const struct sim_record *record)
{
    return record->changed == 0;
}

/* A run of records whose keys have one prefix and consecutive numbers. */
struct sim_segment {
    char prefix[SIM_PREFIX_SIZE];
    uint32_t first_index;
    uint32_t first_number;
};

struct sim_table {
    const struct sim_entity *entity;
    char company[SIM_COMPANY_SIZE]; /* lower case */
    struct sim_record *records;
    size_t count;
    size_t capacity;
    struct sim_segment *segments;
    size_t segment_count;
};

/* All tables. The clock ticks with each call that changes anything, over all tables. */
struct sim_store {
    uint64_t seed;
    uint32_t clock;
    uint64_t picks; /* state of the random picks that no seed was given for */
    struct sim_table **tables;
    size_t table_count;
    /* Told of each record that was created or changed; NULL: nobody. */
    void (*changed)(void *ctx, const struct sim_table *table, size_t index);
    void *changed_ctx;
};

/* What a package is made from: the records of one table that it shall hold, at their revisions of
 * one moment. Owns its arrays; sim_snapshot_done frees. */
struct sim_snapshot {
    const struct sim_entity *entity;
    uint64_t seed;
    char company[SIM_COMPANY_SIZE];
    struct sim_segment *segments;
    size_t segment_count;
    uint32_t *indices; /* NULL: all records, 0 to count - 1 */
    uint32_t *revisions;
    size_t count;
};

/* Writes company in lower case, cut to SIM_COMPANY_SIZE. */
void sim_company_fold(char *out, const char *company);

/* Finds a table, or with create makes an empty one. NULL when it is not there. */
struct sim_table *sim_store_table(struct sim_store *store, const struct sim_entity *entity,
                                  const char *company, bool create);

/* Adds count records whose keys are prefix-000001 and so on, after those that the prefix has.
 * prefix is at most SIM_PREFIX_SIZE - 1 bytes; NULL means the entity's own. */
void sim_table_create(struct sim_store *store, struct sim_table *table, size_t count,
                      const char *prefix);

/* Different records that live. */
struct sim_pick {
    size_t count;                           /* all when there are fewer */
    uint64_t seed;                          /* 0: other ones each time */
    void (*visit)(void *arg, size_t index); /* is told each; NULL: nobody */
    void *arg;
};

/* Changes, or deletes, what the pick says. Returns how many. */
size_t sim_table_change(struct sim_store *store, struct sim_table *table,
                        const struct sim_pick *pick);
size_t sim_table_delete(struct sim_store *store, struct sim_table *table,
                        const struct sim_pick *pick);

/* Changes the record with this key (with or without `company|` before it); one that is deleted
 * lives again. False: no such key. */
bool sim_table_change_key(struct sim_store *store, struct sim_table *table, const char *key);

/* Writes the key of record index into out, which has SIM_KEY_SIZE bytes. */
void sim_segment_key(const struct sim_segment *segments, size_t segment_count, size_t index,
                     char *out);

/* Takes the records of table changed after the clock stood at since (0: all of them).
 * table may be NULL: an empty snapshot of entity and company. */
void sim_snapshot_take(struct sim_snapshot *snapshot, const struct sim_store *store,
                       const struct sim_table *table, const struct sim_entity *entity,
                       const char *company, uint32_t since);
void sim_snapshot_done(struct sim_snapshot *snapshot);

/* Number of a snapshot's content: equal when keys and revisions are. */
uint64_t sim_snapshot_hash(const struct sim_snapshot *snapshot);

/* Frees all tables; seed and picks stay. */
void sim_store_clear(struct sim_store *store);

#endif
