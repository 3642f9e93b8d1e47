/* What the driver asks of a stream, over a wire (wire.h): waiting suspends the fiber.
 *
 *   being opened (opening set) ► open (the wire has a socket) ► closed (it has none) */
#include "mongo/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "mongo/connect.h"
#include "mongo/wire.h"

enum {
    STREAM_TYPE = 0x51,       /* the driver polls together only streams of one type */
    SLICE_BYTES = 128 * 1024, /* written at once, so that a bulk write shares the loop */
    STREAMS_MAX = 64,         /* polled together; a replica set has at most 50 members */
};

struct stream {
    mongoc_stream_t driver; /* first: the driver's pointer is ours */
    struct sl_mongo_link *link;
    struct sl_opening *opening; /* NULL: not being opened */
    struct sl_wire wire;
    int error; /* errno of the last failure, for timed_out and should_retry */
    char where[sizeof(((mongoc_host_list_t *)0)->host_and_port)];
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

/* Keeps why for the client's message. What an operator must mend is told before what may pass. */
static void note_trouble(const struct stream *stream, const struct sl_err *why)
{
    struct sl_err *trouble = &stream->link->trouble;
    if (trouble->code == SL_CONFIG || !*stream->where)
        return;
    *trouble = *why;
    sl_err_wrap(trouble, "cannot connect to %s", stream->where);
}

static int fail(struct stream *stream, int error)
{
    if (error == EPROTO)
        note_trouble(stream, &stream->wire.why);
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

/* Remembers why a wait ended: the client asks its link afterwards. */
static void note(struct sl_mongo_link *link, int rc)
{
    if (rc == SL_CANCELED)
        link->cancelled = true;
    else if (rc == SL_TIMEOUT && sl_loop_now_ms() >= link->deadline_ms)
        link->timed_out = true;
}

static int wait_ready(struct stream *stream, int poll_events, uint64_t end_ms)
{
    if (rushing)
        return fail(stream, ECANCELED);
    int events = sl_wire_events(&stream->wire, poll_events);
    int rc = sl_fiber_poll(stream->wire.watch, events, end_ms, NULL);
    note(stream->link, rc);
    if (rc == SL_OK)
        return 0;
    return fail(stream, rc == SL_TIMEOUT ? ETIMEDOUT : ECANCELED);
}

/* --- closing --- */

static int stream_close(mongoc_stream_t *driver)
{
    struct stream *stream = (struct stream *)driver;
    if (stream->opening) {
        struct sl_err late;
        sl_err_set(&late, SL_CLOSED, "no answer in time");
        if (!rushing)
            note_trouble(stream, &late);
        sl_opening_abandon(stream->opening);
        stream->opening = NULL;
    }
    if (stream->link->heard == driver)
        stream->link->heard = NULL;
    sl_wire_close(&stream->wire);
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
static size_t next_slice(const struct cursor *at, struct iovec vector[SL_WIRE_PARTS])
{
    size_t used = 0, room = SLICE_BYTES, offset = at->offset;
    for (size_t i = at->index; i < at->count && used < SL_WIRE_PARTS && room; i++) {
        size_t length = at->parts[i].iov_len - offset;
        vector[used].iov_base = (char *)at->parts[i].iov_base + offset;
        vector[used].iov_len = length < room ? length : room;
        room -= vector[used].iov_len;
        used++;
        offset = 0;
    }
    return used;
}

/* With TLS: waits until what was taken has left, for the driver will wait for the answer to it. */
static int flush_all(struct stream *stream, uint64_t end_ms)
{
    while (sl_wire_flush(&stream->wire) < 0) {
        if (errno != EAGAIN)
            return fail(stream, errno);
        if (wait_ready(stream, POLLOUT, end_ms) < 0)
            return -1;
    }
    return 0;
}

static ssize_t stream_writev(mongoc_stream_t *driver, mongoc_iovec_t *parts, size_t count,
                             int32_t timeout_ms)
{
    struct stream *stream = (struct stream *)driver;
    struct cursor at = {.parts = parts, .count = count};
    uint64_t end_ms = wait_end(stream->link, timeout_ms);
    ssize_t total = 0;

    stream->error = 0;
    for (advance(&at, 0); at.index < at.count;) {
        struct iovec vector[SL_WIRE_PARTS];
        ssize_t sent = sl_wire_send(&stream->wire, vector, next_slice(&at, vector));
        if (sent >= 0) {
            total += sent;
            advance(&at, (size_t)sent);
            if (at.index < at.count && !rushing && timeout_ms != 0)
                sl_fiber_yield(); /* cancelled: the next wait says so */
            continue;
        }
        if (errno != EAGAIN)
            return fail(stream, errno);
        if (timeout_ms == 0)
            return total ? total : fail(stream, EAGAIN);
        if (wait_ready(stream, POLLOUT, end_ms) < 0)
            return stream->error == ETIMEDOUT && total ? total : -1;
    }
    return timeout_ms == 0 || flush_all(stream, end_ms) == 0 ? total : -1;
}

/* --- reading --- */

static ssize_t stream_readv(mongoc_stream_t *driver, mongoc_iovec_t *parts, size_t count,
                            size_t min_bytes, int32_t timeout_ms)
{
    struct stream *stream = (struct stream *)driver;
    struct cursor at = {.parts = parts, .count = count};
    uint64_t end_ms = wait_end(stream->link, timeout_ms);
    size_t total = 0;

    stream->error = 0;
    stream->link->heard = driver;
    for (advance(&at, 0); at.index < at.count;) {
        mongoc_iovec_t *part = &at.parts[at.index];
        ssize_t got = sl_wire_receive(&stream->wire, (char *)part->iov_base + at.offset,
                                      part->iov_len - at.offset);
        if (got > 0) {
            total += (size_t)got;
            advance(&at, (size_t)got);
            if (total >= min_bytes)
                break;
        } else if (got == 0) {
            fail(stream, 0); /* the driver tries again after any errno that it knows */
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

bool sl_mongo_stream_await(mongoc_stream_t *driver, int32_t timeout_ms)
{
    struct stream *stream = (struct stream *)driver;
    return wait_ready(stream, POLLIN, wait_end(stream->link, timeout_ms)) == 0;
}

/* --- the rest of what the driver asks --- */

static int stream_setsockopt(mongoc_stream_t *driver, int level, int name, void *value,
                             mongoc_socklen_t length)
{
    return setsockopt(((struct stream *)driver)->wire.fd, level, name, value, length);
}

static bool stream_check_closed(mongoc_stream_t *driver)
{
    struct stream *stream = (struct stream *)driver;
    return !stream->opening && sl_wire_ended(&stream->wire);
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

/* Looks, without waiting. */
static int poll_now(mongoc_stream_poll_t *streams, size_t count)
{
    int ready = 0;
    for (size_t i = 0; i < count; i++) {
        struct stream *stream = (struct stream *)streams[i].stream;
        streams[i].revents = stream->opening ? 0 : sl_wire_ready(&stream->wire, streams[i].events);
        ready += streams[i].revents != 0;
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

/* Waits for a socket, or until a stream has been opened. */
static int wait_any(struct sl_mongo_link *link, const mongoc_stream_poll_t *streams, size_t count,
                    uint64_t end_ms)
{
    struct sl_pollset set[STREAMS_MAX];
    unsigned used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct stream *stream = (struct stream *)streams[i].stream;
        if (!stream->opening)
            set[used++] = (struct sl_pollset){stream->wire.watch,
                                              sl_wire_events(&stream->wire, streams[i].events)};
    }
    link->poller = sl_fiber_self();
    int rc = sl_fiber_poll_any(set, used, end_ms);
    link->poller = NULL;
    note(link, rc);
    return rc;
}

static ssize_t stream_poll(mongoc_stream_poll_t *streams, size_t count, int32_t timeout_ms)
{
    struct sl_mongo_link *link = ((struct stream *)streams[0].stream)->link;
    uint64_t end_ms = wait_end(link, timeout_ms);
    for (;;) {
        int ready = poll_now(streams, count);
        if (ready || timeout_ms == 0)
            return ready;
        if (rushing || count > STREAMS_MAX)
            return poll_failed(streams, count);
        int rc = wait_any(link, streams, count, end_ms);
        if (rc == SL_CANCELED || link->timed_out)
            return poll_failed(streams, count);
        if (rc == SL_TIMEOUT)
            return poll_now(streams, count);
    }
}

/* --- making --- */

static struct stream *stream_new(struct sl_mongo_link *link, const char *where)
{
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
        .wire = SL_WIRE_NONE,
    };
    snprintf(stream->where, sizeof stream->where, "%s", where);
    return stream;
}

mongoc_stream_t *sl_mongo_stream_new(int fd, struct sl_mongo_link *link)
{
    struct stream *stream = stream_new(link, "");
    sl_wire_open(&stream->wire, fd); /* else it stays without a socket */
    return &stream->driver;
}

static void on_opened(void *ctx, int rc, const struct sl_wire *wire, const struct sl_err *err)
{
    struct stream *stream = ctx;
    stream->opening = NULL;
    if (rc == SL_OK)
        stream->wire = *wire;
    else
        note_trouble(stream, err);
    if (stream->link->poller)
        sl_fiber_wake(stream->link->poller);
}

static uint64_t opening_end(const mongoc_uri_t *uri, const struct sl_mongo_link *link)
{
    int32_t limit_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 2000);
    uint64_t end_ms = sl_deadline_in(limit_ms > 0 ? (uint64_t)limit_ms : 2000);
    return link->deadline_ms < end_ms ? link->deadline_ms : end_ms;
}

mongoc_stream_t *sl_mongo_connect(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
                                  void *user_data, bson_error_t *error)
{
    struct sl_mongo_link *link = user_data;
    struct stream *stream = stream_new(link, host->host_and_port);
    (void)error;

    if (rushing || sl_fiber_cancelled()) {
        struct sl_err why;
        sl_err_set(&why, SL_CLOSED, "shutting down");
        note_trouble(stream, &why); /* without a socket, everything on it fails */
    } else {
        stream->opening =
            sl_opening_new(host, link->tls, opening_end(uri, link), on_opened, stream);
    }
    return &stream->driver;
}
