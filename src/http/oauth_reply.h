/* What a token endpoint of Entra ID answered. Private to http/. */
#ifndef SL_HTTP_OAUTH_REPLY_H
#define SL_HTTP_OAUTH_REPLY_H

#include <stdint.h>

#include "base/err.h"
#include "http/client.h"

/* Reads the answer: gives the token (free it, wiped) and its life in seconds. Fails with SL_CONFIG
 * (a refusal; the message begins with the AADSTS code when there is one), SL_THROTTLED or
 * SL_CLOSED. */
int sl_oauth_reply_read(const struct sl_http_response *response, char **ret_token,
                        int64_t *ret_life_s, struct sl_err *err);

#endif
