/* The Data Management package API. Source: "Data management package REST API" of Microsoft's
 * documentation, and what clients met.
 * Every failure but throttling and an unavailable service is a 500 with an OData error body. */
#include "sim/dmf.h"

#include <inttypes.h>
#include <stdio.h>

#include "sim/blob.h"
#include "sim/execution.h"
#include "sim/json.h"
#include "sim/odata.h"
#include "sim/token.h"

#define JSON_TYPE "application/json; odata.metadata=minimal; odata.streaming=true"
#define ACTIONS "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."

/* One call: what came in, and what the caller is told. */
struct call {
    struct sim_request *request;
    yajl_val arguments;
    struct sim_project *project; /* what the switches are looked up for; may be NULL */
    struct sim_execution *execution;
    unsigned status;
    struct sim_text out;
};

/* An action runs with the lock held and fills in status and out. */
struct action {
    const char *name;
    void (*run)(struct call *call);
};

static void fail(struct call *call, const char *action, const char *inner)
{
    struct sim_text *out = &call->out;
    char message[1024];
    snprintf(
        message, sizeof(message),
        "Exception occurred while executing action %s on Entity DataManagementDefinitionGroup: "
        "%s",
        action, inner);
    call->status = 500;
    sim_text_puts(out, "{\"error\":{\"code\":\"\",\"message\":\"An error has occurred.\","
                       "\"innererror\":{");
    sim_text_member(out, "message", message);
    sim_text_member(out, "type", "System.InvalidOperationException");
    sim_text_member(out, "stacktrace",
                    "   at Microsoft.Dynamics.Platform.Integration.Services.OData.Action."
                    "ActionInvokable.Invoke()\r\n");
    sim_text_puts(out, "}}}");
}

static void answer_value(struct call *call, const char *value, bool may_nest)
{
    struct sim_text *out = &call->out;
    struct sim_switch_view view = sim_switch_view(call->request->sim, call->project);
    bool nested = may_nest && sim_switch_number(view, SW_NESTED_VALUE);
    call->status = 200;
    sim_text_printf(out, "{\"@odata.context\":\"http://%s/data/$metadata#Edm.String\"",
                    call->request->sim->authority);
    sim_text_name(out, "value");
    if (nested)
        sim_text_puts(out, "{\"value\":");
    sim_text_json(out, value, strlen(value));
    sim_text_puts(out, nested ? "}}" : "}");
}

static const char *argument(const struct call *call, const char *name)
{
    return sim_json_string(call->arguments, name, "");
}

static bool is_boolean_or_absent(yajl_val value)
{
    return value == NULL || YAJL_IS_FALSE(value) || YAJL_IS_TRUE(value);
}

static void export_to_package(struct call *call)
{
    static const char action[] = "ExportToPackage";
    struct sim *sim = call->request->sim;
    const char *id = argument(call, "executionId");
    const char *company = argument(call, "legalEntityId");
    char inner[768];
    snprintf(inner, sizeof(inner),
             "Export to package failed for definition group: %s, package name: %s, execution id: "
             "%s, reExecute: false, legal entity: %s",
             argument(call, "definitionGroupId"), argument(call, "packageName"), id, company);

    if (!is_boolean_or_absent(sim_json_member(call->arguments, "reExecute"))) {
        /* Only strings and booleans are right here: OData refuses "false" for a boolean. */
        call->status = 400;
        sim_text_puts(&call->out, "{\"error\":{\"code\":\"\",\"message\":\"An error has occurred: "
                                  "the parameter reExecute is not an Edm.Boolean.\"}}");
        return;
    }
    if (!call->project || call->project->imports || strlen(id) >= SIM_ID_SIZE ||
        sim_execution_find(sim, id)) {
        fail(call, action, inner);
        return;
    }
    struct sim_switch_view view = sim_switch_view(sim, call->project);
    if (sim_switch_number(view, SW_PARALLEL_FAILS) &&
        sim_execution_busy(sim, call->project->name)) {
        char busy[900];
        snprintf(busy, sizeof(busy),
                 "DMF2025: another execution of this data project is in progress. %s", inner);
        fail(call, action, busy);
        return;
    }

    bool synchronous = sim_switch_number(view, SW_SYNCHRONOUS_EXPORT);
    struct sim_execution *execution =
        sim_execution_begin(sim, call->project, id, *company ? company : call->project->company);
    while (synchronous && !execution->finished && !sim->stopping)
        sim_wait(sim, 1000);
    /* While it waited, a reset may have taken the project away. */
    call->project = sim_project_find(&sim->projects, execution->project);
    if (sim_switch_take(sim_switch_view(sim, call->project), SW_EXPORT_ERROR_NEXT))
        fail(call, action, inner);
    else
        answer_value(call, execution->id, true);
    sim_execution_release(execution);
}

/* Answers for an id that is not known, or not yet. */
static void fail_unknown(struct call *call, const char *action)
{
    struct sim_switch_view view = sim_switch_view(call->request->sim, call->project);
    char inner[512];
    snprintf(inner, sizeof(inner), "%s: %s",
             sim_switch_number(view, SW_UNKNOWN_TRANSLATED)
                 ? "Keine Details zu dieser Ausführungs-ID gefunden"
                 : "Execution details were not found for execution id",
             argument(call, "executionId"));
    fail(call, action, inner);
}

static void get_status(struct call *call)
{
    static const char action[] = "GetExecutionSummaryStatus";
    struct sim_switch_view view = sim_switch_view(call->request->sim, call->project);
    struct sim_execution *execution = call->execution;
    if (!execution || (int64_t)execution->polls++ < sim_switch_number(view, SW_ID_UNKNOWN_POLLS))
        fail_unknown(call, action);
    else
        answer_value(call, sim_state_name(execution->state), false);
}

static void get_url(struct call *call)
{
    struct sim *sim = call->request->sim;
    struct sim_switch_view view = sim_switch_view(sim, call->project);
    struct sim_execution *execution = call->execution;
    if (!execution) {
        fail_unknown(call, "GetExportedPackageUrl");
        return;
    }
    char url[1024] = "";
    if (execution->finished && !execution->no_url &&
        (int64_t)execution->url_requests++ >= sim_switch_number(view, SW_URL_EMPTY_POLLS)) {
        const char *host = sim_http_header(call->request, MHD_HTTP_HEADER_HOST);
        sim_blob_url(sim, view, execution, host ? host : sim->authority, url, sizeof(url));
    }
    answer_value(call, url, true);
}

/* The errors are JSON inside a string, and not even right JSON: a quote and a newline in them are
 * not escaped. */
static void get_errors(struct call *call)
{
    struct sim_execution *execution = call->execution;
    if (!execution) {
        fail_unknown(call, "GetExecutionErrors");
        return;
    }
    char errors[512] = "[]";
    if (execution->finished && execution->state != STATE_SUCCEEDED)
        snprintf(errors, sizeof(errors),
                 "[{\"RecordId\":\"\",\"Field\":\"\",\"ErrorMessage\":\"Export of \"%s\" ended as "
                 "%s.\nSee the job's log.\"}]",
                 execution->file_count ? execution->files[0].entity->label : "the project",
                 sim_state_name(execution->state));
    answer_value(call, errors, false);
}

static const struct action actions[] = {
    {"ExportToPackage",           export_to_package},
    {"GetExecutionSummaryStatus", get_status       },
    {"GetExportedPackageUrl",     get_url          },
    {"GetExecutionErrors",        get_errors       },
};

static const struct action *find_action(const char *path)
{
    size_t len = strlen(ACTIONS);
    if (strncmp(path, ACTIONS, len) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, path + len) == 0)
            return &actions[i];
    return NULL;
}

/* Finds the project and the execution that the call is about. */
static void look_up(struct call *call)
{
    struct sim *sim = call->request->sim;
    call->execution = sim_execution_find(sim, argument(call, "executionId"));
    const char *name = argument(call, "definitionGroupId");
    if (!*name && call->execution)
        name = call->execution->project;
    call->project = sim_project_find(&sim->projects, name);
}

/* What the switches put before any action. True when the answer is made. */
static bool hinder(struct call *call, char *ret_retry_after, size_t size)
{
    struct sim_switch_view view = sim_switch_view(call->request->sim, call->project);
    int64_t seconds = sim_switch_number(view, SW_RETRY_AFTER);
    if (sim_switch_take(view, SW_HTTP_429_NEXT)) {
        call->status = 429;
        sim_text_puts(&call->out, "{\"error\":{\"code\":\"\",\"message\":\"The number of requests "
                                  "has exceeded what this environment can bear.\"}}");
    } else if (sim_switch_take(view, SW_HTTP_503_NEXT)) {
        call->status = 503;
        sim_text_puts(&call->out, "<html><body>The service is unavailable.</body></html>");
    } else if (sim_switch_take(view, SW_HTTP_500_NEXT)) {
        call->status = 500;
        sim_text_puts(&call->out, "{\"Message\":\"An error has occurred.\"}");
        return true;
    } else {
        return false;
    }
    if (seconds >= 0)
        snprintf(ret_retry_after, size, "%" PRId64, seconds);
    return true;
}

static enum MHD_Result answer_unauthorized(struct sim_request *request)
{
    char challenge[256];
    snprintf(challenge, sizeof(challenge),
             "Bearer authorization_uri=\"http://%s/%s/oauth2/authorize\", error=\"invalid_token\"",
             request->sim->authority, request->sim->options.tenant);
    return sim_http_answer(request, 401, NULL, NULL,
                           (struct sim_header[]){
                               {"WWW-Authenticate", challenge},
                               {0                 }
    });
}

static void wait_delay(struct call *call)
{
    struct sim *sim = call->request->sim;
    sim_lock(sim);
    look_up(call);
    int64_t delay_ms = sim_switch_number(sim_switch_view(sim, call->project), SW_DELAY_MS);
    sim_unlock(sim);
    if (delay_ms > 0)
        sim_sleep(sim, delay_ms);
}

enum MHD_Result sim_dmf_serve(struct sim_request *request)
{
    struct sim *sim = request->sim;
    const struct action *action = find_action(request->path);
    const struct sim_entity_set *set = sim_odata_find(request->path);
    request->action = action ? action->name : set ? sim_odata_name(set) : "data";
    sim_lock(sim);
    bool authorized =
        sim_token_is_valid(sim, sim_http_header(request, MHD_HTTP_HEADER_AUTHORIZATION));
    sim_unlock(sim);
    if (!authorized)
        return answer_unauthorized(request);
    if (!action && !set)
        return sim_http_answer(request, 404, NULL, NULL, NULL);
    if (strcmp(request->method, set ? "GET" : "POST") != 0)
        return sim_http_answer(request, 405, NULL, NULL,
                               (struct sim_header[]){
                                   {"Allow", set ? "GET" : "POST"},
                                   {0      }
        });

    struct call call = {.request = request};
    sim_text_reserve(&request->body, 0);
    if (!set)
        call.arguments = yajl_tree_parse(request->body.data, NULL, 0);
    if (!set && !YAJL_IS_OBJECT(call.arguments)) {
        yajl_tree_free(call.arguments);
        sim_text_puts(&call.out, "{\"error\":{\"code\":\"\",\"message\":\"InvokeAction - Model "
                                 "state is invalid\"}}");
        return sim_http_answer(request, 400, JSON_TYPE, &call.out, NULL);
    }
    wait_delay(&call);
    char retry_after[24] = "";
    sim_lock(sim);
    look_up(&call);
    if (!hinder(&call, retry_after, sizeof(retry_after))) {
        if (set)
            call.status = sim_odata_answer(request, set, &call.out);
        else
            action->run(&call);
    }
    sim_unlock(sim);
    yajl_tree_free(call.arguments);
    const struct sim_header headers[] = {
        {"OData-Version", "4.0"},
        {*retry_after ? "Retry-After" : NULL,               retry_after},
        {0}
    };
    return sim_http_answer(request, call.status, call.status == 503 ? "text/html" : JSON_TYPE,
                           &call.out, headers);
}
