/* What the service tells of itself: who asks, what he may read, and what tables look like.
 * Source: "Query table definitions using the Web API", EntityMetadata and AttributeMetadata of the
 * Web API reference. */
#include <stdio.h>
#include <strings.h>

#include "sim/dataverse/call.h"
#include "sim/random.h"

/* Which members an answer shall have: a list of $select; NULL for all. */
struct wanted {
    const char *list;
    size_t len;
};

static bool wants(struct wanted wanted, const char *name)
{
    size_t len = strlen(name);
    if (!wanted.list)
        return true;
    for (size_t at = 0; at < wanted.len;) {
        size_t span = 0;
        while (at + span < wanted.len && wanted.list[at + span] != ',')
            span++;
        if (span == len && memcmp(wanted.list + at, name, len) == 0)
            return true;
        at += span + 1;
    }
    return false;
}

static struct wanted read_select(const struct dv_call *call)
{
    const char *list = sim_http_argument(call->request, "$select");
    return (struct wanted){list, list ? strlen(list) : 0};
}

static void add_text(struct sim_text *out, struct wanted wanted, const char *name,
                     const char *value)
{
    if (!wants(wanted, name))
        return;
    sim_text_name(out, name);
    if (value)
        sim_text_json(out, value, strlen(value));
    else
        sim_text_puts(out, "null");
}

static void add_flag(struct sim_text *out, struct wanted wanted, const char *name, bool value)
{
    if (wants(wanted, name))
        sim_text_bool(out, name, value);
}

static void add_guid(struct sim_text *out, const char *name, uint64_t number)
{
    char guid[DV_GUID_SIZE];
    dv_guid_of(number, guid);
    sim_text_member(out, name, guid);
}

/* An attribute; shadow is the suffix of the one that goes with it ("primarycontactidname"). */
static void add_attribute(struct sim_text *out, const struct dv_column *column, const char *shadow,
                          const char *shadow_type, struct wanted wanted)
{
    char name[DV_NAME_SIZE + 8];
    bool is_shadow = *shadow != '\0';
    snprintf(name, sizeof(name), "%s%s", column->name, shadow);
    sim_text_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
    sim_text_printf(out, "\"@odata.type\":\"#Microsoft.Dynamics.CRM.%sAttributeMetadata\"",
                    is_shadow ? (strcmp(shadow_type, "Virtual") == 0 ? "" : shadow_type)
                              : dv_kind_class(column->kind));
    add_text(out, wanted, "LogicalName", name);
    add_text(out, wanted, "SchemaName", name);
    add_text(out, wanted, "AttributeType", is_shadow ? shadow_type : dv_kind_type(column->kind));
    if (wants(wanted, "AttributeTypeName"))
        sim_text_printf(out, ",\"AttributeTypeName\":{\"Value\":\"%sType\"}",
                        is_shadow ? shadow_type : dv_kind_class(column->kind));
    add_text(out, wanted, "AttributeOf", is_shadow ? column->name : NULL);
    add_flag(out, wanted, "IsValidForRead", true);
    add_flag(out, wanted, "IsPrimaryId", !is_shadow && column->kind == DV_ID);
    add_flag(out, wanted, "IsLogical", is_shadow);
    if (wants(wanted, "Format") && !is_shadow &&
        strcmp(dv_kind_type(column->kind), "DateTime") == 0)
        sim_text_member(out, "Format", column->kind == DV_DATE ? "DateOnly" : "DateAndTime");
    add_guid(out, "MetadataId", column->salt + (is_shadow ? (uint64_t)shadow[0] : 0));
    sim_text_char(out, '}');
}

static void add_attributes(struct sim_text *out, const struct dv_schema *schema,
                           struct wanted wanted)
{
    for (unsigned i = 0; i < schema->column_count; i++) {
        const struct dv_column *column = &schema->columns[i];
        add_attribute(out, column, "", "", wanted);
        switch (column->kind) {
        case DV_LOOKUP:
        case DV_OWNER:
            add_attribute(out, column, "name", "String", wanted);
            add_attribute(out, column, "yominame", "String", wanted);
            if (column->kind == DV_OWNER)
                add_attribute(out, column, "type", "EntityName", wanted);
            break;
        case DV_PICKLIST:
        case DV_STATE:
        case DV_STATUS:
        case DV_BOOLEAN:
        case DV_MULTI:
            add_attribute(out, column, "name", "Virtual", wanted);
            break;
        default:
            break;
        }
    }
}

static void add_privileges(struct sim_text *out, const struct dv_schema *schema)
{
    static const char *const verbs[] = {"Create", "Read",  "Write",  "Delete",
                                        "Assign", "Share", "Append", "AppendTo"};
    char name[DV_NAME_SIZE + 16];
    sim_text_name(out, "Privileges");
    sim_text_char(out, '[');
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        dv_privilege_name(schema, verbs[i], name, sizeof(name));
        sim_text_puts(out, i ? ",{" : "{");
        sim_text_puts(out, "\"CanBeBasic\":true,\"CanBeDeep\":true,\"CanBeGlobal\":true,"
                           "\"CanBeLocal\":true,\"CanBeEntityReference\":false,"
                           "\"CanBeParentEntityReference\":false");
        sim_text_member(out, "Name", name);
        add_guid(out, "PrivilegeId", schema->salt + i);
        sim_text_member(out, "PrivilegeType", verbs[i]);
        sim_text_char(out, '}');
    }
    sim_text_char(out, ']');
}

static void add_definition(struct sim_text *out, const struct dv_table *table, struct wanted wanted)
{
    const struct dv_schema *schema = table->schema;
    const char *title = *schema->title_column ? schema->title_column : NULL;
    add_text(out, wanted, "LogicalName", schema->name);
    add_text(out, wanted, "SchemaName", schema->name);
    add_text(out, wanted, "LogicalCollectionName", schema->set);
    add_text(out, wanted, "EntitySetName", schema->set);
    add_text(out, wanted, "PrimaryIdAttribute", schema->id_column);
    add_text(out, wanted, "PrimaryNameAttribute", title);
    add_text(out, wanted, "TableType",
             table->elastic       ? "Elastic"
             : schema->is_virtual ? "Virtual"
                                  : "Standard");
    add_flag(out, wanted, "ChangeTrackingEnabled", table->tracking);
    if (wants(wanted, "CanChangeTrackingBeEnabled"))
        sim_text_printf(out,
                        ",\"CanChangeTrackingBeEnabled\":{\"Value\":%s,\"CanBeChanged\":true,"
                        "\"ManagedPropertyLogicalName\":\"canchangetrackingbeenabled\"}",
                        table->trackable ? "true" : "false");
    if (wants(wanted, "Privileges"))
        add_privileges(out, schema);
    add_guid(out, "MetadataId", schema->salt);
}

/* The list inside Attributes($select=LogicalName,AttributeType); found is false without $expand. */
static struct wanted read_expand(const struct dv_call *call, bool *ret_found)
{
    const char *expand = sim_http_argument(call->request, "$expand");
    const char *attributes = expand ? strstr(expand, "Attributes") : NULL;
    *ret_found = attributes != NULL;
    const char *list = attributes ? strstr(attributes, "($select=") : NULL;
    if (!list)
        return (struct wanted){0};
    list += strlen("($select=");
    return (struct wanted){list, strcspn(list, ");")};
}

void dv_answer_definition(struct dv_call *call, const char *name, bool attributes_only)
{
    struct sim_text *out = &call->out;
    call->request->action = "dv_metadata";
    sim_lock(call->sim);
    const struct dv_table *table = dv_find_table(call->dv, name);
    if (!table) {
        dv_fail(call, 404, "0x80060888",
                "Could not find an entity with name %s and object type code -1.", name);
    } else if (attributes_only) {
        sim_text_printf(out,
                        "{\"@odata.context\":\"%s$metadata#EntityDefinitions('%s')/Attributes\","
                        "\"value\":[",
                        call->base, name);
        add_attributes(out, table->schema, read_select(call));
        sim_text_puts(out, "]}");
    } else {
        bool expand;
        struct wanted wanted = read_expand(call, &expand);
        sim_text_printf(out, "{\"@odata.context\":\"%s$metadata#EntityDefinitions/$entity\"",
                        call->base);
        add_definition(out, table, read_select(call));
        if (expand) {
            sim_text_puts(out, ",\"Attributes\":[");
            add_attributes(out, table->schema, wanted);
            sim_text_char(out, ']');
        }
        sim_text_char(out, '}');
    }
    sim_unlock(call->sim);
}

/* EntityDefinitions, all of them or with the filter ChangeTrackingEnabled eq true. */
void dv_answer_definitions(struct dv_call *call)
{
    struct sim_text *out = &call->out;
    const char *filter = sim_http_argument(call->request, "$filter");
    call->request->action = "dv_metadata";
    if (filter && strcmp(filter, "ChangeTrackingEnabled eq true") != 0 &&
        strcmp(filter, "ChangeTrackingEnabled eq false") != 0) {
        dv_fail(call, 400, "0x80060888", "sluice-sim does not know the filter '%s'.", filter);
        return;
    }
    sim_lock(call->sim);
    sim_text_printf(out, "{\"@odata.context\":\"%s$metadata#EntityDefinitions\",\"value\":[",
                    call->base);
    size_t added = 0;
    for (size_t i = 0; i < call->dv->table_count; i++) {
        const struct dv_table *table = call->dv->tables[i];
        if (filter && table->tracking != (strstr(filter, "true") != NULL))
            continue;
        sim_text_puts(out, added++ ? ",{" : "{");
        size_t start = out->len;
        add_definition(out, table, read_select(call));
        if (out->data[start] == ',')
            out->data[start] = ' ';
        sim_text_char(out, '}');
    }
    sim_text_puts(out, "]}");
    sim_unlock(call->sim);
}

void dv_answer_who(struct dv_call *call)
{
    struct sim_text *out = &call->out;
    char user[DV_GUID_SIZE];
    call->request->action = "dv_whoami";
    dv_user_id(call, user);
    sim_text_printf(out,
                    "{\"@odata.context\":\"%s$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse\"",
                    call->base);
    add_guid(out, "BusinessUnitId", call->sim->options.seed + 1);
    sim_text_member(out, "UserId", user);
    int64_t other = sim_switch_number(sim_switch_view(call->sim, NULL), SW_DV_ORGANISATION);
    uint64_t organisation = call->sim->options.seed + 2;
    add_guid(out, "OrganizationId", other ? sim_mix(organisation + (uint64_t)other) : organisation);
    sim_text_char(out, '}');
}

/* As the service writes it: "Basic". False when it does not tell; the answer is made. */
static bool read_depth(struct dv_call *call, char *ret_depth, size_t size)
{
    const char *depth = sim_switch_text(sim_switch_view(call->sim, NULL), SW_DV_READ_DEPTH);
    if (strcmp(depth, "untold") == 0) {
        dv_fail(call, 403, "0x80040220", "The user is missing prvReadUser privilege.");
        return false;
    }
    sim_copy(ret_depth, size, dv_switch(call->dv, SW_DV_NO_ORG_READ) ? "basic" : depth);
    ret_depth[0] = (char)(ret_depth[0] - 'a' + 'A');
    return true;
}

/* RetrieveUserPrivilegeByPrivilegeName(PrivilegeName='prvReadAccount'). Whether a depth is told
 * as a word or a number is not documented by an example; here it is the enumeration's word. */
void dv_answer_privilege(struct dv_call *call, const char *rest)
{
    static const char function[] =
        "/Microsoft.Dynamics.CRM.RetrieveUserPrivilegeByPrivilegeName(PrivilegeName='";
    struct sim_text *out = &call->out;
    call->request->action = "dv_privilege";
    if (strncmp(rest, function, strlen(function)) != 0) {
        dv_fail(call, 404, "0x80060888", "Resource not found for the segment '%s'.", rest);
        return;
    }
    const char *asked = rest + strlen(function);
    size_t len = strcspn(asked, "'");
    sim_lock(call->sim);
    char depth[16];
    if (!read_depth(call, depth, sizeof(depth))) {
        sim_unlock(call->sim);
        return;
    }
    sim_text_printf(out,
                    "{\"@odata.context\":\"%s$metadata#Microsoft.Dynamics.CRM."
                    "RetrieveUserPrivilegeByPrivilegeNameResponse\",\"RolePrivileges\":[",
                    call->base);
    for (size_t i = 0; i < call->dv->table_count; i++) {
        const struct dv_schema *schema = call->dv->tables[i]->schema;
        char name[DV_NAME_SIZE + 16];
        dv_privilege_name(schema, "Read", name, sizeof(name));
        if (strlen(name) != len || strncasecmp(name, asked, len) != 0)
            continue;
        sim_text_char(out, '{');
        sim_text_member(out, "Depth", depth);
        add_guid(out, "PrivilegeId", schema->salt + 1);
        add_guid(out, "BusinessUnitId", call->sim->options.seed + 1);
        sim_text_member(out, "PrivilegeName", name);
        sim_text_puts(out, ",\"RecordFilterId\":\"00000000-0000-0000-0000-000000000000\","
                           "\"RecordFilterUniqueName\":\"\"}");
    }
    sim_text_puts(out, "]}");
    sim_unlock(call->sim);
}

/* RelationshipDefinitions(SchemaName='new_account_tag'), of many to many. */
void dv_answer_relationship(struct dv_call *call, const char *name)
{
    struct sim_text *out = &call->out;
    call->request->action = "dv_metadata";
    sim_lock(call->sim);
    const struct dv_relation *relation = dv_named_relation(call->dv, name);
    if (!relation) {
        dv_fail(call, 404, "0x80060888", "Could not find relationship with name %s.", name);
    } else {
        sim_text_printf(
            out,
            "{\"@odata.context\":\"%s$metadata#RelationshipDefinitions/$entity\","
            "\"@odata.type\":\"#Microsoft.Dynamics.CRM.ManyToManyRelationshipMetadata\"",
            call->base);
        sim_text_member(out, "SchemaName", relation->name);
        sim_text_member(out, "RelationshipType", "ManyToManyRelationship");
        sim_text_member(out, "Entity1LogicalName", relation->from->schema->name);
        sim_text_member(out, "Entity2LogicalName", relation->to->schema->name);
        sim_text_char(out, '}');
    }
    sim_unlock(call->sim);
}
