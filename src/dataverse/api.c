#include "dataverse/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "dataverse/refusal.h"
#include "loop/fiber.h"
#include "source/auth.h"

#define API "/api/data/"
#define VERSION "v9.2/"

enum {
    ERROR_BYTES_MAX = 64 * 1024,
    ERROR_WAIT_MS = 5000,
    SMALL_BYTES_MAX = 16 * 1024 * 1024,
    PIECE_BYTES = 16 * 1024,
    ASKED_BYTES = 80,
    PROGRESS_BYTES = 16 * 1024, /* must come within the patience of the reader, … */
    PATIENCE_STRETCHES = 10,    /* … and the whole answer within so many times that */
    TOKEN_REFUSED = 401,
    AWAY = 503,
    AWAY_TOGETHER_MS = 30 * 1000, /* tables away within so long, and nothing answered: all is */
};

struct sl_dataverse_away {
    struct sl_dataverse_away *next;
    uint64_t refused_ms, until_ms; /* loop clock: when the service last said so, and till when */
    char table[];
};

int sl_dataverse_remote_init(struct sl_dataverse_remote *remote, struct sl_http *http,
                             const char *name, const struct sl_dataverse_source_settings *settings,
                             struct sl_err *err)
{
    struct sl_dataverse_remote made = {.name = name, .http = http, .settings = settings};
    int rc = sl_url_require_secure(settings->url, "url", &made.base, err);
    if (rc == SL_OK)
        rc = sl_auth_oauth(http, name, &settings->auth, settings->url, &made.oauth, err);
    if (rc != SL_OK)
        return rc;
    made.budget = sl_budget_new(name, &settings->budget);
    *remote = made;
    return SL_OK;
}

void sl_dataverse_remote_done(struct sl_dataverse_remote *remote)
{
    sl_oauth_free(remote->oauth);
    sl_budget_free(remote->budget);
    free(remote->user);
    free(remote->organisation);
    while (remote->away) {
        struct sl_dataverse_away *away = remote->away;
        remote->away = away->next;
        free(away);
    }
    memset(remote, 0, sizeof *remote);
}

/* --- what is asked --- */

/* What messages call it: the path below the API's version, without its query. */
static const char *asked_of(const struct sl_dataverse_get *get, char out[ASKED_BYTES])
{
    const char *path = get->path;
    if (get->link) {
        const char *api = strstr(get->link, API);
        const char *version = api ? api + strlen(API) : "link";
        path = version + strcspn(version, "/?");
        path = *path == '/' ? path + 1 : version;
    }
    size_t length = strcspn(path, "?#");
    snprintf(out, ASKED_BYTES, "%.*s", (int)sl_utf8_cut(path, length, ASKED_BYTES - 1), path);
    return out;
}

static bool leads_here(const struct sl_dataverse_remote *remote, const char *link)
{
    struct sl_url url;
    return sl_url_parse(link, &url, NULL) == SL_OK && !strcmp(url.scheme, remote->base.scheme) &&
           !strcmp(url.host, remote->base.host) && url.port == remote->base.port;
}

/* A link that somebody else chose must not carry the token away. */
static int refuse_link(const struct sl_dataverse_remote *remote, const char *asked,
                       struct sl_err *err)
{
    sl_metric_add(sl_counter("links_refused_total",
                             "Links that led to another host and were not followed.",
                             "source=\"%s\"", remote->name),
                  1);
    return sl_err_set(err, SL_NOTFOUND,
                      "%s: the link leads to another host than '%s' and is not followed; the table "
                      "is read again",
                      asked, remote->base.host);
}

/* --- what is away --- */

static struct sl_dataverse_away *away_of(const struct sl_dataverse_remote *remote,
                                         const char *table)
{
    struct sl_dataverse_away *away = remote->away;
    while (away && strcmp(away->table, table) != 0)
        away = away->next;
    return away;
}

static void note_away(struct sl_dataverse_remote *remote, const char *table, uint64_t wait_ms)
{
    struct sl_dataverse_away *away = away_of(remote, table);
    if (!away) {
        size_t size = strlen(table) + 1;
        away = sl_alloc(sizeof *away + size);
        memcpy(away->table, table, size);
        away->next = remote->away;
        remote->away = away;
    }
    away->refused_ms = sl_loop_now_ms();
    away->until_ms = away->refused_ms + wait_ms;
}

/* Virtual tables have a service of their own behind them, often one for several tables; while that
 * is away, the others answer. */
static bool all_is_away(const struct sl_dataverse_remote *remote, const char *table)
{
    uint64_t now_ms = sl_loop_now_ms();
    if (now_ms - remote->answered_ms < AWAY_TOGETHER_MS)
        return false;
    for (const struct sl_dataverse_away *away = remote->away; away; away = away->next)
        if (strcmp(away->table, table) != 0 && now_ms - away->refused_ms < AWAY_TOGETHER_MS)
            return true;
    return false;
}

/* 503. The time named may be that of one table: nobody else waits long for it. */
static void heed_away(struct sl_dataverse_remote *remote, const char *table, const char *code,
                      uint64_t wait_ms)
{
    if (table)
        note_away(remote, table, wait_ms);
    if (table && !all_is_away(remote, table))
        sl_budget_refused(remote->budget, code);
    else
        sl_budget_throttled(remote->budget,
                            table && wait_ms > AWAY_TOGETHER_MS ? AWAY_TOGETHER_MS : wait_ms, code);
}

/* A table that is away is not asked: rows of it that are to be read back may be many. */
static int check_away(const struct sl_dataverse_remote *remote, const struct sl_dataverse_get *get,
                      const char *asked, struct sl_err *err)
{
    const struct sl_dataverse_away *away = get->table ? away_of(remote, get->table) : NULL;
    uint64_t now_ms = sl_loop_now_ms();
    if (!away || now_ms >= away->until_ms)
        return SL_OK;
    uint32_t left_ms = (uint32_t)(away->until_ms - now_ms);
    sl_err_set(err, SL_THROTTLED, "%s: the service is not available (%d); asked again after %u s",
               asked, AWAY, (left_ms + 999) / 1000);
    err->cause = AWAY;
    err->retry_after_ms = left_ms;
    return SL_THROTTLED;
}

/* --- one request --- */

/* Sends it, in its turn. On SL_OK the caller owes sl_dataverse_close and sl_http_response_done. */
static int send_once(struct sl_dataverse_remote *remote, const struct sl_dataverse_get *get,
                     const char *url, unsigned *ret_token, struct sl_http_stream **ret,
                     struct sl_http_response *ret_head, struct sl_err *err)
{
    const char *token;
    uint64_t begin_ms = 0;
    int64_t sent_ms = 0;
    char prefer[512];
    snprintf(prefer, sizeof prefer, "Prefer: %s", get->prefer ? get->prefer : "");
    const char *const headers[] = {"Accept: application/json", "OData-Version: 4.0",
                                   "OData-MaxVersion: 4.0", get->prefer ? prefer : NULL, NULL};

    int rc = sl_budget_take(remote->budget, get->urgency, err);
    if (rc != SL_OK)
        return rc;
    rc = sl_oauth_token(remote->oauth, &token, err);
    if (rc == SL_CONFIG)
        err->cause = TOKEN_REFUSED; /* whatever the endpoint answers, it is no table's */
    *ret_token = sl_oauth_number(remote->oauth);
    if (rc == SL_OK) {
        const struct sl_http_request request = {
            .url = url,
            .headers = headers,
            .timeout_ms = remote->settings->request_timeout_ms,
            .bearer = token,
        };
        begin_ms = sl_now_ms();
        sent_ms = sl_wall_ms();
        rc = sl_http_open(remote->http, &request, ret, ret_head, err);
    }
    sl_budget_spent(remote->budget, get->urgency, begin_ms ? sl_now_ms() - begin_ms : 0);
    if (rc != SL_OK)
        sl_budget_give(remote->budget);
    else
        sl_clock_offset_add(&remote->offset, sent_ms, sl_wall_ms(), ret_head->date_ms);
    return rc;
}

void sl_dataverse_close(struct sl_dataverse_remote *remote, struct sl_http_stream *stream)
{
    sl_http_close(stream);
    sl_budget_give(remote->budget);
}

/* --- answers --- */

/* A service, or whoever stands before it, that sends a byte now and then would hold a request for
 * ever, with its place among the concurrent ones. */
int sl_dataverse_read(struct sl_http_stream *stream, struct sl_dataverse_pace *pace, void *buf,
                      size_t size, size_t *ret_size, struct sl_err *err)
{
    uint64_t begin_ms = sl_loop_now_ms(), all_ms = PATIENCE_STRETCHES * pace->patience_ms;
    uint64_t left_ms = pace->patience_ms - pace->stretch_ms;
    if (all_ms - pace->waited_ms < left_ms)
        left_ms = all_ms - pace->waited_ms;
    int rc = sl_http_read(stream, buf, size, ret_size, begin_ms + left_ms, err);
    uint64_t took_ms = sl_loop_now_ms() - begin_ms;
    took_ms = took_ms < left_ms ? took_ms : left_ms;
    pace->waited_ms += took_ms;
    pace->stretch_ms += took_ms;
    if (rc == SL_TIMEOUT && pace->waited_ms >= all_ms)
        return sl_err_set(err, SL_TIMEOUT, "the answer did not come to its end within %llu s",
                          (unsigned long long)(all_ms / 1000));
    if (rc == SL_TIMEOUT)
        return sl_err_set(err, SL_TIMEOUT, "the answer trickles: %zu bytes within %llu s",
                          pace->stretch_bytes, (unsigned long long)(pace->patience_ms / 1000));
    if (rc != SL_OK)
        return rc;
    pace->stretch_bytes += *ret_size;
    if (pace->stretch_bytes >= PROGRESS_BYTES)
        pace->stretch_ms = pace->stretch_bytes = 0;
    return SL_OK;
}

/* Reads to the end, or to limit bytes, of which the rest is left. */
static int read_all(struct sl_http_stream *stream, size_t limit, uint64_t patience_ms,
                    struct sl_buf *body, struct sl_err *err)
{
    struct sl_dataverse_pace pace = {.patience_ms = patience_ms};
    while (body->length < limit) {
        size_t size, room = limit - body->length;
        char *at = sl_buf_reserve(body, PIECE_BYTES);
        int rc = sl_dataverse_read(stream, &pace, at, room < PIECE_BYTES ? room : PIECE_BYTES,
                                   &size, err);
        if (rc == SL_END)
            return SL_OK;
        if (rc != SL_OK)
            return rc;
        sl_buf_commit(body, size);
    }
    return SL_OK;
}

static bool is_json(const struct sl_http_response *head)
{
    return !head->content_type[0] || !strcmp(head->content_type, "application/json");
}

/* An answer other than a 200 in JSON becomes an error. Closes the stream and frees the head. */
static int refuse(struct sl_dataverse_remote *remote, const struct sl_dataverse_get *get,
                  const char *asked, struct sl_http_stream *stream, struct sl_http_response *head,
                  struct sl_err *err)
{
    int rc;
    if (head->status == 200) {
        rc = sl_err_set(err, SL_CLOSED, "%s: the answer is not JSON but %s", asked,
                        head->content_type);
        err->cause = head->status;
    } else {
        const char *throttle;
        struct sl_buf body;
        sl_buf_init(&body);
        /* What cannot be read of it is not needed: the status says most. */
        read_all(stream, ERROR_BYTES_MAX, ERROR_WAIT_MS, &body, NULL);
        const struct sl_dataverse_refusal refusal = {asked, get->link != NULL, get->row, head,
                                                     sl_buf_view(&body)};
        rc = sl_dataverse_refuse(&refusal, &throttle, err);
        if (throttle && !strcmp(throttle, "503"))
            heed_away(remote, get->table, throttle, err->retry_after_ms);
        else if (throttle)
            sl_budget_throttled(remote->budget, err->retry_after_ms, throttle);
        sl_buf_done(&body);
    }
    sl_dataverse_close(remote, stream);
    sl_http_response_done(head);
    return rc;
}

int sl_dataverse_open(struct sl_dataverse_remote *remote, const struct sl_dataverse_get *get,
                      struct sl_http_stream **ret, struct sl_http_response *ret_head,
                      struct sl_err *err)
{
    struct sl_http_stream *stream;
    struct sl_http_response head;
    char asked[ASKED_BYTES];
    asked_of(get, asked);
    if (get->link && !leads_here(remote, get->link))
        return refuse_link(remote, asked, err);
    int rc = check_away(remote, get, asked, err);
    if (rc != SL_OK)
        return rc;

    struct sl_buf url;
    const char *base = remote->settings->url;
    sl_buf_init(&url);
    if (get->link)
        sl_buf_add_text(&url, get->link);
    else
        sl_buf_printf(&url, "%.*s" API VERSION "%s", sl_auth_base_length(base), base, get->path);

    unsigned token;
    rc = send_once(remote, get, url.data, &token, &stream, &head, err);
    if (rc == SL_OK && head.status == 401 && sl_oauth_refused(remote->oauth, token)) {
        sl_dataverse_close(remote, stream); /* revoked, or our clock is wrong: once more */
        sl_http_response_done(&head);
        rc = send_once(remote, get, url.data, &token, &stream, &head, err);
    }
    if (rc == SL_OK && head.status != 401)
        sl_oauth_accepted(remote->oauth, token);
    if (rc == SL_OK && head.status < 500)
        remote->answered_ms = sl_loop_now_ms();
    sl_buf_done(&url);
    if (rc != SL_OK)
        return sl_err_wrap(err, "%s", asked);
    if (head.status != 200 || !is_json(&head))
        return refuse(remote, get, asked, stream, &head, err);
    *ret = stream;
    *ret_head = head;
    return SL_OK;
}

int sl_dataverse_read_json(struct sl_dataverse_remote *remote, const struct sl_dataverse_get *get,
                           struct sl_json_doc **ret, struct sl_err *err)
{
    struct sl_http_stream *stream = NULL;
    struct sl_http_response head = {0};
    struct sl_buf body;
    char asked[ASKED_BYTES];
    int rc = sl_dataverse_open(remote, get, &stream, &head, err);
    if (rc != SL_OK)
        return rc;
    sl_http_response_done(&head);
    sl_buf_init(&body);
    rc = read_all(stream, SMALL_BYTES_MAX, remote->settings->request_timeout_ms, &body, err);
    sl_dataverse_close(remote, stream);

    struct sl_err malformed;
    asked_of(get, asked);
    if (rc != SL_OK)
        sl_err_wrap(err, "%s", asked);
    else if (sl_json_parse(body.data, body.length, NULL, ret, &malformed) != SL_OK)
        rc = sl_err_set(err, SL_CLOSED, "%s: the answer is not JSON: %s", asked, malformed.message);
    sl_buf_done(&body);
    return rc;
}
