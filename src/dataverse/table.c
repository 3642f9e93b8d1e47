#include "dataverse/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/nearest.h"

#define VERSION_COLUMN "versionnumber"
#define MODIFIED_COLUMN "modifiedon"

enum { NAME_MAX_BYTES = 256, BAD_REQUEST = 400, NOT_THERE = 404 };

/* --- attributes --- */

/* What sluice makes of an attribute, by its AttributeType. Money is Decimal128 as well, because it
 * has up to ten decimals; lookups appear in answers under another name; a managed property is an
 * object, {"Value":true,"CanBeChanged":true,…}. */
static const struct kind {
    const char *name;
    enum sl_type type;
    bool lookup;
    bool any; /* a value is what JSON says */
} KINDS[] = {
    {"BigInt",           SL_TYPE_INT,     false, false},
    {"Boolean",          SL_TYPE_BOOL,    false, false},
    {"Customer",         SL_TYPE_STRING,  true,  false},
    {"DateTime",         SL_TYPE_DATE,    false, false},
    {"Decimal",          SL_TYPE_DECIMAL, false, false},
    {"Double",           SL_TYPE_DOUBLE,  false, false},
    {"EntityName",       SL_TYPE_STRING,  false, false},
    {"Integer",          SL_TYPE_INT,     false, false},
    {"Lookup",           SL_TYPE_STRING,  true,  false},
    {"ManagedProperty",  SL_TYPE_STRING,  false, true },
    {"Memo",             SL_TYPE_STRING,  false, false},
    {"Money",            SL_TYPE_DECIMAL, false, false},
    {"Owner",            SL_TYPE_STRING,  true,  false},
    {"Picklist",         SL_TYPE_INT,     false, false},
    {"State",            SL_TYPE_INT,     false, false},
    {"Status",           SL_TYPE_INT,     false, false},
    {"String",           SL_TYPE_STRING,  false, false},
    {"Uniqueidentifier", SL_TYPE_STRING,  false, false},
    {"Virtual",          SL_TYPE_STRING,  false, false}, /* a choice of many, a file, an image */
};

/* NULL: it is no column of a row (PartyList, CalendarRules), or of a kind not known yet. */
static const struct kind *kind_of(const struct sl_json *attribute)
{
    const char *type = sl_json_text(sl_json_get(attribute, "AttributeType"));
    const struct sl_json *readable = sl_json_get(attribute, "IsValidForRead");
    if (!type || (readable && readable->kind == SL_JSON_BOOL && !readable->truth))
        return NULL;
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (!strcmp(KINDS[i].name, type))
            return &KINDS[i];
    return NULL;
}

static const struct sl_json *attributes_of(const struct sl_json *definition)
{
    const struct sl_json *list = sl_json_get(definition, "Attributes");
    return list && list->kind == SL_JSON_LIST ? list->first : NULL;
}

static const char *name_of(const struct sl_json *attribute)
{
    const char *name = sl_json_text(sl_json_get(attribute, "LogicalName"));
    return name && strlen(name) < NAME_MAX_BYTES - 16 ? name : NULL;
}

static const struct sl_json *find_attribute(const struct sl_json *definition, const char *name)
{
    for (const struct sl_json *at = attributes_of(definition); at; at = at->next) {
        const char *own = name_of(at);
        if (own && !strcmp(own, name))
            return at;
    }
    return NULL;
}

/* A shadow goes with another attribute ("primarycontactidname") and is not asked for by itself; the
 * parts of an image are. */
static bool is_shadow(const struct sl_json *definition, const struct sl_json *attribute)
{
    const char *of = sl_json_text(sl_json_get(attribute, "AttributeOf"));
    const struct sl_json *parent = of && *of ? find_attribute(definition, of) : NULL;
    const char *type = sl_json_text(sl_json_get(parent, "AttributeType"));
    return type && strcmp(type, "Virtual") != 0;
}

/* What the attribute is called in answers. */
static const char *answer_name(const char *name, const struct kind *kind, char out[NAME_MAX_BYTES])
{
    if (!kind->lookup)
        return name;
    snprintf(out, NAME_MAX_BYTES, "_%s_value", name);
    return out;
}

static void add_column(struct sl_columns *columns, const char *name, const struct kind *kind,
                       bool keep)
{
    if (kind->any)
        sl_columns_add_any(columns, sl_str_of(name), keep);
    else
        sl_columns_add(columns, sl_str_of(name), kind->type, keep);
}

/* --- $select --- */

/* A configured column: an attribute's own name, or what a lookup is called in answers. */
static bool names(const char *wanted, const char *name, const struct kind *kind)
{
    char other[NAME_MAX_BYTES];
    return !strcmp(wanted, name) || !strcmp(wanted, answer_name(name, kind, other));
}

static int unknown_column(const struct sl_json *definition, const char *table, const char *wanted,
                          struct sl_err *err)
{
    char hint[NAME_MAX_BYTES + 32];
    struct sl_nearest nearest;
    const struct sl_json *shadow = find_attribute(definition, wanted);
    if (shadow && is_shadow(definition, shadow))
        return sl_err_set(err, SL_CONFIG,
                          "table '%s': '%s' is not a column of its own but goes with '%s'; select "
                          "that one, and set formatted_values",
                          table, wanted, sl_json_text(sl_json_get(shadow, "AttributeOf")));
    sl_nearest_init(&nearest, wanted);
    for (const struct sl_json *at = attributes_of(definition); at; at = at->next)
        if (name_of(at) && kind_of(at) && !is_shadow(definition, at))
            sl_nearest_offer(&nearest, name_of(at));
    return sl_err_set(err, SL_CONFIG, "table '%s' has no column '%s' that can be read%s", table,
                      wanted, sl_nearest_hint(&nearest, hint, sizeof hint));
}

static void add_select(struct sl_buf *select, const char *name)
{
    if (select->length)
        sl_buf_add_char(select, ',');
    sl_url_escape(select, name);
}

/* Marks the configured column as kept and asks for it. */
static int select_column(const struct sl_json *definition, const char *wanted,
                         struct sl_dataverse_table *table, struct sl_buf *select,
                         struct sl_err *err)
{
    for (const struct sl_json *at = attributes_of(definition); at; at = at->next) {
        const struct kind *kind = kind_of(at);
        const char *name = name_of(at);
        char other[NAME_MAX_BYTES];
        if (!kind || !name || !names(wanted, name, kind) || is_shadow(definition, at))
            continue;
        const char *known = answer_name(name, kind, other);
        if (sl_columns_find(&table->columns, sl_str_of(known))->keep)
            return SL_OK; /* named twice, or the key */
        add_column(&table->columns, known, kind, true);
        add_select(select, known);
        return SL_OK;
    }
    return unknown_column(definition, table->name, wanted, err);
}

/* A column that sluice itself needs; it is read, and kept only when it was asked for. */
static void need_column(struct sl_dataverse_table *table, const char *name, struct sl_buf *select)
{
    const struct sl_column *column = sl_columns_find(&table->columns, sl_str_of(name));
    if (column && !column->keep)
        add_select(select, name);
}

static int build_select(const struct sl_json *definition, char *const *select,
                        struct sl_dataverse_table *table, struct sl_err *err)
{
    struct sl_buf list;
    int rc = SL_OK;
    sl_buf_init(&list);
    sl_columns_add(&table->columns, sl_str_of(table->id_column), SL_TYPE_STRING, true);
    add_select(&list, table->id_column);
    for (; *select && rc == SL_OK; select++)
        rc = select_column(definition, *select, table, &list, err);
    need_column(table, MODIFIED_COLUMN, &list);
    need_column(table, VERSION_COLUMN, &list);
    if (rc == SL_OK)
        table->select = sl_buf_take(&list);
    sl_buf_done(&list);
    return rc;
}

/* --- the definition --- */

static char *copy_text(const struct sl_json *definition, const char *member)
{
    const char *text = sl_json_text(sl_json_get(definition, member));
    return text && *text ? sl_strdup(text) : NULL;
}

static bool is_true(const struct sl_json *node)
{
    return node && node->kind == SL_JSON_BOOL && node->truth;
}

static char *find_read_privilege(const struct sl_json *definition)
{
    const struct sl_json *list = sl_json_get(definition, "Privileges");
    for (const struct sl_json *at = list ? list->first : NULL; at; at = at->next) {
        const char *type = sl_json_text(sl_json_get(at, "PrivilegeType"));
        if (type && !strcmp(type, "Read"))
            return copy_text(at, "Name");
    }
    return NULL;
}

static void add_columns(const struct sl_json *definition, bool keep, struct sl_columns *columns)
{
    for (const struct sl_json *at = attributes_of(definition); at; at = at->next) {
        char other[NAME_MAX_BYTES];
        const struct kind *kind = kind_of(at);
        const char *name = name_of(at);
        if (kind && name)
            add_column(columns, answer_name(name, kind, other), kind, keep);
    }
}

/* A row of an elastic table is found by its id and the partition that it lies in: by the id alone
 * the answer is a 404, which looks like a deletion. */
static int refuse_elastic(const struct sl_json *definition, const char *name, struct sl_err *err)
{
    const char *type = sl_json_text(sl_json_get(definition, "TableType"));
    if (!type || strcmp(type, "Elastic") != 0)
        return SL_OK;
    return sl_err_set(
        err, SL_CONFIG,
        "table '%s': elastic tables are not supported: a row of one cannot be read by "
        "its id alone",
        name);
}

int sl_dataverse_table_parse(const struct sl_json *definition, char *const *select,
                             struct sl_dataverse_table *ret, struct sl_err *err)
{
    struct sl_dataverse_table table = {
        .name = copy_text(definition, "LogicalName"),
        .entity_set = copy_text(definition, "EntitySetName"),
        .id_column = copy_text(definition, "PrimaryIdAttribute"),
        .read_privilege = find_read_privilege(definition),
        .tracked = is_true(sl_json_get(definition, "ChangeTrackingEnabled")),
        .trackable =
            is_true(sl_json_get(sl_json_get(definition, "CanChangeTrackingBeEnabled"), "Value")),
        .has_modified = find_attribute(definition, MODIFIED_COLUMN) != NULL,
    };
    int rc = SL_OK;
    sl_columns_init(&table.columns);
    if (!table.name || !table.entity_set || !table.id_column || !attributes_of(definition))
        rc = sl_err_set(err, SL_CLOSED,
                        "table '%s': its definition lacks the name, the entity set, the key or the "
                        "columns",
                        table.name ? table.name : "?");
    if (rc == SL_OK)
        rc = refuse_elastic(definition, table.name, err);
    if (rc == SL_OK) {
        add_columns(definition, !select, &table.columns);
        if (select)
            rc = build_select(definition, select, &table, err);
    }
    if (rc != SL_OK) {
        sl_dataverse_table_done(&table);
        return rc;
    }
    *ret = table;
    return SL_OK;
}

static int read_definition(struct sl_dataverse_remote *remote, const char *name, const char *more,
                           enum sl_urgency urgency, struct sl_json_doc **ret, struct sl_err *err)
{
    struct sl_buf path;
    sl_buf_init(&path);
    sl_buf_add_text(&path, "EntityDefinitions(LogicalName='");
    sl_url_escape(&path, name);
    sl_buf_printf(&path,
                  "')?$select=LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled,"
                  "CanChangeTrackingBeEnabled,Privileges%s"
                  "&$expand=Attributes($select=LogicalName,AttributeType,AttributeOf,"
                  "IsValidForRead)",
                  more);
    const struct sl_dataverse_get get = {.path = path.data, .urgency = urgency};
    int rc = sl_dataverse_read_json(remote, &get, ret, err);
    sl_buf_done(&path);
    return rc;
}

int sl_dataverse_table_read(struct sl_dataverse_remote *remote, const char *name,
                            char *const *select, enum sl_urgency urgency,
                            struct sl_dataverse_table *ret, struct sl_err *err)
{
    struct sl_json_doc *doc = NULL;
    int rc = read_definition(remote, name, ",TableType", urgency, &doc, err);
    if (rc == SL_REJECTED && err->cause == BAD_REQUEST) /* older than table types */
        rc = read_definition(remote, name, "", urgency, &doc, err);
    if (rc == SL_NOTFOUND || (rc == SL_CONFIG && err->cause == NOT_THERE)) {
        sl_err_set(err, SL_CONFIG,
                   "the environment '%s' has no table '%s': its logical name is wanted, such as "
                   "account (not accounts)",
                   remote->base.host, name);
        err->cause = NOT_THERE;
        return SL_CONFIG;
    }
    if (rc != SL_OK)
        return rc;
    rc = sl_dataverse_table_parse(sl_json_root(doc), select, ret, err);
    sl_json_free(doc);
    if (rc == SL_CONFIG)
        err->cause = NOT_THERE;
    return rc;
}

int sl_dataverse_table_check(const struct sl_dataverse_table *table, struct sl_err *err)
{
    if (table->tracked)
        return SL_OK;
    if (table->trackable)
        return sl_err_set(err, SL_CONFIG,
                          "table '%s': change tracking is off; turn it on in the table's "
                          "properties (\"Track changes\") and publish",
                          table->name);
    return sl_err_set(err, SL_CONFIG,
                      "table '%s': change tracking is off and cannot be turned on; read its rows "
                      "back by a webhook feed instead",
                      table->name);
}

void sl_dataverse_table_done(struct sl_dataverse_table *table)
{
    free(table->name);
    free(table->entity_set);
    free(table->id_column);
    free(table->read_privilege);
    free(table->select);
    sl_columns_done(&table->columns);
    memset(table, 0, sizeof *table);
}
