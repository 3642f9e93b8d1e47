/* Opening a stream: each address in turn, then TLS. */
#include "loop/dns.h"
#include "loop/stream_own.h"

enum { KEEPALIVE_S = 60 };

static void on_connect(uv_connect_t *request, int status)
{
    struct sl_stream *stream = request->handle->data;
    if (stream->closed)
        return;
    if (status < 0) {
        sl_stream_broke(stream, "connecting", status);
        return;
    }
    stream->connected = true;
    sl_wake_all(&stream->changed);
}

static int wait_until(struct sl_stream *stream, const bool *condition, uint64_t deadline_ms,
                      struct sl_err *err)
{
    while (!*condition && !stream->broken) {
        int rc = sl_wait(&stream->changed, deadline_ms);
        if (rc != SL_OK)
            return sl_err_set(err, rc, rc == SL_TIMEOUT ? "no answer in time" : "cancelled");
    }
    if (!stream->broken)
        return SL_OK;
    if (err)
        *err = stream->why;
    return stream->why.code;
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
    sl_stream_flush_soon(stream);
    sl_stream_start_reading(stream);
    return wait_until(stream, &stream->handshaken, deadline_ms, err);
}

/* One try with one address; *ret_connected tells whether it answered at all. */
static int attempt(const char *host, const struct sockaddr *address, struct sl_tls *tls,
                   uint64_t connect_by_ms, uint64_t deadline_ms, struct sl_stream **ret,
                   bool *ret_connected, struct sl_err *err)
{
    struct sl_stream *stream = sl_stream_make();
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
static int try_all(const char *host, const struct sl_addresses *addresses, size_t turn,
                   struct sl_tls *tls, uint64_t deadline_ms, struct sl_stream **ret,
                   struct sl_err *err)
{
    if (!addresses->count)
        return sl_err_set(err, SL_CLOSED, "the name has no address");
    struct sl_err last = {0}; /* of an address that failed; nobody's business once another works */
    int rc = SL_CLOSED;
    for (size_t i = 0; i < addresses->count; i++) {
        size_t which = (turn + i) % addresses->count;
        const struct sockaddr *address = (const struct sockaddr *)&addresses->item[which].address;
        uint64_t now = sl_loop_now_ms();
        uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
        uint64_t by = deadline_ms == SL_FOREVER ? deadline_ms : now + left / (addresses->count - i);
        bool connected = false;
        rc = attempt(host, address, tls, by, deadline_ms, ret, &connected, &last);
        if (rc == SL_OK)
            return SL_OK;
        if (rc == SL_CANCELED || connected || sl_loop_now_ms() >= deadline_ms)
            break; /* TLS would fail on the others too */
    }
    if (err)
        *err = last;
    return rc;
}

int sl_stream_connect(const char *host, uint16_t port, size_t turn, struct sl_tls *tls,
                      const struct sl_stream_handler *handler, void *ctx, uint64_t deadline_ms,
                      struct sl_stream **ret, struct sl_err *err)
{
    struct sl_addresses addresses;
    struct sl_stream *stream = NULL;
    int rc = sl_dns_resolve(host, port, deadline_ms, &addresses, err);
    if (rc == SL_OK)
        rc = try_all(host, &addresses, turn, tls, deadline_ms, &stream, err);
    if (!stream) {
        sl_err_wrap(err, "cannot connect to %s:%u", host, (unsigned)port);
        return rc;
    }
    stream->handler = handler;
    stream->ctx = ctx;
    stream->open = true;
    sl_stream_start_reading(stream);
    *ret = stream;
    return SL_OK;
}
