/* Tokens of Microsoft Entra ID for an application (Microsoft identity platform, "client credentials
 * flow", by secret, certificate or federated credential) or for the managed identity of the
 * machine. */
#ifndef SL_HTTP_OAUTH_H
#define SL_HTTP_OAUTH_H

#include "base/err.h"
#include "http/client.h"
#include "http/oauth_settings.h"

struct sl_oauth;

/* Borrows http, which must outlive it; copies the settings. Does not suspend. Returns NULL and
 * SL_CONFIG when something is missing or the authority is not https. Files of a certificate or a
 * token are looked at only when a token is asked for. */
struct sl_oauth *sl_oauth_new(struct sl_http *http, const struct sl_oauth_settings *settings,
                              struct sl_err *err);

/* Wipes the secret and the token. Suspends when a renewal must be ended. No fiber may be waiting
 * for a token. NULL is fine. */
void sl_oauth_free(struct sl_oauth *oauth);

/* Gives a token that is valid now. It lives until the next call that suspends (sl_http_request
 * copies it before it does). Suspends only when a new one is needed; however many fibers ask, one
 * request is made. A token is renewed before it expires, by a fiber of its own; the old one serves
 * until that has worked.
 * Fails with SL_CONFIG (the authority refused: wrong secret, unknown app or tenant; the message
 * names the AADSTS code. Or a file cannot be used; the message names it), SL_THROTTLED, SL_CLOSED,
 * SL_TIMEOUT or SL_CANCELED. A refusal is answered from memory for 1 s, doubling up to 5 min (of a
 * file, to 8 s, since nobody is asked); then retry_after_ms says how long it still is. */
int sl_oauth_token(struct sl_oauth *oauth, const char **ret_token, struct sl_err *err);

/* Which token sl_oauth_token has just given, for the two below. */
unsigned sl_oauth_number(const struct sl_oauth *oauth);

/* The peer answered 401 to that token. Returns whether to ask the peer once more, with the token
 * that sl_oauth_token then gives. When tokens are refused as fast as they are granted it is not
 * they that are wrong: a new one is asked for less and less often, down to every five minutes. */
bool sl_oauth_refused(struct sl_oauth *oauth, unsigned number);

/* The peer took that token. */
void sl_oauth_accepted(struct sl_oauth *oauth, unsigned number);

#endif
