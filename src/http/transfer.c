#include "http/transfer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/ssl.h>

#include "base/mem.h"
#include "base/str.h"
#include "http/trust.h"
#include "loop/dns.h"

enum { RECEIVE_BYTES = 16 * 1024 };

/* Every connection shares the store. */
static CURLcode trust(CURL *easy, void *ssl_ctx, void *ctx)
{
    const struct sl_http *http = ctx;
    (void)easy;
    SSL_CTX_set1_cert_store(ssl_ctx, http->trusted);
    SSL_CTX_set_options(ssl_ctx, SSL_OP_CLEANSE_PLAINTEXT); /* tokens are received, too */
    return CURLE_OK;
}

static void set_tls(CURL *easy, struct sl_http *http)
{
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, trust) == CURLE_OK) {
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, http);
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    } else if (http->ca_file) { /* a libcurl without OpenSSL reads the file itself */
        curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

/* Web requests to other machines; a proxy does not carry mail. */
static bool is_proxied(const struct sl_transfer *transfer)
{
    return transfer->http->proxy && !transfer->direct && !transfer->url.loopback &&
           !strncmp(transfer->url.scheme, "http", 4);
}

/* Where the connection leads. */
static const struct sl_url *next_hop(const struct sl_transfer *transfer)
{
    return is_proxied(transfer) ? &transfer->http->proxy_at : &transfer->url;
}

static bool is_literal(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* libcurl turns to an address that resolve() has not handed over: a literal is one already; for a
 * name it would start a thread. */
static int on_lookup(void *resolver, void *reserved, void *ctx)
{
    struct sl_transfer *transfer = ctx;
    (void)resolver, (void)reserved;
    if (is_literal(next_hop(transfer)->host))
        return 0;
    transfer->refused = SL_CLOSED;
    transfer->reason = "libcurl would look up another name than sluice did; please report this";
    return 1;
}

/* With all that is the same for every transfer. */
static CURL *new_handle(struct sl_http *http)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, on_lookup);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, sl_multi_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, http);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https,smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)http->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, ""); /* NULL: what the environment says */
    /* where the proxy's URL names none; libcurl's own default is 1080 */
    curl_easy_setopt(easy, CURLOPT_PROXYPORT, (long)http->proxy_at.port);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, http->user_agent);
    set_tls(easy, http);
    return easy;
}

/* A handle is costly to make and to free: it keeps some fifty copies of texts, each wiped. */
static CURL *take_handle(const struct sl_transfer *transfer)
{
    struct sl_http *http = transfer->http;
    CURL *easy = transfer->plain ? http->spare_easy : NULL;
    if (!easy)
        return new_handle(http);
    http->spare_easy = NULL;
    return easy;
}

static void give_handle(struct sl_transfer *transfer)
{
    struct sl_http *http = transfer->http;
    CURL *easy = transfer->easy;
    bool well = transfer->plain && transfer->finished && transfer->result == CURLE_OK;
    if (!easy || !well || http->spare_easy) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(easy, CURLOPT_RESOLVE, NULL);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(easy, CURLOPT_URL, NULL);
    http->spare_easy = easy;
}

int sl_transfer_init(struct sl_transfer *transfer, struct sl_http *http, const char *url,
                     struct sl_err *err)
{
    transfer->http = http;
    sl_url_safe(url, transfer->safe_url);
    int rc = sl_url_parse(url, &transfer->url, err);
    if (rc != SL_OK)
        return rc;
    CURL *easy = transfer->easy = take_handle(transfer);
    if (!easy)
        return sl_err_set(err, SL_CLOSED, "cannot start a transfer: no memory");

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail);
    curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, transfer);
    /* "" also keeps libcurl from asking the environment. */
    curl_easy_setopt(easy, CURLOPT_PROXY, is_proxied(transfer) ? http->proxy : "");
    return SL_OK;
}

void sl_transfer_list(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (!longer)
        sl_out_of_memory(strlen(text));
    *list = longer;
}

/* Hands libcurl "host:port:address,address", or nothing for a literal. */
static int resolve(struct sl_transfer *transfer, uint64_t deadline_ms, struct sl_err *err)
{
    const struct sl_url *hop = next_hop(transfer);
    struct sl_addresses addresses;
    if (is_literal(hop->host))
        return SL_OK;

    uint64_t limit_ms = sl_deadline_in(transfer->http->connect_timeout_ms);
    int rc = sl_dns_resolve(hop->host, hop->port, limit_ms < deadline_ms ? limit_ms : deadline_ms,
                            &addresses, err);
    if (rc != SL_OK)
        return sl_err_wrap(err, "cannot reach %s", transfer->safe_url);

    struct sl_buf line;
    sl_buf_init(&line);
    sl_buf_printf(&line, "%s:%u:", hop->host, hop->port);
    for (size_t i = 0; i < addresses.count; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&addresses.item[i].address;
        char text[INET6_ADDRSTRLEN];
        sl_address_text(address, text, sizeof text);
        sl_buf_printf(&line, address->sa_family == AF_INET6 ? "%s[%s]" : "%s%s", i ? "," : "",
                      text);
    }
    sl_transfer_list(&transfer->resolve, line.data);
    sl_buf_done(&line);
    curl_easy_setopt(transfer->easy, CURLOPT_RESOLVE, transfer->resolve);
    return SL_OK;
}

static bool may_use_tls(const struct sl_transfer *transfer)
{
    return strcmp(transfer->url.scheme, "http") != 0 ||
           (is_proxied(transfer) && !strncasecmp(transfer->http->proxy, "https:", 6));
}

/* Has the certificates read that are trusted; one transfer does it for all. */
static int get_trusted(struct sl_http *http, uint64_t deadline_ms, struct sl_err *err)
{
    if (http->trusted)
        return SL_OK;
    int rc = sl_mutex_lock(&http->reads_trusted, deadline_ms, NULL);
    if (rc != SL_OK)
        return sl_err_set(err, (enum sl_code)rc, "stopped waiting for certificates to be read");
    if (!http->trusted)
        rc = sl_trust_load(NULL, &http->trusted, err);
    sl_mutex_unlock(&http->reads_trusted);
    return rc;
}

int sl_transfer_start(struct sl_transfer *transfer, uint64_t deadline_ms, struct sl_err *err)
{
    int rc = SL_OK;
    if (may_use_tls(transfer))
        rc = get_trusted(transfer->http, deadline_ms, err);
    if (rc == SL_OK)
        rc = resolve(transfer, deadline_ms, err);
    if (rc != SL_OK)
        return rc;
    CURLMcode code = curl_multi_add_handle(transfer->http->multi, transfer->easy);
    if (code != CURLM_OK)
        return sl_err_set(err, SL_CLOSED, "cannot reach %s: %s", transfer->safe_url,
                          curl_multi_strerror(code));
    transfer->started = true;
    return SL_OK;
}

int sl_transfer_wait(struct sl_transfer *transfer, const bool *condition, uint64_t deadline_ms,
                     struct sl_err *err)
{
    while (!transfer->finished && !(condition && *condition)) {
        int rc = sl_wait(&transfer->waiting, deadline_ms);
        if (rc == SL_TIMEOUT)
            return sl_err_set(err, SL_TIMEOUT, "%s did not answer in time", transfer->safe_url);
        if (rc != SL_OK)
            return sl_err_set(err, (enum sl_code)rc, "%s: stopped waiting", transfer->safe_url);
    }
    return SL_OK;
}

static enum sl_code code_of(CURLcode result)
{
    switch (result) {
    case CURLE_OK:
        return SL_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return SL_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
    case CURLE_LOGIN_DENIED:
    case CURLE_AUTH_ERROR:
    case CURLE_URL_MALFORMAT:
        return SL_CONFIG;
    default:
        return SL_CLOSED;
    }
}

int sl_transfer_outcome(const struct sl_transfer *transfer, struct sl_err *err)
{
    if (transfer->refused != SL_OK)
        return sl_err_set(err, transfer->refused, "%s: %s", transfer->safe_url, transfer->reason);
    enum sl_code code = code_of(transfer->result);
    if (code == SL_OK)
        return SL_OK;
    sl_err_set(err, code, "cannot reach %s: %s", transfer->safe_url,
               *transfer->detail ? transfer->detail : curl_easy_strerror(transfer->result));
    if (err)
        err->cause = (int)transfer->result;
    return code;
}

static void stop(struct sl_transfer *transfer)
{
    if (transfer->started)
        curl_multi_remove_handle(transfer->http->multi, transfer->easy);
    transfer->started = false;
}

void sl_transfer_finish(struct sl_transfer *transfer, CURLcode result)
{
    stop(transfer);
    transfer->finished = true;
    transfer->result = result;
    sl_wake_all(&transfer->waiting);
}

static void free_list(struct curl_slist *list)
{
    for (struct curl_slist *at = list; at; at = at->next)
        sl_wipe(at->data, strlen(at->data)); /* one of them is the token */
    curl_slist_free_all(list);
}

void sl_transfer_done(struct sl_transfer *transfer)
{
    stop(transfer);
    give_handle(transfer);
    free_list(transfer->headers);
    free_list(transfer->resolve);
    free_list(transfer->recipients);
    if (transfer->body)
        sl_wipe(transfer->body, transfer->body_length);
    free(transfer->body);
    memset(transfer, 0, sizeof *transfer);
}
