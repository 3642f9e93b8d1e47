/* MongoDB for fibers: commands through a pool of libmongoc clients, each used by one fiber at a
 * time. Nothing blocks the loop: waits of the driver suspend the fiber (stream.h). */
#ifndef SL_MONGO_CLIENT_H
#define SL_MONGO_CLIENT_H

#include <bson/bson.h>

#include "base/err.h"
#include "mongo/settings.h"

struct sl_mongo;

/* Whom to tell that a command has been sent. Must not suspend. */
struct sl_mongo_sent {
    void (*fn)(void *ctx);
    void *ctx;
};

/* Checks the settings, loads the TLS files that the URL names and prepares the pool; nothing is
 * contacted yet. Copies what it needs. NULL with SL_CONFIG for a file that cannot be used, or a URL
 * that is malformed or asks for what would block (GSSAPI, MONGODB-AWS) or would not verify the
 * server. A cluster (mongodb+srv) is looked up in DNS when it is needed, and again after a failure.
 */
struct sl_mongo *sl_mongo_new(const struct sl_mongo_settings *settings, struct sl_err *err);

/* No command is running any more. Does not suspend. */
void sl_mongo_free(struct sl_mongo *mongo);

/* Runs one command on the primary, or a mongos; a mongod that stands alone gets none (SL_CONFIG,
 * member.h). Suspends, at most until deadline_ms (loop clock), also while
 * every client is busy. Adds maxTimeMS, the time left, when the command has none (createIndexes
 * excepted: an index must not be given up half made). Retries nothing. Borrows command.
 * ret_reply is always initialised; the caller destroys it. On a failure it holds what the server
 * said, if it answered.
 * SL_OK: the server says ok; writeErrors and writeConcernError in the reply are the caller's.
 * Else SL_TIMEOUT, SL_CLOSED, SL_CANCELED, SL_CONFIG or SL_REJECTED (error.h); err->cause is the
 * server's code, 0 when none came. */
int sl_mongo_command(struct sl_mongo *mongo, const char *database, const bson_t *command,
                     bson_t *ret_reply, uint64_t deadline_ms, struct sl_err *err);

/* As sl_mongo_command; and as soon as all of command is on its way and will not be needed again,
 * sent (NULL: nobody) is told, who may free command's bytes. Not when the driver itself sends it.
 */
int sl_mongo_command_once(struct sl_mongo *mongo, const char *database, const bson_t *command,
                          const struct sl_mongo_sent *sent, bson_t *ret_reply, uint64_t deadline_ms,
                          struct sl_err *err);

/* As sl_mongo_command for writes (insert, update, delete, findAndModify, createIndexes): the
 * reply's first write error or write concern error is a failure too. */
int sl_mongo_write(struct sl_mongo *mongo, const char *database, const bson_t *command,
                   bson_t *ret_reply, uint64_t deadline_ms, struct sl_err *err);

/* find or aggregate: the first document of the first batch, copied into ret_document (initialised
 * on SL_OK; the caller destroys it). SL_NOTFOUND when there is none. */
int sl_mongo_first(struct sl_mongo *mongo, const char *database, const bson_t *command,
                   bson_t *ret_document, uint64_t deadline_ms, struct sl_err *err);

/* Since the last command that succeeded; SL_FOREVER when none has. */
uint64_t sl_mongo_silent_ms(const struct sl_mongo *mongo);

/* SL_OK when the primary answers. */
int sl_mongo_ping(struct sl_mongo *mongo, uint64_t deadline_ms, struct sl_err *err);

/* Appends writeConcern {w: "majority", j: true, wtimeout: the time left until deadline_ms}. */
void sl_mongo_append_durable(bson_t *command, uint64_t deadline_ms);

#endif
