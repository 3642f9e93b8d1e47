#include "http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { REQUEST_TIMEOUT_MS = 60 * 1000 };

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct sl_transfer *transfer = ctx;
    if (sl_head_line(transfer->head, line, size * count))
        return size * count;
    transfer->refused = SL_CLOSED;
    transfer->reason = "the answer has too many headers";
    return 0;
}

/* No control character but a tab. */
static bool is_clean(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static int add_headers(struct sl_transfer *transfer, const struct sl_http_request *request,
                       struct sl_err *err)
{
    sl_transfer_list(&transfer->headers, "Expect:"); /* no waiting for a 100 before a large body */
    for (const char *const *at = request->headers; at && *at; at++) {
        if (!is_clean(*at))
            return sl_err_set(err, SL_REJECTED, "%s: a request header holds a control character",
                              transfer->safe_url);
        sl_transfer_list(&transfer->headers, *at);
    }
    if (request->bearer) {
        if (!is_clean(request->bearer))
            return sl_err_set(err, SL_REJECTED, "%s: the token holds a control character",
                              transfer->safe_url);
        struct sl_buf line;
        sl_buf_init_secret(&line);
        sl_buf_add_text(&line, "Authorization: Bearer ");
        sl_buf_add_text(&line, request->bearer);
        sl_transfer_list(&transfer->headers, line.data);
        sl_buf_done(&line);
    }
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
    return SL_OK;
}

/* One of those that are sent all the time; each sets the same options. */
static bool is_plain(const struct sl_http_request *request)
{
    bool gets = !request->body.at && (!request->method || !strcmp(request->method, "GET"));
    return gets && request->bearer && !request->once && !request->secret_url;
}

static void set_method(struct sl_transfer *transfer, const struct sl_http_request *request)
{
    const char *method = request->method;
    bool has_body = request->body.at;
    if (!method)
        method = has_body ? "POST" : "GET";

    if (!strcmp(method, "HEAD")) {
        curl_easy_setopt(transfer->easy, CURLOPT_NOBODY, 1L);
    } else if (!strcmp(method, "GET") && !has_body) {
        curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L);
    } else if (has_body || !strcmp(method, "POST")) {
        transfer->body = sl_strndup(has_body ? request->body.at : "", request->body.length);
        transfer->body_length = request->body.length;
        curl_easy_setopt(transfer->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)transfer->body_length);
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->body);
        curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, method);
    } else {
        curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, method);
    }
}

/* The words of an error that came before are taken back, too. */
static int hide_path(struct sl_transfer *transfer, int rc, struct sl_err *err)
{
    const struct sl_url *url = &transfer->url;
    if (rc != SL_OK) {
        snprintf(transfer->safe_url, sizeof transfer->safe_url, "(a secret URL)");
        return sl_err_set(err, (enum sl_code)rc, "the secret URL cannot be used");
    }
    snprintf(transfer->safe_url, sizeof transfer->safe_url, "%s://%.100s:%u", url->scheme,
             url->host, url->port);
    return SL_OK;
}

int sl_request_prepare(struct sl_transfer *transfer, struct sl_http *http,
                       const struct sl_http_request *request, struct sl_head *head,
                       struct sl_err *err)
{
    transfer->plain = is_plain(request);
    transfer->direct = request->direct;
    int rc = sl_transfer_init(transfer, http, request->url, err);
    if (request->secret_url)
        rc = hide_path(transfer, rc, err);
    if (rc != SL_OK)
        return rc;
    if (strncmp(transfer->url.scheme, "http", 4))
        return sl_err_set(err, SL_CONFIG, "%s is not an http or https URL", transfer->safe_url);
    transfer->head = head;
    if (request->once)
        curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
    set_method(transfer, request);
    curl_easy_setopt(transfer->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(transfer->easy, CURLOPT_HEADERDATA, transfer);
    return add_headers(transfer, request, err);
}

int sl_request_outcome(const struct sl_transfer *transfer, struct sl_err *err)
{
    int rc = sl_transfer_outcome(transfer, err);
    if (rc == SL_OK && !transfer->head->complete)
        return sl_err_set(err, SL_CLOSED, "%s closed the connection amid the headers",
                          transfer->safe_url);
    return rc;
}

uint64_t sl_request_deadline(const struct sl_http_request *request)
{
    return sl_deadline_in(request->timeout_ms ? request->timeout_ms : REQUEST_TIMEOUT_MS);
}
