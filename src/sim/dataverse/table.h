/* The rows of Dataverse tables and the log of their changes. A row takes 32 bytes and each change
 * 24; what stands in a row follows from seed, table, row number and revision (value.h).
 * The simulator's lock is held for all calls unless told otherwise. */
#ifndef SIM_DATAVERSE_TABLE_H
#define SIM_DATAVERSE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/dataverse/schema.h"

#define DV_GUID_SIZE 37

enum dv_op { DV_UPDATE, DV_CREATE, DV_DELETE, DV_RECREATE, DV_ASSOCIATE, DV_DISASSOCIATE, DV_OPS };

struct dv_row {
    int64_t version;     /* of its last change; of a deleted row, of its deletion */
    int64_t modified_ms; /* when that was */
    uint32_t created_s;
    uint32_t revision;
    uint32_t deletion; /* 1 + the place of its last deletion in the log; 0: never deleted */
    bool dead;
};

/* One change of one row. The log is in the order of versions. */
struct dv_log_entry {
    int64_t version;
    int64_t time_ms;
    uint32_t index;
    uint32_t op;
};

struct dv_table {
    struct dv_table *next; /* among those that a reset has taken away */
    struct dv_schema *schema;
    bool tracking;
    bool trackable;         /* what the metadata says: change tracking can be turned on */
    bool elastic;           /* … its TableType */
    int64_t expired_before; /* delta tokens of an older version are void */
    uint64_t seed;
    struct dv_row *rows;
    size_t count;
    size_t capacity;
    uint32_t *dead; /* the rows that are deleted, in no order */
    size_t dead_count;
    size_t dead_capacity;
    struct dv_log_entry *log;
    size_t log_count;
    size_t log_capacity;
};

/* One row as it was when the lock was held: enough to write it without the lock. */
struct dv_image {
    const struct dv_schema *schema;
    uint64_t seed;
    unsigned column_count;
    uint32_t index;
    uint32_t revision;
    bool dead;
    bool milliseconds; /* modifiedon is not cut to seconds */
    int64_t version;
    int64_t created_ms;
    int64_t modified_ms;
};

struct dv_image dv_table_image(const struct dv_table *table, uint32_t index);

/* Writes the GUID of a table's row; needs no lock. Rows that do not exist have one too. */
void dv_guid_write(uint64_t seed, const struct dv_schema *schema, uint32_t index, char *out);

/* A GUID that follows from a number; needs no lock. */
void dv_guid_of(uint64_t number, char *out);

/* Finds the row with this GUID (any case, braces not allowed). False when the table has none; a
 * deleted row is found. */
bool dv_table_find(const struct dv_table *table, const char *guid, uint32_t *ret_index);

/* The changes of rows, each at version and time_ms. The caller has taken the version. */
uint32_t dv_table_create(struct dv_table *table, int64_t version, int64_t time_ms);
void dv_table_update(struct dv_table *table, uint32_t index, int64_t version, int64_t time_ms);
void dv_table_delete(struct dv_table *table, uint32_t index, int64_t version, int64_t time_ms);
void dv_table_recreate(struct dv_table *table, uint32_t index, int64_t version, int64_t time_ms);

/* Makes the table what it was at that version: what happened later never did. */
void dv_table_rewind(struct dv_table *table, int64_t version);

/* Picks a living or a deleted row by a random number. False when there is none. */
bool dv_table_pick(const struct dv_table *table, bool dead, uint64_t random, uint32_t *ret_index);

/* The place of the first log entry above version. */
size_t dv_table_log_after(const struct dv_table *table, int64_t version);

/* Forgets all rows; the table itself may still be in somebody's hands. */
void dv_table_clear(struct dv_table *table);

#endif
