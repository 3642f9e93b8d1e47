/* Bytes to AMQP frames. A frame is type (1 byte), channel (2), size (4), payload, end byte 0xCE;
 * all numbers big-endian (AMQP 0-9-1, section 4.2.3). */
#ifndef SL_BROKER_FRAME_H
#define SL_BROKER_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum sl_frame_type {
    SL_FRAME_METHOD = 1,
    SL_FRAME_HEADER = 2,
    SL_FRAME_BODY = 3,
    SL_FRAME_HEARTBEAT = 8,
};

enum {
    SL_FRAME_HEAD_BYTES = 7,
    SL_FRAME_OVERHEAD_BYTES = 8, /* head and end byte */
    SL_FRAME_END_BYTE = 0xCE,
    SL_FRAME_SIZE_MIN = 4096, /* every peer must accept it */
    SL_FRAME_SIZE_MAX = 131072,
};

struct sl_frame {
    enum sl_frame_type type;
    uint16_t channel;
    const uint8_t *payload; /* valid during the callback */
    size_t size;
};

struct sl_frame_reader {
    struct sl_buf held; /* the beginning of a frame whose end has not arrived */
    size_t frame_max;   /* whole frame, head and end byte included */
    bool started;       /* a first frame came: the peer speaks our version */
};

typedef int (*sl_frame_fn)(void *ctx, const struct sl_frame *frame, struct sl_err *err);

void sl_frame_reader_init(struct sl_frame_reader *reader);
void sl_frame_reader_done(struct sl_frame_reader *reader);

/* Takes the next bytes, of any size, and calls fn for each frame that they complete. Stops at the
 * first code other than SL_OK that fn returns, and returns it. Bytes that are no AMQP give
 * SL_CLOSED; the reader must not be fed again after a failure. */
int sl_frame_reader_feed(struct sl_frame_reader *reader, const uint8_t *bytes, size_t size,
                         sl_frame_fn fn, void *ctx, struct sl_err *err);

/* Writes a frame's head. */
void sl_frame_head(uint8_t out[SL_FRAME_HEAD_BYTES], enum sl_frame_type type, uint16_t channel,
                   size_t size);

static inline uint16_t sl_be16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t sl_be32(const uint8_t *at)
{
    return (uint32_t)sl_be16(at) << 16 | sl_be16(at + 2);
}

static inline uint64_t sl_be64(const uint8_t *at)
{
    return (uint64_t)sl_be32(at) << 32 | sl_be32(at + 4);
}

static inline void sl_put_be16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void sl_put_be32(uint8_t *at, uint32_t value)
{
    sl_put_be16(at, (uint16_t)(value >> 16));
    sl_put_be16(at + 2, (uint16_t)value);
}

static inline void sl_put_be64(uint8_t *at, uint64_t value)
{
    sl_put_be32(at, (uint32_t)(value >> 32));
    sl_put_be32(at + 4, (uint32_t)value);
}

#endif
