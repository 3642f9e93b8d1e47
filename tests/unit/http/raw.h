/* A client that says exactly what a test tells it to, byte by byte, and shows exactly what came
 * back. It runs on the test's fiber and suspends instead of blocking, so that the server of the
 * same thread can answer. */
#ifndef SL_TEST_HTTP_RAW_H
#define SL_TEST_HTTP_RAW_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/harness.h"
#include "http/server.h"

enum { RAW_BYTES = 256 * 1024, RAW_PATIENCE_MS = 10000 };

struct raw {
    int fd;
    size_t length;
    bool closed;        /* the server ended the connection, in order or not */
    char in[RAW_BYTES]; /* what came, ended by NUL */
};

static inline struct raw *raw_connect(const struct sl_http_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(sl_http_server_port(server))};
    struct raw *raw = calloc(1, sizeof *raw);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    raw->fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_INT(connect(raw->fd, (struct sockaddr *)&address, sizeof address), 0);
    return raw;
}

static inline void raw_close(struct raw *raw)
{
    close(raw->fd);
    free(raw);
}

/* Closes so that the server gets a reset. */
static inline void raw_reset(struct raw *raw)
{
    struct linger hard = {1, 0};
    setsockopt(raw->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    raw_close(raw);
}

/* Takes what has come. */
static inline void raw_pull(struct raw *raw)
{
    while (!raw->closed && raw->length < RAW_BYTES - 1) {
        ssize_t got =
            recv(raw->fd, raw->in + raw->length, RAW_BYTES - 1 - raw->length, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (got <= 0)
            raw->closed = true;
        else
            raw->length += (size_t)got;
    }
    raw->in[raw->length] = 0;
}

/* Sends all; false when the server does not want it. */
static inline bool raw_send(struct raw *raw, const void *bytes, size_t size)
{
    uint64_t deadline_ms = sl_deadline_in(RAW_PATIENCE_MS);
    for (size_t at = 0; at < size;) {
        ssize_t sent =
            send(raw->fd, (const char *)bytes + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0)
            at += (size_t)sent;
        else if (errno != EAGAIN || sl_loop_now_ms() > deadline_ms)
            return false;
        else
            sl_fiber_sleep(1);
        raw_pull(raw);
        if (raw->length && strstr(raw->in, "Connection: close"))
            return false; /* as a good client does: stops when it is told no */
    }
    return true;
}

static inline bool raw_say(struct raw *raw, const char *text)
{
    return raw_send(raw, text, strlen(text));
}

/* How often text has come. */
static inline unsigned raw_count(const struct raw *raw, const char *text)
{
    unsigned count = 0;
    for (const char *at = raw->in; (at = strstr(at, text)); at += strlen(text))
        count++;
    return count;
}

/* Waits until text has come so many times. */
static inline bool raw_await(struct raw *raw, const char *text, unsigned count)
{
    uint64_t deadline_ms = sl_deadline_in(RAW_PATIENCE_MS);
    for (raw_pull(raw); raw_count(raw, text) < count; raw_pull(raw)) {
        if (raw->closed || sl_loop_now_ms() > deadline_ms) {
            fprintf(stderr, "waited for %u x '%s', %s; got: %s\n", count, text,
                    raw->closed ? "closed" : "in vain", raw->in);
            return false;
        }
        sl_fiber_sleep(1);
    }
    return true;
}

/* Waits until the server has ended the connection. */
static inline bool raw_await_end(struct raw *raw)
{
    uint64_t deadline_ms = sl_deadline_in(RAW_PATIENCE_MS);
    for (raw_pull(raw); !raw->closed; raw_pull(raw)) {
        if (sl_loop_now_ms() > deadline_ms)
            return false;
        sl_fiber_sleep(1);
    }
    return true;
}

static inline bool raw_is_closed(void *arg)
{
    struct raw *raw = arg;
    raw_pull(raw);
    return raw->closed;
}

#endif
