#include "http/server.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <uv.h>

#include <microhttpd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/listen.h"
#include "loop/fiber.h"

enum {
    CONNECTIONS_MAX = 64,
    TIMEOUT_S = 15,
    BODY_BYTES_LEAST = 1024,
    CONNECTION_BYTES = 32 * 1024, /* the library's buffer a connection: the limit for headers */
};

struct sl_http_server {
    struct MHD_Daemon *daemon;
    uv_poll_t *poll;   /* on the daemon's epoll descriptor */
    uv_timer_t *timer; /* the daemon's timeouts */
    uint16_t port;
    const struct sl_http_route *routes;
    size_t route_count;
};

/* One request while it comes in. */
struct exchange {
    const struct sl_http_route *route; /* NULL: none fits, status says why */
    unsigned status;
    const char *allow; /* the method that the path knows, for a 405 */
    struct sl_buf body;
};

/* --- the handler's view --- */

const char *sl_http_call_header(const struct sl_http_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

const char *sl_http_call_query(const struct sl_http_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* --- answering --- */

static enum MHD_Result send_reply(struct MHD_Connection *connection, unsigned status,
                                  const char *content_type, const char *allow, struct sl_buf *body)
{
    size_t length = body->length;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, sl_buf_take(body), MHD_RESPMEM_MUST_FREE);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result send_error(struct MHD_Connection *connection, unsigned status,
                                  const char *allow)
{
    struct sl_buf body;
    sl_buf_init(&body);
    sl_buf_printf(&body, "{\"error\":\"%s\"}\n", MHD_get_reason_phrase_for(status));
    return send_reply(connection, status, "application/json", allow, &body);
}

static enum MHD_Result run_handler(struct MHD_Connection *connection, const char *path,
                                   const char *method, struct exchange *exchange)
{
    struct sl_http_call call = {method, path, sl_buf_view(&exchange->body), connection};
    struct sl_http_reply reply = {.status = 200, .content_type = "application/json"};
    sl_buf_init(&reply.body);
    exchange->route->handler(exchange->route->ctx, &call, &reply);
    return send_reply(connection, (unsigned)reply.status, reply.content_type, NULL, &reply.body);
}

/* --- receiving --- */

static bool method_fits(const char *route, const char *method)
{
    return !strcmp(route, method) || (!strcmp(route, "GET") && !strcmp(method, "HEAD"));
}

static void find_route(const struct sl_http_server *server, const char *path, const char *method,
                       struct exchange *exchange)
{
    exchange->status = MHD_HTTP_NOT_FOUND;
    for (size_t i = 0; i < server->route_count; i++) {
        const struct sl_http_route *route = &server->routes[i];
        if (strcmp(route->path, path))
            continue;
        if (method_fits(route->method, method)) {
            exchange->route = route;
            return;
        }
        exchange->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        exchange->allow = route->method;
    }
}

static size_t body_limit(const struct exchange *exchange)
{
    size_t limit = exchange->route ? exchange->route->max_body_bytes : 0;
    return limit > BODY_BYTES_LEAST ? limit : BODY_BYTES_LEAST;
}

/* True when the body is known to be too long before any of it came. */
static bool announces_too_much(struct MHD_Connection *connection, const struct exchange *exchange)
{
    const char *text =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text && strtoull(text, NULL, 10) > body_limit(exchange);
}

/* Called once with the headers, then with pieces of the body, then once with none left. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *piece,
                                  size_t *piece_size, void **request_ctx)
{
    struct sl_http_server *server = ctx;
    struct exchange *exchange = *request_ctx;
    (void)version;

    if (!exchange) {
        exchange = *request_ctx = SL_NEW(struct exchange);
        sl_buf_init(&exchange->body);
        find_route(server, path, method, exchange);
        if (announces_too_much(connection, exchange))
            return send_error(connection, MHD_HTTP_CONTENT_TOO_LARGE, NULL);
        return MHD_YES;
    }
    if (*piece_size) {
        if (*piece_size > body_limit(exchange) - exchange->body.length)
            return MHD_NO; /* a chunked body that never told its size: hang up */
        sl_buf_add(&exchange->body, piece, *piece_size);
        *piece_size = 0;
        return MHD_YES;
    }
    if (!exchange->route)
        return send_error(connection, exchange->status, exchange->allow);
    return run_handler(connection, path, method, exchange);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
                         enum MHD_RequestTerminationCode why)
{
    struct exchange *exchange = *request_ctx;
    (void)ctx, (void)connection, (void)why;
    if (!exchange)
        return;
    sl_buf_done(&exchange->body);
    free(exchange);
    *request_ctx = NULL;
}

/* --- the loop --- */

static void on_timer(uv_timer_t *timer);

static unsigned count_connections(struct MHD_Daemon *daemon)
{
    return MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static void turn(struct sl_http_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    unsigned before = count_connections(server->daemon);
    MHD_run(server->daemon);
    /* At its connection limit the library stops to accept, and begins again only in the next run
     * after one has gone, which nothing else would bring about. */
    if (count_connections(server->daemon) < before)
        MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &timeout_ms) != MHD_YES) {
        uv_timer_stop(server->timer);
        return;
    }
    uv_update_time(sl_loop());
    uv_timer_start(server->timer, on_timer, timeout_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    turn(poll->data);
}

static int start_daemon(struct sl_http_server *server, int fd,
                        const struct sl_http_server_options *options, struct sl_err *err)
{
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT,
        options->max_connections ? options->max_connections : (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT,
        options->timeout_s ? options->timeout_s : (unsigned)TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_END);
    if (server->daemon)
        return SL_OK;
    close(fd);
    return sl_err_set(err, SL_CONFIG, "cannot serve HTTP on '%s'", options->listen);
}

static void watch(struct sl_http_server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    server->poll = sl_alloc(sizeof *server->poll);
    server->timer = sl_alloc(sizeof *server->timer);
    uv_poll_init(sl_loop(), server->poll, info->epoll_fd);
    uv_timer_init(sl_loop(), server->timer);
    server->poll->data = server->timer->data = server;
    uv_poll_start(server->poll, UV_READABLE, on_ready);
}

struct sl_http_server *sl_http_server_start(const struct sl_http_server_options *options,
                                            struct sl_err *err)
{
    struct sl_http_server *server = SL_NEW(struct sl_http_server);
    int fd;
    server->routes = options->routes;
    server->route_count = options->route_count;
    if (sl_listen_open(options->listen, &fd, &server->port, err) != SL_OK ||
        start_daemon(server, fd, options, err) != SL_OK) {
        free(server);
        return NULL;
    }
    watch(server);
    return server;
}

uint16_t sl_http_server_port(const struct sl_http_server *server)
{
    return server->port;
}

void sl_http_server_stop(struct sl_http_server *server)
{
    if (!server)
        return;
    uv_poll_stop(server->poll); /* before the descriptor is closed */
    uv_close((uv_handle_t *)server->poll, sl_handle_free);
    uv_close((uv_handle_t *)server->timer, sl_handle_free);
    MHD_stop_daemon(server->daemon); /* closes the listening socket too */
    free(server);
}
