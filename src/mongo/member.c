#include "mongo/member.h"

#include <string.h>

#include "mongo/fields.h"

enum { NAME_BYTES = 128 };

int sl_mongo_member_check(const bson_t *hello, const char *set, const char *where,
                          struct sl_err *err)
{
    char own[NAME_BYTES], kind[NAME_BYTES];
    const char *name = set ? set : "rs0";
    sl_field_text(hello, "setName", own, sizeof own);
    sl_field_text(hello, "msg", kind, sizeof kind);
    if (!strcmp(kind, "isdbgrid")) /* a mongos */
        return !set ? SL_OK
                    : sl_err_set(err, SL_CONFIG,
                                 "%s is a mongos, not a member of the replica set '%s': leave "
                                 "replicaSet out of mongo.url",
                                 where, set);
    if (*own && set && strcmp(own, set) != 0)
        return sl_err_set(err, SL_CONFIG,
                          "%s is a member of the replica set '%s', not of '%s': correct replicaSet "
                          "in mongo.url",
                          where, own, set);
    if (*own)
        return SL_OK;
    if (sl_field_bool(hello, "isreplicaset"))
        return sl_err_set(err, SL_CLOSED,
                          "%s is no member of a replica set so far: unless it is just starting, "
                          "call rs.initiate(), one member will do",
                          where);
    return sl_err_set(err, SL_CONFIG,
                      "%s is no member of a replica set: start its mongod with --replSet %s and "
                      "call rs.initiate(), one member will do",
                      where, name);
}
