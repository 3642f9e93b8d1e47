#include "broker/frame.h"

#include <string.h>

void sl_frame_reader_init(struct sl_frame_reader *reader)
{
    *reader = (struct sl_frame_reader){.frame_max = SL_FRAME_SIZE_MAX};
    sl_buf_init(&reader->held);
}

void sl_frame_reader_done(struct sl_frame_reader *reader)
{
    sl_buf_done(&reader->held);
}

void sl_frame_head(uint8_t out[SL_FRAME_HEAD_BYTES], enum sl_frame_type type, uint16_t channel,
                   size_t size)
{
    out[0] = (uint8_t)type;
    sl_put_be16(out + 1, channel);
    sl_put_be32(out + 3, (uint32_t)size);
}

static bool known_type(uint8_t type)
{
    return type == SL_FRAME_METHOD || type == SL_FRAME_HEADER || type == SL_FRAME_BODY ||
           type == SL_FRAME_HEARTBEAT;
}

/* A server that wants another version answers "AMQP" and that version instead of a frame. */
static int check_head(const struct sl_frame_reader *reader, const uint8_t *head, struct sl_err *err)
{
    if (!reader->started && !memcmp(head, "AMQP", 4))
        return sl_err_set(err, SL_CLOSED, "the server speaks another AMQP version than 0-9-1");
    if (!known_type(head[0]))
        return sl_err_set(err, SL_CLOSED, "the peer does not speak AMQP 0-9-1 (frame type %u)",
                          head[0]);
    uint32_t size = sl_be32(head + 3);
    if (size > reader->frame_max - SL_FRAME_OVERHEAD_BYTES)
        return sl_err_set(err, SL_CLOSED, "a frame of %u bytes is larger than agreed (%zu)", size,
                          reader->frame_max);
    return SL_OK;
}

/* Handles the whole frames at the front of bytes; *ret_used is how far they reach and *ret_need how
 * many bytes the next frame needs in all, as far as that is known. */
static int take_frames(struct sl_frame_reader *reader, const uint8_t *bytes, size_t size,
                       sl_frame_fn fn, void *ctx, size_t *ret_used, size_t *ret_need,
                       struct sl_err *err)
{
    size_t used = 0;
    for (;;) {
        const uint8_t *head = bytes + used;
        size_t left = size - used;
        *ret_used = used;
        *ret_need = SL_FRAME_HEAD_BYTES;
        if (left < SL_FRAME_HEAD_BYTES)
            return SL_OK;
        int rc = check_head(reader, head, err);
        if (rc != SL_OK)
            return rc;

        size_t payload = sl_be32(head + 3);
        *ret_need = payload + SL_FRAME_OVERHEAD_BYTES;
        if (left < *ret_need)
            return SL_OK;
        if (head[SL_FRAME_HEAD_BYTES + payload] != SL_FRAME_END_BYTE)
            return sl_err_set(err, SL_CLOSED, "a frame of %zu bytes lacks its end byte", payload);

        struct sl_frame frame = {.type = (enum sl_frame_type)head[0],
                                 .channel = sl_be16(head + 1),
                                 .payload = head + SL_FRAME_HEAD_BYTES,
                                 .size = payload};
        reader->started = true;
        used += *ret_need;
        rc = fn(ctx, &frame, err);
        if (rc != SL_OK)
            return rc;
    }
}

/* Completes the held frame by as many of bytes as it needs; gives how many were used. */
static int complete_held(struct sl_frame_reader *reader, const uint8_t *bytes, size_t size,
                         sl_frame_fn fn, void *ctx, size_t *ret_used, struct sl_err *err)
{
    size_t used = 0;
    while (reader->held.length) {
        size_t done, need;
        int rc = take_frames(reader, (const uint8_t *)reader->held.data, reader->held.length, fn,
                             ctx, &done, &need, err);
        if (rc != SL_OK)
            return rc;
        if (done) { /* held is never more than one frame */
            sl_buf_clear(&reader->held);
            break;
        }
        size_t missing = need - reader->held.length;
        size_t part = missing < size - used ? missing : size - used;
        if (!part)
            break;
        sl_buf_reserve(&reader->held, missing); /* at once, and no more */
        sl_buf_add(&reader->held, bytes + used, part);
        used += part;
    }
    *ret_used = used;
    return SL_OK;
}

int sl_frame_reader_feed(struct sl_frame_reader *reader, const uint8_t *bytes, size_t size,
                         sl_frame_fn fn, void *ctx, struct sl_err *err)
{
    size_t used, done, need;
    int rc = complete_held(reader, bytes, size, fn, ctx, &used, err);
    if (rc != SL_OK || reader->held.length)
        return rc;
    rc = take_frames(reader, bytes + used, size - used, fn, ctx, &done, &need, err);
    if (rc == SL_OK)
        sl_buf_add(&reader->held, bytes + used + done, size - used - done);
    return rc;
}
