#include "mongo/connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/dns.h"
#include "loop/fiber.h"

struct sl_opening {
    struct sl_fiber *fiber;
    char *host;
    uint16_t port;
    bool is_path; /* host is a Unix socket */
    struct sl_tls *tls;
    uint64_t end_ms;
    sl_opened_fn *on_opened; /* NULL: abandoned; tls may be gone then */
    void *ctx;
};

/* --- where to --- */

static void path_target(const char *path, struct sl_addresses *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    /* A longer path does not exist: connect says so. */
    memcpy(address.sun_path, path, strnlen(path, sizeof address.sun_path - 1));
    memset(ret, 0, sizeof *ret);
    memcpy(&ret->item[0].address, &address, sizeof address);
    ret->item[0].length = sizeof address;
    ret->count = 1;
}

/* mongod listens on IPv4 unless told otherwise: those go first, the order is kept apart from it. */
static void put_ipv4_first(struct sl_addresses *addresses)
{
    struct sl_addresses sorted = {0};
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < addresses->count; i++)
            if ((addresses->item[i].address.ss_family == AF_INET) == (pass == 0))
                sorted.item[sorted.count++] = addresses->item[i];
    *addresses = sorted;
}

static int find_targets(const struct sl_opening *opening, struct sl_addresses *ret,
                        struct sl_err *err)
{
    if (opening->is_path) {
        path_target(opening->host, ret);
        return SL_OK;
    }
    int rc = sl_dns_resolve(opening->host, opening->port, opening->end_ms, ret, err);
    if (rc == SL_OK)
        put_ipv4_first(ret);
    return rc;
}

/* --- one address --- */

static int refused(int error, struct sl_err *err)
{
    int rc = sl_err_set(err, SL_CLOSED, "%s", uv_strerror(-error));
    if (err)
        err->cause = error;
    return rc;
}

/* SL_OK: a socket that has begun to connect. */
static int begin(const struct sockaddr *address, socklen_t length, struct sl_wire *wire,
                 struct sl_err *err)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refused(errno, err);
    if (address->sa_family != AF_UNIX) {
        int on = 1;
        /* A command that was given up must not be sent for minutes yet: a close, be it the end of
         * this process, throws away what the kernel holds (ADR 27). */
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    if (connect(fd, address, length) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return refused(error, err);
    }
    return sl_wire_open(wire, fd) ? SL_OK : refused(errno, err);
}

static int wait_for(const struct sl_wire *wire, int events, uint64_t by_ms, struct sl_err *err)
{
    int rc = sl_fiber_poll(wire->watch, events, by_ms, NULL);
    return rc == SL_OK ? rc
                       : sl_err_set(err, rc, rc == SL_TIMEOUT ? "no answer in time" : "cancelled");
}

/* SL_OK: wire is connected. Else it is closed. */
static int try_one(const struct sockaddr *address, socklen_t length, uint64_t by_ms,
                   struct sl_wire *wire, struct sl_err *err)
{
    int rc = begin(address, length, wire, err);
    if (rc == SL_OK)
        rc = wait_for(wire, UV_WRITABLE, by_ms, err);
    if (rc == SL_OK) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error)
            rc = refused(error, err);
    }
    if (rc != SL_OK)
        sl_wire_close(wire);
    return rc;
}

/* --- all of it --- */

/* Tries the addresses in turn, each with its share of the time that is left. */
static int try_all(const struct sl_opening *opening, struct sl_wire *wire, struct sl_err *err)
{
    struct sl_addresses targets;
    int rc = find_targets(opening, &targets, err);
    if (rc != SL_OK)
        return rc;
    rc = sl_err_set(err, SL_CLOSED, "the name has no address");
    for (size_t i = 0; i < targets.count; i++) {
        uint64_t now_ms = sl_loop_now_ms();
        uint64_t left_ms = opening->end_ms > now_ms ? opening->end_ms - now_ms : 0;
        rc = try_one((const struct sockaddr *)&targets.item[i].address, targets.item[i].length,
                     now_ms + left_ms / (targets.count - i), wire, err);
        if (rc == SL_OK || rc == SL_CANCELED || !left_ms)
            break;
    }
    return rc;
}

static int secure(const struct sl_opening *opening, struct sl_wire *wire, struct sl_err *err)
{
    bool done = false;
    int rc = sl_wire_start_tls(wire, opening->tls, opening->host, err);
    while (rc == SL_OK && !done) {
        rc = wait_for(wire, sl_wire_events(wire, POLLIN), opening->end_ms, err);
        if (rc == SL_OK && !opening->on_opened)
            return SL_CANCELED;
        if (rc == SL_OK)
            rc = sl_wire_handshake(wire, &done, err);
    }
    return rc;
}

static void run_opening(void *arg)
{
    struct sl_opening *opening = arg;
    struct sl_wire wire = SL_WIRE_NONE;
    struct sl_err err = {0};
    int rc = SL_CANCELED;
    if (opening->on_opened)
        rc = try_all(opening, &wire, &err);
    if (rc == SL_OK && opening->on_opened && opening->tls)
        rc = secure(opening, &wire, &err);
    if (opening->on_opened)
        opening->on_opened(opening->ctx, rc, &wire, &err);
    if (rc != SL_OK || !opening->on_opened)
        sl_wire_close(&wire);
    free(opening->host);
    free(opening);
}

struct sl_opening *sl_opening_new(const mongoc_host_list_t *host, struct sl_tls *tls,
                                  uint64_t end_ms, sl_opened_fn *on_opened, void *ctx)
{
    struct sl_opening *opening = SL_NEW(struct sl_opening);
    *opening = (struct sl_opening){
        .host = sl_strdup(host->host),
        .port = host->port,
        .is_path = host->family == AF_UNIX,
        .tls = tls,
        .end_ms = end_ms,
        .on_opened = on_opened,
        .ctx = ctx,
    };
    opening->fiber = sl_fiber_spawn("mongo.open", run_opening, opening);
    return opening;
}

void sl_opening_abandon(struct sl_opening *opening)
{
    opening->on_opened = NULL;
    sl_fiber_cancel(opening->fiber);
}
