/* What sluice must know about a URL: where it leads, and how to show it to a person without its
 * secrets. */
#ifndef SL_HTTP_URL_H
#define SL_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { SL_URL_SAFE_BYTES = 200 };

struct sl_url {
    char scheme[16]; /* lower case */
    char host[256];  /* lower case, IPv6 without brackets */
    uint16_t port;   /* the scheme's own when the URL names none */
    bool loopback;   /* localhost, 127.0.0.0/8 or ::1 */
};

/* Takes a URL apart. Fails with SL_CONFIG when it is none, when its scheme is not http, https, smtp
 * or smtps, or when its host is empty or not ASCII; the message shows no more than sl_url_safe()
 * does. */
int sl_url_parse(const char *text, struct sl_url *ret, struct sl_err *err);

/* As sl_url_parse, and SL_CONFIG too for plain http to any host but a loopback one: what carries a
 * token or data of the tenant must be encrypted. what names the URL in the message ("package URL").
 */
int sl_url_require_secure(const char *text, const char *what, struct sl_url *ret,
                          struct sl_err *err);

/* Writes scheme, host, port and path of a URL for logs and messages: no user, password, query or
 * fragment (a signature lives there). Writes "(not a URL)" for anything else. Returns out. */
const char *sl_url_safe(const char *text, char out[SL_URL_SAFE_BYTES]);

/* Appends text to a URL's path or query, percent-encoded but for letters, digits and "-._~". */
void sl_url_escape(struct sl_buf *url, const char *text);

#endif
