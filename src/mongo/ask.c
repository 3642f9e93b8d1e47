/* What callers ask most, in terms of sl_mongo_command. */
#include "mongo/client.h"
#include "mongo/error.h"
#include "mongo/fields.h"

/* The reply's writeErrors.0 or writeConcernError as a failure. */
static int check_write(const bson_t *command, const bson_t *reply, struct sl_err *err)
{
    const char *path = NULL;
    int code = SL_OK;
    bson_t fault;
    if (sl_field_document(reply, "writeErrors.0", &fault)) {
        path = "writeErrors.0";
        code = sl_mongo_server_code((int32_t)sl_field_int64(&fault, "code", 0));
    } else if (sl_field_document(reply, "writeConcernError", &fault)) {
        path = "writeConcernError"; /* written, but perhaps not for good: try again */
        code = sl_mongo_server_code((int32_t)sl_field_int64(&fault, "code", 0));
        if (!sl_code_transient(code))
            code = SL_CLOSED;
    }
    if (!path)
        return SL_OK;
    char text[sizeof err->message], reason[sizeof err->message];
    int32_t server_code = (int32_t)sl_field_int64(&fault, "code", 0);
    sl_field_text(&fault, "errmsg", text, sizeof text);
    sl_mongo_reason(server_code, text, reason, sizeof reason);
    sl_err_set(err, (enum sl_code)code, "MongoDB %s: %s", sl_command_name(command), reason);
    if (err)
        err->cause = server_code;
    return code;
}

int sl_mongo_write(struct sl_mongo *mongo, const char *database, const bson_t *command,
                   bson_t *ret_reply, uint64_t deadline_ms, struct sl_err *err)
{
    int rc = sl_mongo_command(mongo, database, command, ret_reply, deadline_ms, err);
    return rc == SL_OK ? check_write(command, ret_reply, err) : rc;
}

int sl_mongo_first(struct sl_mongo *mongo, const char *database, const bson_t *command,
                   bson_t *ret_document, uint64_t deadline_ms, struct sl_err *err)
{
    bson_t reply, first;
    int rc = sl_mongo_command(mongo, database, command, &reply, deadline_ms, err);
    if (rc == SL_OK) {
        if (sl_field_document(&reply, "cursor.firstBatch.0", &first))
            bson_copy_to(&first, ret_document);
        else
            rc =
                sl_err_set(err, SL_NOTFOUND, "MongoDB %s: nothing found", sl_command_name(command));
    }
    bson_destroy(&reply);
    return rc;
}

int sl_mongo_ping(struct sl_mongo *mongo, uint64_t deadline_ms, struct sl_err *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    BSON_APPEND_INT32(&command, "ping", 1);
    int rc = sl_mongo_command(mongo, "admin", &command, &reply, deadline_ms, err);
    bson_destroy(&command);
    bson_destroy(&reply);
    return rc;
}
