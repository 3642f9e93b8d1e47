/* One request for a token. Private to http/. */
#ifndef SL_HTTP_OAUTH_REQUEST_H
#define SL_HTTP_OAUTH_REQUEST_H

#include "base/err.h"
#include "base/str.h"
#include "http/client.h"
#include "http/oauth_settings.h"

struct sl_oauth_request {
    struct sl_http_request http; /* points into the rest */
    struct sl_buf url, form, header;
    const char *headers[4];
};

/* Makes request, in the caller's storage, which must not move. Borrows settings, which must outlive
 * it. Reads the files of a certificate or a token, anew each time, so that a renewed one is taken.
 * Does not suspend. Fails with SL_CONFIG; then too sl_oauth_request_done is due. */
int sl_oauth_request_init(struct sl_oauth_request *request,
                          const struct sl_oauth_settings *settings, struct sl_err *err);

/* Wipes the secrets in it. */
void sl_oauth_request_done(struct sl_oauth_request *request);

#endif
