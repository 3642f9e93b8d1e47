/* Tokens of a managed identity: by the metadata service of the machine (Azure IMDS), or by the
 * endpoint that App Service and Container Apps give to what they run. */
#ifndef SL_HTTP_IDENTITY_H
#define SL_HTTP_IDENTITY_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct sl_oauth_settings;

/* The metadata service; it is reached from the machine itself alone. */
#define SL_IDENTITY_ENDPOINT "http://169.254.169.254/metadata/identity/oauth2/token"

/* SL_OK when a token may be asked for at endpoint: https, or plain http to a link-local address, as
 * the metadata service has it, or a loopback host. Else SL_CONFIG. */
int sl_identity_check(const char *endpoint, struct sl_err *err);

/* Appends the URL to ask, and the header ("Name: value", secret) that has to be shown. */
void sl_identity_write(const struct sl_oauth_settings *settings, struct sl_buf *url,
                       struct sl_buf *header);

/* How long to wait after so many failures in a row (1 or more), as the service's rules have it. */
uint64_t sl_identity_pause_ms(unsigned failures);

#endif
