#include "ops/alert_targets.h"

#include <string.h>

#include "base/clock.h"
#include "http/client.h"
#include "http/url.h"

enum { ANSWER_BYTES_MAX = 64 * 1024 };

/* --- settings --- */

static const char *const securities[] = {
    [SL_MAIL_NONE] = "none", [SL_MAIL_STARTTLS] = "starttls", [SL_MAIL_TLS] = "tls", NULL};

#define AT(field) offsetof(struct sl_mail_settings, field)

const struct sl_setting sl_alert_mail_table[] = {
    {.name = "host",
     .kind = SL_SET_TEXT,
     .offset = AT(host),
     .help = "SMTP server; without it nothing is mailed"},
    {.name = "port",
     .kind = SL_SET_INT,
     .offset = AT(port),
     .fallback = "0",
     .help = "its port; 0: 25, 587 with starttls, 465 with tls",
     .maximum = 65535},
    {.name = "security",
     .kind = SL_SET_CHOICE,
     .offset = AT(security),
     .fallback = "starttls",
     .help = "how the connection is protected",
     .choices = securities},
    {.name = "user",
     .kind = SL_SET_TEXT,
     .offset = AT(user),
     .help = "login name; without it there is no login"},
    {.name = "password",                           .kind = SL_SET_SECRET, .offset = AT(password), .help = "its password"},
    {.name = "from",
     .kind = SL_SET_TEXT,
     .offset = AT(from),
     .help = "sender: \"ops@contoso.com\" or \"sluice <ops@contoso.com>\""},
    {.name = "to",                        .kind = SL_SET_LIST, .offset = AT(to), .help = "who is told"},
    {.name = "timeout",
     .kind = SL_SET_DURATION,
     .offset = AT(timeout_ms),
     .fallback = "30s",
     .help = "how long sending one mail may take",
     .minimum = SL_SECOND_MS,
     .maximum = 10 * SL_MINUTE_MS},
    {0},
};
#undef AT

static const char *const schemes[] = {"https", "http", NULL};
static const char *const bodies[] = {[SL_ALERT_BODY_FULL] = "full",
                                     [SL_ALERT_BODY_TEXT] = "text",
                                     [SL_ALERT_BODY_TEAMS] = "teams",
                                     NULL};

#define AT(field) offsetof(struct sl_alert_webhook, field)

const struct sl_setting sl_alert_webhook_table[] = {
    {.name = "url",
     .kind = SL_SET_URL,
     .offset = AT(url),
     .secret = true, /* chat services put a key into it */
     .help = "where messages are posted, https; kept secret; without it none is",
     .choices = schemes},
    {.name = "bearer",
     .kind = SL_SET_SECRET,
     .offset = AT(bearer),
     .help = "sent as Authorization: Bearer"},
    {.name = "body",
     .kind = SL_SET_CHOICE,
     .offset = AT(body),
     .fallback = "full",
     .help =
         "full: all that is known, as JSON; text: {\"text\": …} alone, as Slack takes it; teams: "
         "an Adaptive Card, as workflows of Teams take it", .choices = bodies},
    {.name = "timeout",
     .kind = SL_SET_DURATION,
     .offset = AT(timeout_ms),
     .fallback = "10s",
     .help = "how long one post may take",
     .minimum = SL_SECOND_MS,
     .maximum = 10 * SL_MINUTE_MS},
    {0                                                           },
};
#undef AT

static bool mail_is_wrong(const struct sl_mail_settings *mail, const char **ret_path,
                          struct sl_err *err)
{
    *ret_path = "mail";
    return sl_mail_check(mail, err) != SL_OK;
}

/* No word of the URL may be shown. */
static bool webhook_is_wrong(const struct sl_alert_webhook *webhook, const char **ret_path,
                             struct sl_err *err)
{
    struct sl_url url;
    struct sl_err unshown;
    *ret_path = "webhook.url";
    if (sl_url_parse(webhook->url, &url, &unshown) != SL_OK) {
        sl_err_set(err, SL_CONFIG, "webhook.url is not a URL like https://host/path");
        return true;
    }
    bool secure = !strcmp(url.scheme, "https") || url.loopback;
    if (!secure)
        sl_err_set(err, SL_CONFIG,
                   "webhook.url must begin with https://, unless it leads to this machine");
    return !secure;
}

bool sl_alert_targets_wrong(const struct sl_alert_targets *targets, const char **ret_path,
                            struct sl_err *err)
{
    return (sl_alert_target_wanted(targets, 0) && mail_is_wrong(targets->mail, ret_path, err)) ||
           (sl_alert_target_wanted(targets, 1) &&
            webhook_is_wrong(targets->webhook, ret_path, err));
}

/* --- mail --- */

static bool mail_wanted(const struct sl_alert_targets *targets)
{
    return targets->mail->host && *targets->mail->host;
}

static int mail_send(struct sl_http *http, const struct sl_alert_targets *targets,
                     const struct sl_alert_message *message, const struct sl_alert_sender *sender,
                     struct sl_err *err)
{
    struct sl_buf subject, text;
    sl_buf_init(&subject);
    sl_buf_init(&text);
    sl_alert_subject(&subject, message);
    sl_alert_text(&text, message, sender);
    int rc = sl_mail_send(http, targets->mail, subject.data, text.data, err);
    sl_buf_done(&subject);
    sl_buf_done(&text);
    return rc;
}

static int mail_probe(struct sl_http *http, const struct sl_alert_targets *targets,
                      struct sl_err *err)
{
    return sl_mail_probe(http, targets->mail, err);
}

/* --- webhook --- */

static bool webhook_wanted(const struct sl_alert_targets *targets)
{
    return targets->webhook->url && *targets->webhook->url;
}

static struct sl_http_request request_of(const struct sl_alert_webhook *webhook)
{
    return (struct sl_http_request){.url = webhook->url,
                                    .secret_url = true,
                                    .timeout_ms = webhook->timeout_ms,
                                    .max_body_bytes = ANSWER_BYTES_MAX,
                                    .once = true};
}

static int webhook_send(struct sl_http *http, const struct sl_alert_targets *targets,
                        const struct sl_alert_message *message,
                        const struct sl_alert_sender *sender, struct sl_err *err)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    const struct sl_alert_webhook *webhook = targets->webhook;
    struct sl_http_request request = request_of(webhook);
    struct sl_http_response response = {0};
    struct sl_buf body;
    sl_buf_init(&body);
    sl_alert_json(&body, message, sender, (enum sl_alert_body)webhook->body);
    request.headers = headers;
    request.bearer = webhook->bearer;
    request.body = sl_buf_view(&body);
    int rc = sl_http_request(http, &request, &response, err);
    if (rc == SL_OK)
        rc = sl_http_check(&response, "the webhook did not take the message", err);
    sl_http_response_done(&response);
    sl_buf_done(&body);
    return rc;
}

/* OPTIONS changes nothing, and any answer shows that somebody is there. */
static int webhook_probe(struct sl_http *http, const struct sl_alert_targets *targets,
                         struct sl_err *err)
{
    struct sl_http_request request = request_of(targets->webhook);
    struct sl_http_response response = {0};
    request.method = "OPTIONS";
    int rc = sl_http_request(http, &request, &response, err);
    sl_http_response_done(&response);
    return rc;
}

/* --- all --- */

static const struct {
    const char *name;
    bool (*wanted)(const struct sl_alert_targets *targets);
    int (*send)(struct sl_http *http, const struct sl_alert_targets *targets,
                const struct sl_alert_message *message, const struct sl_alert_sender *sender,
                struct sl_err *err);
    int (*probe)(struct sl_http *http, const struct sl_alert_targets *targets, struct sl_err *err);
} TARGETS[SL_ALERT_TARGETS] = {
    {"mail",    mail_wanted,    mail_send,    mail_probe   },
    {"webhook", webhook_wanted, webhook_send, webhook_probe},
};

const char *sl_alert_target_name(unsigned target)
{
    return TARGETS[target].name;
}

bool sl_alert_target_wanted(const struct sl_alert_targets *targets, unsigned target)
{
    return TARGETS[target].wanted(targets);
}

int sl_alert_target_send(struct sl_http *http, const struct sl_alert_targets *targets,
                         unsigned target, const struct sl_alert_message *message,
                         const struct sl_alert_sender *sender, struct sl_err *err)
{
    return TARGETS[target].send(http, targets, message, sender, err);
}

int sl_alert_target_probe(struct sl_http *http, const struct sl_alert_targets *targets,
                          unsigned target, struct sl_err *err)
{
    return TARGETS[target].probe(http, targets, err);
}
