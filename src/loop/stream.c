/* Life of a stream: connecting → (handshaking) → open → broken → closed. Only sl_stream_close moves
 * it to the last; the memory goes when libuv has closed the handle.
 *
 * Writing: bytes → plain → (TLS) → wire → kernel. Without TLS, plain is the wire. When the kernel
 * takes no more, a copy of the next few bytes goes to uv_write, whose end tells that there is room
 * again; so libuv never holds a pointer to memory that a caller lent. */
#include "loop/stream.h"

#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/stream_own.h"

enum {
    READ_BYTES = 64 * 1024,
    WIRE_BYTES = 256 * 1024, /* encrypted ahead of the kernel */
    GATHER_MAX = 64,         /* pieces in one writev */
};

static void on_turn(void *ctx);

struct sl_stream *sl_stream_make(void)
{
    /* libuv writes without MSG_NOSIGNAL; a broken pipe shall be an error code. */
    signal(SIGPIPE, SIG_IGN);
    struct sl_stream *stream = SL_NEW(struct sl_stream);
    uv_tcp_init(sl_loop(), &stream->tcp);
    stream->tcp.data = stream;
    stream->flusher = (struct sl_turn_end){.fn = on_turn, .ctx = stream};
    stream->input = sl_alloc(READ_BYTES);
    return stream;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct sl_stream *stream = handle->data;
    sl_tls_session_free(stream->tls);
    sl_wipe(stream->held, sizeof stream->held);
    sl_outbox_done(&stream->plain);
    sl_outbox_done(&stream->wire);
    free(stream->input);
    free(stream);
}

static void close_handles(struct sl_stream *stream)
{
    stream->closed = true;
    sl_turn_end_drop(&stream->flusher);
    uv_close((uv_handle_t *)&stream->tcp, on_handle_closed);
}

static void fail(struct sl_stream *stream)
{
    if (stream->broken || stream->closed)
        return;
    stream->broken = true;
    uv_read_stop((uv_stream_t *)&stream->tcp);
    sl_turn_end_drop(&stream->flusher);
    sl_wake_all(&stream->changed);
    if (stream->open)
        stream->handler->on_close(stream->ctx, &stream->why);
}

void sl_stream_broke(struct sl_stream *stream, const char *doing, int status)
{
    if (status == UV_EOF)
        sl_err_set(&stream->why, SL_CLOSED, "the peer closed the connection");
    else
        sl_err_set(&stream->why, SL_CLOSED, "%s failed: %s", doing, uv_strerror(status));
    stream->why.cause = status;
    fail(stream);
}

/* --- writing --- */

static struct sl_outbox *outgoing(struct sl_stream *stream)
{
    return stream->tls ? &stream->wire : &stream->plain;
}

/* Encrypts what waits, as far as the wire's queue should grow. */
static int encrypt(struct sl_stream *stream)
{
    while (stream->handshaken && stream->plain.size_bytes && stream->wire.size_bytes < WIRE_BYTES) {
        uv_buf_t piece;
        size_t taken;
        sl_outbox_gather(&stream->plain, &piece, 1);
        int rc = sl_tls_write(stream->tls, piece.base, piece.len, &taken, &stream->why);
        if (rc != SL_OK) {
            if (rc == SL_END)
                sl_err_set(&stream->why, SL_CLOSED, "the peer closed the TLS connection");
            return SL_CLOSED;
        }
        if (!taken)
            break;
        sl_outbox_drop(&stream->plain, taken);
        sl_tls_departing(stream->tls, &stream->wire);
    }
    sl_tls_departing(stream->tls, &stream->wire);
    return SL_OK;
}

static void on_written(uv_write_t *request, int status);

/* The kernel is full: lets uv_write wait with a copy of the next bytes. */
static void wait_for_room(struct sl_stream *stream)
{
    struct sl_outbox *box = outgoing(stream);
    size_t size = sl_outbox_peek(box, stream->held, sizeof stream->held);
    sl_outbox_drop(box, size);
    uv_buf_t buffer = uv_buf_init(stream->held, (unsigned)size);
    int status = uv_write(&stream->writing, (uv_stream_t *)&stream->tcp, &buffer, 1, on_written);
    if (status < 0)
        sl_stream_broke(stream, "writing", status);
    else
        stream->busy = true;
    stream->held_bytes = stream->busy ? size : 0;
}

static void flush(struct sl_stream *stream)
{
    sl_turn_end_drop(&stream->flusher);
    while (!stream->busy && !stream->broken) {
        if (stream->tls && encrypt(stream) != SL_OK) {
            fail(stream);
            return;
        }
        struct sl_outbox *box = outgoing(stream);
        uv_buf_t pieces[GATHER_MAX];
        unsigned count = sl_outbox_gather(box, pieces, GATHER_MAX);
        if (!count)
            return;
        int written = uv_try_write((uv_stream_t *)&stream->tcp, pieces, count);
        if (written == UV_EAGAIN)
            wait_for_room(stream);
        else if (written < 0)
            sl_stream_broke(stream, "writing", written);
        else
            sl_outbox_drop(box, (size_t)written);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct sl_stream *stream = request->handle->data;
    stream->busy = false;
    stream->held_bytes = 0;
    if (status == UV_ECANCELED || stream->closed)
        return;
    if (status < 0)
        sl_stream_broke(stream, "writing", status);
    else
        flush(stream);
}

static void read_tls(struct sl_stream *stream);

static void on_turn(void *ctx)
{
    struct sl_stream *stream = ctx;
    if (stream->tls && stream->open)
        read_tls(stream); /* what was decrypted before anybody listened */
    if (!stream->closed)
        flush(stream);
}

void sl_stream_flush_soon(struct sl_stream *stream)
{
    if (!stream->broken && !stream->closed)
        sl_turn_end_add(&stream->flusher);
}

void sl_stream_write(struct sl_stream *stream, const void *bytes, size_t size)
{
    if (stream->broken)
        return;
    sl_outbox_add(&stream->plain, bytes, size);
    sl_stream_flush_soon(stream);
}

void sl_stream_write_ref(struct sl_stream *stream, const void *bytes, size_t size)
{
    if (stream->broken)
        return;
    sl_outbox_add_ref(&stream->plain, bytes, size);
    sl_stream_flush_soon(stream);
}

void sl_stream_disown(struct sl_stream *stream, const void *bytes, size_t size)
{
    sl_outbox_disown(&stream->plain, bytes, size);
}

size_t sl_stream_queued(const struct sl_stream *stream)
{
    return stream->plain.size_bytes + stream->wire.size_bytes + stream->held_bytes;
}

/* --- reading --- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct sl_stream *stream = handle->data;
    (void)suggested;
    *ret = uv_buf_init(stream->input, READ_BYTES);
}

/* Decrypts all that has arrived and hands it on. */
static void read_tls(struct sl_stream *stream)
{
    char plain[16 * 1024]; /* the largest TLS record */
    while (!stream->broken && !stream->closed) {
        size_t size;
        int rc = sl_tls_read(stream->tls, plain, sizeof plain, &size, &stream->why);
        if (rc == SL_END)
            sl_err_set(&stream->why, SL_CLOSED, "the peer closed the connection");
        if (rc != SL_OK)
            fail(stream);
        else if (!size)
            break;
        else
            stream->handler->on_data(stream->ctx, (const uint8_t *)plain, size);
    }
}

static void arrived_tls(struct sl_stream *stream, const char *bytes, size_t size)
{
    sl_tls_arrived(stream->tls, bytes, size);
    if (!stream->handshaken) {
        bool done = false;
        int rc = sl_tls_handshake(stream->tls, &done, &stream->why);
        flush(stream); /* an alert too must reach the peer */
        if (rc != SL_OK)
            fail(stream);
        if (!done)
            return;
        stream->handshaken = true;
        /* Nobody listens yet: an end that comes before somebody does waits in the kernel. */
        uv_read_stop((uv_stream_t *)&stream->tcp);
        sl_wake_all(&stream->changed);
    }
    if (stream->open)
        read_tls(stream);
    sl_stream_flush_soon(stream); /* TLS answers by itself: key updates */
}

static void on_read(uv_stream_t *tcp, ssize_t size, const uv_buf_t *buffer)
{
    struct sl_stream *stream = tcp->data;
    if (size == 0 || stream->broken || stream->closed)
        return;
    if (size < 0)
        sl_stream_broke(stream, "reading", (int)size);
    else if (stream->tls)
        arrived_tls(stream, buffer->base, (size_t)size);
    else
        stream->handler->on_data(stream->ctx, (const uint8_t *)buffer->base, (size_t)size);
}

void sl_stream_start_reading(struct sl_stream *stream)
{
    if (stream->broken)
        return;
    uv_read_start((uv_stream_t *)&stream->tcp, on_alloc, on_read);
    if (stream->tls)
        sl_stream_flush_soon(stream);
}

void sl_stream_close(struct sl_stream *stream)
{
    if (!stream)
        return;
    if (stream->open && !stream->broken) {
        stream->open = false; /* nobody is called any more */
        flush(stream);
        if (stream->tls && !stream->busy) {
            sl_tls_goodbye(stream->tls);
            flush(stream);
        }
    }
    close_handles(stream);
}
