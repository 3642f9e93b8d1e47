/* The control calls: their table, projects, switches, statistics, and the file of --load. */
#include "sim/control.h"

#include <errno.h>
#include <stdio.h>

#include "sim/dataverse/control.h"
#include "sim/dataverse/dataverse.h"
#include "sim/execution.h"
#include "sim/json.h"

const char *sim_call_string(const struct sim_call *call, const char *name)
{
    const char *value = call->request && !call->body ? sim_http_argument(call->request, name)
                                                     : sim_json_string(call->body, name, "");
    return value ? value : "";
}

static unsigned define_project(struct sim_call *call)
{
    struct sim_project *project =
        sim_project_define(&call->sim->projects, call->body, call->problem, sizeof(call->problem));
    if (!project)
        return 400;
    sim_project_describe(project, call->out);
    return 200;
}

static unsigned list_projects(struct sim_call *call)
{
    const struct sim_projects *projects = &call->sim->projects;
    sim_text_char(call->out, '[');
    for (size_t i = 0; i < projects->count; i++) {
        if (i)
            sim_text_char(call->out, ',');
        sim_project_describe(projects->items[i], call->out);
    }
    sim_text_char(call->out, ']');
    return 200;
}

static unsigned list_switches(struct sim_call *call)
{
    const struct sim_projects *projects = &call->sim->projects;
    sim_text_puts(call->out, "{\"switches\":");
    sim_switch_describe(&call->sim->switches, call->out);
    sim_text_puts(call->out, ",\"projects\":{");
    for (size_t i = 0; i < projects->count; i++) {
        sim_text_name(call->out, projects->items[i]->name);
        sim_switch_list_own(&projects->items[i]->switches, call->out);
    }
    sim_text_puts(call->out, "}}");
    return 200;
}

static unsigned set_switches(struct sim_call *call)
{
    struct sim *sim = call->sim;
    struct sim_switch_set *set = &sim->switches;
    const char *name = sim_json_string(call->body, "project", NULL);
    if (name) {
        struct sim_project *project = sim_project_find(&sim->projects, name);
        if (!project) {
            snprintf(call->problem, sizeof(call->problem), "there is no project '%s'", name);
            return 404;
        }
        set = &project->switches;
    }
    if (!sim_switch_apply(set, call->body, call->problem, sizeof(call->problem)))
        return 400;
    if (YAJL_IS_TRUE(sim_json_member(call->body, "revoke_tokens")))
        sim->token_revoked = sim->token_serial;
    sim_switch_list_own(set, call->out);
    return 200;
}

static unsigned show_stats(struct sim_call *call)
{
    struct sim *sim = call->sim;
    unsigned counts[STATE_CANCELED + 1] = {0};
    for (size_t i = 0; i < sim->execution_count; i++)
        counts[sim->executions[i]->state]++;
    sim_text_char(call->out, '{');
    sim_stats_describe(&sim->stats, call->out);
    sim_text_name(call->out, "executions");
    sim_text_char(call->out, '{');
    for (int state = 0; state <= STATE_CANCELED; state++)
        sim_text_number(call->out, sim_state_name((enum sim_state)state), counts[state]);
    sim_text_char(call->out, '}');
    dv_describe(sim->dataverse, call->out);
    sim_text_number(call->out, "jobs_running", sim->jobs);
    if (sim->daemon) {
        const union MHD_DaemonInfo *info =
            MHD_get_daemon_info(sim->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
        sim_text_number(call->out, "connections_open", info ? info->num_connections : 0);
    }
    sim_text_char(call->out, '}');
    return 200;
}

static unsigned list_executions(struct sim_call *call)
{
    struct sim *sim = call->sim;
    sim_text_char(call->out, '[');
    for (size_t i = 0; i < sim->execution_count; i++) {
        if (i)
            sim_text_char(call->out, ',');
        sim_execution_describe(sim->executions[i], call->out);
    }
    sim_text_char(call->out, ']');
    return 200;
}

static unsigned reset(struct sim_call *call)
{
    sim_reset(call->sim);
    sim_text_puts(call->out, "{}");
    return 200;
}

static const struct control_row {
    const char *method;
    const char *path;
    unsigned (*run)(struct sim_call *call);
} rows[] = {
    {"POST", "/_sim/records",     sim_control_records    },
    {"POST", "/_sim/change",      sim_control_change     },
    {"POST", "/_sim/delete",      sim_control_delete     },
    {"POST", "/_sim/change_rate", sim_control_change_rate},
    {"POST", "/_sim/project",     define_project         },
    {"POST", "/_sim/switches",    set_switches           },
    {"POST", "/_sim/credentials", sim_control_credentials},
    {"POST", "/_sim/reset",       reset                  },
    {"GET",  "/_sim/switches",    list_switches          },
    {"GET",  "/_sim/projects",    list_projects          },
    {"GET",  "/_sim/entities",    sim_control_entities   },
    {"GET",  "/_sim/count",       sim_control_count      },
    {"GET",  "/_sim/stats",       show_stats             },
    {"GET",  "/_sim/executions",  list_executions        },
};

static unsigned run_row(struct sim_call *call, const char *method, const char *path)
{
    if (strncmp(path, "/_sim/dv/", 9) == 0) {
        sim_lock(call->sim);
        unsigned status = dv_control(call, method, path);
        sim_unlock(call->sim);
        return status;
    }
    bool path_known = false;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].path, path) != 0)
            continue;
        path_known = true;
        if (strcmp(rows[i].method, method) != 0)
            continue;
        sim_lock(call->sim);
        unsigned status = rows[i].run(call);
        sim_unlock(call->sim);
        return status;
    }
    snprintf(call->problem, sizeof(call->problem), "%s %s is not a control call", method, path);
    return path_known ? 405 : 404;
}

enum MHD_Result sim_control_serve(struct sim_request *request)
{
    request->action = "control";
    if (strcmp(request->path, "/_sim/truth") == 0 && strcmp(request->method, "GET") == 0)
        return sim_truth_serve(request);
    if (strcmp(request->path, "/_sim/dv/truth") == 0 && strcmp(request->method, "GET") == 0)
        return dv_truth_serve(request);
    if (strcmp(request->path, "/_sim/dv/changes") == 0 && strcmp(request->method, "GET") == 0)
        return dv_changes_serve(request);

    struct sim_text out = {0};
    struct sim_call call = {.sim = request->sim, .request = request, .out = &out};
    unsigned status = 400;
    char detail[128] = "";
    if (strcmp(request->method, "POST") == 0) {
        sim_text_puts(&request->body, request->body.len ? "" : "{}");
        call.body = yajl_tree_parse(request->body.data, detail, sizeof(detail));
    }
    if (strcmp(request->method, "POST") == 0 && !YAJL_IS_OBJECT(call.body))
        snprintf(call.problem, sizeof(call.problem), "the body is not a JSON object: %s", detail);
    else
        status = run_row(&call, request->method, request->path);
    if (status >= 400) {
        sim_text_clear(&out);
        sim_text_char(&out, '{');
        sim_text_member(&out, "error", call.problem);
        sim_text_char(&out, '}');
    }
    yajl_tree_free(call.body);
    return sim_http_answer(request, status, "application/json", &out, NULL);
}

static bool read_file(const char *file, struct sim_text *ret_text)
{
    FILE *stream = fopen(file, "rbe");
    if (!stream)
        return false;
    char bytes[16384];
    for (size_t n; (n = fread(bytes, 1, sizeof(bytes), stream)) > 0;)
        sim_text_add(ret_text, bytes, n);
    sim_text_reserve(ret_text, 0);
    bool ok = !ferror(stream);
    fclose(stream);
    return ok;
}

static bool load_calls(struct sim *sim, const char *file, yajl_val calls)
{
    if (!YAJL_IS_ARRAY(calls)) {
        fprintf(stderr, "sluice-sim: %s is not a JSON list of calls\n", file);
        return false;
    }
    for (size_t i = 0; i < calls->u.array.len; i++) {
        yajl_val item = calls->u.array.values[i];
        struct sim_text out = {0};
        struct sim_call call = {.sim = sim, .body = sim_json_member(item, "body"), .out = &out};
        unsigned status = 400;
        if (YAJL_IS_OBJECT(call.body))
            status = run_row(&call, "POST", sim_json_string(item, "path", ""));
        else
            snprintf(call.problem, sizeof(call.problem), "body must be an object");
        sim_text_done(&out);
        if (status >= 400) {
            fprintf(stderr, "sluice-sim: %s: call %zu (%s): %s\n", file, i + 1,
                    sim_json_string(item, "path", "no path"), call.problem);
            return false;
        }
    }
    return true;
}

bool sim_control_load(struct sim *sim, const char *file)
{
    struct sim_text text = {0};
    bool ok = read_file(file, &text);
    if (!ok) {
        fprintf(stderr, "sluice-sim: cannot read %s: %s\n", file, strerror(errno));
    } else {
        char detail[512] = "";
        yajl_val calls = yajl_tree_parse(text.data, detail, sizeof(detail));
        ok = calls && load_calls(sim, file, calls);
        if (!calls)
            fprintf(stderr, "sluice-sim: %s: %s\n", file, detail);
        yajl_tree_free(calls);
    }
    sim_text_done(&text);
    return ok;
}
