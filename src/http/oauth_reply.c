#include "http/oauth_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "format/json.h"

enum { LIFE_DEFAULT_S = 300, LIFE_MAX_S = 24 * 3600 };

/* How an endpoint is called in messages, and what to look at when it refuses without a word. */
static const struct peer {
    const char *name, *advice;
} ENTRA = {"the token endpoint", "is the authority right?"},
  IDENTITY = {"the managed identity endpoint", "has this machine or app such an identity?"};

/* A number, or a text that is one: the managed identity endpoints write texts. */
static bool read_seconds(const struct sl_json *node, int64_t *ret)
{
    const char *text = sl_json_text(node);
    if (text)
        *ret = strtoll(text, NULL, 10);
    return text || sl_json_int(node, ret);
}

/* App Service tells only when it ends. */
static int64_t life_of(const struct sl_json *root)
{
    int64_t seconds = LIFE_DEFAULT_S, end_s;
    if (!read_seconds(sl_json_get(root, "expires_in"), &seconds) &&
        read_seconds(sl_json_get(root, "expires_on"), &end_s))
        seconds = end_s - sl_wall_ms() / 1000;
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

static int refused(const struct peer *peer, const struct sl_http_response *response,
                   const struct sl_json *root, struct sl_err *err)
{
    const char *error = sl_json_text(sl_json_get(root, "error"));
    const char *description = sl_json_text(sl_json_get(root, "error_description"));
    if (error && !strcmp(error, "temporarily_unavailable"))
        return sl_err_set(err, SL_CLOSED, "%s is unavailable for a while", peer->name);
    size_t length = description ? sentence_length(description) : 0;
    if (length && peer == &ENTRA)
        sl_err_set(err, SL_CONFIG, "%.*s", (int)length, description);
    else if (length)
        sl_err_set(err, SL_CONFIG, "%s refused: %.*s", peer->name, (int)length, description);
    else if (error)
        sl_err_set(err, SL_CONFIG, "%s refused: %s", peer->name, error);
    else
        sl_err_set(err, SL_CONFIG, "%s answered HTTP status %d: %s", peer->name, response->status,
                   peer->advice);
    if (err)
        err->cause = response->status;
    return SL_CONFIG;
}

static int granted(const struct peer *peer, const struct sl_json *root, char **ret_token,
                   int64_t *ret_life_s, struct sl_err *err)
{
    const char *token = sl_json_text(sl_json_get(root, "access_token"));
    const char *type = sl_json_text(sl_json_get(root, "token_type"));
    if (!token || !*token)
        return sl_err_set(err, SL_CLOSED, "%s's answer has no access_token", peer->name);
    if (type && strcasecmp(type, "Bearer"))
        return sl_err_set(err, SL_CONFIG, "%s gives no bearer tokens", peer->name);
    *ret_life_s = life_of(root);
    *ret_token = sl_strdup(token);
    return SL_OK;
}

/* Says it will do later. The metadata service is gone (410) while it is updated, and does not know
 * of the identity (404) on a machine that has just started. */
static bool is_passing(int status, bool machine)
{
    return status == 408 || status == 429 || status >= 500 ||
           (machine && (status == 404 || status == 410));
}

int sl_oauth_reply_read(const struct sl_http_response *response, enum sl_oauth_type type,
                        char **ret_token, int64_t *ret_life_s, struct sl_err *err)
{
    int status = response->status;
    bool machine = type == SL_OAUTH_IDENTITY;
    const struct peer *peer = machine ? &IDENTITY : &ENTRA;
    struct sl_json_doc *doc = NULL;
    if (is_passing(status, machine)) {
        sl_err_set(err, status == 429 || response->retry_after_ms ? SL_THROTTLED : SL_CLOSED,
                   "%s answered HTTP status %d", peer->name, status);
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
        rc = refused(peer, response, root, err);
    else if (!root)
        rc = sl_err_set(err, SL_CLOSED, "%s's answer is not JSON", peer->name);
    else
        rc = granted(peer, root, ret_token, ret_life_s, err);
    sl_json_free_secret(doc);
    return rc;
}
