/* The certificates that sluice trusts, read once at the start: parsing a bundle of 140 takes longer
 * than one slice of the loop may. */
#ifndef SL_HTTP_TRUST_H
#define SL_HTTP_TRUST_H

#include "base/err.h"

struct x509_store_st; /* OpenSSL's X509_STORE */

/* Gives a store (X509_STORE_free) with the certificates of ca_file, or of the system when it is
 * NULL. Reads files. Returns NULL and SL_CONFIG when ca_file cannot be read or holds none. */
struct x509_store_st *sl_trust_load(const char *ca_file, struct sl_err *err);

/* Whether that would work. */
int sl_trust_check(const char *ca_file, struct sl_err *err);

#endif
