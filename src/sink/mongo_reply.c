#include "sink/mongo_reply.h"

#include "mongo/error.h"
#include "mongo/fields.h"

static uint32_t count_of(const bson_t *reply, const char *field)
{
    bson_t array;
    return sl_field_document(reply, field, &array) ? bson_count_keys(&array) : 0;
}

/* A count of at most rows; anything else becomes more than that, and adds up to nothing. */
static uint32_t number_of(const bson_t *reply, const char *field, uint32_t rows)
{
    int64_t number = sl_field_int64(reply, field, 0);
    return number >= 0 && number <= rows ? (uint32_t)number : UINT32_MAX;
}

/* Two upserts of one new key can collide on _id itself; the next try finds the other's document. */
static bool is_race(const struct sl_mongo_refusal *refusal, const bson_t *fault)
{
    bson_t key;
    return refusal->server_code == SL_MONGO_DUPLICATE_KEY &&
           sl_field_document(fault, "keyPattern", &key) && bson_count_keys(&key) == 1 &&
           bson_has_field(&key, "_id");
}

static int not_the_row(const struct sl_mongo_refusal *refusal, int code, struct sl_err *err)
{
    char reason[sizeof err->message];
    sl_mongo_reason(refusal->server_code, refusal->message, reason, sizeof reason);
    sl_err_set(err, (enum sl_code)code, "MongoDB refused a row (%d): %s", refusal->server_code,
               reason);
    if (err)
        err->cause = refusal->server_code;
    return code;
}

/* A code that is not known and that all rows have, several of them, is hardly the fault of each. */
static int check_refusals(const bson_t *reply, struct sl_err *err)
{
    struct sl_mongo_refusals walk = {0};
    struct sl_mongo_refusal refusal, first = {.message = ""};
    uint32_t alike = 0, others = 0;
    while (sl_mongo_refusals_next(&walk, reply, &refusal)) {
        const uint8_t *data;
        uint32_t length;
        bson_t fault;
        bson_iter_document(&walk.at, &length, &data);
        bson_init_static(&fault, data, length);
        bool known;
        int code = sl_mongo_row_code(refusal.server_code, &known);
        if (is_race(&refusal, &fault))
            code = SL_CLOSED;
        if (code != SL_REJECTED)
            return not_the_row(&refusal, code, err);
        if (!alike && !others)
            first = refusal;
        if (!known && refusal.server_code == first.server_code)
            alike++;
        else
            others++;
    }
    bool none_written = !others && sl_field_int64(reply, "n", 0) == 0;
    return alike > 1 && none_written ? not_the_row(&first, SL_CONFIG, err) : SL_OK;
}

static int check_concern(const bson_t *reply, struct sl_err *err)
{
    bson_t fault;
    if (!sl_field_document(reply, "writeConcernError", &fault))
        return SL_OK;
    char text[sizeof err->message];
    int32_t server_code = (int32_t)sl_field_int64(&fault, "code", 0);
    sl_field_text(&fault, "errmsg", text, sizeof text);
    int code = sl_mongo_server_code(server_code);
    if (!sl_code_transient(code))
        code = SL_CLOSED;
    sl_err_set(err, (enum sl_code)code, "MongoDB wrote, but not durably (%d): %s", server_code,
               text);
    if (err)
        err->cause = server_code;
    return code;
}

int sl_mongo_reply_check(const bson_t *reply, uint32_t rows, uint32_t unmade,
                         struct sl_mongo_tally *ret, struct sl_err *err)
{
    int rc = check_concern(reply, err);
    if (rc == SL_OK)
        rc = check_refusals(reply, err);
    if (rc != SL_OK)
        return rc;

    struct sl_mongo_tally tally = {
        .matched = number_of(reply, "n", rows),
        .modified = number_of(reply, "nModified", rows),
        .inserted = count_of(reply, "upserted"),
        .refused = count_of(reply, "writeErrors"),
    };
    uint64_t told = (uint64_t)tally.matched + tally.refused;
    tally.missing = told < rows ? rows - (uint32_t)told : 0;
    if (told > rows || tally.missing > unmade ||
        (uint64_t)tally.inserted + tally.modified > tally.matched)
        return sl_err_set(
            err, SL_CLOSED,
            "MongoDB's answer does not add up: %u rows sent, %u matched, %u modified, "
            "%u inserted, %u refused",
            rows, tally.matched, tally.modified, tally.inserted, tally.refused);
    *ret = tally;
    return SL_OK;
}

int sl_mongo_insert_check(const bson_t *reply, uint32_t rows, struct sl_mongo_tally *ret,
                          struct sl_err *err)
{
    int rc = check_concern(reply, err);
    if (rc != SL_OK)
        return rc;
    struct sl_mongo_tally tally = {.inserted = number_of(reply, "n", rows),
                                   .refused = count_of(reply, "writeErrors")};
    if ((uint64_t)tally.inserted + tally.refused != rows)
        return sl_err_set(err, SL_CLOSED,
                          "MongoDB's answer does not add up: %u rows sent, %u inserted, %u refused",
                          rows, tally.inserted, tally.refused);
    *ret = tally;
    return SL_OK;
}

bool sl_mongo_refusals_next(struct sl_mongo_refusals *walk, const bson_t *reply,
                            struct sl_mongo_refusal *ret)
{
    if (!walk->started) {
        bson_iter_t errors;
        walk->started = true;
        if (!bson_iter_init_find(&errors, reply, "writeErrors") ||
            !BSON_ITER_HOLDS_ARRAY(&errors) || !bson_iter_recurse(&errors, &walk->at))
            return false;
    }
    bson_iter_t field;
    while (bson_iter_next(&walk->at)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&walk->at) || !bson_iter_recurse(&walk->at, &field))
            continue;
        *ret = (struct sl_mongo_refusal){.message = ""};
        while (bson_iter_next(&field)) {
            if (BSON_ITER_IS_KEY(&field, "index"))
                ret->index = (uint32_t)bson_iter_as_int64(&field);
            else if (BSON_ITER_IS_KEY(&field, "code"))
                ret->server_code = (int32_t)bson_iter_as_int64(&field);
            else if (BSON_ITER_IS_KEY(&field, "errmsg") && BSON_ITER_HOLDS_UTF8(&field))
                ret->message = bson_iter_utf8(&field, NULL);
        }
        return true;
    }
    return false;
}
