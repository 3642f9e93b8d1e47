/* Who answers: a member of a replica set, a mongos, or a mongod that stands alone. The last takes a
 * write for the majority of itself, and has no other to keep it: nothing is written there. */
#ifndef SL_MONGO_MEMBER_H
#define SL_MONGO_MEMBER_H

#include <bson/bson.h>

#include "base/err.h"

/* Judges a server (where: "host:port") by its answer to hello. set is the replica set of mongo.url;
 * NULL: any, or a mongos. SL_OK, SL_CONFIG, or SL_CLOSED for one without a replica set so far: it
 * may be starting. The message says what to do. */
int sl_mongo_member_check(const bson_t *hello, const char *set, const char *where,
                          struct sl_err *err);

#endif
