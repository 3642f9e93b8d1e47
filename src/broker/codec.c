#include "broker/codec.h"

#include <string.h>

#include "base/size.h"
#include "broker/table.h"

enum {
    POOL_PAGE_BYTES = SL_SIZE(64 * 1024, 4096),
    COPY_BELOW_BYTES = 4096, /* body pieces smaller than this are cheaper copied */
    CLASS_BASIC = 60,
    METHOD_ID_BYTES = 4,
    HEADER_FIXED_BYTES = 12, /* class, weight, body size */
};

void sl_codec_init(struct sl_codec *codec)
{
    init_amqp_pool(&codec->pool, POOL_PAGE_BYTES);
    sl_buf_init(&codec->scratch);
}

void sl_codec_done(struct sl_codec *codec)
{
    empty_amqp_pool(&codec->pool);
    sl_buf_done(&codec->scratch);
}

amqp_bytes_t sl_codec_bytes(const char *text)
{
    return text ? (amqp_bytes_t){strlen(text), (void *)text} : (amqp_bytes_t){0, (void *)""};
}

struct sl_str sl_codec_view(amqp_bytes_t bytes)
{
    return (struct sl_str){bytes.bytes ? bytes.bytes : "", bytes.len};
}

/* --- decoding --- */

static bool server_sends(amqp_method_number_t id)
{
    switch (id) {
    case AMQP_CONNECTION_START_METHOD:
    case AMQP_CONNECTION_TUNE_METHOD:
    case AMQP_CONNECTION_OPEN_OK_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_OK_METHOD:
    case AMQP_CONNECTION_BLOCKED_METHOD:
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
    case AMQP_CHANNEL_OPEN_OK_METHOD:
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CHANNEL_CLOSE_OK_METHOD:
    case AMQP_EXCHANGE_DECLARE_OK_METHOD:
    case AMQP_QUEUE_DECLARE_OK_METHOD:
    case AMQP_QUEUE_BIND_OK_METHOD:
    case AMQP_BASIC_QOS_OK_METHOD:
    case AMQP_BASIC_CONSUME_OK_METHOD:
    case AMQP_BASIC_CANCEL_OK_METHOD:
    case AMQP_BASIC_CANCEL_METHOD:
    case AMQP_BASIC_DELIVER_METHOD:
    case AMQP_BASIC_RETURN_METHOD:
    case AMQP_BASIC_ACK_METHOD:
    case AMQP_BASIC_NACK_METHOD:
    case AMQP_CONFIRM_SELECT_OK_METHOD:
    case AMQP_TX_SELECT_OK_METHOD:
    case AMQP_TX_ROLLBACK_OK_METHOD:
        return true;
    default:
        return false;
    }
}

int sl_codec_method(struct sl_codec *codec, const struct sl_frame *frame, struct sl_method *ret,
                    struct sl_err *err)
{
    if (frame->size < METHOD_ID_BYTES)
        return sl_err_set(err, SL_CLOSED, "a method frame of %zu bytes", frame->size);
    amqp_method_number_t id = sl_be32(frame->payload);
    const uint8_t *arguments = frame->payload + METHOD_ID_BYTES;
    size_t size = frame->size - METHOD_ID_BYTES;
    if (!server_sends(id))
        return sl_err_set(err, SL_CLOSED, "unexpected method %u.%u", id >> 16, id & 0xffff);

    /* The only table in a server's method: connection.start's properties, behind two version bytes.
     */
    size_t table_size;
    if (id == AMQP_CONNECTION_START_METHOD &&
        (size < 2 || !sl_table_check(arguments + 2, size - 2, &table_size)))
        return sl_err_set(err, SL_CLOSED, "malformed table in connection.start");

    recycle_amqp_pool(&codec->pool);
    amqp_bytes_t encoded = {size, (void *)arguments};
    int status = amqp_decode_method(id, &codec->pool, encoded, &ret->decoded);
    if (status < 0 || !ret->decoded)
        return sl_err_set(err, SL_CLOSED, "malformed method %s", amqp_method_name(id));
    ret->id = id;
    return SL_OK;
}

/* Property flags, then the values of those set, the highest bit first. The table, when there is
 * one, stands behind at most two short texts. Bit 0 says that more flag words follow, which Basic
 * has not. */
static bool properties_fine(const uint8_t *at, size_t size)
{
    if (size < 2)
        return false;
    unsigned flags = sl_be16(at);
    if (flags & 3) /* continuation, or the unused bit */
        return false;
    size_t used = 2, table_size;
    for (unsigned flag = AMQP_BASIC_CONTENT_TYPE_FLAG; flag >= AMQP_BASIC_CONTENT_ENCODING_FLAG;
         flag >>= 1) {
        if (!(flags & flag))
            continue;
        if (used >= size || size - used < 1 + (size_t)at[used])
            return false;
        used += 1 + (size_t)at[used];
    }
    return !(flags & AMQP_BASIC_HEADERS_FLAG) ||
           sl_table_check(at + used, size - used, &table_size);
}

int sl_codec_header(struct sl_codec *codec, const struct sl_frame *frame,
                    struct sl_content_head *ret, struct sl_err *err)
{
    if (frame->size < HEADER_FIXED_BYTES + 2 || sl_be16(frame->payload) != CLASS_BASIC ||
        !properties_fine(frame->payload + HEADER_FIXED_BYTES, frame->size - HEADER_FIXED_BYTES))
        return sl_err_set(err, SL_CLOSED, "malformed content header");

    recycle_amqp_pool(&codec->pool);
    amqp_bytes_t encoded = {frame->size - HEADER_FIXED_BYTES,
                            (void *)(frame->payload + HEADER_FIXED_BYTES)};
    void *decoded = NULL;
    int status = amqp_decode_properties(CLASS_BASIC, &codec->pool, encoded, &decoded);
    if (status < 0 || !decoded)
        return sl_err_set(err, SL_CLOSED, "malformed message properties");
    ret->body_size = sl_be64(frame->payload + 4);
    ret->properties = decoded;
    return SL_OK;
}

/* --- encoding --- */

/* Appends a frame whose payload is prefix and what encode writes, to scratch. */
static int add_frame(struct sl_codec *codec, enum sl_frame_type type, uint16_t channel,
                     const uint8_t *prefix, size_t prefix_size, amqp_method_number_t id,
                     void *decoded, struct sl_err *err)
{
    const size_t room = SL_FRAME_SIZE_MIN - SL_FRAME_OVERHEAD_BYTES; /* every peer accepts it */
    uint8_t *at = (uint8_t *)sl_buf_reserve(&codec->scratch, SL_FRAME_SIZE_MIN);
    amqp_bytes_t into = {room - prefix_size, at + SL_FRAME_HEAD_BYTES + prefix_size};
    int size = type == SL_FRAME_METHOD ? amqp_encode_method(id, decoded, into)
                                       : amqp_encode_properties(CLASS_BASIC, decoded, into);
    if (size < 0)
        return sl_err_set(err, SL_REJECTED, "does not fit into one AMQP frame: %s",
                          amqp_error_string2(size));
    size_t payload = prefix_size + (size_t)size;
    sl_frame_head(at, type, channel, payload);
    memcpy(at + SL_FRAME_HEAD_BYTES, prefix, prefix_size);
    at[SL_FRAME_HEAD_BYTES + payload] = SL_FRAME_END_BYTE;
    sl_buf_commit(&codec->scratch, payload + SL_FRAME_OVERHEAD_BYTES);
    return SL_OK;
}

static int add_method(struct sl_codec *codec, uint16_t channel, amqp_method_number_t id,
                      void *decoded, struct sl_err *err)
{
    uint8_t prefix[METHOD_ID_BYTES];
    sl_put_be32(prefix, id);
    return add_frame(codec, SL_FRAME_METHOD, channel, prefix, sizeof prefix, id, decoded, err);
}

int sl_codec_put_method(struct sl_codec *codec, struct sl_stream *stream, uint16_t channel,
                        amqp_method_number_t id, void *decoded, struct sl_err *err)
{
    sl_buf_clear(&codec->scratch);
    int rc = add_method(codec, channel, id, decoded, err);
    if (rc == SL_OK)
        sl_stream_write(stream, codec->scratch.data, codec->scratch.length);
    return rc;
}

static void put_body(struct sl_stream *stream, uint16_t channel, size_t piece_max,
                     struct sl_str body)
{
    static const uint8_t end = SL_FRAME_END_BYTE;
    for (size_t used = 0; used < body.length;) {
        size_t size = body.length - used < piece_max ? body.length - used : piece_max;
        uint8_t head[SL_FRAME_HEAD_BYTES];
        sl_frame_head(head, SL_FRAME_BODY, channel, size);
        sl_stream_write(stream, head, sizeof head);
        if (size < COPY_BELOW_BYTES)
            sl_stream_write(stream, body.at + used, size);
        else
            sl_stream_write_ref(stream, body.at + used, size);
        sl_stream_write(stream, &end, 1);
        used += size;
    }
}

int sl_codec_put_publish(struct sl_codec *codec, struct sl_stream *stream, uint16_t channel,
                         size_t frame_max, amqp_basic_publish_t *method,
                         amqp_basic_properties_t *properties, struct sl_str body,
                         struct sl_err *err)
{
    uint8_t prefix[HEADER_FIXED_BYTES] = {0};
    sl_put_be16(prefix, CLASS_BASIC);
    sl_put_be64(prefix + 4, body.length);

    sl_buf_clear(&codec->scratch);
    int rc = add_method(codec, channel, AMQP_BASIC_PUBLISH_METHOD, method, err);
    if (rc == SL_OK)
        rc = add_frame(codec, SL_FRAME_HEADER, channel, prefix, sizeof prefix, 0, properties, err);
    if (rc != SL_OK)
        return rc;
    sl_stream_write(stream, codec->scratch.data, codec->scratch.length);
    put_body(stream, channel, frame_max - SL_FRAME_OVERHEAD_BYTES, body);
    return SL_OK;
}

void sl_codec_put_heartbeat(struct sl_stream *stream)
{
    uint8_t frame[SL_FRAME_OVERHEAD_BYTES];
    sl_frame_head(frame, SL_FRAME_HEARTBEAT, 0, 0);
    frame[SL_FRAME_HEAD_BYTES] = SL_FRAME_END_BYTE;
    sl_stream_write(stream, frame, sizeof frame);
}
