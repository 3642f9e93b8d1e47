/* What a Dataverse table looks like: its names and its columns. A schema is never freed before the
 * simulator ends and its columns never move, so that rows may be written without a lock: whoever
 * has read column_count under the lock may read that many columns afterwards. */
#ifndef SIM_DATAVERSE_SCHEMA_H
#define SIM_DATAVERSE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yajl/yajl_tree.h>

#define DV_NAME_SIZE 64
#define DV_COLUMNS_MAX 64

enum dv_kind {
    DV_ID, /* the primary key, a GUID */
    DV_STRING,
    DV_MEMO,
    DV_INTEGER,
    DV_BIGINT,
    DV_DECIMAL,
    DV_MONEY,
    DV_DOUBLE,
    DV_BOOLEAN,
    DV_DATETIME, /* whole seconds */
    DV_DATE,     /* a day without a time */
    DV_PICKLIST,
    DV_STATE,
    DV_STATUS,
    DV_LOOKUP,
    DV_OWNER,
    DV_GUID,
    DV_MULTI,     /* several options of a list */
    DV_COMPANY,   /* dataAreaId of a virtual table */
    DV_CREATEDON, /* when the row came into being */
    DV_MODIFIEDON,
    DV_VERSION, /* versionnumber */
    DV_KINDS
};

struct dv_column {
    char name[DV_NAME_SIZE];      /* the logical name */
    char field[DV_NAME_SIZE + 8]; /* as rows name it: _primarycontactid_value for a lookup */
    char lead[DV_NAME_SIZE + 12]; /* ,"field": */
    size_t lead_len;
    enum dv_kind kind;
    char target[DV_NAME_SIZE]; /* of a lookup: the logical name of the other table */
    uint64_t salt;
    int64_t since; /* rows of an older version have null here: the column came later */
};

struct dv_schema {
    struct dv_schema *next;
    char name[DV_NAME_SIZE];         /* logical name: account */
    char set[DV_NAME_SIZE];          /* entity set: accounts */
    char id_column[DV_NAME_SIZE];    /* accountid */
    char title_column[DV_NAME_SIZE]; /* the primary name column; "" for none */
    bool is_virtual;                 /* reached through F&O: events are OnExternal… */
    uint64_t salt;
    unsigned column_count;
    struct dv_column columns[DV_COLUMNS_MAX];
};

/* Makes a schema: a built-in one by its name, "t000" to "t999", or one that the caller describes by
 * set, id and columns ([{"name":"x","type":"String","target":"contact"?}, …]; NULL: as the name
 * says). Gives the schema (free), or NULL with the reason in problem. */
struct dv_schema *dv_schema_new(const char *name, const char *set, const char *id, yajl_val columns,
                                char *problem, size_t size);

/* Adds a column that rows newer than since have. False with the reason in problem. */
bool dv_schema_add(struct dv_schema *schema, const char *name, const char *type, const char *target,
                   int64_t since, char *problem, size_t size);

/* The column with this name as rows have it (field) among the first count; NULL for none. */
const struct dv_column *dv_schema_field(const struct dv_schema *schema, unsigned count,
                                        const char *field, size_t len);

/* The service's word for a kind: "String", "Money" …; and the class of its metadata. */
const char *dv_kind_type(enum dv_kind kind);
const char *dv_kind_class(enum dv_kind kind);

#endif
