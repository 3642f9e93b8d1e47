/* Puts an HTTP request into a transfer: what client.c and stream.c share. Private to http/. */
#ifndef SL_HTTP_REQUEST_H
#define SL_HTTP_REQUEST_H

#include "http/client.h"
#include "http/head.h"
#include "http/transfer.h"

/* Prepares a zeroed transfer; the headers of the answer go into head. Copies all of request, so
 * that nothing of it is needed afterwards. Does not suspend. Fails with SL_CONFIG for a URL that is
 * none and with SL_REJECTED for a header that would break the request; sl_transfer_done is due in
 * any case. */
int sl_request_prepare(struct sl_transfer *transfer, struct sl_http *http,
                       const struct sl_http_request *request, struct sl_head *head,
                       struct sl_err *err);

/* How a finished request ended: SL_OK, or the failure with its message. A connection that closes
 * amid the headers is one, though libcurl does not think so. */
int sl_request_outcome(const struct sl_transfer *transfer, struct sl_err *err);

/* When a request made now must have its answer. */
uint64_t sl_request_deadline(const struct sl_http_request *request);

#endif
