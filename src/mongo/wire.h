/* The socket under a stream of the driver, plain or with TLS on it. Nothing here suspends: what
 * cannot be done now fails with EAGAIN, and sl_wire_events tells what to wait for. */
#ifndef SL_MONGO_WIRE_H
#define SL_MONGO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"
#include "loop/fiber.h"
#include "loop/outbox.h"
#include "loop/tls.h"

enum { SL_WIRE_PARTS = 64 }; /* taken at once */

struct sl_wire {
    int fd;                     /* -1: none */
    struct sl_watch *watch;     /* of fd; NULL: none */
    struct sl_tls_session *tls; /* NULL: plain */
    struct sl_outbox out;       /* TLS: what the kernel has not taken yet */
    struct sl_err why;          /* what TLS said when a call failed with EPROTO */
};

/* Without a socket: every call fails with EBADF. May be moved by assignment. */
#define SL_WIRE_NONE ((struct sl_wire){.fd = -1})

/* Takes fd (non-blocking). False with errno when the loop cannot watch it; fd is closed then. */
bool sl_wire_open(struct sl_wire *wire, int fd);

/* Closes at once. With TLS it tries once to say good-bye, unless bytes wait: they are dropped. */
void sl_wire_close(struct sl_wire *wire);

/* Puts TLS on the wire and says hello to host; tls outlives it. SL_CONFIG when that cannot be. */
int sl_wire_start_tls(struct sl_wire *wire, struct sl_tls *tls, const char *host,
                      struct sl_err *err);

/* Goes on with the handshake. SL_OK: see *ret_done; else as sl_tls_handshake. */
int sl_wire_handshake(struct sl_wire *wire, bool *ret_done, struct sl_err *err);

/* Bytes taken of at most SL_WIRE_PARTS parts, or -1 with errno. With TLS some of them may wait in
 * `out`: sl_wire_flush. */
ssize_t sl_wire_send(struct sl_wire *wire, const struct iovec *parts, size_t count);

/* 0 when the kernel has taken everything, else -1 with errno. */
int sl_wire_flush(struct sl_wire *wire);

/* Bytes read, 0 at the end, or -1 with errno. */
ssize_t sl_wire_receive(struct sl_wire *wire, void *out, size_t size);

/* The uv_poll events to wait for when the driver waits for these of poll(2). */
int sl_wire_events(const struct sl_wire *wire, int poll_events);

/* What poll(2) would say now of the driver's bytes; POLLERR without a socket. */
short sl_wire_ready(struct sl_wire *wire, int poll_events);

/* Did the peer close, or the connection break? For a connection on which nothing is awaited. */
bool sl_wire_ended(struct sl_wire *wire);

#endif
