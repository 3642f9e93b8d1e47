#include "http/oauth_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"

enum { LIFE_DEFAULT_S = 300, LIFE_MAX_S = 24 * 3600 };

/* A number, or a text that is one: the managed identity endpoints write texts. */
static int64_t seconds_of(const struct sl_json *node)
{
    int64_t seconds;
    const char *text = sl_json_text(node);
    if (text)
        seconds = strtoll(text, NULL, 10);
    else if (!sl_json_int(node, &seconds))
        seconds = LIFE_DEFAULT_S;
    return seconds < 1 ? 1 : seconds > LIFE_MAX_S ? LIFE_MAX_S : seconds;
}

/* "AADSTS7000215: Invalid client secret provided." without what follows: ids of the one request, on
 * lines of their own or on the same one. */
static size_t sentence_length(const char *description)
{
    const char *trace = strstr(description, " Trace ID:");
    size_t length = strcspn(description, "\r\n");
    return trace && (size_t)(trace - description) < length ? (size_t)(trace - description) : length;
}

static int refused(const struct sl_http_response *response, const struct sl_json *root,
                   struct sl_err *err)
{
    const char *error = sl_json_text(sl_json_get(root, "error"));
    const char *description = sl_json_text(sl_json_get(root, "error_description"));
    if (error && !strcmp(error, "temporarily_unavailable"))
        return sl_err_set(err, SL_CLOSED, "the token endpoint is unavailable for a while");
    size_t length = description ? sentence_length(description) : 0;
    if (length)
        sl_err_set(err, SL_CONFIG, "%.*s", (int)length, description);
    else if (error)
        sl_err_set(err, SL_CONFIG, "the token endpoint refused: %s", error);
    else
        sl_err_set(err, SL_CONFIG,
                   "the token endpoint answered HTTP status %d: is the authority "
                   "right?",
                   response->status);
    if (err)
        err->cause = response->status;
    return SL_CONFIG;
}

static int granted(const struct sl_json *root, char **ret_token, int64_t *ret_life_s,
                   struct sl_err *err)
{
    const char *token = sl_json_text(sl_json_get(root, "access_token"));
    const char *type = sl_json_text(sl_json_get(root, "token_type"));
    if (!token || !*token)
        return sl_err_set(err, SL_CLOSED, "the token endpoint's answer has no access_token");
    if (type && strcasecmp(type, "Bearer"))
        return sl_err_set(err, SL_CONFIG, "the token endpoint gives no bearer tokens");
    *ret_life_s = seconds_of(sl_json_get(root, "expires_in"));
    *ret_token = sl_strdup(token);
    return SL_OK;
}

int sl_oauth_reply_read(const struct sl_http_response *response, char **ret_token,
                        int64_t *ret_life_s, struct sl_err *err)
{
    int status = response->status;
    struct sl_json_doc *doc = NULL;
    if (status == 408 || status == 429 || status >= 500) {
        sl_err_set(err, status == 429 || response->retry_after_ms ? SL_THROTTLED : SL_CLOSED,
                   "the token endpoint answered HTTP status %d", status);
        if (err) {
            err->cause = status;
            err->retry_after_ms = response->retry_after_ms;
        }
        return err ? (int)err->code : SL_CLOSED;
    }

    /* What cannot be parsed has no error text either; its own message is not shown, since it could
     * quote the token. */
    int parsed = sl_json_parse(response->body, response->length, NULL, &doc, NULL);
    const struct sl_json *root = parsed == SL_OK ? sl_json_root(doc) : NULL;
    int rc;
    if (status != 200)
        rc = refused(response, root, err);
    else if (!root)
        rc = sl_err_set(err, SL_CLOSED, "the token endpoint's answer is not JSON");
    else
        rc = granted(root, ret_token, ret_life_s, err);
    sl_json_free_secret(doc);
    return rc;
}
