/* The connection string: checked, and completed with what a program on one loop needs. */
#ifndef SL_MONGO_URI_H
#define SL_MONGO_URI_H

#include <mongoc/mongoc.h>

#include "base/err.h"

/* Parses url and sets the defaults it leaves open: appName, time limits, no OCSP look-ups. Gives
 * the URI (mongoc_uri_destroy). NULL with SL_CONFIG; no user or password reaches the message. */
mongoc_uri_t *sl_mongo_uri_new(const char *url, struct sl_err *err);

/* The URI's TLS options, as views into it; false when it does not ask for TLS. */
bool sl_mongo_uri_tls(const mongoc_uri_t *uri, mongoc_ssl_opt_t *ret_tls);

#endif
