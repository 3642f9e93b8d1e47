/* The control calls under /_sim/dv/: tables, changes, associations, metadata, webhooks. */
#include "sim/dataverse/control.h"

#include <stdarg.h>
#include <stdio.h>

#include "sim/dataverse/dataverse.h"
#include "sim/dataverse/hook.h"
#include "sim/json.h"
#include "sim/random.h"

#define IDS_SHOWN 1000
#define ROWS_MOST 50000000
#define GENERIC_TABLES_MOST 1000

__attribute__((format(printf, 3, 4))) static unsigned refuse(struct sim_call *call, unsigned status,
                                                             const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(call->problem, sizeof(call->problem), format, args);
    va_end(args);
    return status;
}

static struct dv_table *find_table(struct sim_call *call)
{
    const char *name = sim_call_string(call, "table");
    struct dv_table *table = dv_find_table(call->sim->dataverse, name);
    if (!table)
        refuse(call, 404, "there is no table '%s'; POST /_sim/dv/table makes one", name);
    return table;
}

static void describe_table(const struct dv_table *table, struct sim_text *out)
{
    const struct dv_schema *schema = table->schema;
    sim_text_puts(out, out->len && out->data[out->len - 1] == '}' ? ",{" : "{");
    sim_text_member(out, "table", schema->name);
    sim_text_member(out, "set", schema->set);
    sim_text_member(out, "id", schema->id_column);
    sim_text_bool(out, "tracking", table->tracking);
    sim_text_number(out, "rows", (int64_t)(table->count - table->dead_count));
    sim_text_number(out, "deleted", (int64_t)table->dead_count);
    sim_text_name(out, "columns");
    sim_text_char(out, '{');
    for (unsigned i = 0; i < schema->column_count; i++)
        sim_text_member(out, schema->columns[i].field, dv_kind_class(schema->columns[i].kind));
    sim_text_puts(out, "}}");
}

/* Makes a table unless it is there, and the rows that it lacks. */
static struct dv_table *define_table(struct sim_call *call, const char *name, int64_t count)
{
    struct dv *dv = call->sim->dataverse;
    struct dv_table *table = dv_find_table(dv, name);
    yajl_val tracking = sim_json_member(call->body, "tracking");
    yajl_val trackable = sim_json_member(call->body, "trackable");
    yajl_val elastic = sim_json_member(call->body, "elastic");
    if (!table) {
        struct dv_schema *schema = dv_schema_new(
            name, sim_json_string(call->body, "set", NULL), sim_json_string(call->body, "id", NULL),
            sim_json_member(call->body, "columns"), call->problem, sizeof(call->problem));
        if (!schema)
            return NULL;
        table = dv_add_table(dv, schema, true);
    }
    if (tracking)
        table->tracking = !YAJL_IS_FALSE(tracking);
    if (trackable)
        table->trackable = !YAJL_IS_FALSE(trackable);
    if (elastic)
        table->elastic = !YAJL_IS_FALSE(elastic);
    if (count > (int64_t)table->count)
        dv_fill(dv, table, (size_t)count - table->count);
    return table;
}

static unsigned make_table(struct sim_call *call)
{
    int64_t count = sim_json_number(call->body, "count", 0);
    int64_t tables = sim_json_number(call->body, "tables_count", 0);
    if (count < 0 || count > ROWS_MOST || tables < 0 || tables > GENERIC_TABLES_MOST)
        return refuse(call, 400, "count is 0 to %d, tables_count 0 to %d", ROWS_MOST,
                      GENERIC_TABLES_MOST);
    for (int64_t i = 0; i < tables; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%03d", (int)i);
        if (!define_table(call, name, count))
            return 400;
    }
    if (tables > 0) {
        sim_text_printf(call->out, "{\"tables\":%d}", (int)tables);
        return 200;
    }
    struct dv_table *table = define_table(call, sim_json_string(call->body, "table", ""), count);
    if (!table)
        return 400;
    describe_table(table, call->out);
    return 200;
}

static unsigned list_tables(struct sim_call *call)
{
    const struct dv *dv = call->sim->dataverse;
    sim_text_char(call->out, '[');
    for (size_t i = 0; i < dv->table_count; i++)
        describe_table(dv->tables[i], call->out);
    sim_text_char(call->out, ']');
    return 200;
}

/* The answer of the calls that change rows: the first ids, and how many. */
struct shown {
    const struct dv_table *table;
    struct sim_text *out;
    int64_t count;
    int64_t first_seq;
};

static void show_begin(struct shown *shown, struct sim_call *call, const struct dv_table *table)
{
    *shown = (struct shown){.table = table,
                            .out = call->out,
                            .first_seq = (int64_t)call->sim->dataverse->change_count + 1};
    sim_text_puts(call->out, "{\"ids\":[");
}

static void show(struct shown *shown, uint32_t index)
{
    char guid[DV_GUID_SIZE];
    if (shown->count++ >= IDS_SHOWN)
        return;
    dv_guid_write(shown->table->seed, shown->table->schema, index, guid);
    sim_text_printf(shown->out, "%s\"%s\"", shown->count > 1 ? "," : "", guid);
}

static unsigned show_end(struct shown *shown, struct sim_call *call)
{
    sim_text_char(call->out, ']');
    sim_text_number(call->out, "changed", shown->count);
    sim_text_number(call->out, "first_seq", shown->first_seq);
    sim_text_number(call->out, "versionnumber", *dv_counter(call->sim->dataverse, shown->table));
    sim_text_char(call->out, '}');
    return 200;
}

static unsigned change_ids(struct sim_call *call, struct dv_table *table, enum dv_op op,
                           yajl_val ids)
{
    struct shown shown;
    show_begin(&shown, call, table);
    for (size_t i = 0; i < ids->u.array.len; i++) {
        yajl_val id = ids->u.array.values[i];
        uint32_t index;
        if (!YAJL_IS_STRING(id) || !dv_table_find(table, YAJL_GET_STRING(id), &index))
            return refuse(call, 404, "no row of '%s' has ever had the id '%s'", table->schema->name,
                          YAJL_IS_STRING(id) ? YAJL_GET_STRING(id) : "?");
        if (!dv_change(call->sim->dataverse, table, op, index, NULL))
            return refuse(call, 409, "the row %s is %s", YAJL_GET_STRING(id),
                          op == DV_RECREATE ? "there already" : "deleted");
        show(&shown, index);
    }
    return show_end(&shown, call);
}

static size_t greatest_divisor(size_t a, size_t b)
{
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Updates so many different rows: a walk over the table with a step that misses none. */
static void update_different(struct dv *dv, struct dv_table *table, int64_t count, uint64_t *random,
                             struct shown *shown)
{
    size_t size = table->count;
    if (size == 0)
        return;
    size_t at = (size_t)(sim_random(random) % size);
    size_t step = (size_t)(sim_random(random) % size) | 1;
    while (greatest_divisor(step, size) != 1)
        step++;
    for (size_t i = 0; i < size && shown->count < count; i++) {
        if (dv_change(dv, table, DV_UPDATE, (uint32_t)at, NULL))
            show(shown, (uint32_t)at);
        at = (at + step) % size;
    }
}

static unsigned change_some(struct sim_call *call, enum dv_op op)
{
    struct dv *dv = call->sim->dataverse;
    struct dv_table *table = find_table(call);
    if (!table)
        return 404;
    yajl_val ids = sim_json_member(call->body, "ids");
    if (YAJL_IS_ARRAY(ids))
        return change_ids(call, table, op, ids);
    int64_t count = sim_json_number(call->body, "count", 1);
    int64_t seed = sim_json_number(call->body, "seed", 0);
    if (count < 0 || count > ROWS_MOST)
        return refuse(call, 400, "count is 0 to %d", ROWS_MOST);
    uint64_t random = seed ? sim_mix((uint64_t)seed) : sim_random(&dv->random);
    struct shown shown;
    show_begin(&shown, call, table);
    if (op == DV_UPDATE) {
        update_different(dv, table, count, &random, &shown);
        return show_end(&shown, call);
    }
    while (shown.count < count) {
        uint32_t index = 0;
        if (op != DV_CREATE &&
            !dv_table_pick(table, op == DV_RECREATE, sim_random(&random), &index))
            break;
        if (!dv_change(dv, table, op, index, &index))
            break;
        show(&shown, index);
    }
    return show_end(&shown, call);
}

static unsigned update_rows(struct sim_call *call)
{
    return change_some(call, DV_UPDATE);
}

static unsigned create_rows(struct sim_call *call)
{
    return change_some(call, DV_CREATE);
}

static unsigned delete_rows(struct sim_call *call)
{
    return change_some(call, DV_DELETE);
}

static unsigned recreate_rows(struct sim_call *call)
{
    return change_some(call, DV_RECREATE);
}

static unsigned make_relationship(struct sim_call *call)
{
    struct dv *dv = call->sim->dataverse;
    const char *name = sim_json_string(call->body, "relationship", "");
    struct dv_table *from = dv_find_table(dv, sim_json_string(call->body, "from", ""));
    struct dv_table *to = dv_find_table(dv, sim_json_string(call->body, "to", ""));
    if (!*name || strlen(name) >= DV_NAME_SIZE || !from || !to)
        return refuse(call, 400, "wants relationship, and from and to, which are tables");
    if (!dv_find_relation(dv, name))
        dv_add_relation(dv, name, from, to);
    sim_text_puts(call->out, "{}");
    return 200;
}

static unsigned join(struct sim_call *call, bool associate)
{
    struct dv_relation *relation =
        dv_named_relation(call->sim->dataverse, sim_json_string(call->body, "relationship", ""));
    const char *target = sim_json_string(call->body, "target", "");
    const char *related = sim_json_string(call->body, "related", "");
    uint32_t target_index;
    uint32_t related_index;
    if (!relation)
        return refuse(call, 404, "there is no such relationship; POST /_sim/dv/relationship");
    if (!dv_table_find(relation->from, target, &target_index) ||
        relation->from->rows[target_index].dead ||
        !dv_table_find(relation->to, related, &related_index) ||
        relation->to->rows[related_index].dead)
        return refuse(call, 404, "target or related is no id of a living row");
    if (!dv_associate(call->sim->dataverse, relation, target_index, related_index, associate))
        return refuse(call, 409, "they are %s", associate ? "joined already" : "not joined");
    sim_text_char(call->out, '{');
    sim_text_number(call->out, "versionnumber", call->sim->dataverse->version);
    sim_text_char(call->out, '}');
    return 200;
}

static unsigned associate_rows(struct sim_call *call)
{
    return join(call, true);
}

static unsigned disassociate_rows(struct sim_call *call)
{
    return join(call, false);
}

/* Adds a column; as on the real service, that voids the table's delta tokens. */
static unsigned change_metadata(struct sim_call *call)
{
    struct dv *dv = call->sim->dataverse;
    struct dv_table *table = find_table(call);
    if (!table)
        return 404;
    const char *name = sim_json_string(call->body, "add_column", "");
    if (!dv_schema_add(table->schema, name, sim_json_string(call->body, "type", "String"),
                       sim_json_string(call->body, "target", NULL), *dv_counter(dv, table),
                       call->problem, sizeof(call->problem)))
        return 400;
    if (!YAJL_IS_FALSE(sim_json_member(call->body, "expire")))
        dv_expire(dv, table);
    describe_table(table, call->out);
    return 200;
}

static unsigned expire_tokens(struct sim_call *call)
{
    struct dv *dv = call->sim->dataverse;
    const char *name = sim_json_string(call->body, "table", NULL);
    struct dv_table *one = name ? find_table(call) : NULL;
    if (name && !one)
        return 404;
    for (size_t i = 0; i < dv->table_count; i++)
        if (!one || one == dv->tables[i])
            dv_expire(dv, dv->tables[i]);
    sim_text_puts(call->out, "{}");
    return 200;
}

static unsigned restore(struct sim_call *call)
{
    struct dv *dv = call->sim->dataverse;
    int64_t version = sim_json_number(call->body, "version", -1);
    if (version < DV_FIRST_VERSION || version > dv->version)
        return refuse(call, 400, "version is %d to the present one, %lld", DV_FIRST_VERSION,
                      (long long)dv->version);
    int64_t fo_version = sim_json_number(call->body, "mserp_version", dv->fo_version);
    if (fo_version < DV_FIRST_FO_VERSION || fo_version > dv->fo_version)
        return refuse(call, 400, "mserp_version is %d to the present one, %lld",
                      DV_FIRST_FO_VERSION, (long long)dv->fo_version);
    dv_restore(dv, version, fo_version);
    sim_text_puts(call->out, "{}");
    return 200;
}

static unsigned register_webhook(struct sim_call *call)
{
    struct dv_hooks *hooks = call->sim->dataverse->hooks;
    int64_t removed = sim_json_number(call->body, "remove", 0);
    if (removed > 0) {
        if (!dv_hooks_remove(hooks, (unsigned)removed))
            return refuse(call, 404, "there is no webhook %lld", (long long)removed);
        sim_text_puts(call->out, "{}");
        return 200;
    }
    unsigned number = dv_hooks_add(hooks, call->body, call->problem, sizeof(call->problem));
    if (number == 0)
        return 400;
    sim_text_printf(call->out, "{\"id\":%u}", number);
    return 200;
}

static unsigned show_hooks(struct sim_call *call)
{
    dv_hooks_describe(call->sim->dataverse->hooks, call->out);
    return 200;
}

static const struct control_row {
    const char *method;
    const char *path;
    unsigned (*run)(struct sim_call *call);
} rows[] = {
    {"POST", "/_sim/dv/table",        make_table       },
    {"GET",  "/_sim/dv/tables",       list_tables      },
    {"POST", "/_sim/dv/change",       update_rows      },
    {"POST", "/_sim/dv/create",       create_rows      },
    {"POST", "/_sim/dv/delete",       delete_rows      },
    {"POST", "/_sim/dv/recreate",     recreate_rows    },
    {"POST", "/_sim/dv/relationship", make_relationship},
    {"POST", "/_sim/dv/associate",    associate_rows   },
    {"POST", "/_sim/dv/disassociate", disassociate_rows},
    {"POST", "/_sim/dv/load",         dv_control_load  },
    {"POST", "/_sim/dv/metadata",     change_metadata  },
    {"POST", "/_sim/dv/expire",       expire_tokens    },
    {"POST", "/_sim/dv/restore",      restore          },
    {"POST", "/_sim/dv/webhook",      register_webhook },
    {"GET",  "/_sim/dv/hooks",        show_hooks       },
};

unsigned dv_control(struct sim_call *call, const char *method, const char *path)
{
    unsigned status = 404;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].path, path) != 0)
            continue;
        status = 405;
        if (strcmp(rows[i].method, method) == 0)
            return rows[i].run(call);
    }
    return refuse(call, status, "%s %s is not a control call", method, path);
}
