/* What the service says of one table: how it is called in URLs, its key, its columns and their
 * types, whether its changes are tracked.
 *
 * Facts: "Query table definitions using the Web API" and "Use change tracking to synchronize data
 * with external systems" of Microsoft's Dataverse documentation. */
#ifndef SL_DATAVERSE_TABLE_H
#define SL_DATAVERSE_TABLE_H

#include <stdbool.h>

#include "dataverse/api.h"
#include "format/columns.h"

/* Zeroed = not read yet. */
struct sl_dataverse_table {
    char *name;           /* "account" */
    char *entity_set;     /* "accounts": what URLs call it */
    char *id_column;      /* "accountid" */
    char *read_privilege; /* "prvReadAccount"; NULL: not told */
    bool tracked;         /* change tracking is on, ... */
    bool trackable;       /* ... or could be turned on */
    bool has_modified;    /* there is a column "modifiedon" */
    /* Every column by the name that it has in answers: a lookup "ownerid" is "_ownerid_value".
     * Those that are read but not asked for by the configuration have keep false. */
    struct sl_columns columns;
    /* The value of $select, escaped: what the configuration asks for, and what sluice needs of each
     * row. NULL: all columns. */
    char *select;
};

/* Reads the table's definition. select: the configured columns, ended by NULL, lookups by either of
 * their names; NULL: all. Suspends. Gives the table in ret (sl_dataverse_table_done), which is not
 * touched on failure. err must be given. Fails like sl_dataverse_read_json; SL_CONFIG also for a
 * table that does not exist, one that is elastic, and a configured column that it does not have,
 * naming the nearest, and then err->cause is 404. */
int sl_dataverse_table_read(struct sl_dataverse_remote *remote, const char *name,
                            char *const *select, enum sl_urgency urgency,
                            struct sl_dataverse_table *ret, struct sl_err *err);

/* The same from a definition that was read already (pure): for tests. */
int sl_dataverse_table_parse(const struct sl_json *definition, char *const *select,
                             struct sl_dataverse_table *ret, struct sl_err *err);

/* SL_OK when the table can be followed by change tracking; SL_CONFIG with what to do. */
int sl_dataverse_table_check(const struct sl_dataverse_table *table, struct sl_err *err);

/* A zeroed table is fine; the table is zeroed afterwards. */
void sl_dataverse_table_done(struct sl_dataverse_table *table);

#endif
