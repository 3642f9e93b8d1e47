#include "dmf/blob.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/url.h"
#include "loop/fiber.h"

enum {
    READ_BYTES = 64 * 1024,
    PAUSE_MIN_MS = 500,
    PAUSE_MAX_MS = 15 * 1000,
    FAILURES_MAX = 8, /* in a row, without a byte between them */
};

struct sl_blob {
    struct sl_http *http;
    uint64_t stall_ms;
    sl_blob_url_fn get_url;
    sl_blob_trouble_fn trouble;
    void *ctx;
    char *url; /* NULL: ask for one */
    char etag[128];
    int64_t size;
    bool ranges;
    int64_t offset; /* of the next byte to give */
    struct sl_http_stream *stream;
    unsigned failures;
    char buffer[READ_BYTES];
};

struct sl_blob *sl_blob_new(struct sl_http *http, uint64_t stall_ms, sl_blob_url_fn url,
                            sl_blob_trouble_fn trouble, void *ctx)
{
    struct sl_blob *blob = SL_NEW(struct sl_blob);
    blob->http = http;
    blob->stall_ms = stall_ms;
    blob->get_url = url;
    blob->trouble = trouble;
    blob->ctx = ctx;
    blob->size = -1;
    return blob;
}

static void drop_url(struct sl_blob *blob)
{
    if (blob->url)
        sl_wipe(blob->url, strlen(blob->url));
    free(blob->url);
    blob->url = NULL;
}

static void drop_stream(struct sl_blob *blob)
{
    sl_http_close(blob->stream);
    blob->stream = NULL;
}

void sl_blob_free(struct sl_blob *blob)
{
    if (!blob)
        return;
    drop_stream(blob);
    drop_url(blob);
    free(blob);
}

int64_t sl_blob_size(const struct sl_blob *blob)
{
    return blob->size;
}

bool sl_blob_has_ranges(const struct sl_blob *blob)
{
    return blob->ranges;
}

void sl_blob_seek(struct sl_blob *blob, int64_t offset)
{
    if (offset == blob->offset)
        return;
    drop_stream(blob);
    blob->offset = offset;
}

/* --- one request --- */

static int ensure_url(struct sl_blob *blob, struct sl_err *err)
{
    struct sl_url parsed;
    if (blob->url)
        return SL_OK;
    int rc = blob->get_url(blob->ctx, &blob->url, err);
    if (rc == SL_OK)
        rc = sl_url_require_secure(blob->url, "package URL", &parsed, err);
    if (rc != SL_OK)
        drop_url(blob);
    return rc;
}

/* Not every server looks at If-Match. */
static bool is_another(const struct sl_blob *blob, const struct sl_http_response *head)
{
    return (head->status == 200 || head->status == 206) && blob->etag[0] && head->etag[0] &&
           strcmp(blob->etag, head->etag) != 0;
}

/* <Code>BlobNotFound</Code>: to a signature of before 2017 the store names the error nowhere else.
 */
static void read_error_code(struct sl_blob *blob, char *out, size_t size)
{
    static const char tag[] = "<Code>";
    struct sl_err ended;
    uint64_t deadline_ms = sl_deadline_in(blob->stall_ms);
    size_t length = 0, more;
    while (length < READ_BYTES &&
           sl_http_read(blob->stream, blob->buffer + length, READ_BYTES - length, &more,
                        deadline_ms, &ended) == SL_OK)
        length += more;
    const char *at = memmem(blob->buffer, length, tag, strlen(tag));
    if (!at)
        return;
    at += strlen(tag);
    size_t left = length - (size_t)(at - blob->buffer);
    const char *end = memchr(at, '<', left);
    if (end)
        snprintf(out, size, "%.*s", (int)(end - at), at);
}

/* Whether it is the store that does not have the package; who stands in between cannot know. */
static bool is_gone(struct sl_blob *blob, const struct sl_http_response *head)
{
    static const char *const codes[] = {"BlobNotFound", "ContainerNotFound", "ResourceNotFound"};
    char code[sizeof head->error_code];
    snprintf(code, sizeof code, "%s", head->error_code);
    if (!code[0])
        read_error_code(blob, code, sizeof code);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (!strcmp(code, codes[i]))
            return true;
    return false;
}

/* What the answer's status means for the download. */
static int judge(struct sl_blob *blob, const struct sl_http_response *head, bool ranged,
                 struct sl_err *err)
{
    char safe[SL_URL_SAFE_BYTES];
    sl_url_safe(blob->url, safe);

    if (head->status == 403) {
        /* Expired or refused: a new URL may do. */
        drop_url(blob);
        return sl_err_set(err, SL_CLOSED, "%s: 403 %s: the signed URL expired or was refused", safe,
                          head->error_code);
    }
    if (head->status == 412 || is_another(blob, head))
        return sl_err_set(err, SL_REJECTED, "%s: the package changed during the download", safe);
    if (ranged && head->status == 200 && blob->offset > 0)
        return sl_err_set(err, SL_REJECTED, "%s: cannot resume: the server ignores ranges", safe);
    if (head->status == 206 && head->range_first != blob->offset)
        return sl_err_set(err, SL_CLOSED, "%s: the server answered with another range", safe);
    if (head->status >= 300 && head->status < 400)
        return sl_err_set(err, SL_REJECTED, "%s: redirects elsewhere (%d), which is not followed",
                          safe, head->status);
    if (head->status == 200 || head->status == 206)
        return SL_OK;
    char what[SL_URL_SAFE_BYTES + 32];
    snprintf(what, sizeof what, "cannot download %s", safe);
    int rc = sl_http_check(head, what, err);
    if (rc == SL_NOTFOUND && !is_gone(blob, head))
        return sl_err_set(err, SL_CLOSED,
                          "%s: HTTP status %d, which does not say that the package is gone", what,
                          head->status);
    return rc;
}

static void remember(struct sl_blob *blob, const struct sl_http_response *head)
{
    if (head->etag[0])
        snprintf(blob->etag, sizeof blob->etag, "%s", head->etag);
    if (head->status == 206)
        blob->size = head->range_total;
    else if (head->content_length >= 0)
        blob->size = head->content_length;
}

/* Opens the transfer from offset on, to last (included) or, when last is -1, to the end. */
static int open_range(struct sl_blob *blob, int64_t last, struct sl_err *err)
{
    char range[64], match[160];
    const char *headers[3] = {NULL, NULL, NULL};
    bool ranged = blob->offset > 0 || last >= 0;
    int rc = ensure_url(blob, err);
    if (rc != SL_OK)
        return rc;

    if (last >= 0)
        snprintf(range, sizeof range, "Range: bytes=%" PRId64 "-%" PRId64, blob->offset, last);
    else
        snprintf(range, sizeof range, "Range: bytes=%" PRId64 "-", blob->offset);
    snprintf(match, sizeof match, "If-Match: %s", blob->etag);
    if (ranged) {
        headers[0] = range;
        if (blob->etag[0] && strncmp(blob->etag, "W/", 2) != 0) /* a weak one matches nothing */
            headers[1] = match;
    }

    struct sl_http_request request = {.url = blob->url, .headers = headers};
    struct sl_http_response head = {0};
    rc = sl_http_open(blob->http, &request, &blob->stream, &head, err);
    if (rc != SL_OK)
        return rc;
    rc = judge(blob, &head, ranged, err);
    if (rc == SL_OK)
        remember(blob, &head);
    else
        drop_stream(blob);
    if (rc == SL_OK && ranged)
        blob->ranges = head.status == 206;
    sl_http_response_done(&head);
    return rc;
}

/* --- tries --- */

static void succeeded(struct sl_blob *blob)
{
    if (blob->failures)
        blob->trouble(blob->ctx, "");
    blob->failures = 0;
}

/* After a transient failure: a pause, or the failure itself when there were too many. */
static int pause_or_fail(struct sl_blob *blob, struct sl_err *err)
{
    if (!sl_code_transient(err->code) || ++blob->failures >= FAILURES_MAX)
        return err->code;
    uint64_t pause_ms = sl_backoff_after(blob->failures, PAUSE_MIN_MS, PAUSE_MAX_MS);
    if (err->retry_after_ms)
        pause_ms = err->retry_after_ms;
    if (blob->trouble(blob->ctx, err->message))
        sl_log(SL_WARN, "download broke off, will resume", SL_T("error", err->message),
               SL_N("offset", blob->offset), SL_N("pause_ms", pause_ms));
    if (sl_fiber_sleep(pause_ms) != SL_OK)
        return sl_err_set(err, SL_CANCELED, "cancelled");
    return SL_OK;
}

int sl_blob_probe(struct sl_blob *blob, struct sl_err *err)
{
    for (;;) {
        blob->offset = 0;
        int rc = open_range(blob, 0, err);
        if (rc == SL_OK) {
            succeeded(blob);
            drop_stream(blob);
            return SL_OK;
        }
        /* An empty blob answers every range with 416. */
        if (err->cause == 416) {
            blob->size = 0;
            return SL_OK;
        }
        if (pause_or_fail(blob, err) != SL_OK)
            return err->code;
    }
}

int sl_blob_read(struct sl_blob *blob, const void **ret_bytes, size_t *ret_size, struct sl_err *err)
{
    for (;;) {
        int rc = SL_OK;
        if (blob->size >= 0 && blob->offset >= blob->size && !blob->stream) {
            *ret_size = 0;
            return SL_OK;
        }
        if (!blob->stream)
            rc = open_range(blob, -1, err);
        if (rc == SL_OK)
            rc = sl_http_read(blob->stream, blob->buffer, sizeof blob->buffer, ret_size,
                              sl_deadline_in(blob->stall_ms), err);
        if (rc == SL_OK) {
            succeeded(blob);
            blob->offset += (int64_t)*ret_size;
            *ret_bytes = blob->buffer;
            return SL_OK;
        }
        drop_stream(blob);
        if (rc == SL_END && blob->offset < blob->size)
            rc = sl_err_set(err, SL_CLOSED, "the server ended its answer before the package ends");
        if (rc == SL_END) {
            blob->size = blob->offset;
            *ret_size = 0;
            return SL_OK;
        }
        if (pause_or_fail(blob, err) != SL_OK)
            return err->code;
    }
}
