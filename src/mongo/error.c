#include "mongo/error.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "mongo/fields.h"

/* Source: src/mongo/base/error_codes.yml; the five-digit ones beside names are assertions raised by
 * expressions and updates, which concern one document. lost: "not writable primary" and "node is
 * recovering" of the specification of server discovery and monitoring. */
static const struct code_row {
    int32_t server_code;
    enum sl_code code;
    bool lost; /* the server is not the primary, or will not be one for long */
} codes[] = {
    {50,    SL_TIMEOUT,  false}, /* MaxTimeMSExpired */
    {64,    SL_TIMEOUT,  false}, /* WriteConcernTimeout */
    {262,   SL_TIMEOUT,  false}, /* ExceededTimeLimit */
    {6,     SL_CLOSED,   false}, /* HostUnreachable */
    {7,     SL_CLOSED,   false}, /* HostNotFound */
    {24,    SL_CLOSED,   false}, /* LockTimeout */
    {43,    SL_CLOSED,   false}, /* CursorNotFound */
    {46,    SL_CLOSED,   false}, /* LockBusy */
    {63,    SL_CLOSED,   false}, /* StaleShardVersion */
    {70,    SL_CLOSED,   false}, /* ShardNotFound */
    {79,    SL_CLOSED,   false}, /* UnknownReplWriteConcern */
    {82,    SL_CLOSED,   false}, /* NoProgressMade: of a mongos while chunks move */
    {83,    SL_CLOSED,   false}, /* RemoteResultsUnavailable */
    {89,    SL_CLOSED,   false}, /* NetworkTimeout */
    {90,    SL_CLOSED,   false}, /* CallbackCanceled */
    {91,    SL_CLOSED,   true }, /* ShutdownInProgress */
    {94,    SL_CLOSED,   false}, /* NotYetInitialized */
    {100,   SL_CLOSED,   false}, /* UnsatisfiableWriteConcern: too few members for now */
    {107,   SL_CLOSED,   false}, /* LockFailed */
    {112,   SL_CLOSED,   false}, /* WriteConflict */
    {117,   SL_CLOSED,   false}, /* ConflictingOperationInProgress */
    {133,   SL_CLOSED,   false}, /* FailedToSatisfyReadPreference */
    {134,   SL_CLOSED,   false}, /* ReadConcernMajorityNotAvailableYet */
    {146,   SL_CLOSED,   false}, /* ExceededMemoryLimit */
    {150,   SL_CLOSED,   false}, /* StaleEpoch */
    {175,   SL_CLOSED,   false}, /* QueryPlanKilled */
    {189,   SL_CLOSED,   true }, /* PrimarySteppedDown */
    {202,   SL_CLOSED,   false}, /* NetworkInterfaceExceededTimeLimit */
    {215,   SL_CLOSED,   false}, /* DatabaseDropPending */
    {216,   SL_CLOSED,   false}, /* ElectionInProgress */
    {234,   SL_CLOSED,   false}, /* RetryChangeStream */
    {237,   SL_CLOSED,   false}, /* CursorKilled */
    {239,   SL_CLOSED,   false}, /* SnapshotTooOld */
    {246,   SL_CLOSED,   false}, /* SnapshotUnavailable */
    {249,   SL_CLOSED,   false}, /* StaleDbVersion */
    {250,   SL_CLOSED,   false}, /* StaleChunkHistory */
    {264,   SL_CLOSED,   false}, /* TooManyFilesOpen */
    {272,   SL_CLOSED,   false}, /* MigrationConflict */
    {279,   SL_CLOSED,   false}, /* ClientDisconnect */
    {317,   SL_CLOSED,   false}, /* ConnectionPoolExpired */
    {319,   SL_CLOSED,   false}, /* MovePrimaryInProgress */
    {338,   SL_CLOSED,   false}, /* ReshardCollectionInProgress */
    {342,   SL_CLOSED,   false}, /* ReshardingCriticalSectionTimeout */
    {343,   SL_CLOSED,   false}, /* ShardCannotRefreshDueToLocksHeld */
    {355,   SL_CLOSED,   false}, /* InterruptedDueToStorageChange */
    {365,   SL_CLOSED,   false}, /* TemporarilyUnavailable */
    {371,   SL_CLOSED,   false}, /* UserWritesBlocked: a migration to another cluster, say */
    {402,   SL_CLOSED,   false}, /* ResourceExhausted */
    {406,   SL_CLOSED,   false}, /* MigrationBlockingOperationCoordinatorCleaningUp */
    {407,   SL_CLOSED,   false}, /* PooledConnectionAcquisitionExceededTimeLimit */
    {412,   SL_CLOSED,   false}, /* UpdatesStillPending */
    {433,   SL_CLOSED,   false}, /* AdmissionQueueOverflow */
    {449,   SL_CLOSED,   false}, /* RateLimitExceeded */
    {9001,  SL_CLOSED,   false}, /* SocketException */
    {10058, SL_CLOSED,   true }, /* not the primary, of older servers */
    {10107, SL_CLOSED,   true }, /* NotWritablePrimary */
    {11600, SL_CLOSED,   true }, /* InterruptedAtShutdown */
    {11601, SL_CLOSED,   false}, /* Interrupted */
    {11602, SL_CLOSED,   true }, /* InterruptedDueToReplStateChange */
    {13388, SL_CLOSED,   false}, /* StaleConfig */
    {13435, SL_CLOSED,   true }, /* NotPrimaryNoSecondaryOk */
    {13436, SL_CLOSED,   true }, /* NotPrimaryOrSecondary */
    {14031, SL_CLOSED,   false}, /* OutOfDiskSpace */
    {2,     SL_REJECTED, false}, /* BadValue */
    {9,     SL_REJECTED, false}, /* FailedToParse */
    {14,    SL_REJECTED, false}, /* TypeMismatch */
    {15,    SL_REJECTED, false}, /* Overflow: nested too deep */
    {22,    SL_REJECTED, false}, /* InvalidBSON */
    {28,    SL_REJECTED, false}, /* PathNotViable */
    {52,    SL_REJECTED, false}, /* DollarPrefixedFieldName */
    {53,    SL_REJECTED, false}, /* InvalidIdField */
    {54,    SL_REJECTED, false}, /* NotSingleValueField */
    {55,    SL_REJECTED, false}, /* InvalidDBRef */
    {56,    SL_REJECTED, false}, /* EmptyFieldName */
    {57,    SL_REJECTED, false}, /* DottedFieldName */
    {61,    SL_REJECTED, false}, /* ShardKeyNotFound */
    {66,    SL_REJECTED, false}, /* ImmutableField */
    {121,   SL_REJECTED, false}, /* DocumentValidationFailure */
    {171,   SL_REJECTED, false}, /* CannotIndexParallelArrays */
    {10334, SL_REJECTED, false}, /* BSONObjectTooLarge */
    {11000, SL_REJECTED, false}, /* DuplicateKey */
    {13027, SL_REJECTED, false}, /* 2d index: a point beyond its bounds */
    {13068, SL_REJECTED, false}, /* 2d index: a point of one number */
    {16555, SL_REJECTED, false}, /* $multiply of something not numeric */
    {16755, SL_REJECTED, false}, /* 2dsphere index: no geometry */
    {16766, SL_REJECTED, false}, /* hashed index: an array */
    {16804, SL_REJECTED, false}, /* 2d index: no point */
    {17261, SL_REJECTED, false}, /* text index: a language that is no text */
    {17262, SL_REJECTED, false}, /* text index: a language it does not know */
    {17280, SL_REJECTED, false}, /* KeyTooLong */
    {17419, SL_REJECTED, false}, /* the document would be too large */
    {17420, SL_REJECTED, false}, /* the document would be too large */
    {28765, SL_REJECTED, false}, /* $floor of something not numeric */
    {13,    SL_CONFIG,   false}, /* Unauthorized */
    {18,    SL_CONFIG,   false}, /* AuthenticationFailed */
    {166,   SL_CONFIG,   false}, /* CommandNotSupportedOnView */
    {391,   SL_CONFIG,   false}, /* ReauthenticationRequired */
};

static const struct code_row *find(int32_t server_code)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].server_code == server_code)
            return &codes[i];
    return NULL;
}

int sl_mongo_server_code(int32_t server_code)
{
    const struct code_row *row = find(server_code);
    return row ? (int)row->code : SL_CONFIG;
}

int sl_mongo_row_code(int32_t server_code, bool *ret_known)
{
    const struct code_row *row = find(server_code);
    *ret_known = row != NULL;
    return row ? (int)row->code : SL_REJECTED;
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

bool sl_mongo_lost_primary(int32_t server_code)
{
    const struct code_row *row = find(server_code);
    return row && row->lost;
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
