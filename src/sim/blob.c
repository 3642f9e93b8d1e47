/* The blob store. A package is sent by the kernel (sendfile) unless a switch wants it slow or
 * broken: then a reader of our own feeds it. */
#include "sim/blob.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/clock.h"
#include "sim/random.h"

#define READER_BLOCK_BYTES ((size_t)64 << 10)
#define SIGNATURE_BYTES 44 /* base64 of 32 bytes */

/* What a download is about, read with the lock held. */
struct download_plan {
    char execution[128];
    char etag[32];
    char redirect[256];
    int fd; /* -1: no such blob */
    uint64_t size;
    int64_t modified_ms;
    bool busy;
    bool lost; /* a 404 comes from elsewhere */
    bool no_ranges;
    uint64_t cut_at; /* body bytes; UINT64_MAX: whole */
    uint64_t bytes_per_s;
};

struct range {
    bool given;
    bool outside;
    uint64_t first;
    uint64_t length;
};

static void sign(const struct sim *sim, const char *blob, const char *end, char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t state = sim_fnv(sim->secret, blob, strlen(blob) + 1);
    state = sim_mix(sim_fnv(state, end, strlen(end) + 1));
    for (int i = 0; i < SIGNATURE_BYTES - 1; i++)
        out[i] = letters[sim_random(&state) >> 58];
    out[SIGNATURE_BYTES - 1] = '=';
    out[SIGNATURE_BYTES] = '\0';
}

/* Percent-encodes what base64 has and a query must not. */
static void encode(const char *text, char *out)
{
    for (; *text; text++) {
        if (*text == '+' || *text == '/' || *text == '=' || *text == ':')
            out += sprintf(out, "%%%02X", (unsigned)*text);
        else
            *out++ = *text;
    }
    *out = '\0';
}

void sim_blob_url(struct sim *sim, struct sim_switch_view view,
                  const struct sim_execution *execution, const char *authority, char *out,
                  size_t size)
{
    int64_t now_ms = sim_clock_ms();
    int64_t life_ms = sim_switch_number(view, SW_SAS_SECONDS) * 1000;
    if (sim_switch_take(view, SW_SAS_EXPIRED_NEXT))
        life_ms = -60000;
    char start[40];
    char end[40];
    char signature[SIGNATURE_BYTES + 1];
    char encoded_start[120];
    char encoded_end[120];
    char encoded_signature[3 * SIGNATURE_BYTES + 1];
    sim_clock_iso(now_ms - 300000, start, sizeof(start));
    sim_clock_iso(now_ms + life_ms, end, sizeof(end));
    sign(sim, execution->blob, end, signature);
    encode(start, encoded_start);
    encode(end, encoded_end);
    encode(signature, encoded_signature);
    if (sim_switch_number(view, SW_URL_HTTP))
        authority = "packages.blob.example.com";
    snprintf(out, size, "http://%s/dmf/%s?sv=2014-02-14&sr=b&sig=%s&st=%s&se=%s&sp=r", authority,
             execution->blob, encoded_signature, encoded_start, encoded_end);
}

static bool url_is_valid(const struct sim_request *request, const char *blob)
{
    const char *end = sim_http_argument(request, "se");
    const char *signature = sim_http_argument(request, "sig");
    char expected[SIGNATURE_BYTES + 1];
    if (!end || !signature)
        return false;
    sign(request->sim, blob, end, expected);
    return strcmp(signature, expected) == 0 && sim_clock_parse(end) > sim_clock_ms();
}

static enum MHD_Result answer_error(struct sim_request *request, unsigned status, const char *code,
                                    const char *message, const char *detail)
{
    char now[40];
    struct sim_text out = {0};
    sim_clock_iso_ms(sim_clock_ms(), now, sizeof(now));
    sim_text_puts(&out, "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>");
    sim_text_puts(&out, code);
    sim_text_printf(&out, "</Code><Message>%s\nRequestId:148ba85b-f01e-0065-77e9-4d0c4b000000\n",
                    message);
    sim_text_printf(&out, "Time:%s</Message>", now);
    if (detail)
        sim_text_printf(&out, "<AuthenticationErrorDetail>%s</AuthenticationErrorDetail>", detail);
    sim_text_puts(&out, "</Error>");
    return sim_http_answer(request, status, "application/xml", &out,
                           (struct sim_header[]){
                               {"x-ms-error-code", code},
                               {0                }
    });
}

static enum MHD_Result answer_forbidden(struct sim_request *request, const char *detail)
{
    return answer_error(request, 403, "AuthenticationFailed",
                        "Server failed to authenticate the request. Make sure the value of "
                        "Authorization header is formed correctly including the signature.",
                        detail);
}

/* Finds the blob, opens its file and asks the switches. */
static void make_plan(struct sim *sim, const char *blob, struct download_plan *plan)
{
    *plan = (struct download_plan){.fd = -1, .cut_at = UINT64_MAX};
    struct sim_execution *execution = sim_execution_find_blob(sim, blob);
    if (!execution)
        return;
    struct sim_switch_view view =
        sim_switch_view(sim, sim_project_find(&sim->projects, execution->project));
    sim_copy(plan->execution, sizeof(plan->execution), execution->id);
    sim_copy(plan->etag, sizeof(plan->etag), execution->etag);
    sim_copy(plan->redirect, sizeof(plan->redirect),
             sim_switch_text(view, SW_REDIRECT_DOWNLOAD_TO));
    plan->size = execution->size;
    plan->modified_ms = execution->finished_ms;
    plan->no_ranges = sim_switch_number(view, SW_NO_RANGES);
    int64_t rate = sim_switch_number(view, SW_SLOW_BODY_BYTES_PER_S);
    plan->bytes_per_s = rate > 0 ? (uint64_t)rate : 0;
    plan->busy = sim_switch_take(view, SW_BLOB_503_NEXT);
    plan->lost = sim_switch_take(view, SW_BLOB_404_NEXT);
    if (plan->busy || plan->lost || *plan->redirect || sim_switch_number(view, SW_BLOB_GONE))
        return;
    if (*execution->path)
        plan->fd = open(execution->path, O_RDONLY | O_CLOEXEC);
    if (plan->fd < 0)
        return;
    execution->downloads++;
    if (sim_switch_take(view, SW_TRUNCATE_NEXT))
        plan->cut_at = (uint64_t)sim_switch_number(view, SW_TRUNCATE_DOWNLOAD_AT);
}

/* Reads bytes=a-b and bytes=a-; anything else is no range, as the real store sees it. */
static struct range read_range(const struct sim_request *request, const struct download_plan *plan)
{
    struct range range = {.length = plan->size};
    const char *text = sim_http_header(request, "x-ms-range");
    if (!text)
        text = sim_http_header(request, MHD_HTTP_HEADER_RANGE);
    if (!text || plan->no_ranges || strncmp(text, "bytes=", 6) != 0 || text[6] < '0' ||
        text[6] > '9')
        return range;
    char *end;
    uint64_t first = strtoull(text + 6, &end, 10);
    uint64_t last = UINT64_MAX;
    if (*end != '-')
        return range;
    if (end[1])
        last = strtoull(end + 1, &end, 10);
    else
        end++;
    if (*end || last < first)
        return range;
    range.given = true;
    range.outside = first >= plan->size;
    if (range.outside)
        return range;
    range.first = first;
    range.length = last < plan->size ? last - first + 1 : plan->size - first;
    return range;
}

/* The reader behind slow and broken downloads. */
struct reader {
    struct sim *sim;
    struct sim_download *download;
    int fd;
    uint64_t offset;
    uint64_t cut_at;
    uint64_t bytes_per_s;
};

static ssize_t read_body(void *cls, uint64_t position, char *out, size_t most)
{
    struct reader *reader = cls;
    if (position >= reader->cut_at)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (most > reader->cut_at - position)
        most = reader->cut_at - position;
    while (reader->bytes_per_s) {
        /* What may have left by now, and a twentieth of a second's worth beyond it. */
        uint64_t age_ms = (uint64_t)(sim_clock_steady_ms() - reader->download->started_ms);
        uint64_t allowed = reader->bytes_per_s * (age_ms + 50) / 1000 + 1;
        if (allowed > position) {
            if (most > allowed - position)
                most = allowed - position;
            break;
        }
        if (!sim_sleep(reader->sim, 20))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    ssize_t n = pread(reader->fd, out, most, (off_t)(reader->offset + position));
    if (n <= 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    atomic_store(&reader->download->given, position + (uint64_t)n);
    return n;
}

static void free_reader(void *cls)
{
    struct reader *reader = cls;
    close(reader->fd);
    free(reader);
}

/* Makes the response and links the download into the statistics. Takes plan->fd. */
static struct MHD_Response *make_response(struct sim_request *request,
                                          const struct download_plan *plan, struct range range)
{
    struct sim_download *download = sim_alloc(sizeof(*download));
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    sim_copy(download->execution, sizeof(download->execution), plan->execution);
    download->socket = info->connect_fd;
    download->by_kernel = plan->cut_at == UINT64_MAX && plan->bytes_per_s == 0;
    download->acked_before = sim_socket_acked(download->socket);
    download->offset = range.first;
    download->length = range.length;
    download->started_ms = sim_clock_steady_ms();
    request->download = download;
    sim_lock(request->sim);
    sim_stats_download_begin(&request->sim->stats, download);
    request->sim->stats.ranges_served += range.given;
    sim_unlock(request->sim);

    if (download->by_kernel)
        return MHD_create_response_from_fd_at_offset64(range.length, plan->fd, range.first);
    struct reader *reader = sim_alloc(sizeof(*reader));
    *reader = (struct reader){request->sim, download,     plan->fd,
                              range.first,  plan->cut_at, plan->bytes_per_s};
    return MHD_create_response_from_callback(range.length, READER_BLOCK_BYTES, read_body, reader,
                                             free_reader);
}

static enum MHD_Result send_package(struct sim_request *request, const struct download_plan *plan,
                                    struct range range)
{
    char text[96];
    struct MHD_Response *response = make_response(request, plan, range);
    MHD_add_response_header(response, "Content-Type", "application/octet-stream");
    MHD_add_response_header(response, "ETag", plan->etag);
    if (!plan->no_ranges)
        MHD_add_response_header(response, "Accept-Ranges", "bytes");
    sim_clock_http(plan->modified_ms, text, sizeof(text));
    MHD_add_response_header(response, "Last-Modified", text);
    MHD_add_response_header(response, "x-ms-blob-type", "BlockBlob");
    MHD_add_response_header(response, "x-ms-version", "2014-02-14");
    if (range.given) {
        snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range.first,
                 range.first + range.length - 1, plan->size);
        MHD_add_response_header(response, "Content-Range", text);
    }
    return sim_http_send(request, range.given ? 206 : 200, response);
}

static enum MHD_Result answer_plan(struct sim_request *request, const struct download_plan *plan)
{
    if (plan->busy)
        return answer_error(request, 503, "ServerBusy", "The server is busy.", NULL);
    if (plan->lost)
        return sim_http_answer(request, 404, NULL, NULL, NULL);
    if (*plan->redirect)
        return sim_http_answer(request, 302, NULL, NULL,
                               (struct sim_header[]){
                                   {"Location", plan->redirect},
                                   {0         }
        });
    if (plan->fd < 0)
        return answer_error(request, 404, "BlobNotFound", "The specified blob does not exist.",
                            NULL);

    const char *match = sim_http_header(request, MHD_HTTP_HEADER_IF_MATCH);
    if (match && strcmp(match, "*") != 0 && strcmp(match, plan->etag) != 0) {
        close(plan->fd);
        return answer_error(request, 412, "ConditionNotMet",
                            "The condition specified using HTTP conditional header(s) is not met.",
                            NULL);
    }
    struct range range = read_range(request, plan);
    if (range.outside) {
        close(plan->fd);
        return answer_error(request, 416, "InvalidRange",
                            "The range specified is invalid for the current size of the resource.",
                            NULL);
    }
    return send_package(request, plan, range);
}

enum MHD_Result sim_blob_serve(struct sim_request *request)
{
    struct sim *sim = request->sim;
    const char *blob = request->path + strlen("/dmf/");
    request->action = "blob";
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0)
        return answer_error(request, 405, "UnsupportedHttpVerb",
                            "The resource doesn't support specified Http Verb.", NULL);
    if (sim_http_header(request, MHD_HTTP_HEADER_AUTHORIZATION)) {
        sim_lock(sim);
        sim->stats.bearer_leaked++;
        sim_unlock(sim);
        return answer_forbidden(request, "A bearer token does not belong here.");
    }
    if (!url_is_valid(request, blob))
        return answer_forbidden(request, "Signature not valid in the specified time frame.");

    struct download_plan plan;
    sim_lock(sim);
    make_plan(sim, blob, &plan);
    sim_unlock(sim);
    return answer_plan(request, &plan);
}
