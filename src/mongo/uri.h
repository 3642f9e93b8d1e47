/* The connection string: checked, and completed with what a program on one loop needs. */
#ifndef SL_MONGO_URI_H
#define SL_MONGO_URI_H

#include <mongoc/mongoc.h>

#include "base/err.h"
#include "loop/tls.h"

/* Parses url and sets the defaults it leaves open: appName, time limits; TLS with mongodb+srv://,
 * whose cluster stands there as if it were a member. Gives the URI (mongoc_uri_destroy). NULL with
 * SL_CONFIG for a URL that is malformed or asks for what is not done here; no user or password
 * reaches the message. */
mongoc_uri_t *sl_mongo_uri_new(const char *url, struct sl_err *err);

/* The same with the members that DNS names now, for one that was made of mongodb+srv://. Suspends,
 * at most until deadline_ms. NULL with SL_CLOSED, SL_TIMEOUT, SL_CANCELED, or SL_CONFIG when what
 * DNS says makes no connection string. */
mongoc_uri_t *sl_mongo_uri_find(const mongoc_uri_t *uri, uint64_t deadline_ms, struct sl_err *err);

/* For the driver's log: true when message was about an option of the URL that it does not know. It
 * passes over one, but sl_mongo_uri_new refuses it. */
bool sl_mongo_uri_overhear(const char *message);

/* The URI's TLS files, as views into it; false when it does not ask for TLS. */
bool sl_mongo_uri_tls(const mongoc_uri_t *uri, struct sl_tls_options *ret_options);

/* Makes it a URI for a driver that leaves TLS to its streams. subject is that of the certificate
 * shown to the servers, NULL for none: the user of MONGODB-X509 unless the URI names one. */
void sl_mongo_uri_strip_tls(mongoc_uri_t *uri, const char *subject);

#endif
