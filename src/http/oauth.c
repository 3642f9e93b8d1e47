#include "http/oauth.h"

#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/identity.h"
#include "http/oauth_reply.h"
#include "http/oauth_request.h"
#include "loop/fiber.h"

enum {
    EARLY_MS = 5 * 60 * 1000,     /* renew so long before the end ... */
    EARLY_FROM_MS = 2 * EARLY_MS, /* ... of a token that lives at least so long */
    BACKOFF_MIN_MS = 1000,
    BACKOFF_MAX_MS = 5 * 60 * 1000,
    FILE_BACKOFF_MAX_MS = 8 * 1000,
    RENEW_AGAIN_MS = 5 * 1000, /* at least, after a renewal failed: the old token still serves */
};

struct sl_oauth {
    struct sl_http *http;
    struct sl_oauth_settings settings;
    char *texts; /* secret: those of the settings */
    size_t texts_size;
    char *token;                   /* secret; NULL: none */
    uint64_t renew_ms, expires_ms; /* loop clock */
    struct sl_fiber *renewal;      /* the last one, over or not; NULL: none so far */
    bool renewal_failed;           /* and it was told */
    unsigned number;               /* of the token */
    unsigned refused;              /* tokens in a row, by the peer */
    uint64_t replace_ms;           /* not before, although the peer refuses it */

    bool asking; /* a fiber is at it */
    bool asked;  /* somebody was, the last time */
    struct sl_waitlist waiting;

    struct sl_err failure;    /* the last one, answered from memory until ... */
    uint64_t failed_until_ms; /* ... then */
    unsigned failures;        /* of its kind, in a row */
};

struct sl_oauth *sl_oauth_new(struct sl_http *http, const struct sl_oauth_settings *settings,
                              struct sl_err *err)
{
    if (sl_oauth_settings_check(settings, err) != SL_OK)
        return NULL;
    struct sl_oauth *oauth = SL_NEW(struct sl_oauth);
    oauth->http = http;
    oauth->texts = sl_oauth_settings_copy(settings, &oauth->settings, &oauth->texts_size);
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
    sl_fiber_end(&oauth->renewal);
    sl_wipe(oauth->texts, oauth->texts_size);
    free(oauth->texts);
    free_secret(oauth->token);
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
    oauth->failures = 0;
}

/* Suspends. One request for a token. */
static int ask(struct sl_oauth *oauth, struct sl_err *err)
{
    struct sl_oauth_request request;
    struct sl_http_response response = {0};
    char *token = NULL;
    int64_t life_s = 0;

    int rc = sl_oauth_request_init(&request, &oauth->settings, err);
    oauth->asked = rc == SL_OK;
    if (rc == SL_OK)
        rc = sl_http_request(oauth->http, &request.http, &response, err);
    sl_oauth_request_done(&request);
    if (rc == SL_OK) {
        rc = sl_oauth_reply_read(&response, oauth->settings.type, &token, &life_s, err);
        sl_wipe(response.body, response.length);
        sl_http_response_done(&response);
    }
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot get a token");
    keep(oauth, token, life_s);
    return SL_OK;
}

/* A refusal will not change by asking faster, and Entra ID locks out those who try. What is wrong
 * with a file of ours is seen without asking anybody. */
static uint64_t pause_ms(const struct sl_oauth *oauth, const struct sl_err *failure)
{
    if (failure->code == SL_CONFIG)
        return sl_backoff_after(oauth->failures, BACKOFF_MIN_MS,
                                oauth->asked ? BACKOFF_MAX_MS : FILE_BACKOFF_MAX_MS);
    uint64_t wait_ms = oauth->settings.type == SL_OAUTH_IDENTITY
                           ? sl_identity_pause_ms(oauth->failures)
                           : BACKOFF_MIN_MS;
    return failure->retry_after_ms > wait_ms ? failure->retry_after_ms : wait_ms;
}

static void remember(struct sl_oauth *oauth, const struct sl_err *failure)
{
    if (failure->code == SL_CANCELED)
        return;
    if ((oauth->failure.code == SL_CONFIG) != (failure->code == SL_CONFIG))
        oauth->failures = 0;
    oauth->failures++;
    oauth->failure = *failure;
    oauth->failed_until_ms = sl_loop_now_ms() + pause_ms(oauth, failure);
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

/* A fiber: asks while the old token still serves. */
static void renew(void *arg)
{
    struct sl_oauth *oauth = arg;
    struct sl_err failure = {0};
    int rc = ask_alone(oauth, &failure);
    if (rc == SL_OK || rc == SL_CANCELED)
        return;
    oauth->renew_ms = sl_deadline_in(RENEW_AGAIN_MS);
    if (oauth->renew_ms < oauth->failed_until_ms)
        oauth->renew_ms = oauth->failed_until_ms;
    if (!oauth->renewal_failed) /* one line, however long it lasts */
        sl_log(SL_WARN, "token not renewed yet, the old one serves meanwhile",
               SL_T("error", failure.message));
    oauth->renewal_failed = true;
}

static void start_renewal(struct sl_oauth *oauth)
{
    sl_fiber_end(&oauth->renewal); /* the one before is over: this frees it */
    oauth->asking = true;
    oauth->renewal = sl_fiber_spawn_joinable("oauth.renew", renew, oauth);
}

int sl_oauth_token(struct sl_oauth *oauth, const char **ret_token, struct sl_err *err)
{
    for (;;) {
        uint64_t now_ms = sl_loop_now_ms();
        if (oauth->token && now_ms < oauth->expires_ms) {
            if (now_ms >= oauth->renew_ms && !oauth->asking)
                start_renewal(oauth);
            *ret_token = oauth->token;
            return SL_OK;
        }
        if (oauth->asking) {
            if (sl_wait(&oauth->waiting, SL_FOREVER) != SL_OK)
                return sl_err_set(err, SL_CANCELED, "stopped waiting for a token");
            continue;
        }
        if (now_ms < oauth->failed_until_ms)
            return recall(oauth, now_ms, err);
        int rc = ask_alone(oauth, err);
        if (rc != SL_OK)
            return rc;
    }
}
