/* The answer as a stream. The transfer fills a ring of fixed size; when the next piece does not
 * fit, libcurl is told to pause, the socket is not watched, and the kernel's window closes: that is
 * the backpressure. Reading the ring half empty lets it go on. */
#include "http/client.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/request.h"

struct sl_http_stream {
    struct sl_transfer transfer;
    struct sl_head head;
    bool paused;
    size_t first, length; /* of the bytes in the ring */
    char ring[SL_HTTP_STREAM_BYTES];
};

static void ring_put(struct sl_http_stream *stream, const char *bytes, size_t length)
{
    size_t end = (stream->first + stream->length) % SL_HTTP_STREAM_BYTES;
    size_t straight = SL_HTTP_STREAM_BYTES - end;
    if (straight > length)
        straight = length;
    memcpy(stream->ring + end, bytes, straight);
    memcpy(stream->ring, bytes + straight, length - straight);
    stream->length += length;
}

static size_t ring_get(struct sl_http_stream *stream, char *out, size_t size)
{
    size_t length = stream->length < size ? stream->length : size;
    size_t straight = SL_HTTP_STREAM_BYTES - stream->first;
    if (straight > length)
        straight = length;
    memcpy(out, stream->ring + stream->first, straight);
    memcpy(out + straight, stream->ring, length - straight);
    stream->first = (stream->first + length) % SL_HTTP_STREAM_BYTES;
    stream->length -= length;
    return length;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct sl_http_stream *stream = ctx;
    size_t length = size * count;
    if (length > SL_HTTP_STREAM_BYTES - stream->length) {
        stream->paused = true;
        sl_multi_hold(stream->transfer.http, stream->transfer.easy, true);
        return CURL_WRITEFUNC_PAUSE; /* libcurl keeps this piece and brings it again */
    }
    ring_put(stream, bytes, length);
    sl_wake_all(&stream->transfer.waiting);
    return length;
}

static int begin(struct sl_http_stream *stream, struct sl_http *http,
                 const struct sl_http_request *request, struct sl_err *err)
{
    uint64_t deadline_ms = sl_request_deadline(request);
    struct sl_transfer *transfer = &stream->transfer;
    int rc = sl_request_prepare(transfer, http, request, &stream->head, err);
    if (rc != SL_OK)
        return rc;
    curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, stream);

    rc = sl_transfer_start(transfer, deadline_ms, err);
    if (rc == SL_OK)
        rc = sl_transfer_wait(transfer, &stream->head.complete, deadline_ms, err);
    if (rc == SL_OK && !stream->head.complete)
        rc = sl_request_outcome(transfer, err);
    return rc;
}

int sl_http_open(struct sl_http *http, const struct sl_http_request *request,
                 struct sl_http_stream **ret, struct sl_http_response *ret_head, struct sl_err *err)
{
    struct sl_http_stream *stream = http->spare ? http->spare : sl_alloc(sizeof *stream);
    http->spare = NULL;
    memset(stream, 0, offsetof(struct sl_http_stream, ring)); /* the ring is large */
    sl_head_init(&stream->head);
    int rc = begin(stream, http, request, err);
    if (rc != SL_OK) {
        sl_http_close(stream);
        return rc;
    }
    *ret_head = stream->head.response;
    memset(&stream->head.response, 0, sizeof stream->head.response);
    *ret = stream;
    return SL_OK;
}

/* Lets a paused transfer go on. libcurl may bring the piece it kept during the call. */
static void unpause(struct sl_http_stream *stream)
{
    stream->paused = false;
    CURLcode result = curl_easy_pause(stream->transfer.easy, CURLPAUSE_CONT);
    if (result != CURLE_OK && !stream->transfer.finished)
        sl_transfer_finish(&stream->transfer, result);
    if (!stream->paused && !stream->transfer.finished)
        sl_multi_hold(stream->transfer.http, stream->transfer.easy, false);
}

int sl_http_read(struct sl_http_stream *stream, void *buf, size_t size, size_t *ret_size,
                 uint64_t deadline_ms, struct sl_err *err)
{
    struct sl_transfer *transfer = &stream->transfer;
    while (!stream->length && !transfer->finished) {
        int rc = sl_wait(&transfer->waiting, deadline_ms);
        if (rc == SL_TIMEOUT)
            return sl_err_set(err, SL_TIMEOUT, "%s sent nothing in time", transfer->safe_url);
        if (rc != SL_OK)
            return sl_err_set(err, (enum sl_code)rc, "%s: stopped reading", transfer->safe_url);
    }
    if (sl_fiber_cancelled())
        return sl_err_set(err, SL_CANCELED, "%s: stopped reading", transfer->safe_url);

    if (!stream->length) {
        int rc = sl_request_outcome(transfer, err);
        return rc == SL_OK ? sl_err_set(err, SL_END, "%s: end of the answer", transfer->safe_url)
                           : rc;
    }
    *ret_size = ring_get(stream, buf, size);
    if (stream->paused && stream->length <= SL_HTTP_STREAM_BYTES / 2)
        unpause(stream);
    return SL_OK;
}

void sl_http_close(struct sl_http_stream *stream)
{
    if (!stream)
        return;
    struct sl_http *http = stream->transfer.http;
    sl_transfer_done(&stream->transfer);
    sl_http_response_done(&stream->head.response);
    if (!http || http->spare)
        free(stream);
    else
        http->spare = stream; /* the allocator is slow with so large a piece */
}
