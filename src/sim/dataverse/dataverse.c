/* The simulated Dataverse: its tables, its version counters, and everything that has happened.
 */
#include "sim/dataverse/dataverse.h"

#include <stdlib.h>

#include "sim/clock.h"
#include "sim/dataverse/hook.h"
#include "sim/journal.h"
#include "sim/random.h"

struct dv *dv_new(struct sim *sim)
{
    struct dv *dv = sim_alloc(sizeof(*dv));
    dv->sim = sim;
    dv->hooks = dv_hooks_new(dv);
    dv_clear(dv);
    return dv;
}

static void retire(struct dv *dv, struct dv_table *table)
{
    dv_table_clear(table);
    table->next = dv->retired;
    dv->retired = table;
}

void dv_clear(struct dv *dv)
{
    dv_hooks_clear(dv->hooks);
    for (size_t i = 0; i < dv->table_count; i++)
        retire(dv, dv->tables[i]);
    free(dv->tables);
    dv->tables = NULL;
    dv->table_count = 0;
    while (dv->relations) {
        struct dv_relation *relation = dv->relations;
        dv->relations = relation->next;
        free(relation->links);
        free(relation);
    }
    free(dv->changes);
    dv->changes = NULL;
    dv->change_count = dv->change_capacity = 0;
    dv->version = DV_FIRST_VERSION;
    dv->fo_version = DV_FIRST_FO_VERSION;
    dv->random = sim_mix(dv->sim->options.seed ^ SIM_GOLDEN);
    dv->counters = (struct dv_counters){0};
    dv->load_epoch++;
    for (int i = 0; i < DV_USERS_MAX; i++)
        dv_user_clear(&dv->users[i]);
}

void dv_free(struct dv *dv)
{
    if (!dv)
        return;
    dv_hooks_stop(dv->hooks);
    dv_clear(dv);
    dv_hooks_free(dv->hooks);
    while (dv->retired) {
        struct dv_table *table = dv->retired;
        dv->retired = table->next;
        free(table);
    }
    while (dv->schemas) {
        struct dv_schema *schema = dv->schemas;
        dv->schemas = schema->next;
        free(schema);
    }
    free(dv);
}

struct dv_table *dv_find_table(const struct dv *dv, const char *name)
{
    for (size_t i = 0; i < dv->table_count; i++)
        if (strcmp(dv->tables[i]->schema->name, name) == 0)
            return dv->tables[i];
    return NULL;
}

struct dv_table *dv_find_set(const struct dv *dv, const char *set, size_t len)
{
    for (size_t i = 0; i < dv->table_count; i++) {
        const char *own = dv->tables[i]->schema->set;
        if (strlen(own) == len && memcmp(own, set, len) == 0)
            return dv->tables[i];
    }
    return NULL;
}

struct dv_relation *dv_find_relation(const struct dv *dv, const char *name)
{
    struct dv_relation *relation = dv->relations;
    while (relation && strcmp(relation->name, name) != 0)
        relation = relation->next;
    return relation;
}

struct dv_table *dv_add_table(struct dv *dv, struct dv_schema *schema, bool tracking)
{
    struct dv_table *table = sim_alloc(sizeof(*table));
    schema->next = dv->schemas;
    dv->schemas = schema;
    table->schema = schema;
    table->tracking = tracking;
    table->trackable = true;
    table->seed = dv->sim->options.seed;
    dv->tables = sim_realloc(dv->tables, (dv->table_count + 1) * sizeof(struct dv_table *));
    dv->tables[dv->table_count++] = table;
    return table;
}

struct dv_relation *dv_add_relation(struct dv *dv, const char *name, struct dv_table *from,
                                    struct dv_table *to)
{
    struct dv_relation *relation = sim_alloc(sizeof(*relation));
    sim_copy(relation->name, sizeof(relation->name), name);
    relation->from = from;
    relation->to = to;
    relation->next = dv->relations;
    dv->relations = relation;
    return relation;
}

struct dv_relation *dv_named_relation(struct dv *dv, const char *name)
{
    static const char tags[] = "new_account_tag";
    struct dv_relation *relation = dv_find_relation(dv, name);
    struct dv_table *from = dv_find_table(dv, "account");
    struct dv_table *to = dv_find_table(dv, "new_tag");
    if (!relation && strcmp(name, tags) == 0 && from && to)
        relation = dv_add_relation(dv, tags, from, to);
    return relation;
}

int64_t dv_clock_ms(const struct dv *dv)
{
    return sim_clock_ms() + dv_switch(dv, SW_DV_CLOCK_SKEW_MS);
}

int64_t *dv_counter(struct dv *dv, const struct dv_table *table)
{
    return table->schema->is_virtual ? &dv->fo_version : &dv->version;
}

void dv_fill(struct dv *dv, struct dv_table *table, size_t count)
{
    int64_t now_ms = dv_clock_ms(dv), *counter = dv_counter(dv, table);
    for (size_t i = 0; i < count; i++)
        sim_journal_row(dv->sim, table, dv_table_create(table, ++*counter, now_ms), "create");
}

static void record(struct dv *dv, struct dv_change change)
{
    if (dv->change_count == dv->change_capacity) {
        dv->change_capacity = dv->change_capacity ? dv->change_capacity * 2 : 1024;
        dv->changes = sim_realloc(dv->changes, dv->change_capacity * sizeof(*dv->changes));
    }
    dv->changes[dv->change_count++] = change;
}

static bool is_possible(const struct dv_table *table, enum dv_op op, uint32_t index)
{
    if (op == DV_CREATE)
        return table->count < UINT32_MAX - 1;
    return index < table->count && table->rows[index].dead == (op == DV_RECREATE);
}

bool dv_change(struct dv *dv, struct dv_table *table, enum dv_op op, uint32_t index,
               uint32_t *ret_index)
{
    if (!is_possible(table, op, index))
        return false;
    int64_t now_ms = dv_clock_ms(dv);
    int64_t version = ++*dv_counter(dv, table);
    if (op == DV_CREATE)
        index = dv_table_create(table, version, now_ms);
    else if (op == DV_DELETE)
        dv_table_delete(table, index, version, now_ms);
    else if (op == DV_RECREATE)
        dv_table_recreate(table, index, version, now_ms);
    else
        dv_table_update(table, index, version, now_ms);
    record(dv, (struct dv_change){.schema = table->schema,
                                  .index = index,
                                  .version = version,
                                  .time_ms = sim_clock_ms(),
                                  .op = op});
    sim_journal_row(dv->sim, table, index, dv_op_name(op));
    struct dv_image image = dv_look(dv, table, index);
    dv_hooks_tell(dv->hooks, &(struct dv_news){.op = op, .image = image, .time_ms = now_ms});
    if (ret_index)
        *ret_index = index;
    return true;
}

void dv_expire(struct dv *dv, struct dv_table *table)
{
    /* What is read from now on has this version at least. */
    table->expired_before = ++*dv_counter(dv, table);
}

void dv_restore(struct dv *dv, int64_t version, int64_t fo_version)
{
    dv->version = version;
    dv->fo_version = fo_version;
    for (size_t i = 0; i < dv->table_count; i++)
        dv_table_rewind(dv->tables[i], *dv_counter(dv, dv->tables[i]));
}

static struct dv_link *find_link(struct dv_relation *relation, uint32_t target, uint32_t related)
{
    for (size_t i = 0; i < relation->count; i++)
        if (relation->links[i].target == target && relation->links[i].related == related)
            return &relation->links[i];
    return NULL;
}

bool dv_associate(struct dv *dv, struct dv_relation *relation, uint32_t target, uint32_t related,
                  bool join)
{
    struct dv_link *link = find_link(relation, target, related);
    if (join ? link && !link->dead : !link || link->dead)
        return false;
    if (!link) {
        if (relation->count == relation->capacity) {
            relation->capacity = relation->capacity ? relation->capacity * 2 : 64;
            relation->links =
                sim_realloc(relation->links, relation->capacity * sizeof(*relation->links));
        }
        link = &relation->links[relation->count++];
    }
    enum dv_op op = join ? DV_ASSOCIATE : DV_DISASSOCIATE;
    *link = (struct dv_link){target, related, ++dv->version, !join};
    record(dv, (struct dv_change){.schema = relation->from->schema,
                                  .relation = relation,
                                  .index = target,
                                  .related = related,
                                  .version = link->version,
                                  .time_ms = sim_clock_ms(),
                                  .op = op});
    struct dv_news news = {.op = op,
                           .image = dv_look(dv, relation->from, target),
                           .related_schema = relation->to->schema,
                           .related = related,
                           .time_ms = dv_clock_ms(dv)};
    sim_copy(news.relation, sizeof(news.relation), relation->name);
    dv_hooks_tell(dv->hooks, &news);
    return true;
}

struct dv_image dv_look(const struct dv *dv, const struct dv_table *table, uint32_t index)
{
    struct dv_image image = dv_table_image(table, index);
    image.milliseconds = dv_switch(dv, SW_DV_MODIFIED_MS) != 0;
    return image;
}

int64_t dv_switch(const struct dv *dv, enum sim_switch which)
{
    return sim_switch_number(sim_switch_view(dv->sim, NULL), which);
}

const char *dv_op_name(enum dv_op op)
{
    static const char *const names[DV_OPS] = {
        [DV_UPDATE] = "update",       [DV_CREATE] = "create",
        [DV_DELETE] = "delete",       [DV_RECREATE] = "recreate",
        [DV_ASSOCIATE] = "associate", [DV_DISASSOCIATE] = "disassociate",
    };
    return names[op];
}

void dv_describe(struct dv *dv, struct sim_text *out)
{
    sim_text_name(out, "dataverse");
    sim_text_char(out, '{');
    sim_text_number(out, "version", dv->version);
    sim_text_number(out, "mserp_version", dv->fo_version);
    sim_text_number(out, "changes", (int64_t)dv->change_count);
    sim_text_number(out, "loads_running", dv->loads_running);
    sim_text_number(out, "next_links", (int64_t)dv->counters.next_links);
    sim_text_number(out, "delta_links", (int64_t)dv->counters.delta_links);
    sim_text_number(out, "rows_read", (int64_t)dv->counters.rows_read);
    sim_text_number(out, "deletions_read", (int64_t)dv->counters.deletions_read);
    sim_text_number(out, "expired", (int64_t)dv->counters.expired);
    sim_text_name(out, "users");
    sim_text_char(out, '{');
    const struct sim_options *options = &dv->sim->options;
    for (unsigned i = 0; i < options->client_count; i++) {
        sim_text_name(out, options->client_ids[i]);
        dv_user_describe(&dv->users[i], out);
    }
    sim_text_puts(out, "}}");
}
