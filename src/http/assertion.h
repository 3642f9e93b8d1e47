/* What stands in for a secret when a token is asked for (RFC 7523): a JWT that a certificate has
 * signed, or one of another issuer from a file. Private to http/. */
#ifndef SL_HTTP_ASSERTION_H
#define SL_HTTP_ASSERTION_H

#include "base/err.h"
#include "base/str.h"

struct sl_oauth_settings;

/* Appends an assertion for the token endpoint at audience to out (secret): made and signed now,
 * good for some minutes and for one request. Counts when the certificate expires. Reads the files
 * of the certificate. Fails like sl_signer_load, and with SL_CONFIG when the certificate is not
 * valid now. */
int sl_assertion_sign(const struct sl_oauth_settings *settings, const char *audience,
                      struct sl_buf *out, struct sl_err *err);

/* Appends the token in the file at path to out (secret). Fails with SL_CONFIG, naming the file and
 * never what is in it, when it cannot be read or holds no JWT: nothing else is sent away. */
int sl_assertion_read(const char *path, struct sl_buf *out, struct sl_err *err);

#endif
