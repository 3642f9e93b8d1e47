#include "dmf/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/kill_point.h"
#include "base/mem.h"
#include "format/json.h"
#include "source/auth.h"

#define ACTIONS "DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."

enum { REPLY_BYTES_MAX = 1024 * 1024, RETRY_AFTER_MS = 30 * 1000 };

int sl_dmf_remote_init(struct sl_dmf_remote *remote, struct sl_http *http, const char *name,
                       const struct sl_dmf_source_settings *settings, struct sl_err *err)
{
    remote->http = http;
    remote->settings = settings;
    remote->oauth = NULL;
    return sl_auth_oauth(http, name, &settings->auth, settings->url, &remote->oauth, err);
}

void sl_dmf_remote_done(struct sl_dmf_remote *remote)
{
    sl_oauth_free(remote->oauth);
}

/* --- replies --- */

/* The sentence inside an error body: the innermost message there is. */
static const char *error_text(const struct sl_json *root)
{
    const struct sl_json *error = sl_json_get(root, "error");
    const char *text = sl_json_text(sl_json_get(sl_json_get(error, "innererror"), "message"));
    if (!text)
        text = sl_json_text(sl_json_get(error, "message"));
    return text ? text : sl_json_text(sl_json_get(root, "Message"));
}

/* An answer other than 200 as an error. The body says more than the status does. */
static void refused(const char *action, const struct sl_http_response *response,
                    const struct sl_json *root, struct sl_err *err)
{
    int status = response->status;
    const char *text = error_text(root);

    if (status == 429 || status == 503) {
        sl_err_set(err, SL_THROTTLED, "%s: the environment is busy (%d)", action, status);
        err->retry_after_ms = response->retry_after_ms ? response->retry_after_ms : RETRY_AFTER_MS;
    } else if (text && strstr(text, "xecution details were not found")) {
        sl_err_set(err, SL_NOTFOUND, "%s: %s", action, text);
    } else if (status == 401 || status == 403) {
        sl_err_set(
            err, SL_CONFIG,
            "%s: %d: the environment does not accept the token; is the client id listed under "
            "\"Microsoft Entra applications\" and its user allowed to export?",
            action, status);
    } else if (text) {
        sl_err_set(err, SL_REJECTED, "%s: %s", action, text);
    } else if (status >= 500 || status == 408) {
        sl_err_set(err, SL_CLOSED, "%s: the environment answered %d", action, status);
    } else {
        sl_err_set(err, SL_REJECTED, "%s: the environment answered %d", action, status);
    }
    err->cause = status;
}

/* Documented as {"value":{"value":"…"}}, answered as {"value":"…"}: both are taken. */
static const char *value_text(const struct sl_json *root)
{
    const struct sl_json *value = sl_json_get(root, "value");
    const char *text = sl_json_text(value);
    return text ? text : sl_json_text(sl_json_get(value, "value"));
}

/* --- calls --- */

/* POSTs body to path below /data/, or GETs it without one. A POST is never sent twice by itself: a
 * second ExportToPackage would be a second export. */
static int exchange(struct sl_dmf_remote *remote, const char *path, struct sl_str body,
                    unsigned *ret_token, struct sl_http_response *ret, struct sl_err *err)
{
    const char *token;
    int rc = sl_oauth_token(remote->oauth, &token, err);
    if (rc == SL_CLOSED || rc == SL_TIMEOUT)
        rc = err->code = SL_THROTTLED; /* nothing was sent: no export can have started */
    if (rc != SL_OK)
        return rc;
    *ret_token = sl_oauth_number(remote->oauth);

    static const char *const headers[] = {"Accept: application/json",
                                          "Content-Type: application/json", NULL};
    static const char *const get_headers[] = {"Accept: application/json", NULL};
    const char *base = remote->settings->url;
    struct sl_buf url;
    sl_buf_init(&url);
    sl_buf_printf(&url, "%.*s/data/%s", sl_auth_base_length(base), base, path);
    struct sl_http_request request = {
        .method = body.at ? "POST" : "GET",
        .url = url.data,
        .headers = body.at ? headers : get_headers,
        .body = body,
        .timeout_ms = remote->settings->request_timeout_ms,
        .max_body_bytes = REPLY_BYTES_MAX,
        .bearer = token,
        .once = body.at != NULL,
    };
    rc = sl_http_request(remote->http, &request, ret, err);
    sl_buf_done(&url);
    return rc;
}

/* The same, and once more with another token when this one is refused. */
static int ask(struct sl_dmf_remote *remote, const char *path, struct sl_str body,
               struct sl_http_response *ret, struct sl_err *err)
{
    struct sl_http_response response = {0};
    unsigned token;
    int rc = exchange(remote, path, body, &token, &response, err);
    if (rc == SL_OK && response.status == 401 && sl_oauth_refused(remote->oauth, token)) {
        sl_http_response_done(&response); /* revoked, or our clock is wrong: once more */
        memset(&response, 0, sizeof response);
        rc = exchange(remote, path, body, &token, &response, err);
    }
    if (rc == SL_OK && response.status != 401)
        sl_oauth_accepted(remote->oauth, token);
    if (rc == SL_OK)
        *ret = response;
    return rc;
}

/* Calls the action; gives the text of its value (free), NULL when it failed. */
static char *call(struct sl_dmf_remote *remote, const char *action, struct sl_str body,
                  struct sl_err *err)
{
    struct sl_http_response response = {0};
    char path[128];
    snprintf(path, sizeof path, ACTIONS "%s", action);
    if (ask(remote, path, body, &response, err) != SL_OK) {
        sl_err_wrap(err, "%s", action);
        return NULL;
    }
    struct sl_json_doc *doc = NULL;
    struct sl_err malformed = {0};
    sl_json_parse(response.body, response.length, NULL, &doc, &malformed);
    const struct sl_json *root = doc ? sl_json_root(doc) : NULL;
    const char *text = value_text(root);
    char *value = NULL;

    if (response.status != 200)
        refused(action, &response, root, err);
    else if (!doc)
        sl_err_set(err, SL_CLOSED, "%s: the answer is not JSON: %s", action, malformed.message);
    else if (!text)
        sl_err_set(err, SL_CLOSED, "%s: the answer has no \"value\"", action);
    else
        value = sl_strdup(text);
    sl_json_free(doc);
    sl_http_response_done(&response);
    return value;
}

int sl_dmf_read(struct sl_dmf_remote *remote, const char *set, const char *query,
                struct sl_json_doc **ret, struct sl_err *err)
{
    struct sl_http_response response = {0};
    struct sl_err malformed = {0};
    struct sl_json_doc *doc = NULL;
    struct sl_buf path;
    sl_buf_init(&path);
    sl_buf_printf(&path, "%s?%s", set, query);
    int rc = ask(remote, path.data, (struct sl_str){0}, &response, err);
    sl_buf_done(&path);
    if (rc != SL_OK) {
        sl_err_wrap(err, "%s", set);
        return rc;
    }
    sl_json_parse(response.body, response.length, NULL, &doc, &malformed);
    if (response.status == 404)
        sl_err_set(err, SL_NOTFOUND, "%s: 404: the environment does not have it", set);
    else if (response.status == 403)
        sl_err_set(err, SL_CONFIG, "%s: 403: the user may not read it", set);
    else if (response.status != 200)
        refused(set, &response, doc ? sl_json_root(doc) : NULL, err);
    else if (!doc)
        sl_err_set(err, SL_CLOSED, "%s: the answer is not JSON: %s", set, malformed.message);
    rc = response.status != 200 || !doc ? (int)err->code : SL_OK;
    if (rc != SL_OK)
        err->cause = response.status;
    sl_http_response_done(&response);
    if (rc == SL_OK)
        *ret = doc;
    else
        sl_json_free(doc);
    return rc;
}

static void add_text(struct sl_buf *body, const char *name, const char *value)
{
    sl_buf_printf(body, "%s\"%s\":", body->length ? "," : "{", name);
    sl_buf_add_json_text(body, value);
}

static char *call_with_id(struct sl_dmf_remote *remote, const char *action,
                          const char *execution_id, struct sl_err *err)
{
    struct sl_buf body;
    sl_buf_init(&body);
    add_text(&body, "executionId", execution_id);
    sl_buf_add_char(&body, '}');
    char *value = call(remote, action, sl_buf_view(&body), err);
    sl_buf_done(&body);
    return value;
}

int sl_dmf_export(struct sl_dmf_remote *remote, const struct sl_dmf_export *export,
                  char ret_id[SL_DMF_ID_BYTES], struct sl_err *err)
{
    struct sl_buf body;
    sl_buf_init(&body);
    add_text(&body, "definitionGroupId", export->definition_group);
    add_text(&body, "packageName", export->package_name);
    add_text(&body, "executionId", export->execution_id);
    sl_buf_add_text(&body, ",\"reExecute\":false");
    add_text(&body, "legalEntityId", export->legal_entity);
    sl_buf_add_char(&body, '}');

    sl_kill_point("export asked", export->execution_id);
    char *value = call(remote, "ExportToPackage", sl_buf_view(&body), err);
    sl_kill_point("export answered", export->execution_id);
    sl_buf_done(&body);
    if (!value)
        return (int)err->code;
    /* One that is too long will not be found, and its execution counts as lost, as it should. */
    snprintf(ret_id, SL_DMF_ID_BYTES, "%s", value[0] ? value : export->execution_id);
    free(value);
    return SL_OK;
}

int sl_dmf_status(struct sl_dmf_remote *remote, const char *execution_id, enum sl_dmf_status *ret,
                  struct sl_err *err)
{
    static const struct {
        const char *name;
        enum sl_dmf_status status;
    } known[] = {
        {"Unknown",            SL_DMF_UNKNOWN  },
        {"NotRun",             SL_DMF_NOT_RUN  },
        {"Executing",          SL_DMF_EXECUTING},
        {"Succeeded",          SL_DMF_SUCCEEDED},
        {"PartiallySucceeded", SL_DMF_PARTIAL  },
        {"Failed",             SL_DMF_FAILED   },
        {"Canceled",           SL_DMF_CANCELED },
    };
    char *value = call_with_id(remote, "GetExecutionSummaryStatus", execution_id, err);
    if (!value)
        return (int)err->code;
    *ret = SL_DMF_EXECUTING; /* a word that is new: it is there, and has not ended that we know */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, value))
            *ret = known[i].status;
    free(value);
    return SL_OK;
}

int sl_dmf_package_url(struct sl_dmf_remote *remote, const char *execution_id, char **ret_url,
                       struct sl_err *err)
{
    char *url = call_with_id(remote, "GetExportedPackageUrl", execution_id, err);
    if (!url)
        return (int)err->code;
    *ret_url = url;
    return SL_OK;
}
