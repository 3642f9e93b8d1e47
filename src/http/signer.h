/* A certificate of an Entra application, and the RSA key that signs for it. Read from PEM files;
 * what they held is wiped, and so is the key in the end; of a copy in binary form that OpenSSL
 * makes while it reads the key, bytes may stay behind. */
#ifndef SL_HTTP_SIGNER_H
#define SL_HTTP_SIGNER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum sl_signing {
    SL_PS256, /* RSASSA-PSS */
    SL_RS256, /* RSASSA-PKCS1-v1_5; the thumbprint that goes with it is SHA-1's */
};

struct sl_signer;

/* Reads the files: the first key of key_file (NULL: of certificate_file), and of the certificates
 * the one that belongs to it. Blocks on the disk. Gives the signer (sl_signer_free). Fails with
 * SL_CONFIG, naming the file and what to do, never what is in it: it cannot be read, has no such
 * thing, the key is encrypted, no RSA key or too short, or no certificate belongs to it. */
int sl_signer_load(const char *certificate_file, const char *key_file, struct sl_signer **ret,
                   struct sl_err *err);

/* NULL is fine. */
void sl_signer_free(struct sl_signer *signer);

/* SL_OK while the certificate is valid at wall_ms (since 1970); else SL_CONFIG, naming the file and
 * the day. */
int sl_signer_check_time(const struct sl_signer *signer, int64_t wall_ms, struct sl_err *err);

/* When it expires, in milliseconds since 1970. */
int64_t sl_signer_end_ms(const struct sl_signer *signer);

/* Appends the hash of the certificate's DER by which Entra ID finds it, in base64url: x5t#S256, or
 * x5t for SL_RS256. */
void sl_signer_add_thumbprint(const struct sl_signer *signer, enum sl_signing by,
                              struct sl_buf *out);

/* Appends the signature of bytes in base64url. Takes a millisecond or more of CPU time. Fails with
 * SL_CONFIG. */
int sl_signer_sign(const struct sl_signer *signer, enum sl_signing by, struct sl_str bytes,
                   struct sl_buf *out, struct sl_err *err);

#endif
