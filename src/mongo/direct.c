/* OP_MSG (mongodb.com/docs/manual/reference/mongodb-wire-protocol): length, request, response to,
 * opcode; flags; one section of kind 0, which is a document. All numbers are little-endian.
 *
 * The command leaves as it is, in pieces: its own length is replaced, and before its end come the
 * fields that are added. */
#include "mongo/direct.h"

#include <string.h>

#include "base/little.h"
#include "mongo/client.h"
#include "mongo/stream.h"

enum {
    OP_MSG = 2013,
    HEAD_BYTES = 16,
    PROLOGUE_BYTES = HEAD_BYTES + 4 + 1, /* up to the document */
    LENGTH_BYTES = 4,
    DOCUMENT_BYTES_LEAST = LENGTH_BYTES + 1,
    ANSWER_BYTES_MOST = 48000000, /* maxMessageSizeBytes of every server */
    CHUNK_BYTES = 1024,           /* most answers are smaller */
    NAME_BYTES = 64,              /* of a database */
};

static void put32(uint8_t *to, uint32_t value)
{
    uint32_t little = BSON_UINT32_TO_LE(value);
    memcpy(to, &little, sizeof little);
}

static bool fail(bson_error_t *error, uint32_t domain, uint32_t code, const char *text)
{
    bson_set_error(error, domain, code, "%s", text);
    return false;
}

static bool broken(bson_error_t *error, const char *text)
{
    return fail(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, text);
}

static bool nonsense(bson_error_t *error, const char *text)
{
    return fail(error, MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_INVALID_REPLY, text);
}

/* --- the question --- */

struct tail {
    uint8_t bytes[sizeof "\x12maxTimeMS" + 8 + sizeof "\x02$db" + 4 + NAME_BYTES + 1];
    size_t length;
};

static void put(struct tail *tail, const void *bytes, size_t size)
{
    memcpy(tail->bytes + tail->length, bytes, size);
    tail->length += size;
}

/* What follows the command's own fields: BSON elements, then the document's end. */
static bool make_tail(struct tail *tail, const char *database, int64_t time_ms)
{
    uint8_t size[4];
    size_t name_bytes = strlen(database) + 1;
    if (name_bytes > NAME_BYTES)
        return false;
    tail->length = 0;
    if (time_ms > 0) {
        int64_t little = BSON_UINT64_TO_LE(time_ms);
        put(tail, "\x12maxTimeMS", sizeof "\x12maxTimeMS");
        put(tail, &little, sizeof little);
    }
    put32(size, (uint32_t)name_bytes);
    put(tail, "\x02$db", sizeof "\x02$db");
    put(tail, size, sizeof size);
    put(tail, database, name_bytes);
    put(tail, "", 1);
    return true;
}

static bool ask(mongoc_stream_t *stream, uint32_t request, const bson_t *command, struct tail *tail,
                int32_t timeout_ms, bson_error_t *error)
{
    uint8_t head[PROLOGUE_BYTES + LENGTH_BYTES] = {0};
    size_t own_bytes = command->len - DOCUMENT_BYTES_LEAST;
    size_t document_bytes = LENGTH_BYTES + own_bytes + tail->length;
    mongoc_iovec_t parts[] = {
        {head,                                                       sizeof head },
        {(void *)(uintptr_t)(bson_get_data(command) + LENGTH_BYTES), own_bytes   },
        {tail->bytes,                                                tail->length},
    };
    put32(head, (uint32_t)(PROLOGUE_BYTES + document_bytes));
    put32(head + 4, request);
    put32(head + 12, OP_MSG);
    put32(head + PROLOGUE_BYTES, (uint32_t)document_bytes);
    ssize_t sent = mongoc_stream_writev(stream, parts, sizeof parts / sizeof *parts, timeout_ms);
    if (sent != (ssize_t)(PROLOGUE_BYTES + document_bytes))
        return broken(error, "cannot send the command: socket error or timeout");
    return true;
}

/* --- the answer --- */

static bool check_head(const uint8_t *head, uint32_t request, bson_error_t *error)
{
    uint32_t length = sl_le32(head);
    if (length < PROLOGUE_BYTES + DOCUMENT_BYTES_LEAST || length > ANSWER_BYTES_MOST)
        return nonsense(error, "the answer has an impossible length");
    if (sl_le32(head + 8) != request)
        return nonsense(error, "the answer is not to this command");
    if (sl_le32(head + 12) != OP_MSG || sl_le32(head + HEAD_BYTES) != 0 ||
        head[HEAD_BYTES + 4] != 0)
        return nonsense(error, "the answer is of an unknown kind");
    if (sl_le32(head + PROLOGUE_BYTES) != length - PROLOGUE_BYTES)
        return nonsense(error, "the answer and its document differ in length");
    return true;
}

/* Puts the document into reply: what came with the head, then the rest from the stream. */
static bool take_document(mongoc_stream_t *stream, const uint8_t *chunk, size_t got,
                          int32_t timeout_ms, bson_t *reply, bson_error_t *error)
{
    uint32_t size = sl_le32(chunk + PROLOGUE_BYTES);
    size_t here = got - PROLOGUE_BYTES;
    if (here > size)
        return nonsense(error, "more than one answer came");
    uint8_t *document = bson_reserve_buffer(reply, size);
    memcpy(document, chunk + PROLOGUE_BYTES, here);
    bool whole =
        here == size || mongoc_stream_read(stream, document + here, size - here, size - here,
                                           timeout_ms) == (ssize_t)(size - here);
    if (whole && document[size - 1] == 0)
        return true;
    bson_reinit(reply);
    return whole ? nonsense(error, "the answer is not BSON")
                 : broken(error, "cannot read the answer: socket error or timeout");
}

static bool hear(mongoc_stream_t *stream, uint32_t request, int32_t timeout_ms, bson_t *reply,
                 bson_error_t *error)
{
    uint8_t chunk[CHUNK_BYTES];
    ssize_t got = -1;
    if (sl_mongo_stream_await(stream, timeout_ms)) /* it is never there at once: do not look */
        got = mongoc_stream_read(stream, chunk, sizeof chunk, PROLOGUE_BYTES + LENGTH_BYTES,
                                 timeout_ms);
    if (got < PROLOGUE_BYTES + LENGTH_BYTES)
        return broken(error, "no answer: socket error or timeout");
    return check_head(chunk, request, error) &&
           take_document(stream, chunk, (size_t)got, timeout_ms, reply, error);
}

/* What the server says of the command, in the driver's terms. */
static bool check_ok(const bson_t *reply, bson_error_t *error)
{
    bson_iter_t at;
    const char *text = "the server gives no reason";
    uint32_t code = MONGOC_ERROR_QUERY_FAILURE;
    if (!bson_iter_init_find(&at, reply, "ok"))
        return nonsense(error, "the answer does not say whether the command worked");
    if (bson_iter_as_bool(&at))
        return true;
    if (bson_iter_init_find(&at, reply, "code") && BSON_ITER_HOLDS_INT32(&at))
        code = (uint32_t)bson_iter_int32(&at);
    if (bson_iter_init_find(&at, reply, "errmsg") && BSON_ITER_HOLDS_UTF8(&at))
        text = bson_iter_utf8(&at, NULL);
    return fail(error, MONGOC_ERROR_SERVER, code, text);
}

bool sl_mongo_direct(mongoc_stream_t *stream, const char *database, const bson_t *command,
                     const struct sl_mongo_sent *sent, int64_t time_ms, int32_t timeout_ms,
                     bson_t *ret_reply, bson_error_t *error)
{
    static uint32_t last;
    uint32_t request = ++last;
    struct tail tail;
    bson_init(ret_reply);
    if (!make_tail(&tail, database, time_ms))
        return fail(error, MONGOC_ERROR_COMMAND, MONGOC_ERROR_COMMAND_INVALID_ARG,
                    "the database's name is too long");
    if (!ask(stream, request, command, &tail, timeout_ms, error))
        return false;
    if (sent)
        sent->fn(sent->ctx);
    return hear(stream, request, timeout_ms, ret_reply, error) && check_ok(ret_reply, error);
}
