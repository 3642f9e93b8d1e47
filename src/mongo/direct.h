/* Commands past the driver, on a connection that it has opened: it finds the primary, connects and
 * logs in; what goes to and fro then is one message each way. The driver's own way costs ten times
 * the instructions: for each command it copies its view of the replica set, takes a session and
 * copies the command (docs/adr/0016-past-the-driver.md). */
#ifndef SL_MONGO_DIRECT_H
#define SL_MONGO_DIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include <mongoc/mongoc.h>

struct sl_mongo_sent; /* mongo/client.h */

/* Sends command to database over stream and reads the answer. Suspends as the stream does. Adds
 * maxTimeMS: time_ms when that is above 0. Borrows all, command until sent (may be NULL) is told.
 * ret_reply is always initialised; the caller destroys it. False when the server says that the
 * command failed (domain MONGOC_ERROR_SERVER, as the driver says it), or when no proper answer came
 * (MONGOC_ERROR_STREAM, MONGOC_ERROR_PROTOCOL): then the stream cannot be used any more. */
bool sl_mongo_direct(mongoc_stream_t *stream, const char *database, const bson_t *command,
                     const struct sl_mongo_sent *sent, int64_t time_ms, int32_t timeout_ms,
                     bson_t *ret_reply, bson_error_t *error);

#endif
