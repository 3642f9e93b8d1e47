/* Life of a stream: connecting → (handshaking) → open → broken → closed. Only sl_stream_close moves
 * it to the last; the memory goes when libuv has closed all handles.
 *
 * Writing: bytes → plain → (TLS) → wire → kernel. Without TLS, plain is the wire. When the kernel
 * takes no more, a copy of the next few bytes goes to uv_write, whose end tells that there is room
 * again; so libuv never holds a pointer to memory that a caller lent. */
#include "loop/stream.h"

#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/dns.h"
#include "loop/fiber.h"

enum {
    READ_BYTES = 64 * 1024,
    HELD_BYTES = 32 * 1024,  /* handed to uv_write at once */
    WIRE_BYTES = 256 * 1024, /* encrypted ahead of the kernel */
    GATHER_MAX = 64,         /* pieces in one writev */
    KEEPALIVE_S = 60,
};

struct sl_stream {
    uv_tcp_t tcp;
    uv_check_t flusher; /* active while bytes were queued in this turn */
    uv_idle_t awake;    /* active with flusher: keeps the loop from sleeping before it */
    uv_connect_t connecting;
    uv_write_t writing;
    unsigned handles; /* not yet closed */

    struct sl_tls_session *tls; /* NULL: plain */
    struct sl_outbox plain, wire;
    char held[HELD_BYTES]; /* what uv_write is busy with */
    size_t held_bytes;     /* how much of it */
    bool busy;             /* uv_write is under way */
    char *input;

    const struct sl_stream_handler *handler;
    void *ctx;
    struct sl_waitlist changed; /* for the fiber that connects */
    bool connected, handshaken, open, paused, broken, closed;
    struct sl_err why;
};

static void on_handle_closed(uv_handle_t *handle)
{
    struct sl_stream *stream = handle->data;
    if (--stream->handles)
        return;
    sl_tls_session_free(stream->tls);
    sl_outbox_done(&stream->plain);
    sl_outbox_done(&stream->wire);
    free(stream->input);
    free(stream);
}

static void close_handles(struct sl_stream *stream)
{
    stream->closed = true;
    uv_close((uv_handle_t *)&stream->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&stream->flusher, on_handle_closed);
    uv_close((uv_handle_t *)&stream->awake, on_handle_closed);
}

static void fail(struct sl_stream *stream)
{
    if (stream->broken || stream->closed)
        return;
    stream->broken = true;
    uv_read_stop((uv_stream_t *)&stream->tcp);
    uv_check_stop(&stream->flusher);
    uv_idle_stop(&stream->awake);
    sl_wake_all(&stream->changed);
    if (stream->open)
        stream->handler->on_close(stream->ctx, &stream->why);
}

static void fail_uv(struct sl_stream *stream, const char *doing, int status)
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
        fail_uv(stream, "writing", status);
    else
        stream->busy = true;
    stream->held_bytes = stream->busy ? size : 0;
}

static void flush(struct sl_stream *stream)
{
    uv_check_stop(&stream->flusher);
    uv_idle_stop(&stream->awake);
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
            fail_uv(stream, "writing", written);
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
        fail_uv(stream, "writing", status);
    else
        flush(stream);
}

static void read_tls(struct sl_stream *stream);

static void on_turn(uv_check_t *check)
{
    struct sl_stream *stream = check->data;
    if (stream->tls && stream->open)
        read_tls(stream); /* what was decrypted before anybody listened, or while paused */
    if (!stream->closed)
        flush(stream);
}

static void ignore_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void flush_this_turn(struct sl_stream *stream)
{
    if (stream->broken || stream->closed || uv_is_active((uv_handle_t *)&stream->flusher))
        return;
    uv_check_start(&stream->flusher, on_turn);
    uv_idle_start(&stream->awake, ignore_idle);
}

void sl_stream_write(struct sl_stream *stream, const void *bytes, size_t size)
{
    if (stream->broken)
        return;
    sl_outbox_add(&stream->plain, bytes, size);
    flush_this_turn(stream);
}

void sl_stream_write_ref(struct sl_stream *stream, const void *bytes, size_t size)
{
    if (stream->broken)
        return;
    sl_outbox_add_ref(&stream->plain, bytes, size);
    flush_this_turn(stream);
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
    while (!stream->broken && !stream->closed && !stream->paused) {
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
        sl_wake_all(&stream->changed);
    }
    if (stream->open)
        read_tls(stream);
    flush_this_turn(stream); /* TLS answers by itself: key updates */
}

static void on_read(uv_stream_t *tcp, ssize_t size, const uv_buf_t *buffer)
{
    struct sl_stream *stream = tcp->data;
    if (size == 0 || stream->broken || stream->closed)
        return;
    if (size < 0)
        fail_uv(stream, "reading", (int)size);
    else if (stream->tls)
        arrived_tls(stream, buffer->base, (size_t)size);
    else
        stream->handler->on_data(stream->ctx, (const uint8_t *)buffer->base, (size_t)size);
}

void sl_stream_pause(struct sl_stream *stream)
{
    stream->paused = true;
    uv_read_stop((uv_stream_t *)&stream->tcp);
}

void sl_stream_resume(struct sl_stream *stream)
{
    stream->paused = false;
    if (stream->broken)
        return;
    uv_read_start((uv_stream_t *)&stream->tcp, on_alloc, on_read);
    if (stream->tls)
        flush_this_turn(stream);
}

/* --- connecting --- */

static struct sl_stream *make(void)
{
    signal(SIGPIPE,
           SIG_IGN); /* libuv writes without MSG_NOSIGNAL; a broken pipe is an error code */
    struct sl_stream *stream = SL_NEW(struct sl_stream);
    uv_tcp_init(sl_loop(), &stream->tcp);
    uv_check_init(sl_loop(), &stream->flusher);
    uv_idle_init(sl_loop(), &stream->awake);
    stream->tcp.data = stream->flusher.data = stream->awake.data = stream;
    stream->handles = 3;
    stream->input = sl_alloc(READ_BYTES);
    return stream;
}

static void on_connect(uv_connect_t *request, int status)
{
    struct sl_stream *stream = request->handle->data;
    if (stream->closed)
        return;
    if (status < 0) {
        fail_uv(stream, "connecting", status);
        return;
    }
    stream->connected = true;
    sl_wake_all(&stream->changed);
}

static int wait_until(struct sl_stream *stream, const bool *condition, uint64_t deadline_ms,
                      struct sl_err *err)
{
    while (!*condition) {
        if (stream->broken) {
            if (err)
                *err = stream->why;
            return stream->why.code;
        }
        int rc = sl_wait(&stream->changed, deadline_ms);
        if (rc != SL_OK)
            return sl_err_set(err, rc, rc == SL_TIMEOUT ? "no answer in time" : "cancelled");
    }
    return SL_OK;
}

static int open_tcp(struct sl_stream *stream, const struct sockaddr *address, uint64_t deadline_ms,
                    struct sl_err *err)
{
    int status = uv_tcp_connect(&stream->connecting, &stream->tcp, address, on_connect);
    if (status < 0)
        return sl_err_set(err, SL_CLOSED, "%s", uv_strerror(status));
    int rc = wait_until(stream, &stream->connected, deadline_ms, err);
    if (rc != SL_OK)
        return rc;
    uv_tcp_nodelay(&stream->tcp, 1);
    uv_tcp_keepalive(&stream->tcp, 1, KEEPALIVE_S);
    return SL_OK;
}

static int open_tls(struct sl_stream *stream, struct sl_tls *tls, const char *host,
                    uint64_t deadline_ms, struct sl_err *err)
{
    stream->tls = sl_tls_session_new(tls, host, err);
    if (!stream->tls)
        return SL_CONFIG;
    bool done;
    int rc = sl_tls_handshake(stream->tls, &done, err); /* says hello */
    if (rc != SL_OK)
        return rc;
    flush_this_turn(stream);
    sl_stream_resume(stream);
    return wait_until(stream, &stream->handshaken, deadline_ms, err);
}

/* One try with one address; *ret_connected tells whether it answered at all. */
static int attempt(const char *host, const struct sockaddr *address, struct sl_tls *tls,
                   uint64_t connect_by_ms, uint64_t deadline_ms, struct sl_stream **ret,
                   bool *ret_connected, struct sl_err *err)
{
    struct sl_stream *stream = make();
    int rc = open_tcp(stream, address, connect_by_ms, err);
    *ret_connected = rc == SL_OK;
    if (rc == SL_OK && tls)
        rc = open_tls(stream, tls, host, deadline_ms, err);
    if (rc != SL_OK) {
        sl_stream_close(stream);
        return rc;
    }
    *ret = stream;
    return SL_OK;
}

/* Tries the addresses in turn, each with its share of the time that is left. */
static int try_all(const char *host, const struct sl_addresses *addresses, struct sl_tls *tls,
                   uint64_t deadline_ms, struct sl_stream **ret, struct sl_err *err)
{
    if (!addresses->count)
        return sl_err_set(err, SL_CLOSED, "the name has no address");
    int rc = SL_CLOSED;
    for (size_t i = 0; i < addresses->count; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&addresses->item[i].address;
        uint64_t now = sl_loop_now_ms();
        uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
        uint64_t by = deadline_ms == SL_FOREVER ? deadline_ms : now + left / (addresses->count - i);
        bool connected = false;
        rc = attempt(host, address, tls, by, deadline_ms, ret, &connected, err);
        if (rc == SL_OK || rc == SL_CANCELED || connected || sl_loop_now_ms() >= deadline_ms)
            return rc; /* TLS would fail on the others too */
    }
    return rc;
}

int sl_stream_connect(const char *host, uint16_t port, struct sl_tls *tls,
                      const struct sl_stream_handler *handler, void *ctx, uint64_t deadline_ms,
                      struct sl_stream **ret, struct sl_err *err)
{
    struct sl_addresses addresses;
    struct sl_stream *stream = NULL;
    int rc = sl_dns_resolve(host, port, deadline_ms, &addresses, err);
    if (rc == SL_OK)
        rc = try_all(host, &addresses, tls, deadline_ms, &stream, err);
    if (rc != SL_OK) {
        sl_err_wrap(err, "cannot connect to %s:%u", host, (unsigned)port);
        return rc;
    }
    stream->handler = handler;
    stream->ctx = ctx;
    stream->open = true;
    sl_stream_resume(stream);
    *ret = stream;
    return SL_OK;
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
