/* What a failure of MongoDB means for the caller. */
#ifndef SL_MONGO_ERROR_H
#define SL_MONGO_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mongoc/mongoc.h>

enum { SL_MONGO_DUPLICATE_KEY = 11000 };

/* A server's error code as an enum sl_code:
 * SL_TIMEOUT, SL_CLOSED  transient: time limits, elections, shutdown, network, sharding in motion;
 * SL_REJECTED            the content of the operation is at fault, so only that row;
 * SL_CONFIG              an operator must act: permissions, a view in place of a collection, and
 *                        every code not known here, because holding a batch loses nothing.
 * Numbers: src/mongo/base/error_codes.yml of the server. */
int sl_mongo_server_code(int32_t server_code);

/* The same for one row's write error: the server took the command and named the row, so a code that
 * is not known here is that row's fault. Holding it would hold up every other row behind it. */
int sl_mongo_row_code(int32_t server_code, bool *ret_known);

/* The same for a failed call of the driver; reply may be NULL. A driver's own error (no stream, no
 * server selected) is SL_CLOSED, a failed login SL_CONFIG. */
int sl_mongo_error_code(const bson_error_t *error, const bson_t *reply);

/* Does the code say that the server is not the primary, or will not be one for long? */
bool sl_mongo_lost_primary(int32_t server_code);

/* A server's message, fit for a log and for a dead letter: at most size - 1 bytes, cut between
 * characters, and without what it quotes of the row: the values of a duplicate key, the command. */
void sl_mongo_reason(int32_t server_code, const char *message, char *out, size_t size);

/* Hides user and password of every mongodb:// address in text, in place. */
void sl_mongo_mask(char *text);

#endif
