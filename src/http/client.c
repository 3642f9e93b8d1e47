#include "http/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509_vfy.h>

#include "base/mem.h"
#include "http/request.h"
#include "http/trust.h"

enum { CONNECT_TIMEOUT_MS = 10 * 1000, BODY_BYTES_MAX = 16 * 1024 * 1024 };

static const char *const proxy_schemes[] = {"http", "https", NULL};

const struct sl_setting sl_http_table[] = {
    {.name = "ca_file",
     .kind = SL_SET_TEXT,
     .offset = offsetof(struct sl_http_options, ca_file),
     .help = "PEM file with the certificate authorities to trust instead of the system's"},
    {.name = "proxy",
     .kind = SL_SET_URL,
     .offset = offsetof(struct sl_http_options, proxy),
     .choices = proxy_schemes,
     .help = "HTTP proxy for all but loopback hosts; without a port that of its scheme, 80 or 443. "
             "The environment (HTTPS_PROXY, NO_PROXY) is not asked"},
    {.name = "connect_timeout",
     .kind = SL_SET_DURATION,
     .offset = offsetof(struct sl_http_options, connect_timeout_ms),
     .fallback = "10s",
     .help = "how long finding and reaching a host, TLS included, may take",
     .minimum = 100,
     .maximum = 5 * SL_MINUTE_MS},
    {0                                                                     },
};

struct sl_http *sl_http_new(const struct sl_http_options *options, struct sl_err *err)
{
    struct sl_http *http = SL_NEW(struct sl_http);
    bool proxied = options->proxy && *options->proxy;
    int rc = proxied ? sl_url_parse(options->proxy, &http->proxy_at, err) : SL_OK;
    if (rc != SL_OK)
        sl_err_wrap(err, "http.proxy");
    else if (options->ca_file)
        rc = sl_trust_load(options->ca_file, &http->trusted, err);
    if (rc != SL_OK || sl_multi_init(http, err) != SL_OK) {
        X509_STORE_free(http->trusted);
        free(http);
        return NULL;
    }
    http->ca_file = options->ca_file ? sl_strdup(options->ca_file) : NULL;
    http->proxy = proxied ? sl_strdup(options->proxy) : NULL;
    http->connect_timeout_ms =
        options->connect_timeout_ms ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    snprintf(http->user_agent, sizeof http->user_agent, "sluice%s%s", options->version ? "/" : "",
             options->version ? options->version : "");
    return http;
}

void sl_http_free(struct sl_http *http)
{
    if (!http)
        return;
    sl_multi_done(http);
    X509_STORE_free(http->trusted);
    if (http->proxy)
        sl_wipe(http->proxy, strlen(http->proxy)); /* may hold a password */
    free(http->proxy);
    free(http->ca_file);
    free(http->spare);
    free(http);
}

void sl_http_response_done(struct sl_http_response *response)
{
    free(response->body);
    free(response->location);
    memset(response, 0, sizeof *response);
}

/* A whole answer that is being received. */
struct answer {
    struct sl_transfer transfer;
    struct sl_head head;
    struct sl_buf body;
    size_t max_body_bytes;
};

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct answer *answer = ctx;
    size_t length = size * count;
    if (length > answer->max_body_bytes - answer->body.length) {
        answer->transfer.refused = SL_REJECTED;
        answer->transfer.reason = "the answer is longer than allowed";
        return 0;
    }
    sl_buf_add(&answer->body, bytes, length);
    return length;
}

static int receive(struct answer *answer, struct sl_http *http,
                   const struct sl_http_request *request, struct sl_err *err)
{
    uint64_t deadline_ms = sl_request_deadline(request);
    int rc = sl_request_prepare(&answer->transfer, http, request, &answer->head, err);
    if (rc != SL_OK)
        return rc;
    curl_easy_setopt(answer->transfer.easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(answer->transfer.easy, CURLOPT_WRITEDATA, answer);

    rc = sl_transfer_start(&answer->transfer, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_transfer_wait(&answer->transfer, NULL, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_request_outcome(&answer->transfer, err);
    return rc;
}

int sl_http_request(struct sl_http *http, const struct sl_http_request *request,
                    struct sl_http_response *ret, struct sl_err *err)
{
    struct answer *answer = SL_NEW(struct answer);
    answer->max_body_bytes = request->max_body_bytes ? request->max_body_bytes : BODY_BYTES_MAX;
    sl_head_init(&answer->head);
    if (request->secret_answer)
        sl_buf_init_secret(&answer->body);
    else
        sl_buf_init(&answer->body);

    int rc = receive(answer, http, request, err);
    sl_transfer_done(&answer->transfer);
    if (rc == SL_OK) {
        answer->head.response.length = answer->body.length;
        answer->head.response.body = sl_buf_take(&answer->body);
        *ret = answer->head.response;
    } else {
        sl_http_response_done(&answer->head.response);
        sl_buf_done(&answer->body);
    }
    free(answer);
    return rc;
}

int sl_http_check(const struct sl_http_response *response, const char *what, struct sl_err *err)
{
    int status = response->status;
    enum sl_code code = SL_REJECTED;
    if (status >= 200 && status < 300)
        return SL_OK;
    if (status == 429 || (status == 503 && response->retry_after_ms))
        code = SL_THROTTLED;
    else if (status == 408 || status >= 500)
        code = SL_CLOSED;
    else if (status == 404 || status == 410)
        code = SL_NOTFOUND;

    sl_err_set(err, code, "%s: HTTP status %d%s%s", what, status, *response->error_code ? " " : "",
               response->error_code);
    if (err) {
        err->cause = status;
        err->retry_after_ms = response->retry_after_ms;
    }
    return code;
}
