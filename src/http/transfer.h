/* One transfer of libcurl's, from its set-up to its end: what HTTP requests, streams and mails
 * share. Private to http/. */
#ifndef SL_HTTP_TRANSFER_H
#define SL_HTTP_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/err.h"
#include "http/multi.h"
#include "http/url.h"
#include "loop/fiber.h"

struct sl_head;

struct sl_transfer {
    struct sl_http *http;
    struct sl_head *head; /* where the headers of an HTTP answer go */
    CURL *easy;
    struct sl_url url;
    char safe_url[SL_URL_SAFE_BYTES]; /* for messages */
    struct curl_slist *headers, *resolve, *recipients;
    char *body; /* own copy, wiped at the end */
    size_t body_length;

    bool plain;    /* its handle may serve another plain one, which sets the same options */
    bool direct;   /* no proxy */
    bool started;  /* libcurl works on it */
    bool finished; /* result says how */
    CURLcode result;
    char detail[CURL_ERROR_SIZE];
    enum sl_code refused; /* not SL_OK: we broke it off ourselves, and ... */
    const char *reason;   /* ... why */
    struct sl_waitlist waiting;
};

/* Prepares a transfer, zeroed but for plain and direct, for url in the caller's storage, which must
 * not move until sl_transfer_done. Fails with SL_CONFIG for a URL that cannot be used; then too
 * sl_transfer_done is due. */
int sl_transfer_init(struct sl_transfer *transfer, struct sl_http *http, const char *url,
                     struct sl_err *err);

/* Resolves the host and starts. Suspends, for the name. Fails like sl_dns_resolve. */
int sl_transfer_start(struct sl_transfer *transfer, uint64_t deadline_ms, struct sl_err *err);

/* Suspends until *condition (NULL: never) or the end of the transfer, however it ended.
 * Fails with SL_TIMEOUT or SL_CANCELED; the transfer then still runs. */
int sl_transfer_wait(struct sl_transfer *transfer, const bool *condition, uint64_t deadline_ms,
                     struct sl_err *err);

/* How a finished transfer ended: SL_OK, or the failure with its message. */
int sl_transfer_outcome(const struct sl_transfer *transfer, struct sl_err *err);

/* Breaks it off if it still runs, and frees what it holds. */
void sl_transfer_done(struct sl_transfer *transfer);

/* Called by http/multi.c: libcurl is through with it. */
void sl_transfer_finish(struct sl_transfer *transfer, CURLcode result);

/* Appends a copy of text to *list. */
void sl_transfer_list(struct curl_slist **list, const char *text);

#endif
