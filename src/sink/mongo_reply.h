/* Reads what the server answered to a bulk upsert, or insertion. */
#ifndef SL_SINK_MONGO_REPLY_H
#define SL_SINK_MONGO_REPLY_H

#include <bson/bson.h>

#include "base/err.h"

/* One row that the server refused; reason is not ended by NUL and lives as long as the reply. */
struct sl_mongo_refusal {
    uint32_t index; /* of the update, or document, in the command */
    int32_t server_code;
    const char *message;
};

struct sl_mongo_tally {
    uint32_t matched;  /* found or inserted */
    uint32_t modified; /* changed in place */
    uint32_t inserted;
    uint32_t refused;
    uint32_t missing; /* not found, of those that may not be inserted */
};

/* Counts and checks the reply to a command of `rows` updates, `unmade` of them without upsert.
 * SL_OK when every row is accounted for; ret->refused rows are in writeErrors. A write concern
 * error, a refusal that is the server's and not the row's fault, or counts that do not add up fail
 * with a transient code or SL_CONFIG: then nothing is known. */
int sl_mongo_reply_check(const bson_t *reply, uint32_t rows, uint32_t unmade,
                         struct sl_mongo_tally *ret, struct sl_err *err);

/* Likewise of a command that inserts `rows` documents: what stands in writeErrors was not written,
 * for whatever reason; ret->inserted and ret->refused are set. */
int sl_mongo_insert_check(const bson_t *reply, uint32_t rows, struct sl_mongo_tally *ret,
                          struct sl_err *err);

/* Walks writeErrors: call with a zeroed walk until it returns false. */
struct sl_mongo_refusals {
    bson_iter_t at;
    bool started;
};
bool sl_mongo_refusals_next(struct sl_mongo_refusals *walk, const bson_t *reply,
                            struct sl_mongo_refusal *ret);

#endif
