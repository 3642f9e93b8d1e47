/* The certificates that sluice trusts. The system's bundle has some 140, and parsing them takes as
 * long as half of a start: they are read when the first connection needs them, by and by. */
#ifndef SL_HTTP_TRUST_H
#define SL_HTTP_TRUST_H

#include "base/err.h"

struct x509_store_st; /* OpenSSL's X509_STORE */

/* Gives a store (X509_STORE_free) with the certificates of ca_file, or of the system when it is
 * NULL. Reads files; suspends for the system's. Fails with SL_CONFIG when the file cannot be read
 * or holds none, SL_CANCELED when cancelled. */
int sl_trust_load(const char *ca_file, struct x509_store_st **ret, struct sl_err *err);

/* Whether that would work with a ca_file. */
int sl_trust_check(const char *ca_file, struct sl_err *err);

#endif
