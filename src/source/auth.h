/* From "auth" of a source to its tokens. */
#ifndef SL_SOURCE_AUTH_H
#define SL_SOURCE_AUTH_H

#include "base/err.h"
#include "http/client.h"
#include "http/oauth.h"
#include "source/auth_settings.h"

/* Length of an environment's URL without the slashes at its end, for "%.*s". */
int sl_auth_base_length(const char *url);

/* Gives what hands out tokens for the environment at url (sl_oauth_free) to the source of that
 * name. Borrows http, which must outlive it; copies the rest. Does not suspend. Fails with
 * SL_CONFIG. */
int sl_auth_oauth(struct sl_http *http, const char *source, const struct sl_auth_settings *settings,
                  const char *url, struct sl_oauth **ret, struct sl_err *err);

/* What to look at when whoever gives the tokens cannot be reached: a question to an operator. */
const char *sl_auth_advice(const struct sl_auth_settings *settings);

#endif
