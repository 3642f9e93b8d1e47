/* HTTP server on the loop: libmicrohttpd without a thread, its epoll descriptor watched by libuv.
 *
 * Handlers run on the loop and must not suspend. An answer is a struct that the handler fills, not
 * a call into the library, so that a route which must wait can later be run on a fiber of its own
 * (MHD_suspend_connection before, MHD_resume_connection after) without a change to any handler. */
#ifndef SL_HTTP_SERVER_H
#define SL_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* A request that has come in whole. Everything in it lives until the handler returns. */
struct sl_http_call {
    const char *method;
    const char *path;   /* without the query, percent-decoded */
    struct sl_str body; /* at most the route's max_body_bytes */
    void *connection;   /* private */
};

/* A header or a query argument by name, or NULL. Header names know no case. */
const char *sl_http_call_header(const struct sl_http_call *call, const char *name);
const char *sl_http_call_query(const struct sl_http_call *call, const char *name);

/* The answer; the handler fills it. */
struct sl_http_reply {
    int status;               /* 200 unless changed */
    const char *content_type; /* lives for ever; "application/json" unless changed */
    struct sl_buf body;       /* the server frees it */
};

struct sl_http_route {
    const char *method; /* a GET route answers HEAD too */
    const char *path;   /* compared whole */
    void (*handler)(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply);
    void *ctx;
    size_t max_body_bytes; /* a longer body gets 413; 0: no body expected (1 KiB is let pass) */
};

struct sl_http_server_options {
    const char *listen;                 /* "host:port", see http/listen.h */
    const struct sl_http_route *routes; /* live as long as the server */
    size_t route_count;
    unsigned max_connections; /* 0: 64 */
    unsigned timeout_s;       /* of an idle or slow connection; 0: 15 */
};

struct sl_http_server;

/* Starts to listen. Does not suspend. Borrows options, but routes must outlive the server. Returns
 * NULL and SL_CONFIG, naming the address, when it is taken. */
struct sl_http_server *sl_http_server_start(const struct sl_http_server_options *options,
                                            struct sl_err *err);

/* The port it listens on. */
uint16_t sl_http_server_port(const struct sl_http_server *server);

/* Closes every connection. The loop must turn once more to let go of the handles. NULL is fine. */
void sl_http_server_stop(struct sl_http_server *server);

#endif
