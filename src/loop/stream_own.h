/* Inside of a stream: what stream.c (reading, writing, closing) and stream_connect.c share. */
#ifndef SL_LOOP_STREAM_OWN_H
#define SL_LOOP_STREAM_OWN_H

#include <uv.h>

#include "loop/fiber.h"
#include "loop/stream.h"

enum { SL_STREAM_HELD_BYTES = 32 * 1024 }; /* handed to uv_write at once */

struct sl_stream {
    uv_tcp_t tcp;
    struct sl_turn_end flusher; /* queued with bytes that were written in this turn */
    uv_connect_t connecting;
    uv_write_t writing;

    struct sl_tls_session *tls; /* NULL: plain */
    struct sl_outbox plain, wire;
    char held[SL_STREAM_HELD_BYTES]; /* what uv_write is busy with */
    size_t held_bytes;               /* how much of it */
    bool busy;                       /* uv_write is under way */
    char *input;

    const struct sl_stream_handler *handler;
    void *ctx;
    struct sl_waitlist changed; /* for the fiber that connects */
    bool connected, handshaken, open, broken, closed;
    struct sl_err why;
};

/* A stream without a connection; sl_stream_close frees it. */
struct sl_stream *sl_stream_make(void);

/* It broke with that libuv status while doing something ("connecting"). */
void sl_stream_broke(struct sl_stream *stream, const char *doing, int status);

/* Reads from here on, what has arrived already first. */
void sl_stream_start_reading(struct sl_stream *stream);

/* Writes what is queued before the loop sleeps again. */
void sl_stream_flush_soon(struct sl_stream *stream);

#endif
