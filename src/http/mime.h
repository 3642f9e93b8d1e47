/* A plain text e-mail as bytes for SMTP (RFC 5322, 2045, 2047). Private to http/. */
#ifndef SL_HTTP_MIME_H
#define SL_HTTP_MIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* The address alone of "ops@contoso.com" or "sluice <ops@contoso.com>". False when it cannot be
 * one: no @, blanks, or anything that is not printable ASCII. */
bool sl_mime_address(const char *text, char *out, size_t size);

struct sl_mime_mail {
    const char *from;           /* as sl_mime_address takes it */
    const char *const *to;      /* ended by NULL */
    const char *subject, *text; /* UTF-8; lines end with \n */
    int64_t date_ms;            /* wall clock */
    const char *id;             /* unique part of the Message-ID; ASCII */
};

/* Adds the whole message, lines ended by CR LF. A control character in a header becomes a blank. */
void sl_mime_write(struct sl_buf *buf, const struct sl_mime_mail *mail);

#endif
