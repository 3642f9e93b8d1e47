#include "http/mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/mime.h"
#include "http/transfer.h"

enum { TIMEOUT_MS = 30 * 1000, ADDRESS_BYTES = 256 };

/* A mail while it is sent. */
struct outgoing {
    struct sl_transfer transfer;
    struct sl_buf message;
    size_t sent;
};

static size_t on_send(char *out, size_t size, size_t count, void *ctx)
{
    struct outgoing *mail = ctx;
    size_t left = mail->message.length - mail->sent;
    size_t length = left < size * count ? left : size * count;
    memcpy(out, mail->message.data + mail->sent, length);
    mail->sent += length;
    return length;
}

static void url_of(const struct sl_mail_settings *settings, char *out, size_t size)
{
    static const int64_t ports[] = {25, 587, 465}; /* by enum sl_mail_security */
    bool v6 = strchr(settings->host, ':') && settings->host[0] != '[';
    snprintf(out, size, "%s://%s%s%s:%lld", settings->security == SL_MAIL_TLS ? "smtps" : "smtp",
             v6 ? "[" : "", settings->host, v6 ? "]" : "",
             (long long)(settings->port ? settings->port : ports[settings->security]));
}

int sl_mail_check(const struct sl_mail_settings *settings, struct sl_err *err)
{
    char address[ADDRESS_BYTES];
    if (!settings->from || !sl_mime_address(settings->from, address, sizeof address))
        return sl_err_set(err, SL_CONFIG, "mail.from is not an e-mail address");
    if (!settings->to || !*settings->to)
        return sl_err_set(err, SL_CONFIG, "mail.to names nobody");
    for (char **to = settings->to; *to; to++)
        if (!sl_mime_address(*to, address, sizeof address))
            return sl_err_set(err, SL_CONFIG, "mail.to: '%s' is not an e-mail address", *to);
    return SL_OK;
}

/* The settings were checked. */
static void set_envelope(struct sl_transfer *transfer, const struct sl_mail_settings *settings)
{
    char address[ADDRESS_BYTES], bracketed[ADDRESS_BYTES + 2];
    sl_mime_address(settings->from, address, sizeof address);
    snprintf(bracketed, sizeof bracketed, "<%s>", address);
    curl_easy_setopt(transfer->easy, CURLOPT_MAIL_FROM, bracketed);
    for (char **to = settings->to; *to; to++) {
        sl_mime_address(*to, address, sizeof address);
        snprintf(bracketed, sizeof bracketed, "<%s>", address);
        sl_transfer_list(&transfer->recipients, bracketed);
    }
    curl_easy_setopt(transfer->easy, CURLOPT_MAIL_RCPT, transfer->recipients);
}

static void write_message(struct outgoing *mail, const struct sl_mail_settings *settings,
                          const char *subject, const char *text)
{
    uint64_t random[2];
    char id[40];
    arc4random_buf(random, sizeof random);
    snprintf(id, sizeof id, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    const struct sl_mime_mail parts = {
        .from = settings->from,
        .to = (const char *const *)settings->to,
        .subject = subject,
        .text = text,
        .date_ms = sl_wall_ms(),
        .id = id,
    };
    sl_mime_write(&mail->message, &parts);
}

/* The connection and the login, which all that is said to a mail server needs. */
static int prepare(struct outgoing *mail, struct sl_http *http,
                   const struct sl_mail_settings *settings, struct sl_err *err)
{
    char url[512];
    url_of(settings, url, sizeof url);
    int rc = sl_mail_check(settings, err);
    if (rc == SL_OK)
        rc = sl_transfer_init(&mail->transfer, http, url, err);
    if (rc != SL_OK)
        return rc;
    CURL *easy = mail->transfer.easy;
    if (settings->user && *settings->user) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, settings->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, settings->password ? settings->password : "");
    }
    if (settings->security == SL_MAIL_STARTTLS)
        curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    return SL_OK;
}

static void prepare_message(struct outgoing *mail, const struct sl_mail_settings *settings,
                            const char *subject, const char *text)
{
    CURL *easy = mail->transfer.easy;
    set_envelope(&mail->transfer, settings);
    write_message(mail, settings, subject, text);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(easy, CURLOPT_READDATA, mail);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)mail->message.length);
}

static size_t ignore(char *bytes, size_t size, size_t count, void *ctx)
{
    (void)bytes, (void)ctx;
    return size * count;
}

/* Without a recipient libcurl sends one command, and no mail. */
static void prepare_noop(struct outgoing *mail)
{
    CURL *easy = mail->transfer.easy;
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "NOOP");
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
}

/* A 5xx reply to MAIL, RCPT or DATA will come again; a 4xx one may not. */
static int outcome(const struct outgoing *mail, struct sl_err *err)
{
    long reply = 0;
    int rc = sl_transfer_outcome(&mail->transfer, err);
    curl_easy_getinfo(mail->transfer.easy, CURLINFO_RESPONSE_CODE, &reply);
    if (rc == SL_CLOSED && reply >= 500 && reply < 600) {
        if (err)
            err->code = SL_REJECTED;
        return SL_REJECTED;
    }
    return rc;
}

/* Sends what was prepared, or only asks whether anything could be sent. */
static int converse(struct sl_http *http, const struct sl_mail_settings *settings,
                    const char *subject, const char *text, struct sl_err *err)
{
    struct outgoing *mail = SL_NEW(struct outgoing);
    uint64_t deadline_ms = sl_deadline_in(settings->timeout_ms ? settings->timeout_ms : TIMEOUT_MS);
    sl_buf_init(&mail->message);

    int rc = prepare(mail, http, settings, err);
    if (rc == SL_OK && text)
        prepare_message(mail, settings, subject, text);
    else if (rc == SL_OK)
        prepare_noop(mail);
    if (rc == SL_OK)
        rc = sl_transfer_start(&mail->transfer, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_transfer_wait(&mail->transfer, NULL, deadline_ms, err);
    if (rc == SL_OK)
        rc = outcome(mail, err);

    sl_transfer_done(&mail->transfer);
    sl_buf_done(&mail->message);
    free(mail);
    return rc;
}

int sl_mail_send(struct sl_http *http, const struct sl_mail_settings *settings, const char *subject,
                 const char *text, struct sl_err *err)
{
    int rc = converse(http, settings, subject, text, err);
    return rc == SL_OK ? SL_OK : sl_err_wrap(err, "cannot send mail");
}

int sl_mail_probe(struct sl_http *http, const struct sl_mail_settings *settings, struct sl_err *err)
{
    return converse(http, settings, NULL, NULL, err);
}
