#include "mongo/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/fiber.h"

enum {
    STREAM_TYPE = 0x51,       /* the driver polls together only streams of one type */
    SLICE_BYTES = 128 * 1024, /* written at once, so that a bulk write shares the loop */
    SLICE_PARTS = 64,
};

struct stream {
    mongoc_stream_t driver; /* first: the driver's pointer is ours */
    struct sl_mongo_link *link;
    uv_poll_t *poll; /* NULL once closed */
    int fd;
    int error; /* errno of the last failure, for timed_out and should_retry */
};

static bool rushing;

void sl_mongo_rush(bool on)
{
    rushing = on;
}

bool sl_mongo_rushing(void)
{
    return rushing;
}

/* --- waiting --- */

static int fail(struct stream *stream, int error)
{
    stream->error = error;
    errno = error;
    return -1;
}

/* The loop time at which a wait of timeout_ms (negative: no limit) ends. */
static uint64_t wait_end(const struct sl_mongo_link *link, int32_t timeout_ms)
{
    uint64_t end = timeout_ms < 0 ? SL_FOREVER : sl_deadline_in((uint64_t)timeout_ms);
    return end < link->deadline_ms ? end : link->deadline_ms;
}

static int events_of(int poll_events)
{
    return (poll_events & POLLIN ? UV_READABLE : 0) | (poll_events & POLLOUT ? UV_WRITABLE : 0) |
           UV_DISCONNECT;
}

/* Remembers why a wait ended: the client asks its link afterwards. */
static void note(struct sl_mongo_link *link, int rc)
{
    if (rc == SL_CANCELED)
        link->cancelled = true;
    else if (rc == SL_TIMEOUT && sl_loop_now_ms() >= link->deadline_ms)
        link->timed_out = true;
    /* Another fiber's TLS errors must not be taken for ours: OpenSSL has one queue a thread. */
    ERR_clear_error();
}

static int wait_ready(struct stream *stream, int poll_events, uint64_t end_ms)
{
    if (rushing)
        return fail(stream, ECANCELED);
    int rc = sl_fiber_poll(stream->poll, events_of(poll_events), end_ms, NULL);
    note(stream->link, rc);
    if (rc == SL_OK)
        return 0;
    return fail(stream, rc == SL_TIMEOUT ? ETIMEDOUT : ECANCELED);
}

/* --- closing --- */

static int stream_close(mongoc_stream_t *driver)
{
    struct stream *stream = (struct stream *)driver;
    if (stream->fd < 0)
        return 0;
    uv_poll_stop(stream->poll);
    uv_close((uv_handle_t *)stream->poll, sl_handle_free);
    stream->poll = NULL;
    close(stream->fd);
    stream->fd = -1;
    return 0;
}

static void stream_destroy(mongoc_stream_t *driver)
{
    stream_close(driver);
    bson_free(driver);
}

static int stream_flush(mongoc_stream_t *driver)
{
    (void)driver;
    return 0;
}

/* --- writing --- */

/* A position in a list of parts. */
struct cursor {
    mongoc_iovec_t *parts;
    size_t count, index, offset;
};

static void advance(struct cursor *at, size_t bytes)
{
    while (at->index < at->count && bytes >= at->parts[at->index].iov_len - at->offset) {
        bytes -= at->parts[at->index].iov_len - at->offset;
        at->index++;
        at->offset = 0;
    }
    at->offset += bytes;
}

/* Fills vector with the next slice and returns its number of parts. */
static size_t next_slice(const struct cursor *at, struct iovec vector[SLICE_PARTS])
{
    size_t used = 0, room = SLICE_BYTES, offset = at->offset;
    for (size_t i = at->index; i < at->count && used < SLICE_PARTS && room; i++) {
        size_t length = at->parts[i].iov_len - offset;
        vector[used].iov_base = (char *)at->parts[i].iov_base + offset;
        vector[used].iov_len = length < room ? length : room;
        room -= vector[used].iov_len;
        used++;
        offset = 0;
    }
    return used;
}

static ssize_t stream_writev(mongoc_stream_t *driver, mongoc_iovec_t *parts, size_t count,
                             int32_t timeout_ms)
{
    struct stream *stream = (struct stream *)driver;
    struct cursor at = {.parts = parts, .count = count};
    uint64_t end_ms = wait_end(stream->link, timeout_ms);
    ssize_t total = 0;

    if (stream->fd < 0)
        return fail(stream, EBADF);
    stream->error = 0;
    for (advance(&at, 0); at.index < at.count;) {
        struct iovec vector[SLICE_PARTS];
        struct msghdr message = {.msg_iov = vector, .msg_iovlen = next_slice(&at, vector)};
        ssize_t sent = sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            total += sent;
            advance(&at, (size_t)sent);
            if (at.index < at.count && !rushing && timeout_ms != 0)
                sl_fiber_yield(); /* cancelled: the next wait says so */
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return fail(stream, errno);
        if (timeout_ms == 0)
            return total ? total : fail(stream, EAGAIN);
        if (wait_ready(stream, POLLOUT, end_ms) < 0)
            return stream->error == ETIMEDOUT && total ? total : -1;
    }
    return total;
}

/* --- reading --- */

/* One recv. Bytes, 0 at the end, or -1 with errno. */
static ssize_t receive(const struct stream *stream, struct cursor *at)
{
    ssize_t got;
    do {
        mongoc_iovec_t *part = &at->parts[at->index];
        got = recv(stream->fd, (char *)part->iov_base + at->offset, part->iov_len - at->offset,
                   MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    return got;
}

static ssize_t stream_readv(mongoc_stream_t *driver, mongoc_iovec_t *parts, size_t count,
                            size_t min_bytes, int32_t timeout_ms)
{
    struct stream *stream = (struct stream *)driver;
    struct cursor at = {.parts = parts, .count = count};
    uint64_t end_ms = wait_end(stream->link, timeout_ms);
    size_t total = 0;

    if (stream->fd < 0)
        return fail(stream, EBADF);
    stream->error = 0;
    for (advance(&at, 0); at.index < at.count;) {
        ssize_t got = receive(stream, &at);
        if (got > 0) {
            total += (size_t)got;
            advance(&at, (size_t)got);
            if (total >= min_bytes)
                break;
        } else if (got == 0) {
            /* Nothing but errno 0 keeps the TLS layer from trying again for ever. */
            fail(stream, 0);
            return total >= min_bytes ? (ssize_t)total : -1;
        } else if (errno != EAGAIN) {
            return fail(stream, errno);
        } else if (timeout_ms == 0) {
            return fail(stream, EAGAIN);
        } else if (wait_ready(stream, POLLIN, end_ms) < 0) {
            return -1;
        }
    }
    return (ssize_t)total;
}

/* --- the rest of what the driver asks --- */

static int stream_setsockopt(mongoc_stream_t *driver, int level, int name, void *value,
                             mongoc_socklen_t length)
{
    return setsockopt(((struct stream *)driver)->fd, level, name, value, length);
}

static bool stream_check_closed(mongoc_stream_t *driver)
{
    const struct stream *stream = (struct stream *)driver;
    char byte;
    if (stream->fd < 0)
        return true;
    ssize_t got = recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

static bool stream_timed_out(mongoc_stream_t *driver)
{
    return ((struct stream *)driver)->error == ETIMEDOUT;
}

static bool stream_should_retry(mongoc_stream_t *driver)
{
    int error = ((struct stream *)driver)->error;
    return error == EAGAIN || error == EINTR || error == EINPROGRESS;
}

/* Asks the kernel, without waiting. */
static int poll_now(mongoc_stream_poll_t *streams, size_t count)
{
    int ready = 0;
    for (size_t i = 0; i < count; i++) {
        struct pollfd one = {.fd = ((struct stream *)streams[i].stream)->fd,
                             .events = (short)streams[i].events};
        if (one.fd < 0)
            one.revents = POLLERR;
        else
            poll(&one, 1, 0);
        streams[i].revents = one.revents;
        ready += one.revents != 0;
    }
    return ready;
}

/* The driver's scanner calls again and again when it gets -1, or 0 before its own time is up:
 * a wait that must not go on is reported as an error of every stream. */
static ssize_t poll_failed(mongoc_stream_poll_t *streams, size_t count)
{
    for (size_t i = 0; i < count; i++)
        streams[i].revents = POLLERR;
    return (ssize_t)count;
}

static ssize_t stream_poll(mongoc_stream_poll_t *streams, size_t count, int32_t timeout_ms)
{
    enum { STREAMS_MAX = 64 }; /* a replica set has at most 50 members */
    struct sl_pollset set[STREAMS_MAX];

    int ready = poll_now(streams, count);
    if (ready || timeout_ms == 0)
        return ready;
    if (rushing || count > STREAMS_MAX)
        return poll_failed(streams, count);

    for (size_t i = 0; i < count; i++)
        set[i] = (struct sl_pollset){((struct stream *)streams[i].stream)->poll,
                                     events_of(streams[i].events)};
    struct sl_mongo_link *link = ((struct stream *)streams[0].stream)->link;
    int rc = sl_fiber_poll_any(set, (unsigned)count, wait_end(link, timeout_ms));
    note(link, rc);
    if (rc == SL_CANCELED || link->timed_out)
        return poll_failed(streams, count);
    return poll_now(streams, count);
}

static uv_poll_t *watch(int fd)
{
    if (fd < 0)
        return NULL;
    uv_poll_t *handle = SL_NEW(uv_poll_t);
    if (uv_poll_init(sl_loop(), handle, fd) == 0)
        return handle;
    free(handle);
    close(fd);
    return NULL;
}

mongoc_stream_t *sl_mongo_stream_new(int fd, struct sl_mongo_link *link)
{
    uv_poll_t *handle = watch(fd);
    struct stream *stream = bson_malloc0(sizeof *stream);
    *stream = (struct stream){
        .driver = {.type = STREAM_TYPE,
                   .destroy = stream_destroy,
                   .failed = stream_destroy,
                   .close = stream_close,
                   .flush = stream_flush,
                   .writev = stream_writev,
                   .readv = stream_readv,
                   .setsockopt = stream_setsockopt,
                   .check_closed = stream_check_closed,
                   .poll = stream_poll,
                   .timed_out = stream_timed_out,
                   .should_retry = stream_should_retry},
        .link = link,
        .poll = handle,
        .fd = handle ? fd : -1,
    };
    return &stream->driver;
}
