/* The simulated Dataverse: its tables, its version counters, and everything that has happened.
 * The simulator's lock is held for all calls. */
#ifndef SIM_DATAVERSE_DATAVERSE_H
#define SIM_DATAVERSE_DATAVERSE_H

#include "sim/dataverse/limit.h"
#include "sim/dataverse/table.h"
#include "sim/sim.h"
#include "sim/text.h"

#define DV_API "/api/data/v9.2/"
#define DV_FIRST_VERSION 900000
#define DV_FIRST_FO_VERSION 70000000 /* another database's, far away from the first */
#define DV_USERS_MAX 16

struct dv_hooks;

/* One change, for GET /_sim/dv/changes: its place is its sequence number. */
struct dv_change {
    const struct dv_schema *schema;
    const struct dv_relation *relation; /* of (dis)associations */
    uint32_t index;
    uint32_t related;
    int64_t version;
    int64_t time_ms; /* by the true clock, whatever the service's says */
    enum dv_op op;
};

/* A relationship of many to many between two tables. */
struct dv_relation {
    struct dv_relation *next;
    char name[DV_NAME_SIZE];
    struct dv_table *from;
    struct dv_table *to;
    struct dv_link {
        uint32_t target;
        uint32_t related;
        int64_t version;
        bool dead;
    } * links;
    size_t count;
    size_t capacity;
};

struct dv_counters {
    uint64_t next_links; /* links that were followed */
    uint64_t delta_links;
    uint64_t rows_read;
    uint64_t deletions_read;
    uint64_t expired; /* answers with 0x80044352 */
};

struct dv {
    struct sim *sim;
    struct dv_schema *schemas; /* all that ever were; freed with the simulator */
    struct dv_table *retired;  /* tables from before a reset: a request may be at them still */
    struct dv_table **tables;
    size_t table_count;
    struct dv_relation *relations;
    int64_t version;
    int64_t fo_version; /* of virtual tables: that of the database of Finance & Operations */
    uint64_t random;
    struct dv_change *changes;
    size_t change_count;
    size_t change_capacity;
    struct dv_user users[DV_USERS_MAX]; /* one for each client id of the options */
    struct dv_counters counters;
    unsigned loads_running;
    uint64_t load_epoch; /* loads of an older one shall end */
    struct dv_hooks *hooks;
};

/* Makes an empty Dataverse; dv_free ends it, when no other thread is left and the lock is free. */
struct dv *dv_new(struct sim *sim);
void dv_free(struct dv *dv);

/* Forgets all rows, tables, webhooks and counters. No job runs any more. */
void dv_clear(struct dv *dv);

struct dv_table *dv_find_table(const struct dv *dv, const char *name);
struct dv_table *dv_find_set(const struct dv *dv, const char *set, size_t len);
struct dv_relation *dv_find_relation(const struct dv *dv, const char *name);

/* Adds a table of this schema, which the simulator owns from then on. */
struct dv_table *dv_add_table(struct dv *dv, struct dv_schema *schema, bool tracking);

/* Adds a relationship between two tables. */
struct dv_relation *dv_add_relation(struct dv *dv, const char *name, struct dv_table *from,
                                    struct dv_table *to);

/* The relationship of that name or NULL; the one of accounts and tags is made when it is first
 * named, if both tables are there. */
struct dv_relation *dv_named_relation(struct dv *dv, const char *name);

/* What the service's clock says. */
int64_t dv_clock_ms(const struct dv *dv);

/* Makes count rows that no event and no change tells of: what was there before. */
void dv_fill(struct dv *dv, struct dv_table *table, size_t count);

/* One change: raises the version, records it and tells the webhooks. For DV_CREATE index is not
 * read. Returns the row's number; false when the row is not in a state for that. */
bool dv_change(struct dv *dv, struct dv_table *table, enum dv_op op, uint32_t index,
               uint32_t *ret_index);

/* Voids all delta tokens of a table that were given until now. */
void dv_expire(struct dv *dv, struct dv_table *table);

/* The counter that the versions of the table's rows come from. */
int64_t *dv_counter(struct dv *dv, const struct dv_table *table);

/* Restores all tables from a backup that was taken at that version, virtual ones at that of their
 * counter; neither is above the present one. The counters go on from there; tokens that were given
 * later stay valid. */
void dv_restore(struct dv *dv, int64_t version, int64_t fo_version);

/* Joins two rows or parts them. False when they are that already. */
bool dv_associate(struct dv *dv, struct dv_relation *relation, uint32_t target, uint32_t related,
                  bool join);

/* The image of a row, with the switches that shape it. */
struct dv_image dv_look(const struct dv *dv, const struct dv_table *table, uint32_t index);

/* A switch of everybody's set. */
int64_t dv_switch(const struct dv *dv, enum sim_switch which);

/* The name of an operation: "update", "create" … */
const char *dv_op_name(enum dv_op op);

/* Adds the member "dataverse" of /_sim/stats. */
void dv_describe(struct dv *dv, struct sim_text *out);

#endif
