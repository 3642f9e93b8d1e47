/* Answers, and the counters of what was answered and what was refused. */
#include <stdio.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include "base/metric.h"
#include "http/server_own.h"

enum { RETRY_AFTER_S = 1 }; /* said with a 429 or 503 of our own */

/* --- counters --- */

static void count_answer(struct sl_http_server *server, unsigned status)
{
    size_t most = sizeof server->answered / sizeof *server->answered, i = 0;
    while (i < most && server->answered[i].metric && server->answered[i].status != status)
        i++;
    struct sl_metric *metric = i < most ? server->answered[i].metric : NULL;
    if (!metric)
        metric = sl_counter("http_requests_total", "Requests answered.",
                            "listener=\"%s\",status=\"%u\"", server->name, status);
    sl_metric_add(metric, 1);
    if (i < most) {
        server->answered[i].status = status;
        server->answered[i].metric = metric;
    }
}

void sl_reply_count_refusal(struct sl_http_server *server, enum sl_refusal why)
{
    static const char *const names[] = {
        [SL_REFUSED_ROUTE] = "route",     [SL_REFUSED_METHOD] = "method",
        [SL_REFUSED_FRAMING] = "framing", [SL_REFUSED_AUTHORIZE] = "authorize",
        [SL_REFUSED_SIZE] = "size",       [SL_REFUSED_RATE] = "rate",
        [SL_REFUSED_MEMORY] = "memory",   [SL_REFUSED_ADDRESS] = "address",
        [SL_REFUSED_SLOW] = "slow",       [SL_REFUSED_STOPPING] = "stopping",
    };
    if (!server->refused[why])
        server->refused[why] = sl_counter("http_refused_total",
                                          "Requests and connections turned away by the listener.",
                                          "listener=\"%s\",why=\"%s\"", server->name, names[why]);
    sl_metric_add(server->refused[why], 1);
}

/* --- answering --- */

enum MHD_Result sl_reply_send(struct sl_link *link, struct sl_http_reply *reply, const char *allow)
{
    size_t length = reply->body.length;
    unsigned status = (unsigned)reply->status;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, sl_buf_take(&reply->body), MHD_RESPMEM_MUST_FREE);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
    if (reply->retry_after_s) {
        char text[16];
        snprintf(text, sizeof text, "%u", reply->retry_after_s);
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, text);
    }
    if (link->server->stopping || link->server->shut_out)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    sl_link_enter(link, SL_ANSWERING);
    enum MHD_Result queued = MHD_queue_response(link->connection, status, response);
    MHD_destroy_response(response);
    if (queued == MHD_YES)
        count_answer(link->server, status);
    return queued;
}

static unsigned retry_after_s(unsigned status)
{
    bool later = status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE;
    return later ? RETRY_AFTER_S : 0;
}

enum MHD_Result sl_reply_error(struct sl_link *link, unsigned status, const char *allow)
{
    struct sl_http_reply reply = {.status = (int)status,
                                  .content_type = "application/json",
                                  .retry_after_s = retry_after_s(status)};
    sl_buf_init(&reply.body);
    sl_buf_printf(&reply.body, "{\"error\":\"%s\"}\n", MHD_get_reason_phrase_for(status));
    return sl_reply_send(link, &reply, allow);
}

/* One try: a peer whose window is closed while it sends gets no answer. */
static void send_raw(struct sl_link *link, const struct sl_buf *text)
{
    const union MHD_ConnectionInfo *info =
        link->server->tls
            ? MHD_get_connection_info(link->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)
            : NULL;
    ssize_t sent = info ? gnutls_record_send(info->tls_session, text->data, text->length)
                        : send(link->fd, text->data, text->length, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
}

enum MHD_Result sl_reply_break_off(struct sl_link *link, unsigned status)
{
    const char *reason = MHD_get_reason_phrase_for(status);
    struct sl_buf text;
    sl_buf_init(&text);
    sl_buf_printf(&text,
                  "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
                  "Cache-Control: no-store\r\nConnection: close\r\n",
                  status, reason);
    if (retry_after_s(status))
        sl_buf_printf(&text, "Retry-After: %u\r\n", retry_after_s(status));
    sl_buf_printf(&text, "Content-Length: %zu\r\n\r\n{\"error\":\"%s\"}\n",
                  sizeof "{\"error\":\"\"}\n" - 1 + strlen(reason), reason);
    send_raw(link, &text);
    sl_buf_done(&text);
    count_answer(link->server, status);
    link->exchange.refused = true;
    return MHD_NO;
}
