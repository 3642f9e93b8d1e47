/* The built-in Dataverse tables, and the making of others. */
#include "sim/dataverse/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/json.h"
#include "sim/random.h"
#include "sim/text.h"

/* What stands for a column in the built-in tables. */
struct plan_column {
    const char *name;
    enum dv_kind kind;
    const char *target;
};

struct plan {
    const char *name;
    const char *set;
    const char *id;
    const char *title;
    const struct plan_column *columns; /* besides id, versionnumber and what every table has */
};

static const struct plan_column account_columns[] = {
    {"name",                  DV_STRING,   NULL     },
    {"accountnumber",         DV_STRING,   NULL     },
    {"emailaddress1",         DV_STRING,   NULL     },
    {"telephone1",            DV_STRING,   NULL     },
    {"address1_city",         DV_STRING,   NULL     },
    {"description",           DV_MEMO,     NULL     },
    {"numberofemployees",     DV_INTEGER,  NULL     },
    {"new_externalid",        DV_BIGINT,   NULL     },
    {"exchangerate",          DV_DECIMAL,  NULL     },
    {"new_weight",            DV_DECIMAL,  NULL     },
    {"creditlimit",           DV_MONEY,    NULL     },
    {"revenue",               DV_MONEY,    NULL     },
    {"address1_latitude",     DV_DOUBLE,   NULL     },
    {"address1_longitude",    DV_DOUBLE,   NULL     },
    {"donotphone",            DV_BOOLEAN,  NULL     },
    {"creditonhold",          DV_BOOLEAN,  NULL     },
    {"lastonholdtime",        DV_DATETIME, NULL     },
    {"new_founded",           DV_DATE,     NULL     },
    {"industrycode",          DV_PICKLIST, NULL     },
    {"new_tags",              DV_MULTI,    NULL     },
    {"primarycontactid",      DV_LOOKUP,   "contact"},
    {"parentaccountid",       DV_LOOKUP,   "account"},
    {"address1_addressid",    DV_GUID,     NULL     },
    {"new_preferredcategory", DV_PICKLIST, NULL     },
    {NULL,                    DV_KINDS,    NULL     },
};

static const struct plan_column contact_columns[] = {
    {"fullname",         DV_STRING,   NULL     },
    {"emailaddress1",    DV_STRING,   NULL     },
    {"mobilephone",      DV_STRING,   NULL     },
    {"description",      DV_MEMO,     NULL     },
    {"numberofchildren", DV_INTEGER,  NULL     },
    {"annualincome",     DV_MONEY,    NULL     },
    {"birthdate",        DV_DATE,     NULL     },
    {"donotemail",       DV_BOOLEAN,  NULL     },
    {"gendercode",       DV_PICKLIST, NULL     },
    {"parentcustomerid", DV_LOOKUP,   "account"},
    {NULL,               DV_KINDS,    NULL     },
};

static const struct plan_column product_columns[] = {
    {"name",             DV_STRING,   NULL},
    {"productnumber",    DV_STRING,   NULL},
    {"description",      DV_MEMO,     NULL},
    {"price",            DV_MONEY,    NULL},
    {"stockweight",      DV_DECIMAL,  NULL},
    {"quantityonhand",   DV_DECIMAL,  NULL},
    {"quantitydecimal",  DV_INTEGER,  NULL},
    {"iskit",            DV_BOOLEAN,  NULL},
    {"productstructure", DV_PICKLIST, NULL},
    {"validfromdate",    DV_DATETIME, NULL},
    {NULL,               DV_KINDS,    NULL},
};

static const struct plan_column salesorder_columns[] = {
    {"name",              DV_STRING,   NULL     },
    {"ordernumber",       DV_STRING,   NULL     },
    {"totalamount",       DV_MONEY,    NULL     },
    {"freightamount",     DV_MONEY,    NULL     },
    {"exchangerate",      DV_DECIMAL,  NULL     },
    {"datefulfilled",     DV_DATE,     NULL     },
    {"requestdeliveryby", DV_DATETIME, NULL     },
    {"ispricelocked",     DV_BOOLEAN,  NULL     },
    {"prioritycode",      DV_PICKLIST, NULL     },
    {"customerid",        DV_LOOKUP,   "account"},
    {NULL,                DV_KINDS,    NULL     },
};

static const struct plan_column tag_columns[] = {
    {"new_name",  DV_STRING,   NULL},
    {"new_color", DV_PICKLIST, NULL},
    {"new_rank",  DV_INTEGER,  NULL},
    {NULL,        DV_KINDS,    NULL},
};

static const struct plan_column vendor_columns[] = {
    {"mserp_vendoraccountnumber",    DV_STRING,   NULL},
    {"mserp_dataareaid",             DV_COMPANY,  NULL},
    {"mserp_vendororganizationname", DV_STRING,   NULL},
    {"mserp_creditlimit",            DV_DECIMAL,  NULL},
    {"mserp_vendorpotentialdebt",    DV_DECIMAL,  NULL},
    {"mserp_isvendorlocallyowned",   DV_PICKLIST, NULL},
    {"mserp_vendorvalidfrom",        DV_DATETIME, NULL},
    {"mserp_notes",                  DV_MEMO,     NULL},
    {NULL,                           DV_KINDS,    NULL},
};

static const struct plan_column generic_columns[] = {
    {"new_name",   DV_STRING,   NULL     },
    {"new_note",   DV_MEMO,     NULL     },
    {"new_count",  DV_INTEGER,  NULL     },
    {"new_amount", DV_MONEY,    NULL     },
    {"new_active", DV_BOOLEAN,  NULL     },
    {"new_since",  DV_DATETIME, NULL     },
    {"new_kind",   DV_PICKLIST, NULL     },
    {"new_owner",  DV_LOOKUP,   "contact"},
    {NULL,         DV_KINDS,    NULL     },
};

/* What every table but a virtual one has besides. */
static const struct plan_column common_columns[] = {
    {"statecode",  DV_STATE,      NULL        },
    {"statuscode", DV_STATUS,     NULL        },
    {"ownerid",    DV_OWNER,      "systemuser"},
    {"createdon",  DV_CREATEDON,  NULL        },
    {"modifiedon", DV_MODIFIEDON, NULL        },
    {NULL,         DV_KINDS,      NULL        },
};

static const struct plan plans[] = {
    {"account",                  "accounts",                   "accountid",                  "name",     account_columns   },
    {"contact",                  "contacts",                   "contactid",                  "fullname", contact_columns   },
    {"product",                  "products",                   "productid",                  "name",     product_columns   },
    {"salesorder",               "salesorders",                "salesorderid",               "name",     salesorder_columns},
    {"new_tag",                  "new_tags",                   "new_tagid",                  "new_name", tag_columns       },
    {"mserp_vendvendorv2entity", "mserp_vendvendorv2entities", "mserp_vendvendorv2entityid",
     "mserp_vendoraccountnumber",                                                                        vendor_columns    },
};

static const struct kind {
    const char *type;
    const char *class;
} kinds[DV_KINDS] = {
    [DV_ID] = {"Uniqueidentifier", "UniqueIdentifier"   },
    [DV_STRING] = {"String",           "String"             },
    [DV_MEMO] = {"Memo",             "Memo"               },
    [DV_INTEGER] = {"Integer",          "Integer"            },
    [DV_BIGINT] = {"BigInt",           "BigInt"             },
    [DV_DECIMAL] = {"Decimal",          "Decimal"            },
    [DV_MONEY] = {"Money",            "Money"              },
    [DV_DOUBLE] = {"Double",           "Double"             },
    [DV_BOOLEAN] = {"Boolean",          "Boolean"            },
    [DV_DATETIME] = {"DateTime",         "DateTime"           },
    [DV_DATE] = {"DateTime",         "DateTime"           },
    [DV_PICKLIST] = {"Picklist",         "Picklist"           },
    [DV_STATE] = {"State",            "State"              },
    [DV_STATUS] = {"Status",           "Status"             },
    [DV_LOOKUP] = {"Lookup",           "Lookup"             },
    [DV_OWNER] = {"Owner",            "Lookup"             },
    [DV_GUID] = {"Uniqueidentifier", "UniqueIdentifier"   },
    [DV_MULTI] = {"Virtual",          "MultiSelectPicklist"},
    [DV_COMPANY] = {"String",           "String"             },
    [DV_CREATEDON] = {"DateTime",         "DateTime"           },
    [DV_MODIFIEDON] = {"DateTime",         "DateTime"           },
    [DV_VERSION] = {"BigInt",           "BigInt"             },
};

const char *dv_kind_type(enum dv_kind kind)
{
    return kinds[kind].type;
}

const char *dv_kind_class(enum dv_kind kind)
{
    return kinds[kind].class;
}

static bool has_column(const struct dv_schema *schema, const char *name)
{
    for (unsigned i = 0; i < schema->column_count; i++)
        if (strcmp(schema->columns[i].name, name) == 0)
            return true;
    return false;
}

/* A logical name is lower case: letters, digits and underscores. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < DV_NAME_SIZE - 8 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static bool add_column(struct dv_schema *schema, const char *name, enum dv_kind kind,
                       const char *target, int64_t since)
{
    if (schema->column_count == DV_COLUMNS_MAX || !is_name(name))
        return false;
    struct dv_column *column = &schema->columns[schema->column_count];
    bool lookup = kind == DV_LOOKUP || kind == DV_OWNER;
    column->kind = kind;
    column->since = since;
    column->salt = sim_mix(sim_fnv(SIM_FNV_START, name, strlen(name)));
    sim_copy(column->name, sizeof(column->name), name);
    char field[sizeof(column->field)];
    snprintf(field, sizeof(field), lookup ? "_%s_value" : "%s", name);
    sim_copy(column->field, sizeof(column->field), field);
    column->lead_len = (size_t)snprintf(column->lead, sizeof(column->lead), ",\"%s\":", field);
    sim_copy(column->target, sizeof(column->target), target ? target : lookup ? "contact" : "");
    schema->column_count++; /* last: readers without the lock know an older count */
    return true;
}

static bool kind_of(const char *type, enum dv_kind *ret_kind)
{
    if (strcmp(type, "DateOnly") == 0 || strcmp(type, "MultiSelectPicklist") == 0) {
        *ret_kind = strcmp(type, "DateOnly") == 0 ? DV_DATE : DV_MULTI;
        return true;
    }
    for (int kind = DV_STRING; kind < DV_COMPANY; kind++) {
        if (kind != DV_MULTI && kind != DV_DATE && strcmp(kinds[kind].type, type) == 0) {
            *ret_kind = (enum dv_kind)kind;
            return true;
        }
    }
    return false;
}

bool dv_schema_add(struct dv_schema *schema, const char *name, const char *type, const char *target,
                   int64_t since, char *problem, size_t size)
{
    enum dv_kind kind;
    if (!kind_of(type, &kind)) {
        snprintf(problem, size,
                 "column '%s': there is no type '%s'; it is one of String, Memo, Integer, BigInt, "
                 "Decimal, Money, Double, Boolean, DateTime, DateOnly, Picklist, "
                 "MultiSelectPicklist, State, Status, Lookup, Owner, Uniqueidentifier",
                 name, type);
        return false;
    }
    if (has_column(schema, name)) {
        snprintf(problem, size, "table '%s' has the column '%s' already", schema->name, name);
        return false;
    }
    if (!add_column(schema, name, kind, target, since)) {
        snprintf(problem, size,
                 "column '%s': a name has lower case letters, digits and underscores, and a table "
                 "has at most %d columns",
                 name, DV_COLUMNS_MAX);
        return false;
    }
    return true;
}

static void add_plan(struct dv_schema *schema, const struct plan_column *columns)
{
    for (; columns->name; columns++)
        if (!has_column(schema, columns->name))
            add_column(schema, columns->name, columns->kind, columns->target, 0);
}

static bool add_described(struct dv_schema *schema, yajl_val columns, char *problem, size_t size)
{
    for (size_t i = 0; i < columns->u.array.len; i++) {
        yajl_val column = columns->u.array.values[i];
        const char *name = sim_json_string(column, "name", "");
        if (!dv_schema_add(schema, name, sim_json_string(column, "type", "String"),
                           sim_json_string(column, "target", NULL), 0, problem, size))
            return false;
        if (!*schema->title_column && schema->columns[schema->column_count - 1].kind == DV_STRING)
            sim_copy(schema->title_column, sizeof(schema->title_column), name);
    }
    return true;
}

static const struct plan *find_plan(const char *name)
{
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
        if (strcmp(plans[i].name, name) == 0)
            return &plans[i];
    return NULL;
}

static bool is_generic(const char *name)
{
    return strlen(name) == 4 && name[0] == 't' && strspn(name + 1, "0123456789") == 3;
}

/* Writes what the caller named, else what the plan has, else the name with a suffix. */
static void choose(char *out, const char *named, const char *planned, const char *name,
                   const char *suffix)
{
    if (named && *named)
        sim_copy(out, DV_NAME_SIZE, named);
    else if (planned)
        sim_copy(out, DV_NAME_SIZE, planned);
    else
        snprintf(out, DV_NAME_SIZE, "%s%s", name, suffix);
}

struct dv_schema *dv_schema_new(const char *name, const char *set, const char *id, yajl_val columns,
                                char *problem, size_t size)
{
    const struct plan *plan = find_plan(name);
    bool described = YAJL_IS_ARRAY(columns);
    if (!plan && !described && !is_generic(name)) {
        snprintf(problem, size,
                 "'%s' is no built-in table; name its columns: [{\"name\":…,\"type\":…}, …]", name);
        return NULL;
    }
    struct dv_schema *schema = sim_alloc(sizeof(*schema));
    sim_copy(schema->name, sizeof(schema->name), name);
    choose(schema->set, set, plan ? plan->set : NULL, name, "s");
    choose(schema->id_column, id, plan ? plan->id : NULL, name, "id");
    schema->salt = sim_mix(sim_fnv(SIM_FNV_START, name, strlen(name)));
    schema->is_virtual = strncmp(name, "mserp_", 6) == 0;

    bool ok = is_name(name) && is_name(schema->set) &&
              add_column(schema, schema->id_column, DV_ID, NULL, 0) &&
              add_column(schema, "versionnumber", DV_VERSION, NULL, 0);
    if (!ok)
        snprintf(problem, size, "table, set and id are lower case letters, digits and underscores");
    if (ok && described) {
        ok = add_described(schema, columns, problem, size);
    } else if (ok) {
        sim_copy(schema->title_column, sizeof(schema->title_column),
                 plan ? plan->title : "new_name");
        add_plan(schema, plan ? plan->columns : generic_columns);
    }
    if (ok && !schema->is_virtual)
        add_plan(schema, common_columns);
    if (!ok) {
        free(schema);
        return NULL;
    }
    return schema;
}

const struct dv_column *dv_schema_field(const struct dv_schema *schema, unsigned count,
                                        const char *field, size_t len)
{
    for (unsigned i = 0; i < count; i++) {
        const struct dv_column *column = &schema->columns[i];
        if (strlen(column->field) == len && memcmp(column->field, field, len) == 0)
            return column;
    }
    return NULL;
}
