/* HTTP/1.1 client on the loop: libcurl's multi interface, driven by libuv, waited for by fibers.
 *
 * Names are resolved by loop/dns.h, so no thread is ever started. The peer's certificate and name
 * are always verified. Redirects are not followed: the caller sees status and location and decides,
 * since a token must not travel to another host. No message holds a query string, a token or a
 * body. */
#ifndef SL_HTTP_CLIENT_H
#define SL_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/setting.h"
#include "base/str.h"

/* The section "http" of the configuration. */
struct sl_http_options {
    char *ca_file; /* PEM bundle trusted instead of the system's; NULL: the system's */
    char *proxy;   /* URL; NULL: none (the environment is not asked) */
    uint64_t connect_timeout_ms; /* name, TCP and TLS together; 0: 10 s */
    const char *version; /* for User-Agent: sluice/VERSION; NULL: no version. Not a setting */
};
extern const struct sl_setting sl_http_table[];

struct sl_http;

/* Reads the CA file; the system's certificates are read when a connection first needs them. Borrows
 * options. Returns NULL and SL_CONFIG when the CA file cannot be read, or the proxy's URL not. */
struct sl_http *sl_http_new(const struct sl_http_options *options, struct sl_err *err);

/* Every stream must be closed and every request ended before. The loop must turn once more to let
 * go of the handles. NULL is fine. */
void sl_http_free(struct sl_http *http);

struct sl_http_request {
    const char *method;         /* NULL: GET, or POST when there is a body */
    const char *url;            /* http or https */
    const char *const *headers; /* "Name: value", ended by NULL; may be NULL */
    struct sl_str body;         /* at == NULL: none */
    uint64_t timeout_ms;   /* sl_http_request: for all of it; sl_http_open: until the headers are
                            * in; 0: 60 s */
    size_t max_body_bytes; /* sl_http_request: a longer answer is refused; 0: 16 MiB */
    bool once; /* never sent twice: on a connection of its own, because libcurl sends a request that
                * dies on a reused one again */
    bool secret_url;    /* the path of url is a key: messages name scheme, host and port alone */
    bool direct;        /* never by way of a proxy: it is this machine's own affair */
    const char *bearer; /* secret; sent as Authorization: Bearer; NULL: none */
    bool secret_answer; /* sl_http_request: of the body no copy stays behind but response.body,
                         * which the caller wipes */
};

struct sl_http_response {
    int status;
    char *body;              /* ended by a NUL that length does not count; NULL from sl_http_open */
    size_t length;           /* of body */
    int64_t content_length;  /* as the header says; -1: not said */
    int64_t range_first;     /* Content-Range of a 206: first byte, and ... */
    int64_t range_total;     /* ... size of the whole; -1 each: not said */
    uint32_t retry_after_ms; /* 0: not said; 15 minutes at most */
    int64_t date_ms;         /* the peer's clock, wall milliseconds; 0: not said */
    char *location;          /* NULL: none */
    char etag[128];          /* with its quotes, as If-Match wants it; "" none (or too long) */
    char content_type[64];   /* lower case, without parameters; "" none */
    char error_code[64];     /* x-ms-error-code, as Azure storage sends it; "" none */
};

/* Frees what a response holds. A zeroed one is fine. */
void sl_http_response_done(struct sl_http_response *response);

/* Sends a request and reads the whole answer. Suspends. Borrows request (strings are copied before
 * the first suspension, so a token from sl_oauth_token may be passed on). SL_OK for ANY status
 * received; the caller then owes sl_http_response_done. ret is untouched on failure. Fails with
 * SL_CLOSED (refused, broken off, no such host), SL_TIMEOUT, SL_CONFIG (certificate or name of the
 * peer not trusted, URL unusable), SL_REJECTED (answer above max_body_bytes), SL_CANCELED. */
int sl_http_request(struct sl_http *http, const struct sl_http_request *request,
                    struct sl_http_response *ret, struct sl_err *err);

/* SL_OK for status 200-299; else the error that the status stands for, with err->cause the status
 * and err->retry_after_ms: 408, 5xx SL_CLOSED; 429 and 503 with a Retry-After SL_THROTTLED; 404,
 * 410 SL_NOTFOUND; the rest SL_REJECTED. what starts the message: "cannot poll". */
int sl_http_check(const struct sl_http_response *response, const char *what, struct sl_err *err);

/* An answer that is read piece by piece, while it comes. At most about 128 KiB of it are in memory:
 * when nobody reads, the socket stands still, and the peer with it. */
struct sl_http_stream;

enum { SL_HTTP_STREAM_BYTES = 128 * 1024 };

/* Sends a request and waits for the headers of the answer. Suspends. Borrows request. SL_OK for any
 * status; gives the stream (sl_http_close) and the head (sl_http_response_done; its body is NULL).
 * Fails like sl_http_request. */
int sl_http_open(struct sl_http *http, const struct sl_http_request *request,
                 struct sl_http_stream **ret, struct sl_http_response *ret_head,
                 struct sl_err *err);

/* Reads at least one and at most size bytes of the body. Suspends until there are any, at most
 * until deadline_ms (loop clock). Fails with SL_END (the whole body was read), SL_CLOSED (broken
 * off before its Content-Length or last chunk), SL_TIMEOUT (nothing came in time; the stream stays
 * usable), SL_CANCELED. */
int sl_http_read(struct sl_http_stream *stream, void *buf, size_t size, size_t *ret_size,
                 uint64_t deadline_ms, struct sl_err *err);

/* Ends the stream; a transfer that is not at its end is broken off at once. NULL is fine. */
void sl_http_close(struct sl_http_stream *stream);

#endif
