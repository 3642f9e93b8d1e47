#include "ops/alert.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "loop/fiber.h"

static const char *const securities[] = {
    [SL_MAIL_NONE] = "none", [SL_MAIL_STARTTLS] = "starttls", [SL_MAIL_TLS] = "tls", NULL};

enum { TRIES = 4, RETRY_MS = 5 * 1000 };

#define AT(field) offsetof(struct sl_alert_settings, field)

const struct sl_setting sl_alert_table[] = {
    {.name = "host",
     .kind = SL_SET_TEXT,
     .offset = AT(mail.host),
     .help = "SMTP server; without it nothing is mailed"},
    {.name = "port",
     .kind = SL_SET_INT,
     .offset = AT(mail.port),
     .fallback = "0",
     .help = "its port; 0: 25, 587 with starttls, 465 with tls",
     .maximum = 65535},
    {.name = "security",
     .kind = SL_SET_CHOICE,
     .offset = AT(mail.security),
     .fallback = "starttls",
     .help = "how the connection is protected",
     .choices = securities},
    {.name = "user",
     .kind = SL_SET_TEXT,
     .offset = AT(mail.user),
     .help = "login name; without it there is no login"},
    {.name = "password",
     .kind = SL_SET_SECRET,
     .offset = AT(mail.password),
     .help = "its password"},
    {.name = "from",
     .kind = SL_SET_TEXT,
     .offset = AT(mail.from),
     .help = "sender: \"ops@contoso.com\" or \"sluice <ops@contoso.com>\""},
    {.name = "to",
     .kind = SL_SET_LIST,
     .offset = AT(mail.to),
     .help = "who is told when a run fails"},
    {.name = "timeout",
     .kind = SL_SET_DURATION,
     .offset = AT(mail.timeout_ms),
     .fallback = "30s",
     .help = "how long sending one mail may take",
     .minimum = SL_SECOND_MS,
     .maximum = 10 * SL_MINUTE_MS},
    {.name = "min_interval",
     .kind = SL_SET_DURATION,
     .offset = AT(min_interval_ms),
     .fallback = "1h",
     .help = "least time between two mails about one feed"},
    {0                                        },
};

/* When a feed was last written about. */
struct topic {
    char *feed;
    uint64_t next_ms;   /* no mail before; 0: none yet */
    unsigned held_back; /* alerts since the last mail */
    bool sending;
    struct topic *next;
};

/* One mail under way, owned by its fiber. */
struct letter {
    struct sl_fiber *fiber;
    struct topic *topic;
    char *subject, *text;
    struct letter *next;
};

static struct {
    struct sl_http *http;
    const struct sl_alert_settings *settings; /* NULL: log alone */
    struct topic *topics;
    struct letter *letters;
    struct sl_waitlist ended;
} alerts;

static struct topic *topic_of(const char *feed)
{
    for (struct topic *topic = alerts.topics; topic; topic = topic->next)
        if (!strcmp(topic->feed, feed))
            return topic;
    struct topic *topic = SL_NEW(struct topic);
    topic->feed = sl_strdup(feed);
    topic->next = alerts.topics;
    alerts.topics = topic;
    return topic;
}

static void letter_free(struct letter *letter)
{
    struct letter **place = &alerts.letters;
    while (*place != letter)
        place = &(*place)->next;
    *place = letter->next;
    free(letter->subject);
    free(letter->text);
    free(letter);
}

/* Suspends. A mail server that is away for a moment must not swallow an alert. */
static int try_to_send(const struct letter *letter, struct sl_err *err)
{
    uint64_t pause_ms = RETRY_MS;
    for (unsigned tries = 1;; tries++) {
        int rc =
            sl_mail_send(alerts.http, &alerts.settings->mail, letter->subject, letter->text, err);
        if (!sl_code_transient(rc) || tries == TRIES)
            return rc;
        if (sl_fiber_sleep(pause_ms) != SL_OK)
            return sl_err_set(err, SL_CANCELED, "stopped before the mail server came back");
        pause_ms *= 4;
    }
}

/* The fiber of one mail. */
static void send_letter(void *arg)
{
    struct letter *letter = arg;
    struct topic *topic = letter->topic;
    struct sl_err err;
    int rc = try_to_send(letter, &err);

    sl_metric_add(sl_counter("alert_mails_total", "Alert mails by outcome.", "outcome=\"%s\"",
                             rc == SL_OK ? "sent" : "failed"),
                  1);
    topic->sending = false;
    if (rc == SL_OK) {
        topic->next_ms = sl_now_ms() + alerts.settings->min_interval_ms;
        sl_log(SL_INFO, "alert mailed", SL_T("feed", topic->feed));
    } else {
        topic->held_back++;
        sl_log(SL_WARN, "alert not mailed", SL_T("feed", topic->feed), SL_T("error", err.message));
    }
    letter_free(letter);
    sl_wake_all(&alerts.ended);
}

static char *with_held_back(const char *text, unsigned held_back)
{
    struct sl_buf buf;
    sl_buf_init(&buf);
    sl_buf_add_text(&buf, text);
    if (held_back)
        sl_buf_printf(&buf,
                      "\n\n%u earlier alert%s about this feed %s not mailed; the log has %s.\n",
                      held_back, held_back == 1 ? "" : "s", held_back == 1 ? "was" : "were",
                      held_back == 1 ? "it" : "them");
    return sl_buf_take(&buf);
}

void sl_alert_start(struct sl_http *http, const struct sl_alert_settings *settings)
{
    bool mailed = settings->mail.host && *settings->mail.host;
    alerts.http = http;
    alerts.settings = mailed ? settings : NULL;
}

void sl_alert(const char *feed, const char *subject, const char *text)
{
    sl_log(SL_ERROR, "alert", SL_T("feed", feed), SL_T("subject", subject), SL_T("text", text));
    if (!alerts.settings)
        return;
    struct topic *topic = topic_of(feed);
    if (topic->sending || sl_now_ms() < topic->next_ms) {
        topic->held_back++;
        return;
    }
    struct letter *letter = SL_NEW(struct letter);
    letter->topic = topic;
    letter->subject = sl_strdup(subject);
    letter->text = with_held_back(text, topic->held_back);
    letter->next = alerts.letters;
    alerts.letters = letter;
    topic->held_back = 0;
    topic->sending = true;
    letter->fiber = sl_fiber_spawn("alert", send_letter, letter);
}

void sl_alert_stop(uint64_t deadline_ms)
{
    while (alerts.letters && sl_wait(&alerts.ended, deadline_ms) == SL_OK)
        ;
    for (struct letter *letter = alerts.letters; letter; letter = letter->next)
        sl_fiber_cancel(letter->fiber);
    sl_fiber_shield(true); /* a cancelled mail ends at once */
    while (alerts.letters)
        sl_wait(&alerts.ended, SL_FOREVER);
    sl_fiber_shield(false);

    alerts.settings = NULL;
    while (alerts.topics) {
        struct topic *topic = alerts.topics;
        alerts.topics = topic->next;
        free(topic->feed);
        free(topic);
    }
}
