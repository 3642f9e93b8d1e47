#include "mongo/error.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "mongo/fields.h"

struct code_row {
    int32_t server_code;
    enum sl_code code;
};

/* Source: src/mongo/base/error_codes.yml; the five-digit ones beside names are assertions raised by
 * expressions and updates, which concern one document. */
static const struct code_row codes[] = {
    {50,    SL_TIMEOUT }, /* MaxTimeMSExpired */
    {64,    SL_TIMEOUT }, /* WriteConcernFailed: wtimeout passed */
    {262,   SL_TIMEOUT }, /* ExceededTimeLimit */
    {6,     SL_CLOSED  }, /* HostUnreachable */
    {7,     SL_CLOSED  }, /* HostNotFound */
    {24,    SL_CLOSED  }, /* LockTimeout */
    {43,    SL_CLOSED  }, /* CursorNotFound */
    {46,    SL_CLOSED  }, /* LockBusy */
    {63,    SL_CLOSED  }, /* StaleShardVersion */
    {79,    SL_CLOSED  }, /* UnknownReplWriteConcern */
    {89,    SL_CLOSED  }, /* NetworkTimeout */
    {91,    SL_CLOSED  }, /* ShutdownInProgress */
    {94,    SL_CLOSED  }, /* NotYetInitialized */
    {100,   SL_CLOSED  }, /* UnsatisfiableWriteConcern: too few members for now */
    {112,   SL_CLOSED  }, /* WriteConflict */
    {133,   SL_CLOSED  }, /* FailedToSatisfyReadPreference */
    {134,   SL_CLOSED  }, /* ReadConcernMajorityNotAvailableYet */
    {146,   SL_CLOSED  }, /* ExceededMemoryLimit */
    {150,   SL_CLOSED  }, /* StaleEpoch */
    {175,   SL_CLOSED  }, /* QueryPlanKilled */
    {189,   SL_CLOSED  }, /* PrimarySteppedDown */
    {202,   SL_CLOSED  }, /* NetworkInterfaceExceededTimeLimit */
    {234,   SL_CLOSED  }, /* RetryChangeStream */
    {237,   SL_CLOSED  }, /* CursorKilled */
    {246,   SL_CLOSED  }, /* SnapshotUnavailable */
    {249,   SL_CLOSED  }, /* StaleChunkHistory */
    {279,   SL_CLOSED  }, /* ClientDisconnect */
    {317,   SL_CLOSED  }, /* ConnectionPoolExpired */
    {365,   SL_CLOSED  }, /* TemporarilyUnavailable */
    {9001,  SL_CLOSED  }, /* SocketException */
    {10107, SL_CLOSED  }, /* NotWritablePrimary */
    {11600, SL_CLOSED  }, /* InterruptedAtShutdown */
    {11601, SL_CLOSED  }, /* Interrupted */
    {11602, SL_CLOSED  }, /* InterruptedDueToReplStateChange */
    {13388, SL_CLOSED  }, /* StaleConfig */
    {13435, SL_CLOSED  }, /* NotPrimaryNoSecondaryOk */
    {13436, SL_CLOSED  }, /* NotPrimaryOrSecondary */
    {14031, SL_CLOSED  }, /* OutOfDiskSpace */
    {2,     SL_REJECTED}, /* BadValue */
    {9,     SL_REJECTED}, /* FailedToParse */
    {14,    SL_REJECTED}, /* TypeMismatch */
    {15,    SL_REJECTED}, /* Overflow: nested too deep */
    {22,    SL_REJECTED}, /* InvalidBSON */
    {28,    SL_REJECTED}, /* PathNotViable */
    {52,    SL_REJECTED}, /* DollarPrefixedFieldName */
    {53,    SL_REJECTED}, /* InvalidIdField */
    {54,    SL_REJECTED}, /* NotSingleValueField */
    {55,    SL_REJECTED}, /* InvalidDBRef */
    {56,    SL_REJECTED}, /* EmptyFieldName */
    {57,    SL_REJECTED}, /* DottedFieldName */
    {61,    SL_REJECTED}, /* ShardKeyNotFound */
    {66,    SL_REJECTED}, /* ImmutableField */
    {121,   SL_REJECTED}, /* DocumentValidationFailure */
    {10334, SL_REJECTED}, /* BSONObjectTooLarge */
    {11000, SL_REJECTED}, /* DuplicateKey */
    {16555, SL_REJECTED}, /* $multiply of something not numeric */
    {17280, SL_REJECTED}, /* KeyTooLong */
    {17419, SL_REJECTED}, /* the document would be too large */
    {17420, SL_REJECTED}, /* the document would be too large */
    {28765, SL_REJECTED}, /* $floor of something not numeric */
    {13,    SL_CONFIG  }, /* Unauthorized */
    {18,    SL_CONFIG  }, /* AuthenticationFailed */
    {166,   SL_CONFIG  }, /* CommandNotSupportedOnView */
    {391,   SL_CONFIG  }, /* ReauthenticationRequired */
};

static int code_or(int32_t server_code, enum sl_code fallback)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].server_code == server_code)
            return codes[i].code;
    return fallback;
}

int sl_mongo_server_code(int32_t server_code)
{
    return code_or(server_code, SL_CONFIG);
}

int sl_mongo_row_code(int32_t server_code)
{
    return code_or(server_code, SL_REJECTED);
}

int sl_mongo_error_code(const bson_error_t *error, const bson_t *reply)
{
    int32_t said = reply ? (int32_t)sl_field_int64(reply, "code", 0) : 0;
    if (said)
        return sl_mongo_server_code(said);

    switch (error->domain) {
    case MONGOC_ERROR_SERVER:
        return sl_mongo_server_code((int32_t)error->code);
    case MONGOC_ERROR_CLIENT:
        return error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE ? SL_CONFIG : SL_CLOSED;
    case MONGOC_ERROR_COMMAND:
    case MONGOC_ERROR_BSON:
        return SL_REJECTED;
    default: /* stream, server selection, protocol */
        return SL_CLOSED;
    }
}

/* Source: "Not writable primary" and "node is recovering" of the specification of server discovery
 * and monitoring. */
bool sl_mongo_lost_primary(int32_t server_code)
{
    static const int32_t lost[] = {91, 189, 10058, 10107, 11600, 11602, 13435, 13436};
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++)
        if (lost[i] == server_code)
            return true;
    return false;
}

void sl_mongo_reason(int32_t server_code, const char *message, char *out, size_t size)
{
    size_t length = strcspn(message, "{"); /* what follows is a document: a key, or the command */
    const char *key = server_code == SL_MONGO_DUPLICATE_KEY ? strstr(message, " dup key") : NULL;
    if (key)
        length = (size_t)(key - message);
    while (length && strchr(" :", message[length - 1]))
        length--;
    length = sl_utf8_cut(message, length, size - 1);
    memcpy(out, message, length);
    out[length] = '\0';
}

void sl_mongo_mask(char *text)
{
    for (char *at = text; (at = strstr(at, "mongodb")) && (at = strstr(at, "://"));) {
        at += 3;
        /* The last @ counts: a password may hold one that nobody encoded. */
        char *end = at + strcspn(at, " \"'"), *sign = end;
        while (sign > at && *sign != '@')
            sign--;
        size_t hidden = (size_t)(sign - at);
        if (hidden < 3) {
            memset(at, '*', hidden);
        } else {
            memset(at, '*', 3);
            memmove(at + 3, sign, strlen(sign) + 1);
        }
    }
}
