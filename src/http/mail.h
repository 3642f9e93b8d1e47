/* Sends an e-mail by SMTP, with the same loop and libcurl as http/client.h. */
#ifndef SL_HTTP_MAIL_H
#define SL_HTTP_MAIL_H

#include <stdint.h>

#include "base/err.h"
#include "http/client.h"

enum sl_mail_security {
    SL_MAIL_NONE,     /* plain text: for a relay on this machine */
    SL_MAIL_STARTTLS, /* refused by us when the server cannot do it */
    SL_MAIL_TLS,      /* from the first byte */
};

struct sl_mail_settings {
    char *host;          /* NULL: no mail */
    int64_t port;        /* 0: 25, 587 or 465, by security */
    int security;        /* enum sl_mail_security */
    char *user;          /* NULL: no login */
    char *password;      /* secret */
    char *from;          /* "ops@contoso.com" or "sluice <ops@contoso.com>" */
    char **to;           /* ended by NULL */
    uint64_t timeout_ms; /* 0: 30 s */
};

/* Sends one plain text message to all of settings->to. subject and text are UTF-8; lines end with
 * \n. Suspends. Borrows everything. Fails with SL_CONFIG (login refused, certificate not trusted,
 * an address that cannot be one), SL_REJECTED (the server refuses sender, recipient or message),
 * SL_CLOSED, SL_TIMEOUT or SL_CANCELED. */
int sl_mail_send(struct sl_http *http, const struct sl_mail_settings *settings, const char *subject,
                 const char *text, struct sl_err *err);

/* Whether from and to are addresses that can be written to. Asks nobody. SL_OK or SL_CONFIG. */
int sl_mail_check(const struct sl_mail_settings *settings, struct sl_err *err);

/* Connects, logs in, and does nothing (NOOP). Suspends, and fails like sl_mail_send. */
int sl_mail_probe(struct sl_http *http, const struct sl_mail_settings *settings,
                  struct sl_err *err);

#endif
