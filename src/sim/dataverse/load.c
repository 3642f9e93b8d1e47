/* POST /_sim/dv/load: changes at an even pace, in the background, in tables and of kinds that
 * follow from a seed. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/clock.h"
#include "sim/dataverse/control.h"
#include "sim/dataverse/dataverse.h"
#include "sim/json.h"
#include "sim/random.h"

#define KINDS 4

struct load {
    uint64_t epoch;
    struct dv_table **tables;
    size_t table_count;
    double per_s;
    double seconds;
    unsigned mix[KINDS]; /* by enum dv_op: parts of mix_sum */
    unsigned mix_sum;
    uint64_t random;
};

/* One change; what cannot be done, because no row is in the right state, is done otherwise. */
static void change_one(struct dv *dv, struct load *load)
{
    struct dv_table *table = load->tables[sim_random(&load->random) % load->table_count];
    unsigned point = (unsigned)(sim_random(&load->random) % load->mix_sum);
    uint64_t pick = sim_random(&load->random);
    int op = DV_UPDATE;
    while (op < KINDS - 1 && point >= load->mix[op])
        point -= load->mix[op++];
    uint32_t index = 0;
    if (op == DV_RECREATE && !dv_table_pick(table, true, pick, &index))
        op = DV_UPDATE;
    if ((op == DV_UPDATE || op == DV_DELETE) && !dv_table_pick(table, false, pick, &index))
        op = DV_CREATE;
    dv_change(dv, table, (enum dv_op)op, index, NULL);
}

static void run_load(struct sim *sim, void *arg)
{
    struct load *load = arg;
    struct dv *dv = sim->dataverse;
    uint64_t total = (uint64_t)(load->per_s * load->seconds + 0.5);
    int64_t start_ms = sim_clock_steady_ms();
    bool go_on = true;
    for (uint64_t done = 0; go_on && done < total;) {
        double due_ms = (double)done * 1000 / load->per_s;
        int64_t wait_ms = start_ms + (int64_t)due_ms - sim_clock_steady_ms();
        go_on = wait_ms <= 0 || sim_job_sleep(sim, wait_ms);
        sim_lock(sim);
        go_on = go_on && load->epoch == dv->load_epoch && !atomic_load(&sim->cancel);
        if (go_on) {
            change_one(dv, load);
            done++;
        }
        sim_unlock(sim);
    }
    sim_lock(sim);
    dv->loads_running--;
    sim_unlock(sim);
    free(load->tables);
    free(load);
}

static bool read_mix(struct load *load, yajl_val mix)
{
    static const unsigned usual[KINDS] = {
        [DV_UPDATE] = 80, [DV_CREATE] = 10, [DV_DELETE] = 7, [DV_RECREATE] = 3};
    for (int op = 0; op < KINDS; op++) {
        int64_t part =
            mix ? sim_json_number(mix, dv_op_name((enum dv_op)op), 0) : (int64_t)usual[op];
        if (part < 0 || part > 1000000)
            return false;
        load->mix[op] = (unsigned)part;
        load->mix_sum += load->mix[op];
    }
    return load->mix_sum > 0;
}

/* The named tables, the first so many generic ones, or all. */
static bool read_tables(struct load *load, const struct dv *dv, yajl_val body)
{
    yajl_val names = sim_json_member(body, "tables");
    int64_t generic = sim_json_number(body, "tables_count", 0);
    size_t count = YAJL_IS_ARRAY(names) ? names->u.array.len
                   : generic > 0        ? (size_t)generic
                                        : dv->table_count;
    if (count == 0 || count > 1000)
        return false;
    load->tables = sim_alloc(count * sizeof(struct dv_table *));
    for (size_t i = 0; i < count; i++) {
        char name[DV_NAME_SIZE] = "";
        if (YAJL_IS_ARRAY(names)) {
            yajl_val item = names->u.array.values[i];
            sim_copy(name, sizeof(name), YAJL_IS_STRING(item) ? YAJL_GET_STRING(item) : "");
        } else {
            snprintf(name, sizeof(name), "t%03d", (int)i);
        }
        struct dv_table *table =
            YAJL_IS_ARRAY(names) || generic > 0 ? dv_find_table(dv, name) : dv->tables[i];
        if (!table)
            return false;
        load->tables[load->table_count++] = table;
    }
    return true;
}

static unsigned refuse(struct sim_call *call, struct load *load, const char *problem)
{
    free(load->tables);
    free(load);
    sim_copy(call->problem, sizeof(call->problem), problem);
    return 400;
}

unsigned dv_control_load(struct sim_call *call)
{
    struct dv *dv = call->sim->dataverse;
    if (YAJL_IS_TRUE(sim_json_member(call->body, "stop"))) {
        dv->load_epoch++;
        sim_text_puts(call->out, "{}");
        return 200;
    }
    yajl_val per_s = sim_json_member(call->body, "per_s");
    yajl_val seconds = sim_json_member(call->body, "seconds");
    int64_t seed = sim_json_number(call->body, "seed", 0);
    struct load *load = sim_alloc(sizeof(*load));
    load->epoch = dv->load_epoch;
    load->random = seed ? sim_mix((uint64_t)seed) : sim_random(&dv->random);
    if (!YAJL_IS_NUMBER(per_s) || !YAJL_IS_NUMBER(seconds) || YAJL_GET_DOUBLE(per_s) <= 0 ||
        YAJL_GET_DOUBLE(per_s) > 1e6 || YAJL_GET_DOUBLE(seconds) < 0 ||
        YAJL_GET_DOUBLE(seconds) > 1e7)
        return refuse(call, load, "per_s and seconds must be numbers");
    load->per_s = YAJL_GET_DOUBLE(per_s);
    load->seconds = YAJL_GET_DOUBLE(seconds);
    if (!read_mix(load, sim_json_member(call->body, "mix")))
        return refuse(call, load, "mix has parts of update, create, delete and recreate");
    if (!read_tables(load, dv, call->body))
        return refuse(call, load, "tables are names of tables that are there");
    if (!sim_job_start(call->sim, run_load, load))
        return refuse(call, load, "no thread for it");
    dv->loads_running++;
    sim_text_char(call->out, '{');
    sim_text_number(call->out, "changes_due", (int64_t)(load->per_s * load->seconds + 0.5));
    sim_text_number(call->out, "first_seq", (int64_t)dv->change_count + 1);
    sim_text_char(call->out, '}');
    return 200;
}
