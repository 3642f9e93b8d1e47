/* A request's way: headers → may it come in? → body → handler, on the loop or on a fiber → answer.
 * What is refused by its headers is answered before any of its body is read. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "http/server_own.h"

enum { BODY_BYTES_LEAST = 1024 };

#define LENGTH_UNKNOWN UINT64_MAX /* a chunked body */

/* --- the handler's view --- */

const char *sl_http_call_header(const struct sl_http_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

const char *sl_http_call_query(const struct sl_http_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* "Application/JSON; charset=utf-8" → "application/json" */
static void read_content_type(struct sl_exchange *exchange)
{
    const char *text = sl_http_call_header(&exchange->call, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t length = text ? strcspn(text, "; \t") : 0;
    if (length >= sizeof exchange->content_type)
        length = 0; /* none that anybody knows */
    for (size_t i = 0; i < length; i++)
        exchange->content_type[i] = (char)tolower((unsigned char)text[i]);
    exchange->content_type[length] = 0;
}

/* --- routes --- */

static bool method_fits(const char *route, const char *method)
{
    return !strcmp(route, method) || (!strcmp(route, "GET") && !strcmp(method, "HEAD"));
}

/* Where what is behind the route's path begins, or NULL when it does not fit. */
static const char *path_rest(const struct sl_http_route *route, const char *path)
{
    size_t length = strlen(route->path);
    if (strncmp(route->path, path, length) || (!route->prefix && path[length]))
        return NULL;
    return path + length;
}

static void find_route(const struct sl_http_server *server, struct sl_exchange *exchange)
{
    struct sl_http_call *call = &exchange->call;
    exchange->status = MHD_HTTP_NOT_FOUND;
    for (size_t i = 0; i < server->route_count; i++) {
        const struct sl_http_route *route = &server->routes[i];
        const char *rest = path_rest(route, call->path);
        if (!rest)
            continue;
        if (method_fits(route->method, call->method)) {
            exchange->route = route;
            exchange->status = 0;
            call->rest = rest;
            return;
        }
        exchange->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        exchange->allow = route->method;
    }
}

/* --- limits --- */

/* What the headers say of the body's length. */
struct framing {
    unsigned count; /* headers that tell it */
    bool doubtful;  /* others may tell it to somebody else */
};

/* "Content-Length : 5", and a line that begins with a space, which goes on with the one before: the
 * library sees no length in them. Such a line it joins to the name before it, which it copies for
 * that to behind what it has read; every other name lies before its value. */
static bool is_doubtful(const char *name, const char *value)
{
    static const char LETTERS[] = "!#$%&'*+-.^_`|~0123456789"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return !*name || name[strspn(name, LETTERS)] || (value && (uintptr_t)name > (uintptr_t)value);
}

static enum MHD_Result look_at_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    struct framing *framing = ctx;
    (void)kind;
    framing->count += !strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) ||
                      !strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    framing->doubtful |= is_doubtful(name, value);
    return MHD_YES;
}

/* How long the body says it is. False when the headers are such that a proxy in front of us might
 * see another request in them than we do. */
static bool read_framing(const struct sl_http_call *call, uint64_t *ret_length)
{
    const char *length = sl_http_call_header(call, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *encoding = sl_http_call_header(call, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    struct framing framing = {0};
    MHD_get_connection_values(call->connection, MHD_HEADER_KIND, look_at_header, &framing);
    *ret_length = encoding ? LENGTH_UNKNOWN : length ? strtoull(length, NULL, 10) : 0;
    return framing.count <= 1 && !framing.doubtful &&
           (encoding ? !strcasecmp(encoding, "chunked") : *ret_length != LENGTH_UNKNOWN);
}

/* One token a request; a second's worth may be used at once. */
static bool take_token(struct sl_http_server *server, uint64_t now_ms)
{
    if (!server->max_rate)
        return true;
    server->tokens += (double)(now_ms - server->tokens_ms) * server->max_rate / 1000;
    server->tokens_ms = now_ms;
    if (server->tokens > server->max_rate)
        server->tokens = server->max_rate;
    if (server->tokens < 1)
        return false;
    server->tokens -= 1;
    return true;
}

static bool charge(struct sl_http_server *server, struct sl_exchange *exchange, size_t size_bytes)
{
    if (size_bytes > server->max_pending_bytes - server->pending_bytes)
        return false;
    server->pending_bytes += size_bytes;
    exchange->charged_bytes += size_bytes;
    return true;
}

/* --- the headers are in --- */

static unsigned refuse(struct sl_http_server *server, enum sl_refusal why, unsigned status)
{
    sl_reply_count_refusal(server, why);
    return status;
}

/* 0: let it come in; else the status that it gets at once. */
static unsigned examine(struct sl_http_server *server, struct sl_exchange *exchange)
{
    uint64_t length;
    if (!read_framing(&exchange->call, &length))
        return refuse(server, SL_REFUSED_FRAMING, MHD_HTTP_BAD_REQUEST);
    if (server->over)
        return refuse(server, SL_REFUSED_STOPPING, MHD_HTTP_SERVICE_UNAVAILABLE);

    find_route(server, exchange);
    const struct sl_http_route *route = exchange->route;
    if (!route) {
        bool method = exchange->status == MHD_HTTP_METHOD_NOT_ALLOWED;
        refuse(server, method ? SL_REFUSED_METHOD : SL_REFUSED_ROUTE, exchange->status);
        return length ? exchange->status : 0; /* without a body the connection can stay */
    }
    int status = route->authorize ? route->authorize(route->ctx, &exchange->call) : 0;
    if (status)
        return refuse(server, SL_REFUSED_AUTHORIZE, (unsigned)status);

    exchange->body_limit =
        route->max_body_bytes > BODY_BYTES_LEAST ? route->max_body_bytes : BODY_BYTES_LEAST;
    if (length != LENGTH_UNKNOWN && length > exchange->body_limit)
        return refuse(server, SL_REFUSED_SIZE, MHD_HTTP_CONTENT_TOO_LARGE);
    if (!take_token(server, exchange->call.arrived_ms))
        return refuse(server, SL_REFUSED_RATE,
                      route->rate_status ? route->rate_status : MHD_HTTP_TOO_MANY_REQUESTS);
    if (length != LENGTH_UNKNOWN && !charge(server, exchange, (size_t)length))
        return refuse(server, SL_REFUSED_MEMORY, MHD_HTTP_SERVICE_UNAVAILABLE);
    return 0;
}

static enum MHD_Result begin(struct sl_link *link, const char *path, const char *method)
{
    struct sl_exchange *exchange = &link->exchange;
    memset(exchange, 0, sizeof *exchange);
    sl_buf_init(&exchange->body);
    sl_buf_init(&exchange->reply.body);
    exchange->reply.status = MHD_HTTP_OK;
    exchange->reply.content_type = "application/json";
    exchange->call = (struct sl_http_call){
        .method = method,
        .path = path,
        .rest = "",
        .content_type = exchange->content_type,
        .remote = link->remote,
        .body = {"", 0},
        .arrived_ms = sl_loop_now_ms(),
        .connection = link->connection
    };
    read_content_type(exchange);

    unsigned status = examine(link->server, exchange);
    if (!status)
        return MHD_YES;
    exchange->refused = true;
    return sl_reply_error(link, status, exchange->allow);
}

/* --- the body --- */

static enum MHD_Result take_piece(struct sl_link *link, const char *piece, size_t *piece_size)
{
    struct sl_http_server *server = link->server;
    struct sl_exchange *exchange = &link->exchange;
    size_t whole = exchange->body.length + *piece_size;
    if (whole > exchange->body_limit) {
        sl_reply_count_refusal(server, SL_REFUSED_SIZE);
        return sl_reply_break_off(link, MHD_HTTP_CONTENT_TOO_LARGE);
    }
    if (whole > exchange->charged_bytes &&
        !charge(server, exchange, whole - exchange->charged_bytes)) {
        sl_reply_count_refusal(server, SL_REFUSED_MEMORY);
        return sl_reply_break_off(link, MHD_HTTP_SERVICE_UNAVAILABLE);
    }
    if (!exchange->body.data)
        sl_buf_reserve(&exchange->body,
                       exchange->charged_bytes); /* all of it, when that is known */
    sl_buf_add(&exchange->body, piece, *piece_size);
    *piece_size = 0;
    return MHD_YES;
}

/* --- the handler --- */

static void run_handler(void *arg)
{
    struct sl_link *link = arg;
    struct sl_exchange *exchange = &link->exchange;
    exchange->route->handler(exchange->route->ctx, &exchange->call, &exchange->reply);
    exchange->fiber = NULL;
    exchange->answered = true;
    sl_link_enter(link, SL_ANSWERING);
    if (!exchange->suspended) /* it has not waited, and its caller takes the answer */
        return;
    MHD_resume_connection(link->connection); /* its next run calls sl_exchange_step again */
    sl_server_wake(link->server);
}

/* A handler that does not wait is answered at once: to suspend a connection and to resume it costs
 * two runs of the library and nine calls of the kernel.
 *
 * The library reads once more when it resumes a connection that it suspended while reading, and
 * then takes a peer that has shut down its sending side for gone. Called a second time without an
 * answer, it no longer wants to read, and suspends in that state. */
static enum MHD_Result handle_on_fiber(struct sl_link *link)
{
    struct sl_exchange *exchange = &link->exchange;
    if (!exchange->whole) {
        exchange->whole = true;
        return MHD_YES;
    }
    if (link->server->over) {
        sl_reply_count_refusal(link->server, SL_REFUSED_STOPPING);
        return sl_reply_error(link, MHD_HTTP_SERVICE_UNAVAILABLE, NULL);
    }
    sl_link_enter(link, SL_HANDLING);
    exchange->fiber = sl_fiber_run("http handler", run_handler, link);
    if (exchange->answered)
        return sl_reply_send(link, &exchange->reply, NULL);
    exchange->suspended = true;
    MHD_suspend_connection(link->connection);
    return MHD_YES;
}

static enum MHD_Result handle(struct sl_link *link)
{
    struct sl_exchange *exchange = &link->exchange;
    if (!exchange->route)
        return sl_reply_error(link, exchange->status, exchange->allow);
    if (!exchange->answered) {
        exchange->call.body = sl_buf_view(&exchange->body);
        if (exchange->route->fiber)
            return handle_on_fiber(link);
        exchange->route->handler(exchange->route->ctx, &exchange->call, &exchange->reply);
    }
    return sl_reply_send(link, &exchange->reply, NULL);
}

/* --- the library's callbacks --- */

/* Called once with the headers, then with pieces of the body, then, with none left, until there is
 * an answer. */
enum MHD_Result sl_exchange_step(void *ctx, struct MHD_Connection *connection, const char *path,
                                 const char *method, const char *version, const char *piece,
                                 size_t *piece_size, void **request_ctx)
{
    struct sl_http_server *server = ctx;
    (void)version;
    server->moved = true;
    if (!*request_ctx) {
        struct sl_link *link = *request_ctx = sl_link_of(connection);
        return begin(link, path, method);
    }
    return *piece_size ? take_piece(*request_ctx, piece, piece_size) : handle(*request_ctx);
}

void sl_exchange_completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
                           enum MHD_RequestTerminationCode why)
{
    struct sl_link *link = *request_ctx;
    (void)ctx, (void)connection, (void)why;
    if (!link)
        return;
    struct sl_exchange *exchange = &link->exchange;
    sl_buf_done(&exchange->body);
    sl_buf_done(&exchange->reply.body);
    link->server->pending_bytes -= exchange->charged_bytes;
    exchange->charged_bytes = 0;
    *request_ctx = NULL;
    sl_link_enter(link, SL_IDLE);
}
