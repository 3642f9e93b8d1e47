/* What is read one at a time: a row by its id, and an association of two rows.
 * Source: "Retrieve a table row using the Web API". */
#include <stdio.h>
#include <stdlib.h>

#include "sim/dataverse/call.h"
#include "sim/random.h"

bool dv_read_shape(struct dv_call *call, const struct dv_table *table, struct dv_shape *shape)
{
    const struct dv_schema *schema = table->schema;
    const char *select = sim_http_argument(call->request, "$select");
    *shape = (struct dv_shape){.formatted = call->formatted, .lookups = call->lookups};
    for (const char *at = select; at && *at;) {
        size_t len = strcspn(at, ",");
        const struct dv_column *column = dv_schema_field(schema, schema->column_count, at, len);
        if (!column || shape->count == DV_COLUMNS_MAX) {
            dv_fail(call, 400, "0x80060888",
                    "Could not find a property named '%.*s' on type 'Microsoft.Dynamics.CRM.%s'.",
                    (int)len, at, schema->name);
            return false;
        }
        if (shape->count == 0 || column->kind != DV_ID)
            shape->columns[shape->count++] = column;
        at += len + (at[len] == ',');
    }
    bool all = shape->count == 0;
    for (unsigned i = 0; all && i < schema->column_count; i++)
        if (schema->columns[i].kind != DV_ID)
            shape->columns[shape->count++] = &schema->columns[i];
    /* The key is always there, and comes last when nobody asked for it. */
    bool first = shape->count && shape->columns[0]->kind == DV_ID;
    if (!first && shape->count < DV_COLUMNS_MAX)
        shape->columns[shape->count++] = &schema->columns[0];
    return true;
}

void dv_user_id(const struct dv_call *call, char *out)
{
    dv_guid_of(sim_mix(call->sim->options.seed + 77) + call->client, out);
}

void dv_privilege_name(const struct dv_schema *schema, const char *verb, char *out, size_t size)
{
    char name[DV_NAME_SIZE];
    sim_copy(name, sizeof(name), schema->name);
    if (strcmp(name, "salesorder") == 0)
        sim_copy(name, sizeof(name), "SalesOrder");
    else if (!strchr(name, '_') && name[0] >= 'a' && name[0] <= 'z')
        name[0] = (char)(name[0] - 'a' + 'A');
    snprintf(out, size, "prv%s%s", verb, name);
}

bool dv_refuse_reader(struct dv_call *call, const struct dv_table *table)
{
    char user[DV_GUID_SIZE];
    char privilege[DV_NAME_SIZE + 16];
    if (!dv_switch(call->dv, SW_DV_NO_ORG_READ))
        return false;
    dv_user_id(call, user);
    dv_privilege_name(table->schema, "Read", privilege, sizeof(privilege));
    dv_fail(call, 403, "0x80040220",
            "Principal user (Id=%s, type=8, roleCount=1, privilegeCount=12) is missing %s "
            "privilege (Id=886b280c-6396-4d56-a0a3-2c1b0a50ceb0) on OTC=1 for entity '%s'.",
            user, privilege, table->schema->name);
    return true;
}

bool dv_sees(const struct dv *dv, uint32_t index)
{
    static const char *const depths[] = {"basic", "local", "deep"};
    const char *depth = sim_switch_text(sim_switch_view(dv->sim, NULL), SW_DV_READ_DEPTH);
    for (unsigned i = 0; i < sizeof(depths) / sizeof(depths[0]); i++)
        if (strcmp(depth, depths[i]) == 0)
            return index % 4 <= i;
    return true;
}

/* A row that is there and that the caller may not see. */
static void fail_unseen(struct dv_call *call)
{
    dv_fail(call, 403, "0x80040220",
            "SecLib::AccessCheckEx failed. Returned hr = -2147187962, ObjectID: hidden");
}

static void fail_unknown(struct dv_call *call, const char *table, const char *guid)
{
    dv_fail(call, 404, "0x80040217", "Entity '%s' With Id = %s Does Not Exist", table, guid);
}

/* Replaces the brace that opens a row, written at place, so that members may stand before it. */
static void add_row(struct dv_call *call, const struct dv_image *image,
                    const struct dv_shape *shape, enum dv_spoil spoil, uint64_t huge_bytes)
{
    size_t place = call->out.len;
    dv_row_answer(image, shape, spoil, huge_bytes, &call->out);
    call->out.data[place] = ',';
}

void dv_answer_row(struct dv_call *call, struct dv_table *table, const char *guid)
{
    struct sim_switch_view view = sim_switch_view(call->sim, NULL);
    struct dv_image image = {0};
    struct dv_shape shape;
    enum dv_spoil spoil = DV_WHOLE;
    uint32_t index = 0;
    call->request->action = "dv_row";
    sim_lock(call->sim);
    const struct dv_schema *schema = table->schema;
    bool ok = !dv_refuse_reader(call, table) && dv_read_shape(call, table, &shape);
    bool found = dv_table_find(table, guid, &index) && !table->rows[index].dead;
    if (ok && found && !dv_sees(call->dv, index)) {
        fail_unseen(call);
        ok = false;
    }
    uint64_t huge_bytes = (uint64_t)dv_switch(call->dv, SW_DV_HUGE_TEXT_BYTES);
    if (ok && found) {
        image = dv_look(call->dv, table, index);
        if (sim_switch_take(view, SW_DV_WRONG_TYPE_NEXT))
            spoil = DV_WRONG_TYPE;
        else if (sim_switch_take(view, SW_DV_NO_ID_NEXT))
            spoil = DV_NO_ID;
        else if (sim_switch_take(view, SW_DV_HUGE_TEXT_NEXT))
            spoil = DV_HUGE_TEXT;
        call->dv->counters.rows_read++;
    }
    sim_unlock(call->sim);
    if (!ok)
        return;
    if (!found) {
        fail_unknown(call, schema->name, guid);
        return;
    }
    const char *select = sim_http_argument(call->request, "$select");
    sim_text_printf(&call->out, "{\"@odata.context\":\"%s$metadata#%s", call->base, schema->set);
    if (select && *select)
        sim_text_printf(&call->out, "(%s)", select);
    sim_text_puts(&call->out, "/$entity\"");
    add_row(call, &image, &shape, spoil, huge_bytes);
}

/* The id that a filter "new_tagid eq 6d81…" names. False when it is another filter. */
static bool read_filter(const struct dv_call *call, const char *id_column, char *ret_guid)
{
    const char *filter = sim_http_argument(call->request, "$filter");
    size_t len = strlen(id_column);
    if (!filter || strncmp(filter, id_column, len) != 0 || strncmp(filter + len, " eq ", 4) != 0 ||
        strlen(filter + len + 4) != DV_GUID_SIZE - 1)
        return false;
    sim_copy(ret_guid, DV_GUID_SIZE, filter + len + 4);
    return true;
}

/* The related rows of one row, or the one that the filter names. Works from both ends. */
static void add_related(struct dv_call *call, const struct dv_relation *relation,
                        const struct dv_table *table, uint32_t index)
{
    bool forward = relation->from == table;
    const struct dv_table *other = forward ? relation->to : relation->from;
    struct dv_shape shape;
    char guid[DV_GUID_SIZE];
    uint32_t wanted = 0;
    bool filtered = sim_http_argument(call->request, "$filter") != NULL;
    if (!dv_read_shape(call, other, &shape))
        return;
    if (filtered && !read_filter(call, other->schema->id_column, guid)) {
        dv_fail(call, 400, "0x80060888", "sluice-sim knows only the filter '%s eq …'.",
                other->schema->id_column);
        return;
    }
    bool known = !filtered || dv_table_find(other, guid, &wanted);
    sim_text_printf(&call->out, "{\"@odata.context\":\"%s$metadata#%s\",\"value\":[", call->base,
                    other->schema->set);
    size_t added = 0;
    for (size_t i = 0; known && i < relation->count; i++) {
        const struct dv_link *link = &relation->links[i];
        uint32_t near = forward ? link->target : link->related;
        uint32_t far = forward ? link->related : link->target;
        if (near != index || link->dead || (filtered && far != wanted) || other->rows[far].dead)
            continue;
        if (!dv_sees(call->dv, far))
            continue;
        sim_text_puts(&call->out, added++ ? "," : "");
        struct dv_image image = dv_look(call->dv, other, far);
        dv_row_answer(&image, &shape, DV_WHOLE, 0, &call->out);
    }
    sim_text_puts(&call->out, "]}");
}

void dv_answer_related(struct dv_call *call, struct dv_table *table, const char *guid,
                       const char *relation_name)
{
    uint32_t index = 0;
    call->request->action = "dv_related";
    sim_lock(call->sim);
    const struct dv_relation *relation = dv_find_relation(call->dv, relation_name);
    if (!relation || (relation->from != table && relation->to != table))
        dv_fail(call, 404, "0x8006088a", "Resource not found for the segment '%s'.", relation_name);
    else if (!dv_table_find(table, guid, &index) || table->rows[index].dead)
        fail_unknown(call, table->schema->name, guid);
    else if (!dv_sees(call->dv, index))
        fail_unseen(call);
    else if (!dv_refuse_reader(call, table))
        add_related(call, relation, table, index);
    sim_unlock(call->sim);
}
