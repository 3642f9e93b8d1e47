/* Source: "How to use managed identities for Azure resources on an Azure VM to acquire an access
 * token", and "How to use managed identities for App Service". All numbers are strings there. */
#include "sim/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sim/clock.h"
#include "sim/token.h"

/* One request, of the machine or of an app, and its answer. */
struct asking {
    struct sim_request *request;
    bool app;
    const char *resource;
    int client;
    unsigned status;
    struct sim_text out;
};

static void refuse(struct asking *asking, unsigned status, const char *error, const char *text)
{
    struct sim_text *out = &asking->out;
    asking->status = status;
    sim_text_char(out, '{');
    if (asking->app) {
        sim_text_number(out, "statusCode", status);
        sim_text_member(out, "message", text);
    } else {
        sim_text_member(out, "error", error);
        sim_text_member(out, "error_description", text);
    }
    sim_text_char(out, '}');
}

/* What shows that the request comes from the machine and was not made by somebody's redirect. */
static bool is_from_here(struct asking *asking)
{
    const struct sim_request *request = asking->request;
    const char *secret = sim_http_header(request, "X-IDENTITY-HEADER");
    const char *metadata = sim_http_header(request, "Metadata");
    if (sim_http_header(request, "X-Forwarded-For"))
        refuse(asking, 400, "bad_request_101", "X-Forwarded-For is not allowed");
    else if (asking->app && (!secret || strcmp(secret, request->sim->options.identity_header) != 0))
        refuse(asking, 401, "unauthorized", "The identity header is missing or wrong");
    else if (!asking->app && (!metadata || strcmp(metadata, "true") != 0))
        refuse(asking, 400, "bad_request_102", "Required metadata header not specified");
    else
        return true;
    return false;
}

static bool is_ours(const struct sim_request *request, const char *resource)
{
    const char *own = sim_http_header(request, MHD_HTTP_HEADER_HOST);
    const char *host = strstr(resource, "://");
    return own && host && strcasecmp(host + 3, own) == 0;
}

static bool is_asked_right(struct asking *asking)
{
    const struct sim_request *request = asking->request;
    const char *version = sim_http_argument(request, "api-version");
    const char *client = sim_http_argument(request, "client_id");
    asking->resource = sim_http_argument(request, "resource");
    asking->client = client ? sim_token_find_client(request->sim, client) : 0;
    if (!version || strcmp(version, asking->app ? "2019-08-01" : "2018-02-01") != 0)
        refuse(asking, 400, "bad_request_103", "The api-version is missing or not supported");
    else if (!asking->resource || !*asking->resource)
        refuse(asking, 400, "invalid_request", "Required query variable 'resource' is missing");
    else if (!is_ours(request, asking->resource))
        refuse(asking, 400, "invalid_resource",
               "AADSTS500011: The resource was not found in the tenant.");
    else if (asking->client < 0)
        refuse(asking, 400, "invalid_request", "Identity not found");
    else
        return true;
    return false;
}

static void member_as_text(struct sim_text *out, const char *name, int64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, number);
    sim_text_member(out, name, text);
}

/* The lock is held. */
static void grant(struct asking *asking, struct sim_switch_view view)
{
    struct sim *sim = asking->request->sim;
    struct sim_text *out = &asking->out;
    int64_t seconds = sim_switch_number(view, SW_TOKEN_SECONDS);
    int64_t now_s = sim_clock_ms() / 1000;
    char token[SIM_TOKEN_BYTES + 1];
    sim_token_issue(sim, (unsigned)asking->client, seconds, token);
    asking->status = 200;
    sim_text_char(out, '{');
    sim_text_member(out, "access_token", token);
    sim_text_member(out, "client_id", sim->options.client_ids[asking->client]);
    if (!asking->app)
        member_as_text(out, "expires_in", seconds > 1 ? seconds - 1 : seconds);
    member_as_text(out, "expires_on", now_s + seconds);
    member_as_text(out, "not_before", now_s);
    sim_text_member(out, "resource", asking->resource);
    sim_text_member(out, "token_type", "Bearer");
    sim_text_char(out, '}');
}

enum MHD_Result sim_identity_serve(struct sim_request *request)
{
    struct sim *sim = request->sim;
    struct asking asking = {.request = request,
                            .app = strcmp(request->path, SIM_IDENTITY_APP) == 0};
    request->action = "identity";
    sim_lock(sim);
    struct sim_switch_view view = sim_switch_view(sim, NULL);
    int64_t status = sim_switch_number(view, SW_IDENTITY_STATUS);
    if (status && sim_switch_take(view, SW_IDENTITY_NEXT))
        refuse(&asking, (unsigned)status, "switched", "The service is not there for a while");
    else if (is_from_here(&asking) && is_asked_right(&asking))
        grant(&asking, view);
    sim_unlock(sim);
    const struct sim_header elsewhere[] = {
        {"Location", "/elsewhere"},
        {0         }
    };
    return sim_http_answer(request, asking.status, "application/json; charset=utf-8", &asking.out,
                           asking.status / 100 == 3 ? elsewhere : NULL);
}
