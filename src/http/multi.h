/* libcurl's multi interface on the loop. Private to http/. */
#ifndef SL_HTTP_MULTI_H
#define SL_HTTP_MULTI_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <curl/curl.h>

#include "base/err.h"
#include "http/url.h"
#include "loop/fiber.h"

struct x509_store_st;
struct sl_transfer;
struct sl_multi_watch;

struct sl_http {
    CURLM *multi;
    uv_timer_t *timer;              /* libcurl's own timeouts */
    struct sl_multi_watch *watches; /* of its open sockets */
    struct x509_store_st *trusted;  /* for every connection; NULL: not needed so far */
    struct sl_mutex reads_trusted;
    void *spare;            /* memory of a stream that was closed; NULL: none */
    CURL *spare_easy;       /* a handle that may be used again; NULL: none */
    char *ca_file, *proxy;  /* or NULL */
    struct sl_url proxy_at; /* when there is one */
    char user_agent[64];
    uint64_t connect_timeout_ms;
};

/* Makes multi and timer of a zeroed http; frees them. */
int sl_multi_init(struct sl_http *http, struct sl_err *err);
void sl_multi_done(struct sl_http *http);

/* Does not look at the socket of the transfer, which is paused, or does again. */
void sl_multi_hold(struct sl_http *http, const CURL *easy, bool held);

/* For CURLOPT_CLOSESOCKETFUNCTION of every transfer; ctx is the http. */
int sl_multi_close_socket(void *ctx, curl_socket_t socket);

#endif
