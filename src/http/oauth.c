#include "http/oauth.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/json.h"
#include "http/oauth_reply.h"
#include "http/url.h"
#include "loop/fiber.h"

enum {
    TIMEOUT_MS = 30 * 1000,
    REPLY_BYTES_MAX = 256 * 1024,
    EARLY_MS = 5 * 60 * 1000,     /* renew so long before the end ... */
    EARLY_FROM_MS = 2 * EARLY_MS, /* ... of a token that lives at least so long */
    BACKOFF_MIN_MS = 1000,
    BACKOFF_MAX_MS = 5 * 60 * 1000,
    RENEW_AGAIN_MS = 5 * 1000, /* after a renewal failed while the old token still serves */
};

struct sl_oauth {
    struct sl_http *http;
    char *url;
    char *form;                    /* secret: the whole request body */
    char *token;                   /* secret; NULL: none */
    uint64_t renew_ms, expires_ms; /* loop clock */
    bool renewal_failed;           /* and it was told */
    unsigned number;               /* of the token */
    unsigned refused;              /* tokens in a row, by the peer */
    uint64_t replace_ms;           /* not before, although the peer refuses it */

    bool asking; /* a fiber is at it */
    struct sl_waitlist waiting;

    struct sl_err failure;    /* the last one, answered from memory until ... */
    uint64_t failed_until_ms; /* ... then */
    unsigned refusals;        /* in a row */
};

static void add_form(struct sl_buf *form, const char *name, const char *value)
{
    char *escaped = curl_easy_escape(NULL, value, 0);
    sl_buf_printf(form, "%s%s=%s", form->length ? "&" : "", name, escaped ? escaped : "");
    if (escaped)
        sl_wipe(escaped, strlen(escaped));
    curl_free(escaped);
}

static char *form_new(const struct sl_oauth_settings *settings)
{
    struct sl_buf form;
    sl_buf_init_secret(&form);
    add_form(&form, "grant_type", "client_credentials");
    add_form(&form, "client_id", settings->client_id);
    add_form(&form, "scope", settings->scope);
    add_form(&form, "client_secret", settings->client_secret);
    return sl_buf_take(&form);
}

static char *url_new(const char *authority, const char *tenant)
{
    struct sl_buf url;
    size_t length = strlen(authority);
    char *escaped = curl_easy_escape(NULL, tenant, 0);
    while (length && authority[length - 1] == '/')
        length--;
    sl_buf_init(&url);
    sl_buf_printf(&url, "%.*s/%s/oauth2/v2.0/token", (int)length, authority,
                  escaped ? escaped : "");
    curl_free(escaped);
    return sl_buf_take(&url);
}

static bool is_missing(const char *text)
{
    return !text || !*text;
}

struct sl_oauth *sl_oauth_new(struct sl_http *http, const struct sl_oauth_settings *settings,
                              struct sl_err *err)
{
    const char *authority = settings->authority;
    struct sl_url url;
    if (is_missing(authority))
        authority = "https://login.microsoftonline.com";
    if (is_missing(settings->tenant) || is_missing(settings->client_id) ||
        is_missing(settings->client_secret) || is_missing(settings->scope)) {
        sl_err_set(err, SL_CONFIG, "auth needs tenant, client_id, client_secret and a scope");
        return NULL;
    }
    if (sl_url_require_secure(authority, "auth.authority", &url, err) != SL_OK)
        return NULL;

    struct sl_oauth *oauth = SL_NEW(struct sl_oauth);
    oauth->http = http;
    oauth->url = url_new(authority, settings->tenant);
    oauth->form = form_new(settings);
    return oauth;
}

static void free_secret(char *secret)
{
    if (secret)
        sl_wipe(secret, strlen(secret));
    free(secret);
}

void sl_oauth_free(struct sl_oauth *oauth)
{
    if (!oauth)
        return;
    free_secret(oauth->form);
    free_secret(oauth->token);
    free(oauth->url);
    free(oauth);
}

unsigned sl_oauth_number(const struct sl_oauth *oauth)
{
    return oauth->number;
}

bool sl_oauth_refused(struct sl_oauth *oauth, unsigned number)
{
    uint64_t now_ms = sl_loop_now_ms();
    if (number != oauth->number || !oauth->expires_ms)
        return true; /* a request that was under way when somebody was told the same */
    if (now_ms < oauth->replace_ms)
        return false;
    oauth->expires_ms = oauth->renew_ms = 0;
    oauth->replace_ms = now_ms + sl_backoff_after(++oauth->refused, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
    return true;
}

void sl_oauth_accepted(struct sl_oauth *oauth, unsigned number)
{
    if (number != oauth->number)
        return;
    oauth->refused = 0;
    oauth->replace_ms = 0;
}

/* Renew at 80 % of its life, or five minutes before the end when that is sooner. */
static void keep(struct sl_oauth *oauth, char *token, int64_t life_s)
{
    uint64_t life_ms = (uint64_t)life_s * 1000, now_ms = sl_loop_now_ms();
    uint64_t renew_ms = life_ms / 5 * 4;
    if (life_ms >= EARLY_FROM_MS && life_ms - EARLY_MS < renew_ms)
        renew_ms = life_ms - EARLY_MS;
    free_secret(oauth->token);
    oauth->token = token;
    oauth->number++;
    oauth->renew_ms = now_ms + renew_ms;
    oauth->expires_ms = now_ms + life_ms;
    oauth->renewal_failed = false;
    oauth->failed_until_ms = 0;
    oauth->refusals = 0;
}

/* Suspends. One request for a token. */
static int ask(struct sl_oauth *oauth, struct sl_err *err)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    const struct sl_http_request request = {
        .method = "POST",
        .url = oauth->url,
        .headers = headers,
        .body = sl_str_of(oauth->form),
        .timeout_ms = TIMEOUT_MS,
        .max_body_bytes = REPLY_BYTES_MAX,
        .secret_answer = true,
    };
    struct sl_http_response response;
    char *token;
    int64_t life_s;

    int rc = sl_http_request(oauth->http, &request, &response, err);
    if (rc == SL_OK) {
        rc = sl_oauth_reply_read(&response, &token, &life_s, err);
        sl_wipe(response.body, response.length);
        sl_http_response_done(&response);
    }
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot get a token");
    keep(oauth, token, life_s);
    return SL_OK;
}

/* A refusal will not change by asking faster, and Entra ID locks out those who try. */
static void remember(struct sl_oauth *oauth, const struct sl_err *failure)
{
    if (failure->code == SL_CANCELED)
        return;
    uint64_t wait_ms = BACKOFF_MIN_MS;
    if (failure->code == SL_CONFIG) {
        wait_ms = sl_backoff_after(++oauth->refusals, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
    } else if (failure->retry_after_ms > wait_ms) {
        wait_ms = failure->retry_after_ms;
    }
    oauth->failure = *failure;
    oauth->failed_until_ms = sl_loop_now_ms() + wait_ms;
}

static int recall(const struct sl_oauth *oauth, uint64_t now_ms, struct sl_err *err)
{
    if (err) {
        *err = oauth->failure;
        err->retry_after_ms = (uint32_t)(oauth->failed_until_ms - now_ms);
    }
    return oauth->failure.code;
}

/* Suspends. The one fiber that asks; the others wait for it. */
static int ask_alone(struct sl_oauth *oauth, struct sl_err *err)
{
    struct sl_err failure = {0};
    oauth->asking = true;
    int rc = ask(oauth, &failure);
    oauth->asking = false;
    if (rc != SL_OK) {
        remember(oauth, &failure);
        if (err)
            *err = failure;
    }
    sl_wake_all(&oauth->waiting);
    return rc;
}

int sl_oauth_token(struct sl_oauth *oauth, const char **ret_token, struct sl_err *err)
{
    for (;;) {
        uint64_t now_ms = sl_loop_now_ms();
        bool valid = oauth->token && now_ms < oauth->expires_ms;
        if (valid && (now_ms < oauth->renew_ms || oauth->asking)) {
            *ret_token = oauth->token;
            return SL_OK;
        }
        if (!valid && oauth->asking) {
            if (sl_wait(&oauth->waiting, SL_FOREVER) != SL_OK)
                return sl_err_set(err, SL_CANCELED, "stopped waiting for a token");
            continue;
        }
        if (!valid && now_ms < oauth->failed_until_ms)
            return recall(oauth, now_ms, err);

        struct sl_err failure = {0};
        int rc = ask_alone(oauth, &failure);
        if (rc == SL_OK)
            continue;
        if (!valid || rc == SL_CANCELED) {
            if (err)
                *err = failure;
            return rc;
        }
        oauth->renew_ms = sl_loop_now_ms() + RENEW_AGAIN_MS; /* the old one serves meanwhile */
        if (!oauth->renewal_failed)                          /* one line, however long it lasts */
            sl_log(SL_WARN, "token not renewed yet, the old one serves meanwhile",
                   SL_T("error", failure.message));
        oauth->renewal_failed = true;
    }
}
