#include "http/server.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/listen.h"
#include "http/server_own.h"

enum {
    CONNECTIONS_MAX = 64,
    PENDING_BYTES_MAX = 64 * 1024 * 1024,
    REQUEST_TIMEOUT_MS = 15 * 1000,
    IDLE_TIMEOUT_MS = 60 * 1000,
    CONNECTION_BYTES = 32 * 1024, /* the library's buffer a connection: the limit for headers */
    RUNS_A_TURN = 4,              /* a request with its answer takes three */
    COME_IN_MS = 1000,            /* for requests that have begun, or are on their way, at a stop */
    STARVED_REST_MS = 1000,
    STARVED_AGAIN_MS = 60 * 1000, /* in the log */
    LAST_WORDS_MS = 200,          /* for answers of cancelled handlers, and refusals */
};

/* --- no descriptor is left --- */

static void on_ready(uv_poll_t *poll, int status, int events);

/* Of what the library has to say, this alone is of use: it does not tell otherwise. */
static void on_library_log(void *ctx, const char *format, va_list args)
{
    struct sl_http_server *server = ctx;
    (void)args;
    if (!strstr(format, "system resource limit"))
        return;
    server->starved = true;
    server->shut_out = server->link_count > 0;
}

static void on_rested(uv_timer_t *timer)
{
    struct sl_http_server *server = timer->data;
    uv_poll_start(server->poll, UV_READABLE, on_ready);
}

/* Whoever waits to be let in keeps the descriptor ready. With connections the library itself does
 * not look until one has gone, so one is made to go; without, it would be run again and again. */
static void starve(struct sl_http_server *server)
{
    uint64_t now_ms = sl_loop_now_ms();
    if (!server->starved_told_ms || now_ms - server->starved_told_ms >= STARVED_AGAIN_MS) {
        sl_log(SL_ERROR,
               "nobody can connect, since no more files can be opened: raise the limit (ulimit -n, "
               "LimitNOFILE)",
               SL_T("listener", server->name));
        server->starved_told_ms = now_ms;
    }
    if (server->shut_out)
        sl_link_hurry_idle(server);
    if (server->link_count)
        return;
    uv_poll_stop(server->poll);
    uv_timer_start(server->rest, on_rested, STARVED_REST_MS, 0);
}

/* --- the loop --- */

/* One run of the library. True when it should run again at once. */
static bool run(struct sl_http_server *server, bool *still)
{
    /* No connection has a timeout of the library's, so it asks for another run now or not at all.
     */
    MHD_UNSIGNED_LONG_LONG unused;
    unsigned before = server->link_count;
    server->moved = server->starved = false;
    MHD_run(server->daemon);
    if (server->starved)
        starve(server);
    /* At its connection limit the library stops to accept, and begins again only in the next run
     * after one has gone, which nothing else would bring about. */
    if (server->link_count < before)
        return true;
    bool was_still = *still;
    *still = server->tls && !server->moved;
    if (MHD_get_timeout(server->daemon, &unused) != MHD_YES)
        return false;
    /* The library takes a handshake that waits for the peer for one that can go on (0.9.75). When
     * no byte has moved in two runs, the next will not move one either, until an event comes. */
    return !*still || !was_still;
}

static void turn(struct sl_http_server *server)
{
    bool again = true, still = false;
    if (server->tls)
        sl_server_tls_turn(server->tls);
    for (int i = 0; again && i < RUNS_A_TURN; i++)
        again = run(server, &still);
    if (again)
        sl_server_wake(server);
    else
        uv_idle_stop(server->again);
}

static void on_again(uv_idle_t *idle)
{
    turn(idle->data);
}

void sl_server_wake(struct sl_http_server *server)
{
    uv_idle_start(server->again, on_again);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    turn(poll->data);
}

static void watch(struct sl_http_server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    server->poll = sl_alloc(sizeof *server->poll);
    uv_poll_init(sl_loop(), server->poll, info->epoll_fd);
    uv_poll_start(server->poll, UV_READABLE, on_ready);
    server->again = sl_alloc(sizeof *server->again);
    uv_idle_init(sl_loop(), server->again);
    server->sweep = sl_alloc(sizeof *server->sweep);
    uv_timer_init(sl_loop(), server->sweep);
    server->rest = sl_alloc(sizeof *server->rest);
    uv_timer_init(sl_loop(), server->rest);
    server->poll->data = server->again->data = server->sweep->data = server->rest->data = server;
}

static void unwatch(struct sl_http_server *server)
{
    uv_poll_stop(server->poll); /* before the descriptor is closed */
    uv_close((uv_handle_t *)server->poll, sl_handle_free);
    uv_close((uv_handle_t *)server->again, sl_handle_free);
    uv_close((uv_handle_t *)server->sweep, sl_handle_free);
    uv_close((uv_handle_t *)server->rest, sl_handle_free);
}

/* --- starting --- */

static int start_daemon(struct sl_http_server *server, int fd, const char *listen,
                        struct sl_err *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (server->tls ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_PRIORITIES,    0, (void *)(uintptr_t)sl_server_tls_priorities},
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, sl_server_tls_callback()                   },
        {MHD_OPTION_END,                 0, NULL                                       },
    };
    server->daemon = MHD_start_daemon(
        flags, 0, sl_link_admit, server, sl_exchange_step, server, MHD_OPTION_EXTERNAL_LOGGER,
        on_library_log, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        server->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_NOTIFY_CONNECTION, sl_link_notify, server, MHD_OPTION_URI_LOG_CALLBACK,
        sl_link_requested, server, MHD_OPTION_NOTIFY_COMPLETED, sl_exchange_completed, server,
        MHD_OPTION_ARRAY, server->tls ? tls : &tls[2], MHD_OPTION_END);
    if (server->daemon)
        return SL_OK;
    close(fd);
    return sl_err_set(err, SL_CONFIG, "cannot serve HTTP on '%s'", listen);
}

static unsigned number_or(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

static struct sl_http_server *new_server(const struct sl_http_server_options *options)
{
    struct sl_http_server *server = SL_NEW(struct sl_http_server);
    server->name = sl_strdup(options->name ? options->name : options->listen);
    server->listen = sl_strdup(options->listen);
    server->routes = options->routes;
    server->route_count = options->route_count;
    server->max_connections = number_or(options->max_connections, CONNECTIONS_MAX);
    server->max_per_address = options->max_per_address;
    server->max_rate = options->max_rate;
    server->max_pending_bytes =
        options->max_pending_bytes ? options->max_pending_bytes : PENDING_BYTES_MAX;
    server->request_timeout_ms = number_or(options->request_timeout_ms, REQUEST_TIMEOUT_MS);
    server->idle_timeout_ms = number_or(options->idle_timeout_ms, IDLE_TIMEOUT_MS);
    server->tokens = server->max_rate;
    server->tokens_ms = sl_loop_now_ms();
    server->sweep_ms = SL_FOREVER;
    return server;
}

static void free_server(struct sl_http_server *server)
{
    sl_server_tls_free(server->tls);
    free(server->name);
    free(server->listen);
    free(server);
}

static int open_server(struct sl_http_server *server, const struct sl_http_server_options *options,
                       struct sl_err *err)
{
    int fd;
    if (options->certificate &&
        !(server->tls = sl_server_tls_new(server->name, options->certificate, options->key, err)))
        return SL_CONFIG;
    if (sl_listen_open(options->listen, &fd, &server->port, err) != SL_OK)
        return SL_CONFIG;
    return start_daemon(server, fd, options->listen, err);
}

struct sl_http_server *sl_http_server_start(const struct sl_http_server_options *options,
                                            struct sl_err *err)
{
    struct sl_http_server *server = new_server(options);
    if (open_server(server, options, err) != SL_OK) {
        free_server(server);
        return NULL;
    }
    watch(server);
    return server;
}

uint16_t sl_http_server_port(const struct sl_http_server *server)
{
    return server->port;
}

/* --- stopping --- */

/* Whoever posts may not try again. So a client that keeps its connection and has used it lately is
 * told with its next answer that there is no more, rather than cut off, maybe with a request under
 * way. SL_OK, or SL_CANCELED. */
static int await_begun(struct sl_http_server *server, uint64_t deadline_ms)
{
    uint64_t until_ms = sl_deadline_in(COME_IN_MS);
    int rc = SL_OK;
    sl_link_hurry_idle(server);
    while (server->link_count > server->busy && rc == SL_OK)
        rc = sl_wait(&server->quiet, until_ms < deadline_ms ? until_ms : deadline_ms);
    return rc == SL_CANCELED ? rc : SL_OK;
}

static void await_end(struct sl_http_server *server, uint64_t deadline_ms)
{
    int rc = await_begun(server, deadline_ms);
    server->over = true;
    sl_link_cut_quiet(server);
    while (server->busy && rc == SL_OK)
        rc = sl_wait(&server->quiet, deadline_ms);

    sl_link_cancel_all(server);
    sl_fiber_shield(true);
    while (server->handling)
        sl_wait(&server->quiet, SL_FOREVER);
    deadline_ms = sl_deadline_in(LAST_WORDS_MS);
    while ((server->link_count || server->linger_count) &&
           sl_wait(&server->quiet, deadline_ms) == SL_OK)
        ;
    sl_fiber_shield(false);
}

void sl_http_server_hand_over(struct sl_http_server *server)
{
    server->handed_over = true;
}

void sl_http_server_stop(struct sl_http_server *server, uint64_t deadline_ms)
{
    if (!server)
        return;
    server->stopping = true;
    int fd = MHD_quiesce_daemon(server->daemon);
    if (server->handed_over)
        sl_listen_keep(server->listen, fd);
    else
        close(fd);
    if (sl_fiber_self())
        await_end(server, deadline_ms);
    unwatch(server);
    MHD_stop_daemon(server->daemon);
    sl_linger_end_all(server);
    free_server(server);
}
