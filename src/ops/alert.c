#include "ops/alert.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "loop/fiber.h"

enum {
    TRIES = 4,
    RETRY_MS = 5 * 1000,       /* twice as long each time */
    AGAIN_MS = 10 * 60 * 1000, /* after a message that nobody took */
};

static struct {
    struct sl_alert_book *book; /* NULL: nothing was raised yet */
    struct sl_http *http;
    const struct sl_alert_settings *settings; /* NULL: not started */
    struct sl_alert_sender sender;            /* its texts are heap */
    struct sl_fiber *fiber;                   /* NULL: it has ended */
    bool stopping, hurry;
    struct sl_waitlist news;  /* something is to be told, or stopping */
    struct sl_waitlist ended; /* the fiber */
} alerts;

static struct sl_alert_time now(void)
{
    return (struct sl_alert_time){sl_loop_now_ms(), sl_wall_ms()};
}

static struct sl_alert_book *book(void)
{
    if (!alerts.book)
        alerts.book = sl_alert_book_new();
    return alerts.book;
}

/* --- counting --- */

static void count(enum sl_alert_kind kind, const char *outcome, int64_t amount)
{
    sl_metric_add(sl_counter("alerts_total", "Alerts by kind and what became of them.",
                             "kind=\"%s\",outcome=\"%s\"", sl_alert_kind_name(kind), outcome),
                  amount);
    sl_metric_set(sl_gauge("alerts_raised", "Alerts that are raised now.", "kind=\"%s\"",
                           sl_alert_kind_name(kind)),
                  sl_alert_book_count(book(), kind));
}

/* All series, also those of which nothing was counted. */
static void show_all(void)
{
    for (unsigned kind = 0; kind < SL_ALERT_KINDS; kind++)
        count((enum sl_alert_kind)kind, "raised", 0);
}

static void count_message(unsigned target, const char *outcome)
{
    sl_metric_add(sl_counter("alert_messages_total", "Messages about alerts, by target.",
                             "target=\"%s\",outcome=\"%s\"", sl_alert_target_name(target), outcome),
                  1);
}

static void count_lines(const struct sl_alert_message *message, const char *outcome)
{
    for (size_t i = 0; i < message->count; i++)
        count(message->lines[i].kind, outcome, 1);
}

/* --- sending --- */

static const char *subject_of(const struct sl_alert_message *message, struct sl_buf *buf)
{
    sl_buf_init(buf);
    sl_alert_subject(buf, message);
    return buf->data;
}

/* One try. True when the target needs no other: it took the message, or never will. */
static bool try_target(unsigned target, const struct sl_alert_message *message, bool last,
                       bool *ret_taken)
{
    struct sl_err err = {0};
    const struct sl_alert_targets targets = sl_alert_targets_of(alerts.settings);
    int rc = sl_alert_target_send(alerts.http, &targets, target, message, &alerts.sender, &err);
    if (rc != SL_OK && sl_code_transient(rc) && !last)
        return false;
    struct sl_buf subject;
    const char *words = subject_of(message, &subject);
    count_message(target, rc == SL_OK ? "sent" : "failed");
    if (rc == SL_OK)
        sl_log(SL_INFO, "alert sent", SL_T("target", sl_alert_target_name(target)),
               SL_T("subject", words));
    else
        sl_log(SL_WARN, "alert not sent", SL_T("target", sl_alert_target_name(target)),
               SL_T("subject", words), SL_T("error", err.message));
    sl_buf_done(&subject);
    *ret_taken |= rc == SL_OK;
    return true;
}

/* SL_OK after the time, SL_CANCELED when it is time to stop. */
static int pause_before_retry(uint64_t ms)
{
    uint64_t until_ms = sl_deadline_in(ms);
    int rc = SL_OK;
    while (!alerts.stopping && rc == SL_OK)
        rc = sl_wait(&alerts.news, until_ms);
    return rc == SL_TIMEOUT ? SL_OK : SL_CANCELED;
}

/* Tries all targets, and those that may come back again. True when one of them took it. */
static bool deliver(const struct sl_alert_message *message)
{
    const struct sl_alert_targets targets = sl_alert_targets_of(alerts.settings);
    bool done[SL_ALERT_TARGETS], taken = false, all = false;
    uint64_t pause_ms = RETRY_MS;
    for (unsigned i = 0; i < SL_ALERT_TARGETS; i++)
        done[i] = !sl_alert_target_wanted(&targets, i);
    for (unsigned tries = 1; !all; tries++) {
        all = true;
        for (unsigned i = 0; i < SL_ALERT_TARGETS; i++) {
            done[i] = done[i] || try_target(i, message, tries == TRIES || alerts.stopping, &taken);
            all = all && done[i];
        }
        if (!all && pause_before_retry(pause_ms) != SL_OK && sl_fiber_cancelled())
            break;
        pause_ms *= 2;
    }
    return taken;
}

static bool has_targets(void)
{
    const struct sl_alert_targets targets = sl_alert_targets_of(alerts.settings);
    for (unsigned i = 0; i < SL_ALERT_TARGETS; i++)
        if (sl_alert_target_wanted(&targets, i))
            return true;
    return false;
}

static void tell(void)
{
    struct sl_alert_message message;
    sl_alert_book_take(book(), &message, now());
    bool taken = deliver(&message);
    count_lines(&message, taken ? "sent" : "failed");
    if (!taken)
        sl_alert_book_failed(book(), &message, AGAIN_MS, now());
    sl_alert_message_done(&message);
}

/* Tells what is to be told, when it is due. */
static void run(void *arg)
{
    bool hurried = false; /* once: what fails then is over */
    (void)arg;
    while (!sl_fiber_cancelled()) {
        bool hurry = alerts.stopping && alerts.hurry;
        if (hurry && !hurried)
            sl_alert_book_hurry(book(), now());
        hurried |= hurry;
        /* With nobody to be told all stays untold, until a reload says who is. */
        uint64_t due_ms = has_targets() ? sl_alert_book_due(book(), hurry, now()) : UINT64_MAX;
        if (alerts.stopping && !hurry)
            break;
        if (due_ms <= sl_loop_now_ms())
            tell();
        else if (alerts.stopping)
            break;
        else
            sl_wait(&alerts.news, due_ms);
    }
    alerts.fiber = NULL;
    sl_wake_all(&alerts.ended);
}

/* --- start and stop --- */

void sl_alert_start(struct sl_http *http, const struct sl_alert_settings *settings,
                    const char *version, const char *role)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    alerts.sender = (struct sl_alert_sender){.version = sl_strdup(version),
                                             .role = sl_strdup(role),
                                             .host = sl_strdup(host),
                                             .pid = (int)getpid()};
    alerts.http = http;
    alerts.settings = settings;
    alerts.stopping = false;
    sl_alert_book_rule(book(), &settings->rules);
    show_all();
    alerts.fiber = sl_fiber_spawn("alert", run, NULL);
}

void sl_alert_stop(uint64_t deadline_ms)
{
    if (!alerts.settings)
        return;
    alerts.stopping = true;
    sl_wake_all(&alerts.news);
    while (alerts.fiber && sl_wait(&alerts.ended, deadline_ms) == SL_OK)
        ;
    if (alerts.fiber)
        sl_fiber_cancel(alerts.fiber);
    sl_fiber_shield(true); /* a cancelled message ends at once */
    while (alerts.fiber)
        sl_wait(&alerts.ended, SL_FOREVER);
    sl_fiber_shield(false);
    alerts.settings = NULL;
    free((char *)alerts.sender.version);
    free((char *)alerts.sender.role);
    free((char *)alerts.sender.host);
}

void sl_alert_hurry(void)
{
    alerts.hurry = true;
}

void sl_alert_end(void)
{
    sl_alert_book_free(alerts.book);
    alerts.book = NULL;
    alerts.hurry = false;
}

/* --- what happens --- */

void sl_alert_raise(enum sl_alert_kind kind, const char *subject, const char *title,
                    const char *text)
{
    unsigned before = sl_alert_book_count(book(), kind);
    bool fresh = sl_alert_book_raise(book(), kind, subject, title, text, now());
    count(kind, sl_alert_book_count(book(), kind) > before ? "raised" : "suppressed", 1);
    if (fresh)
        sl_log(SL_ERROR, "alert", SL_T("kind", sl_alert_kind_name(kind)), SL_T("subject", subject),
               SL_T("title", title), SL_T("text", text));
    sl_wake_all(&alerts.news);
}

static void note_end(enum sl_alert_kind kind, const char *subject)
{
    count(kind, "recovered", 1);
    sl_log(SL_INFO, "alert over", SL_T("kind", sl_alert_kind_name(kind)), SL_T("subject", subject));
    sl_wake_all(&alerts.news);
}

void sl_alert_clear(enum sl_alert_kind kind, const char *subject)
{
    if (alerts.book && sl_alert_book_clear(alerts.book, kind, subject, now()))
        note_end(kind, subject);
}

static void remind(enum sl_alert_kind kind, const char *subject, const char *title,
                   const char *text)
{
    if (!sl_alert_is_raised(kind, subject))
        sl_alert_raise(kind, subject, title, text);
}

const struct sl_alerter sl_alerter = {sl_alert_raise, sl_alert_clear, remind};

void sl_alert_observe(const struct sl_alert_condition *condition)
{
    enum sl_alert_look did = sl_alert_book_observe(book(), condition, now());
    if (did == SL_ALERT_GOOD)
        note_end(condition->kind, condition->subject);
    if (did != SL_ALERT_BAD)
        return;
    count(condition->kind, "raised", 1);
    sl_log(SL_WARN, "alert", SL_T("kind", sl_alert_kind_name(condition->kind)),
           SL_T("subject", condition->subject), SL_T("title", condition->title),
           SL_T("text", condition->text));
    sl_wake_all(&alerts.news);
}

void sl_alert_keep_only(sl_alert_keep *keep, void *ctx)
{
    if (sl_alert_book_keep(book(), keep, ctx))
        show_all();
}

bool sl_alert_is_raised(enum sl_alert_kind kind, const char *subject)
{
    return sl_alert_book_is_raised(book(), kind, subject);
}

void sl_alert_status(void *ctx, struct sl_buf *buf)
{
    (void)ctx;
    sl_alert_book_status(book(), alerts.settings && has_targets(), buf);
}
