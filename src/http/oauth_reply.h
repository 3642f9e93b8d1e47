/* What a token endpoint answered: Entra ID's, or the one of a managed identity. Private to http/.
 */
#ifndef SL_HTTP_OAUTH_REPLY_H
#define SL_HTTP_OAUTH_REPLY_H

#include <stdint.h>

#include "base/err.h"
#include "http/client.h"
#include "http/oauth_settings.h"

/* Reads the answer to a request of that type: gives the token (free it, wiped) and its life in
 * seconds. Fails with SL_CONFIG (a refusal; the message begins with the AADSTS code when there is
 * one), SL_THROTTLED or SL_CLOSED. */
int sl_oauth_reply_read(const struct sl_http_response *response, enum sl_oauth_type type,
                        char **ret_token, int64_t *ret_life_s, struct sl_err *err);

#endif
