/* Writing: bytes → (TLS → out) → kernel. Reading: kernel → (TLS) → bytes. */
#include "mongo/wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK_BYTES = 16 * 1024 }; /* the largest TLS record, about */

static int fail(int error)
{
    errno = error;
    return -1;
}

/* --- life --- */

bool sl_wire_open(struct sl_wire *wire, int fd)
{
    int status;
    struct sl_watch *watch = sl_watch_new(fd, &status);
    if (!watch) {
        close(fd);
        errno = -status;
        return false;
    }
    *wire = (struct sl_wire){.fd = fd, .watch = watch};
    return true;
}

void sl_wire_close(struct sl_wire *wire)
{
    if (wire->fd < 0)
        return;
    if (wire->tls && !wire->out.size_bytes) { /* the rest of a command stays here */
        sl_tls_goodbye(wire->tls);
        sl_wire_flush(wire);
    }
    sl_watch_free(wire->watch);
    close(wire->fd);
    sl_tls_session_free(wire->tls);
    sl_outbox_done(&wire->out);
    *wire = SL_WIRE_NONE;
}

/* --- writing --- */

static ssize_t send_now(const struct sl_wire *wire, const struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = count};
    ssize_t sent;
    do
        sent = sendmsg(wire->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent;
}

int sl_wire_flush(struct sl_wire *wire)
{
    if (wire->fd < 0)
        return fail(EBADF);
    if (wire->tls)
        sl_tls_departing(wire->tls, &wire->out);
    while (wire->out.size_bytes) {
        uv_buf_t pieces[SL_WIRE_PARTS];
        struct iovec parts[SL_WIRE_PARTS];
        unsigned count = sl_outbox_gather(&wire->out, pieces, SL_WIRE_PARTS);
        for (unsigned i = 0; i < count; i++)
            parts[i] = (struct iovec){pieces[i].base, pieces[i].len};
        ssize_t sent = send_now(wire, parts, count);
        if (sent < 0)
            return -1;
        sl_outbox_drop(&wire->out, (size_t)sent);
    }
    return 0;
}

/* A call of TLS that did not work, as errno. */
static int tls_failed(struct sl_wire *wire, int rc)
{
    sl_wire_flush(wire); /* an alert too should reach the peer */
    return fail(rc == SL_END ? EPIPE : EPROTO);
}

static ssize_t send_tls(struct sl_wire *wire, const struct iovec *parts, size_t count)
{
    ssize_t total = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t used = 0; used < parts[i].iov_len;) {
            size_t taken;
            int rc = sl_tls_write(wire->tls, (const char *)parts[i].iov_base + used,
                                  parts[i].iov_len - used, &taken, &wire->why);
            if (rc != SL_OK)
                return tls_failed(wire, rc);
            if (!taken) /* it never waits for the peer (loop/tls.c) */
                return fail(EPROTO);
            used += taken;
            total += (ssize_t)taken;
        }
    return sl_wire_flush(wire) == 0 || errno == EAGAIN ? total : -1;
}

ssize_t sl_wire_send(struct sl_wire *wire, const struct iovec *parts, size_t count)
{
    if (sl_wire_flush(wire) < 0) /* what was taken before goes first */
        return -1;
    return wire->tls ? send_tls(wire, parts, count) : send_now(wire, parts, count);
}

/* --- reading --- */

static ssize_t receive_now(const struct sl_wire *wire, void *out, size_t size)
{
    ssize_t got;
    do
        got = recv(wire->fd, out, size, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Hands to TLS what has arrived: as receive_now. */
static ssize_t feed_tls(struct sl_wire *wire)
{
    char chunk[CHUNK_BYTES];
    ssize_t got = receive_now(wire, chunk, sizeof chunk);
    if (got > 0)
        sl_tls_arrived(wire->tls, chunk, (size_t)got);
    return got;
}

ssize_t sl_wire_receive(struct sl_wire *wire, void *out, size_t size)
{
    if (wire->fd < 0)
        return fail(EBADF);
    if (!wire->tls)
        return receive_now(wire, out, size);
    for (;;) {
        size_t got;
        int rc = sl_tls_read(wire->tls, out, size, &got, &wire->why);
        if (got)
            return (ssize_t)got;
        if (rc == SL_END)
            return 0;
        if (rc != SL_OK)
            return tls_failed(wire, rc);
        ssize_t fed = feed_tls(wire);
        if (fed <= 0)
            return fed;
    }
}

/* --- TLS --- */

int sl_wire_start_tls(struct sl_wire *wire, struct sl_tls *tls, const char *host,
                      struct sl_err *err)
{
    bool done;
    wire->tls = sl_tls_session_new(tls, host, err);
    if (!wire->tls)
        return SL_CONFIG;
    int rc = sl_tls_handshake(wire->tls, &done, err);
    if (rc == SL_OK && sl_wire_flush(wire) < 0 && errno != EAGAIN)
        return sl_err_set(err, SL_CLOSED, "the connection broke");
    return rc;
}

int sl_wire_handshake(struct sl_wire *wire, bool *ret_done, struct sl_err *err)
{
    *ret_done = false;
    ssize_t got = feed_tls(wire);
    if (got == 0)
        return sl_err_set(err, SL_CLOSED,
                          "the server closed the connection during the TLS handshake (does it "
                          "speak TLS on this port?)");
    if (got < 0 && errno != EAGAIN)
        return sl_err_set(err, SL_CLOSED, "TLS handshake: %s", uv_strerror(-errno));
    int rc = sl_tls_handshake(wire->tls, ret_done, err);
    int flushed = sl_wire_flush(wire);
    if (rc == SL_OK && flushed < 0 && errno != EAGAIN)
        return sl_err_set(err, SL_CLOSED, "TLS handshake: %s", uv_strerror(-errno));
    return rc;
}

/* --- waiting --- */

int sl_wire_events(const struct sl_wire *wire, int poll_events)
{
    bool reads = poll_events & POLLIN, writes = poll_events & POLLOUT || wire->out.size_bytes;
    /* A peer that only sends no more wakes again and again: who just writes waits for room. */
    int ends = reads || !writes ? UV_DISCONNECT : 0;
    return (reads ? UV_READABLE : 0) | (writes ? UV_WRITABLE : 0) | ends;
}

/* Is there something to read, be it the end, for which nothing more needs to arrive? */
static bool has_decrypted(const struct sl_wire *wire)
{
    bool some;
    return wire->tls && (sl_tls_peek(wire->tls, &some, NULL) != SL_OK || some);
}

short sl_wire_ready(struct sl_wire *wire, int poll_events)
{
    struct pollfd one = {.fd = wire->fd, .events = (short)poll_events};
    if (wire->fd < 0 || (wire->tls && sl_wire_flush(wire) < 0 && errno != EAGAIN))
        return POLLERR;
    poll(&one, 1, 0);
    if (poll_events & POLLIN && has_decrypted(wire))
        one.revents |= POLLIN;
    if (wire->out.size_bytes)
        one.revents &= (short)~POLLOUT;
    return one.revents;
}

bool sl_wire_ended(struct sl_wire *wire)
{
    char byte;
    ssize_t got;
    bool some;
    if (wire->fd < 0)
        return true;
    if (!wire->tls) {
        got = recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    }
    do
        got = feed_tls(wire);
    while (got > 0);
    return got == 0 || errno != EAGAIN || sl_tls_peek(wire->tls, &some, &wire->why) != SL_OK;
}
