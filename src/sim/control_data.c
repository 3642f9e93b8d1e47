/* The control calls that make, change and count records. */
#include "sim/control.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/clock.h"
#include "sim/json.h"

#define KEYS_SHOWN 1000
#define RECORDS_MAX 100000000 /* of one table: indices have 32 bits, memory has an end */

/* Finds the table that entity and company name. NULL with the reason when there is none. */
static struct sim_table *find_table(struct sim_call *call, bool create)
{
    const char *label = sim_call_string(call, "entity");
    const char *company = sim_call_string(call, "company");
    const struct sim_entity *entity = sim_entity_find(label);
    if (!entity) {
        snprintf(call->problem, sizeof(call->problem),
                 "there is no entity '%s'; GET /_sim/entities lists them", label);
        return NULL;
    }
    if (!*company || strlen(company) >= SIM_COMPANY_SIZE) {
        snprintf(call->problem, sizeof(call->problem), "company must be 1 to %d bytes",
                 SIM_COMPANY_SIZE - 1);
        return NULL;
    }
    struct sim_table *table = sim_store_table(&call->sim->store, entity, company, create);
    if (!table)
        snprintf(call->problem, sizeof(call->problem), "%s has no records of '%s'", company,
                 entity->label);
    return table;
}

unsigned sim_control_records(struct sim_call *call)
{
    struct sim_table *table = find_table(call, true);
    if (!table)
        return 400;
    int64_t count = sim_json_number(call->body, "count", 0);
    int64_t upto = sim_json_number(call->body, "upto", -1);
    if (upto >= 0)
        count = upto > (int64_t)table->count ? upto - (int64_t)table->count : 0;
    const char *prefix = sim_json_string(call->body, "prefix", NULL);
    if (prefix && strlen(prefix) >= SIM_PREFIX_SIZE) {
        snprintf(call->problem, sizeof(call->problem), "prefix is at most %d bytes",
                 SIM_PREFIX_SIZE - 1);
        return 400;
    }
    if (count < 0 || (int64_t)table->count + count > RECORDS_MAX) {
        snprintf(call->problem, sizeof(call->problem), "count must be 0 to %d", RECORDS_MAX);
        return 400;
    }
    sim_table_create(&call->sim->store, table, (size_t)count, prefix);
    sim_text_char(call->out, '{');
    sim_text_number(call->out, "created", count);
    sim_text_number(call->out, "count", (int64_t)table->count);
    sim_text_char(call->out, '}');
    return 200;
}

struct shown {
    const struct sim_table *table;
    struct sim_text *out;
    size_t count;
};

static void show_key(void *arg, size_t index)
{
    struct shown *shown = arg;
    char key[SIM_KEY_SIZE];
    if (shown->count++ >= KEYS_SHOWN)
        return;
    sim_segment_key(shown->table->segments, shown->table->segment_count, index, key);
    if (shown->count > 1)
        sim_text_char(shown->out, ',');
    sim_text_json(shown->out, key, strlen(key));
}

static unsigned change_keys(struct sim_call *call, struct sim_table *table, yajl_val keys)
{
    int64_t changed = 0;
    for (size_t i = 0; i < keys->u.array.len; i++) {
        yajl_val key = keys->u.array.values[i];
        if (!YAJL_IS_STRING(key) ||
            !sim_table_change_key(&call->sim->store, table, YAJL_GET_STRING(key))) {
            snprintf(call->problem, sizeof(call->problem), "no record has the key '%s'",
                     YAJL_IS_STRING(key) ? YAJL_GET_STRING(key) : "?");
            return 404;
        }
        changed++;
    }
    sim_text_char(call->out, '{');
    sim_text_number(call->out, "changed", changed);
    sim_text_char(call->out, '}');
    return 200;
}

/* Changes or deletes as many as the call says, and answers their keys. */
static unsigned pick_and_change(struct sim_call *call, struct sim_table *table, bool delete)
{
    int64_t count = sim_json_number(call->body, "count", 0);
    if (count < 0) {
        snprintf(call->problem, sizeof(call->problem), "count must not be negative");
        return 400;
    }
    struct shown shown = {table, call->out, 0};
    const struct sim_pick pick = {
        .count = (size_t)count,
        .seed = (uint64_t)sim_json_number(call->body, "seed", 0),
        .visit = show_key,
        .arg = &shown,
    };
    sim_text_puts(call->out, "{\"keys\":[");
    size_t changed = delete ? sim_table_delete(&call->sim->store, table, &pick)
                            : sim_table_change(&call->sim->store, table, &pick);
    sim_text_char(call->out, ']');
    sim_text_number(call->out, "changed", (int64_t)changed);
    sim_text_char(call->out, '}');
    return 200;
}

unsigned sim_control_change(struct sim_call *call)
{
    struct sim_table *table = find_table(call, false);
    if (!table)
        return 404;
    yajl_val keys = sim_json_member(call->body, "keys");
    return YAJL_IS_ARRAY(keys) ? change_keys(call, table, keys)
                               : pick_and_change(call, table, false);
}

unsigned sim_control_delete(struct sim_call *call)
{
    struct sim_table *table = find_table(call, false);
    return table ? pick_and_change(call, table, true) : 404;
}

struct rate {
    const struct sim_entity *entity;
    char company[SIM_COMPANY_SIZE];
    double per_s;
    int64_t time_ms;
};

/* Changes records at an even pace: every 20 ms those that are due. */
static void change_steadily(struct sim *sim, void *arg)
{
    struct rate *rate = arg;
    int64_t start_ms = sim_clock_steady_ms();
    uint64_t done = 0;
    bool go_on = true;
    while (go_on) {
        int64_t age_ms = sim_clock_steady_ms() - start_ms;
        go_on = age_ms < rate->time_ms;
        if (!go_on)
            age_ms = rate->time_ms;
        uint64_t due = (uint64_t)(rate->per_s * (double)age_ms / 1000 + 0.5);
        sim_lock(sim);
        struct sim_table *table = sim_store_table(&sim->store, rate->entity, rate->company, false);
        /* One call changes a record at most once, so a small table needs several. */
        for (size_t changed = 1; table && changed && done < due; done += changed) {
            const struct sim_pick pick = {.count = (size_t)(due - done)};
            changed = sim_table_change(&sim->store, table, &pick);
        }
        sim_unlock(sim);
        go_on = go_on && sim_job_sleep(sim, 20);
    }
    free(rate);
}

unsigned sim_control_change_rate(struct sim_call *call)
{
    struct sim_table *table = find_table(call, false);
    if (!table)
        return 404;
    yajl_val per_s = sim_json_member(call->body, "per_s");
    yajl_val seconds = sim_json_member(call->body, "seconds");
    if (!YAJL_IS_NUMBER(per_s) || !YAJL_IS_NUMBER(seconds) || YAJL_GET_DOUBLE(per_s) < 0 ||
        YAJL_GET_DOUBLE(per_s) > 1e7 || YAJL_GET_DOUBLE(seconds) < 0 ||
        YAJL_GET_DOUBLE(seconds) > 1e7) {
        snprintf(call->problem, sizeof(call->problem), "per_s and seconds must be numbers");
        return 400;
    }
    struct rate *rate = sim_alloc(sizeof(*rate));
    rate->entity = table->entity;
    sim_copy(rate->company, sizeof(rate->company), table->company);
    rate->per_s = YAJL_GET_DOUBLE(per_s);
    rate->time_ms = (int64_t)(YAJL_GET_DOUBLE(seconds) * 1000);
    if (!sim_job_start(call->sim, change_steadily, rate)) {
        free(rate);
        snprintf(call->problem, sizeof(call->problem), "no thread for it");
        return 503;
    }
    sim_text_puts(call->out, "{\"started\":true}");
    return 200;
}

/* Without entity or company: the sum over all of them. */
unsigned sim_control_count(struct sim_call *call)
{
    const struct sim_store *store = &call->sim->store;
    const char *label = sim_call_string(call, "entity");
    const char *company = sim_call_string(call, "company");
    char folded[SIM_COMPANY_SIZE];
    sim_company_fold(folded, company);
    const struct sim_entity *entity = sim_entity_find(label);
    if (*label && !entity) {
        snprintf(call->problem, sizeof(call->problem), "there is no entity '%s'", label);
        return 400;
    }
    uint64_t count = 0;
    uint64_t revisions = 0;
    for (size_t i = 0; i < store->table_count; i++) {
        const struct sim_table *table = store->tables[i];
        if ((entity && table->entity != entity) || (*folded && strcmp(table->company, folded) != 0))
            continue;
        for (size_t j = 0; j < table->count; j++) {
            bool dead = sim_record_is_dead(&table->records[j]);
            count += !dead;
            revisions += dead ? 0 : table->records[j].revision;
        }
    }
    sim_text_char(call->out, '{');
    sim_text_number(call->out, "count", (int64_t)count);
    sim_text_number(call->out, "revisions", (int64_t)revisions);
    sim_text_number(call->out, "clock", store->clock);
    sim_text_char(call->out, '}');
    return 200;
}

static void describe_columns(const struct sim_entity *entity, struct sim_text *out)
{
    static const char *const types[] = {
        [CELL_COMPANY] = "string", [CELL_KEY] = "string",      [CELL_REVISION] = "int",
        [CELL_WORD] = "string",    [CELL_BUSINESS] = "string", [CELL_STREET] = "string",
        [CELL_EMAIL] = "string",   [CELL_PHONE] = "string",    [CELL_GUID] = "string",
        [CELL_NOTE] = "string",    [CELL_AMOUNT] = "decimal",  [CELL_INT] = "int",
        [CELL_DOUBLE] = "double",  [CELL_BOOL] = "bool",       [CELL_DATE] = "date",
        [CELL_DATETIME] = "date",
    };
    sim_text_name(out, "columns");
    sim_text_char(out, '{');
    for (unsigned i = 0; i < entity->column_count; i++)
        sim_text_member(out, entity->columns[i].name, types[entity->columns[i].cell]);
    sim_text_char(out, '}');
    sim_text_name(out, "key");
    sim_text_char(out, '[');
    for (unsigned i = 0; i < entity->column_count; i++) {
        const struct sim_column *column = &entity->columns[i];
        if (column->cell != CELL_COMPANY && column->cell != CELL_KEY)
            continue;
        if (i)
            sim_text_char(out, ',');
        sim_text_json(out, column->name, strlen(column->name));
    }
    sim_text_char(out, ']');
}

unsigned sim_control_entities(struct sim_call *call)
{
    sim_text_char(call->out, '{');
    for (size_t i = 0; i < sim_entity_count; i++) {
        sim_text_name(call->out, sim_entities[i].label);
        sim_text_char(call->out, '{');
        sim_text_member(call->out, "prefix", sim_entities[i].key_prefix);
        describe_columns(&sim_entities[i], call->out);
        sim_text_char(call->out, '}');
    }
    sim_text_char(call->out, '}');
    return 200;
}
