/* The Dataverse Web API: token, limits, and the way of each path to its answer.
 * Source: "Compose HTTP requests and handle errors", "Service protection API limits". */
#include "sim/dataverse/serve.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "sim/clock.h"
#include "sim/dataverse/spoil.h"
#include "sim/token.h"

#define JSON_TYPE "application/json; odata.metadata=minimal"

void dv_fail(struct dv_call *call, unsigned status, const char *code, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    sim_text_clear(&call->out);
    call->status = status;
    sim_text_puts(&call->out, "{\"error\":{");
    sim_text_member(&call->out, "code", code);
    sim_text_member(&call->out, "message", message);
    sim_text_puts(&call->out, "}}");
}

/* Reads the preferences that the header names; it may hold several, in any order. */
static void read_prefer(struct dv_call *call)
{
    const char *prefer = sim_http_header(call->request, "Prefer");
    if (!prefer)
        return;
    call->track = strcasestr(prefer, "odata.track-changes") != NULL;
    const char *size = strcasestr(prefer, "odata.maxpagesize=");
    if (size)
        call->page_size = strtoll(size + strlen("odata.maxpagesize="), NULL, 10);
    const char *annotations = strcasestr(prefer, "odata.include-annotations=");
    if (annotations) {
        bool all = strncmp(annotations + strlen("odata.include-annotations="), "\"*\"", 3) == 0;
        call->formatted = all || strcasestr(annotations, "FormattedValue");
        call->lookups = all || strcasestr(annotations, "lookuplogicalname");
    }
}

/* "accounts(60c4…)" and what follows. False when path is no such thing. */
static bool split_key(const char *path, size_t *ret_set_len, char *ret_guid, const char **ret_rest)
{
    const char *open = strchr(path, '(');
    const char *close = open ? strchr(open, ')') : NULL;
    if (!close || close - open != DV_GUID_SIZE)
        return false;
    memcpy(ret_guid, open + 1, DV_GUID_SIZE - 1);
    ret_guid[DV_GUID_SIZE - 1] = '\0';
    *ret_set_len = (size_t)(open - path);
    *ret_rest = close + 1;
    return true;
}

static struct dv_table *find_set(struct dv_call *call, const char *set, size_t len)
{
    sim_lock(call->sim);
    struct dv_table *table = dv_find_set(call->dv, set, len);
    sim_unlock(call->sim);
    return table;
}

static void answer_keyed(struct dv_call *call, size_t set_len, const char *guid, const char *rest)
{
    static const char users[] = "systemusers";
    struct dv_table *table = find_set(call, call->path, set_len);
    if (set_len == strlen(users) && strncmp(call->path, users, set_len) == 0)
        dv_answer_privilege(call, rest);
    else if (!table)
        dv_fail(call, 404, "0x80060888", "Resource not found for the segment '%.*s'.", (int)set_len,
                call->path);
    else if (!*rest)
        dv_answer_row(call, table, guid);
    else
        dv_answer_related(call, table, guid, rest + (*rest == '/'));
}

static void answer_definition(struct dv_call *call)
{
    char name[DV_NAME_SIZE] = "";
    int end = 0;
    if (sscanf(call->path, "EntityDefinitions(LogicalName='%63[a-z0-9_]')%n", name, &end) != 1 ||
        end == 0)
        dv_fail(call, 404, "0x80060888", "Resource not found for the segment '%s'.", call->path);
    else
        dv_answer_definition(call, name, strcmp(call->path + end, "/Attributes") == 0);
}

static void answer_relationship(struct dv_call *call)
{
    char name[DV_NAME_SIZE] = "";
    int end = 0;
    if (sscanf(call->path, "RelationshipDefinitions(SchemaName='%63[A-Za-z0-9_]')%n", name, &end) !=
            1 ||
        end == 0)
        dv_fail(call, 404, "0x80060888", "Resource not found for the segment '%s'.", call->path);
    else
        dv_answer_relationship(call, name);
}

static void route(struct dv_call *call)
{
    const char *path = call->path;
    size_t set_len = strcspn(path, "/");
    char guid[DV_GUID_SIZE];
    const char *rest;
    if (strcmp(path, "WhoAmI") == 0 || strcmp(path, "WhoAmI()") == 0) {
        dv_answer_who(call);
    } else if (strcmp(path, "EntityDefinitions") == 0) {
        dv_answer_definitions(call);
    } else if (strncmp(path, "EntityDefinitions(", 18) == 0) {
        answer_definition(call);
    } else if (strncmp(path, "RelationshipDefinitions(", 24) == 0) {
        answer_relationship(call);
    } else if (split_key(path, &set_len, guid, &rest)) {
        answer_keyed(call, set_len, guid, rest);
    } else {
        struct dv_table *table = find_set(call, path, set_len);
        if (table && strcmp(path + set_len, "/$count") == 0)
            dv_answer_count(call, table);
        else if (table && !path[set_len])
            dv_answer_set(call, table);
        else
            dv_fail(call, 404, "0x80060888", "Resource not found for the segment '%s'.", path);
    }
}

static enum MHD_Result answer_unauthorized(struct sim_request *request)
{
    char challenge[320];
    snprintf(challenge, sizeof(challenge),
             "Bearer authorization_uri=http://%s/%s/oauth2/authorize, resource_id=http://%s/",
             request->sim->authority, request->sim->options.tenant, request->sim->authority);
    return sim_http_answer(request, 401, NULL, NULL,
                           (struct sim_header[]){
                               {"WWW-Authenticate", challenge},
                               {0                 }
    });
}

/* Writes 7999 as "7,999", as the service was seen to do. */
static void write_thousands(int64_t number, const char *tail, char *out, size_t size)
{
    number = number > 0 ? number : 0;
    if (number >= 1000000)
        snprintf(out, size, "%" PRId64 ",%03" PRId64 ",%03" PRId64 "%s", number / 1000000,
                 number / 1000 % 1000, number % 1000, tail);
    else if (number >= 1000)
        snprintf(out, size, "%" PRId64 ",%03" PRId64 "%s", number / 1000, number % 1000, tail);
    else
        snprintf(out, size, "%" PRId64 "%s", number, tail);
}

static void add_limit_headers(struct MHD_Response *response, const struct dv *dv,
                              const struct dv_user *user)
{
    char text[64];
    char cents[8];
    int64_t left_us = dv_switch(dv, SW_DV_LIMIT_EXECUTION_MS) * 1000 - user->time.sum;
    left_us = left_us > 0 ? left_us : 0;
    write_thousands(dv_switch(dv, SW_DV_LIMIT_REQUESTS) - user->requests.sum, "", text,
                    sizeof(text));
    MHD_add_response_header(response, "x-ms-ratelimit-burst-remaining-xrm-requests", text);
    snprintf(cents, sizeof(cents), ".%02d", (int)(left_us / 10000 % 100));
    write_thousands(left_us / 1000000, cents, text, sizeof(text));
    MHD_add_response_header(response, "x-ms-ratelimit-time-remaining-xrm-requests", text);
}

static void add_headers(struct dv_call *call, const struct dv_fate *fate, int64_t now_ms,
                        struct MHD_Response *response)
{
    char text[160];
    sim_clock_http(now_ms, text, sizeof(text));
    MHD_add_response_header(response, "Date", text);
    MHD_add_response_header(response, "OData-Version", "4.0");
    MHD_add_response_header(response, "Content-Type", call->type ? call->type : JSON_TYPE);
    if (fate->way == DV_REDIRECTED)
        MHD_add_response_header(response, "Location", fate->redirect);
    if ((fate->way == DV_THROTTLED || fate->way == DV_AWAY) && fate->retry_after_s >= 0) {
        snprintf(text, sizeof(text), "%" PRId64, fate->retry_after_s);
        MHD_add_response_header(response, "Retry-After", text);
    }
    if (call->status == 200 && (call->track || call->page_size > 0)) {
        size_t len = 0;
        if (call->track)
            len = (size_t)snprintf(text, sizeof(text), "odata.track-changes");
        if (call->page_size > 0)
            snprintf(text + len, sizeof(text) - len, "%sodata.maxpagesize=%" PRId64, len ? "," : "",
                     call->page_size);
        MHD_add_response_header(response, "Preference-Applied", text);
    }
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The answer of a request that was let in, its execution time counted. */
static void execute(struct dv_call *call, const struct dv_fate *fate)
{
    struct dv *dv = call->dv;
    int64_t begin_us = now_us();
    if (fate->delay_ms > 0)
        sim_sleep(call->sim, fate->delay_ms);
    if (dv_switch(dv, SW_DV_USER_DISABLED))
        dv_fail(call, 403, "0x80040225", "The specified user is disabled. Consider enabling it.");
    else if (strcmp(call->request->method, "GET") == 0)
        route(call);
    else
        dv_fail(call, 405, "0x80060888", "sluice-sim is read only here.");
    sim_lock(call->sim);
    const struct dv_limits limits = {.window_ms = dv_switch(dv, SW_DV_LIMIT_WINDOW_MS)};
    dv_user_end(&dv->users[call->client], &limits, sim_clock_steady_ms(),
                now_us() - begin_us + fate->cost_ms * 1000);
    sim_unlock(call->sim);
}

enum MHD_Result dv_serve(struct sim_request *request)
{
    struct sim *sim = request->sim;
    request->action = "dv_other";
    const char *bearer = sim_http_header(request, MHD_HTTP_HEADER_AUTHORIZATION);
    sim_lock(sim);
    int client = sim_token_client(sim, bearer);
    if (client < 0)
        sim_token_note_stranger(sim, bearer);
    struct dv_fate fate = {0};
    if (client >= 0)
        dv_fate_read(sim->dataverse, &sim->dataverse->users[client], &fate);
    sim_unlock(sim);
    if (client < 0)
        return answer_unauthorized(request);

    struct dv_call call = {.request = request,
                           .sim = sim,
                           .dv = sim->dataverse,
                           .path = request->path + strlen(DV_API),
                           .client = (unsigned)client,
                           .status = 200};
    const char *host = sim_http_header(request, MHD_HTTP_HEADER_HOST);
    snprintf(call.base, sizeof(call.base), "http://%s" DV_API, host ? host : sim->authority);
    read_prefer(&call);
    if (fate.way != DV_GOES_ON)
        dv_fate_answer(&call, &fate);
    else
        execute(&call, &fate);
    struct MHD_Response *response = dv_fate_response(&call, &fate);
    sim_lock(sim);
    add_headers(&call, &fate, dv_clock_ms(call.dv), response);
    add_limit_headers(response, call.dv, &call.dv->users[client]);
    sim_unlock(sim);
    return sim_http_send(request, call.status, response);
}
