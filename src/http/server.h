/* HTTP server on the loop: libmicrohttpd without a thread, its epoll descriptor watched by libuv.
 * Several servers may run side by side.
 *
 * A handler runs on the loop and must not suspend, unless its route says fiber: then each request
 * gets a fiber, and others are served while it waits. What a stranger can cost is bounded: in
 * connections, requests a second, bytes of bodies, and time for each request. */
#ifndef SL_HTTP_SERVER_H
#define SL_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* A request. Everything in it lives until the handler returns, on a fiber too. */
struct sl_http_call {
    const char *method;
    const char *path;         /* without the query, percent-decoded */
    const char *rest;         /* of a prefix route: the path behind the prefix; else "" */
    const char *content_type; /* lower case, without parameters; "" when there is none */
    const char *remote;       /* the peer's address as text: "192.0.2.7", "2001:db8::1" */
    struct sl_str body;       /* at most the route's max_body_bytes; empty in authorize */
    uint64_t arrived_ms;      /* loop clock, when the headers were in */
    void *connection;         /* private */
};

/* A header or a query argument by name, or NULL; lives as long as the call. Header names know no
 * case. */
const char *sl_http_call_header(const struct sl_http_call *call, const char *name);
const char *sl_http_call_query(const struct sl_http_call *call, const char *name);

/* The answer; the handler fills it. */
struct sl_http_reply {
    int status;               /* 200 unless changed */
    const char *content_type; /* lives for ever; "application/json" unless changed */
    struct sl_buf body;       /* the server frees it */
    unsigned retry_after_s;   /* as the header Retry-After; 0: none */
};

struct sl_http_route {
    const char *method; /* a GET route answers HEAD too */
    const char *path;   /* compared whole, or, with prefix, as the beginning: "/ingest/" */
    bool prefix;
    /* handler runs on a fiber of its own. It goes on when the client hangs up meanwhile, and its
     * answer is dropped; it is cancelled when the server stops and the time for that is over. */
    bool fiber;
    /* Asked when the headers are in, before any of the body: 0 to go on, or a status (401, 403, …)
     * that is answered at once, after which the connection is closed. Must not suspend. May be
     * NULL. */
    int (*authorize)(void *ctx, const struct sl_http_call *call);
    void (*handler)(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply);
    void *ctx;
    size_t max_body_bytes; /* a longer body gets 413; 0: no body expected (1 KiB is let pass) */
    unsigned rate_status;  /* what is told to those above max_rate; 0: 429 */
};

struct sl_http_server_options {
    const char *name;                   /* label "listener" of its metrics; NULL: listen */
    const char *listen;                 /* "host:port", see http/listen.h */
    const struct sl_http_route *routes; /* live as long as the server; the first that fits counts */
    size_t route_count;
    const char *certificate, *key; /* PEM files; NULL: plain HTTP */

    /* Limits; 0 stands for what is said behind each. */
    unsigned max_connections;    /* 64; more wait to be accepted */
    unsigned max_per_address;    /* none; more are hung up on */
    unsigned max_rate;           /* none; requests a second, more get 429 */
    size_t max_pending_bytes;    /* 64 MiB; of all bodies that are here, more get 503 */
    unsigned request_timeout_ms; /* 15 s; for a request to come in whole, handshake included, and
                                  * for its answer to be taken */
    unsigned idle_timeout_ms;    /* 60 s; until the next request on the same connection; while all
                                  * connections are taken, a second at most */
};

struct sl_http_server;

/* Starts to listen. Reads the certificate and the key, later too, when the files change: a pair
 * that cannot be used is then logged, and the old one stays. Does not suspend. Borrows options, but
 * routes must outlive the server. Returns NULL and SL_CONFIG, naming the address that is taken or
 * the file that cannot be used. */
struct sl_http_server *sl_http_server_start(const struct sl_http_server_options *options,
                                            struct sl_err *err);

/* Whether a server could show that pair. Reads the files; SL_CONFIG names the one that cannot be
 * used, or both when they do not belong together. */
int sl_http_server_check_tls(const char *certificate, const char *key, struct sl_err *err);

/* The port it listens on. */
uint16_t sl_http_server_port(const struct sl_http_server *server);

/* To be called before stop: who connects from then on waits for the server that listens on the same
 * address next (sl_listen_keep). */
void sl_http_server_hand_over(struct sl_http_server *server);

/* Stops to listen, gives the requests that have begun, or that come on a connection which had one a
 * moment ago, a second to come in, lets those that are being handled finish, both until deadline_ms
 * (loop clock), then cancels their fibers, and returns when none is left and every connection is
 * closed: by an answer that says so, or when nothing has come for a second. Suspends for that; a
 * cancelled caller does not wait until the deadline. A server without fiber routes may also be
 * stopped from the loop itself, at once. The loop must turn once more to let go of the handles.
 * NULL is fine. */
void sl_http_server_stop(struct sl_http_server *server, uint64_t deadline_ms);

#endif
