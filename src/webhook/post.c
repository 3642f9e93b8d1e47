/* A post: the secret, then the event, then what it is to us. It is answered with 200 when it cannot
 * be lost any more:
 *
 *     the table is followed by change tracking   the change is in the service's own log, and the
 *                                                bell just makes us look there sooner
 *     a feed reads the row back                  RabbitMQ has confirmed what was read, or the event
 *     neither                                    nothing is to be done
 *
 * and else with 503, upon which the service tries once more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "webhook/webhook_own.h"

enum {
    UNAUTHORIZED = 401,
    BAD_REQUEST = 400,
    UNAVAILABLE = 503,
    PATIENCE_MS = 10 * 1000, /* for the confirm; the service waits for 60 s */
    IMPATIENCE_MS = 2000,
    RETRY_AFTER_S = 5,
    LOG_EVERY_MS = 60 * 1000, /* strangers */
    COMPLAIN_EVERY_MS = 1000, /* malformed events */
    LOGGED_MAX = 500,         /* tables */
};

/* --- the secret --- */

static bool may_log(uint64_t *last_ms, uint64_t every_ms)
{
    uint64_t now_ms = sl_loop_now_ms();
    if (*last_ms && now_ms - *last_ms < every_ms)
        return false;
    *last_ms = now_ms;
    return true;
}

static bool is_secret(const struct sl_webhook_secret *secret, const char *given)
{
    bool is_new = sl_secret_equal(given, secret->value);
    bool is_old = sl_secret_equal(given, secret->old_value);
    return is_new | is_old;
}

/* A plus that was not escaped has come as a blank, as in forms; the key of a WebhookKey is base64.
 */
static bool is_secret_with_plus(const struct sl_webhook_secret *secret, const char *given)
{
    char *meant = sl_strdup(given);
    for (char *at = meant; (at = strchr(at, ' '));)
        *at = '+';
    bool is = is_secret(secret, meant);
    sl_wipe(meant, strlen(meant));
    free(meant);
    return is;
}

int sl_hook_authorize(void *ctx, const struct sl_http_call *call)
{
    struct sl_webhook *webhook = ctx;
    const struct sl_webhook_secret *secret = &webhook->settings->secret;
    const char *given = secret->header ? sl_http_call_header(call, secret->header)
                                       : sl_http_call_query(call, secret->query);
    if (given &&
        (is_secret(secret, given) || (secret->query && is_secret_with_plus(secret, given))))
        return 0;
    sl_metric_add(webhook->counts.refused, 1);
    if (may_log(&webhook->refusal_logged_ms, LOG_EVERY_MS))
        sl_log(SL_WARN,
               "a post without the right secret was refused; more are not logged for a "
               "minute",
               SL_T("source", webhook->config->name), SL_T("from", call->remote));
    return UNAUTHORIZED;
}

/* --- bells --- */

/* What became of the bells for an event. */
struct rung {
    bool here, passed_on;
};

static void ring(struct sl_webhook *webhook, const char *table, struct rung *rung)
{
    for (struct sl_dataverse **at = webhook->doorbell; *at && table[0]; at++) {
        if (!sl_dataverse_follows(*at, table))
            continue;
        if (sl_dataverse_ring(*at, table)) {
            rung->here = true;
        } else {
            sl_hook_pass_on(webhook, *at, table);
            rung->passed_on = true;
        }
    }
}

/* The tables of an association's rows may be followed, and so may the one that holds it, which
 * bears the relationship's name. */
static struct rung ring_all(struct sl_webhook *webhook, const struct sl_webhook_event *event)
{
    struct rung rung = {0};
    char between[SL_TABLE_NAME_BYTES];
    size_t i = 0;
    ring(webhook, event->table, &rung);
    const char *last = event->table;
    for (uint32_t n = 0; n < event->row_count; n++) {
        if (strcmp(event->rows[n].table, last) != 0)
            ring(webhook, event->rows[n].table, &rung);
        last = event->rows[n].table;
    }
    for (; event->relationship[i]; i++)
        between[i] = (char)(event->relationship[i] >= 'A' && event->relationship[i] <= 'Z'
                                ? event->relationship[i] + ('a' - 'A')
                                : event->relationship[i]);
    between[i] = '\0';
    ring(webhook, between, &rung);
    return rung;
}

/* --- events --- */

static bool claims(const struct sl_webhook_feed *feed, const struct sl_webhook_event *event)
{
    const struct sl_webhook_feed_settings *settings = feed->settings;
    if (settings->relationship)
        return !strcasecmp(settings->relationship, event->relationship);
    return !sl_webhook_event_associates(event) && !strcmp(settings->table, event->table);
}

/* An event for a feed that names nothing to read. */
static bool names_rows(const struct sl_webhook_feed *feed, const struct sl_webhook_event *event)
{
    uint32_t least = feed->settings->relationship ? 2 : 1;
    for (uint32_t i = 0; i < event->row_count; i++)
        if (!event->rows[i].table[0])
            return false;
    return event->row_count >= least;
}

static void mourn_associations(struct sl_webhook *webhook)
{
    struct sl_webhook_feed *feed = webhook->feeds;
    while (feed && !feed->settings->relationship)
        feed = feed->next;
    if (feed)
        webhook->env.alerter->raise(
            SL_ALERT_NOTICE, feed->config->name, "associations may be missing",
            "An event about so many associations came that Dataverse has left them out. "
            "If it was about a relationship of this feed, its documents lack them: "
            "associate those rows again, fewer at a time.");
}

static void mourn_rows(const struct sl_webhook_feed *feed, const struct sl_webhook_event *event)
{
    char text[3 * SL_TABLE_NAME_BYTES + 400];
    snprintf(text, sizeof text,
             "An event %s of table %s came that was too large, and Dataverse has left out of which "
             "rows: none of them is read back. Change or touch those rows again. Register steps of "
             "Create, Update and Delete for this table instead of %s: they come for each row of "
             "such a request.",
             event->message, event->table, event->message);
    feed->webhook->env.alerter->raise(SL_ALERT_NOTICE, feed->config->name,
                                      "rows were not read back", text);
}

/* The service has taken out who was associated with whom, or which rows of many have changed, and
 * nothing else will tell. */
static void mourn(struct sl_webhook *webhook, const struct sl_webhook_event *event)
{
    if (!event->oversize)
        return;
    if (sl_webhook_event_associates(event) && !event->relationship[0])
        mourn_associations(webhook);
    for (const struct sl_webhook_feed *feed = webhook->feeds; feed; feed = feed->next)
        if (feed->settings->table && claims(feed, event) && !names_rows(feed, event))
            mourn_rows(feed, event);
}

/* Until when a post may wait: RabbitMQ may be back in a moment, but while it is away for long,
 * posts must not pile up. */
static uint64_t deadline_of(struct sl_webhook *webhook)
{
    uint64_t soon_ms = sl_deadline_in(IMPATIENCE_MS);
    if (webhook->out.up && !webhook->failing_since_ms)
        return sl_deadline_in(PATIENCE_MS);
    if (!webhook->failing_since_ms)
        webhook->failing_since_ms = sl_loop_now_ms();
    uint64_t until_ms = webhook->failing_since_ms + PATIENCE_MS;
    return until_ms > soon_ms ? until_ms : soon_ms;
}

static bool is_first_of(struct sl_idset *logged, const struct sl_webhook_event *event)
{
    const char *name = event->relationship[0] ? event->relationship : event->table;
    return logged->count < LOGGED_MAX && sl_idset_add(logged, sl_str_of(name));
}

/* Somebody waits for it in vain, and will wonder. */
static void note_synchronous(struct sl_webhook *webhook, const struct sl_webhook_event *event)
{
    if (event->asynchronous || !is_first_of(&webhook->synchronous, event))
        return;
    sl_log(SL_WARN,
           "events of a synchronous step: their rows are read two and a half minutes later, when "
           "its transaction has ended; register the step as asynchronous",
           SL_T("source", webhook->config->name), SL_T("message", event->message),
           SL_T("table", event->table), SL_T("relationship", event->relationship));
}

/* What became of an event that was to be queued by a post that came at began_ms. */
static void note_queueing(struct sl_webhook *webhook, int rc, uint64_t began_ms)
{
    if (rc == SL_OK)
        webhook->failing_since_ms = 0;
    else if (rc != SL_CANCELED && !webhook->failing_since_ms)
        webhook->failing_since_ms = began_ms;
}

/* Neither the feed nor one behind it has it. */
static void note_missed(struct sl_webhook_feed *feed, const struct sl_webhook_event *event)
{
    for (; feed; feed = feed->next)
        if (claims(feed, event) && names_rows(feed, event))
            sl_hook_missed_note(feed, event);
}

/* SL_NOTFOUND: no feed wants it, or can read it. SL_REJECTED: it lacks what is needed. */
static int take(struct sl_webhook *webhook, const struct sl_webhook_event *event, bool *queued,
                struct sl_err *err)
{
    uint64_t deadline_ms = 0, began_ms = sl_loop_now_ms(),
             soon_ms = sl_deadline_in(SL_HOOK_AT_ONCE_MS);
    int rc = SL_NOTFOUND;
    struct sl_webhook_feed *feed = webhook->feeds;
    for (; feed; feed = feed->next) {
        if (!claims(feed, event) || (event->oversize && !names_rows(feed, event)))
            continue;
        if (!names_rows(feed, event))
            return sl_err_set(err, SL_REJECTED, "no event of Dataverse: it names no row to read");
        note_synchronous(webhook, event);
        rc = sl_hook_read_at_once(webhook, feed, event, soon_ms, err);
        if (rc == SL_OK)
            sl_hook_missed_taken(feed, event);
        if (rc == SL_OK)
            continue;
        if (rc == SL_CANCELED)
            break;
        if (!deadline_ms)
            deadline_ms = deadline_of(webhook);
        *queued = true;
        rc = sl_hook_publish(webhook, feed, event, deadline_ms, err);
        note_queueing(webhook, rc, began_ms);
        if (rc != SL_OK)
            break;
        sl_hook_missed_taken(feed, event);
    }
    note_missed(feed, event);
    return rc;
}

/* --- answers --- */

static void answer(struct sl_http_reply *reply, struct sl_metric *count, const char *outcome)
{
    sl_metric_add(count, 1);
    sl_buf_printf(&reply->body, "{\"outcome\":\"%s\"}\n", outcome);
}

static void fail(struct sl_http_reply *reply, struct sl_metric *count, int status, const char *text)
{
    sl_metric_add(count, 1);
    reply->status = status;
    sl_buf_add_text(&reply->body, "{\"error\":");
    sl_buf_add_json_text(&reply->body, text);
    sl_buf_add_text(&reply->body, "}\n");
}

static void refuse_malformed(struct sl_webhook *webhook, const struct sl_http_call *call,
                             const struct sl_err *err, struct sl_http_reply *reply)
{
    fail(reply, webhook->counts.malformed, BAD_REQUEST, err->message);
    if (may_log(&webhook->malformed_logged_ms, COMPLAIN_EVERY_MS))
        sl_log(SL_WARN, "a post that is no event was refused",
               SL_T("source", webhook->config->name), SL_T("from", call->remote),
               SL_N("bytes", call->body.length), SL_T("error", err->message));
}

static void note_unclaimed(struct sl_webhook *webhook, const struct sl_webhook_event *event)
{
    if (!is_first_of(&webhook->unclaimed, event))
        return;
    sl_log(event->oversize ? SL_WARN : SL_INFO, "no feed wants these events",
           SL_T("source", webhook->config->name), SL_T("message", event->message),
           SL_T("table", event->table), SL_T("relationship", event->relationship));
}

static void handle(struct sl_webhook *webhook, const struct sl_http_call *call,
                   const struct sl_webhook_event *event, struct sl_http_reply *reply)
{
    struct sl_err err = {0};
    struct rung rung = ring_all(webhook, event);
    mourn(webhook, event);
    bool queued = false;
    int rc = take(webhook, event, &queued, &err);
    if (rc == SL_REJECTED) {
        refuse_malformed(webhook, call, &err, reply);
    } else if (rc == SL_OK && queued) {
        answer(reply, webhook->counts.queued, "queued");
    } else if (rc == SL_OK) {
        answer(reply, webhook->counts.read_back, "read_back");
    } else if (rc != SL_NOTFOUND) {
        fail(reply, webhook->counts.unavailable, UNAVAILABLE,
             "RabbitMQ does not take events; try again");
        reply->retry_after_s = RETRY_AFTER_S;
    } else if (rung.here) {
        answer(reply, webhook->counts.bell, "bell");
    } else if (rung.passed_on) {
        answer(reply, webhook->counts.passed_on, "passed_on");
    } else {
        note_unclaimed(webhook, event);
        answer(reply, webhook->counts.unclaimed, "unclaimed");
    }
}

void sl_hook_post(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    struct sl_webhook *webhook = ctx;
    struct sl_webhook_event event;
    struct sl_err err;
    const struct sl_webhook_hints hints = {
        .table = sl_http_call_header(call, "x-ms-dynamics-entity-name"),
        .message = sl_http_call_header(call, "x-ms-dynamics-request-name"),
        .size_exceeded = sl_http_call_header(call, "x-ms-dynamics-msg-size-exceeded"),
    };
    if (sl_webhook_event_read(call->body, &hints, &event, &err) != SL_OK) {
        refuse_malformed(webhook, call, &err, reply);
        return;
    }
    handle(webhook, call, &event, reply);
    sl_webhook_event_done(&event);
}
