/* Connections: who may connect, in which phase each is, and what it may cost in time. One timer
 * stands at the earliest deadline; since deadlines move on with each request, it seldom fires. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/server_own.h"

enum {
    SWEEP_LEAST_MS = 50,    /* between two sweeps */
    HURRIED_IDLE_MS = 1000, /* for idle connections whose place is wanted, or that are to end */
};

static bool is_busy(enum sl_phase phase)
{
    return phase == SL_HANDLING || phase == SL_ANSWERING;
}

/* --- addresses --- */

static void write_address(const struct sockaddr *address, char out[INET6_ADDRSTRLEN])
{
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    out[0] = 0;
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, out,
                  INET6_ADDRSTRLEN);
    else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6))
        inet_ntop(AF_INET, v6->s6_addr + 12, out, INET6_ADDRSTRLEN);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, v6, out, INET6_ADDRSTRLEN);
}

enum MHD_Result sl_link_admit(void *ctx, const struct sockaddr *address, socklen_t length)
{
    struct sl_http_server *server = ctx;
    char remote[INET6_ADDRSTRLEN];
    unsigned count = 0;
    (void)length;
    if (!server->max_per_address)
        return MHD_YES;
    write_address(address, remote);
    for (const struct sl_link *link = server->links; link; link = link->next)
        count += !strcmp(link->remote, remote);
    if (count < server->max_per_address)
        return MHD_YES;
    sl_reply_count_refusal(server, SL_REFUSED_ADDRESS);
    return MHD_NO;
}

/* --- deadlines --- */

static void sweep(uv_timer_t *timer);

static void set_sweep(struct sl_http_server *server, uint64_t now_ms, uint64_t at_ms)
{
    server->sweep_ms = at_ms;
    uv_timer_start(server->sweep, sweep, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void set_deadline(struct sl_link *link, unsigned timeout_ms)
{
    struct sl_http_server *server = link->server;
    link->deadline_ms = timeout_ms ? link->entered_ms + timeout_ms : SL_FOREVER;
    if (link->deadline_ms < server->sweep_ms)
        set_sweep(server, sl_loop_now_ms(), link->deadline_ms);
}

/* The library sees the end of the connection and closes it in its next run. */
static void cut(struct sl_link *link)
{
    link->cut = true;
    link->deadline_ms = SL_FOREVER;
    shutdown(link->fd, SHUT_RDWR);
}

/* The same, unless the library finds in its next run that the peer has gone on: who posts may not
 * try again where a connection ends without an answer. */
static void cut_quiet(struct sl_link *link)
{
    if (!sl_linger_needed(link->fd))
        cut(link);
}

static void sweep(uv_timer_t *timer)
{
    struct sl_http_server *server = timer->data;
    uint64_t now_ms = sl_loop_now_ms(), next_ms = SL_FOREVER;
    for (struct sl_link *link = server->links; link; link = link->next) {
        if (link->deadline_ms <= now_ms && link->phase == SL_IDLE) {
            cut_quiet(link);
        } else if (link->deadline_ms <= now_ms) {
            sl_reply_count_refusal(server, SL_REFUSED_SLOW);
            cut(link);
        }
        if (link->deadline_ms < next_ms)
            next_ms = link->deadline_ms;
    }
    server->sweep_ms = next_ms;
    if (next_ms != SL_FOREVER)
        set_sweep(server, now_ms,
                  next_ms < now_ms + SWEEP_LEAST_MS ? now_ms + SWEEP_LEAST_MS : next_ms);
}

/* --- phases --- */

/* Counts the busy ones, and tells who waits for there being fewer, or for the others to end. */
static void count_phase(struct sl_link *link, enum sl_phase phase)
{
    struct sl_http_server *server = link->server;
    server->handling += (unsigned)(phase == SL_HANDLING) - (unsigned)(link->phase == SL_HANDLING);
    server->busy += (unsigned)is_busy(phase) - (unsigned)is_busy(link->phase);
    link->phase = phase;
    sl_wake_all(&server->quiet);
}

static unsigned idle_timeout_ms(const struct sl_http_server *server)
{
    bool hurried =
        server->stopping || server->shut_out || server->link_count >= server->max_connections;
    return hurried && server->idle_timeout_ms > HURRIED_IDLE_MS ? (unsigned)HURRIED_IDLE_MS
                                                                : server->idle_timeout_ms;
}

void sl_link_hurry_idle(struct sl_http_server *server)
{
    unsigned timeout_ms = idle_timeout_ms(server);
    for (struct sl_link *link = server->links; link; link = link->next)
        if (link->phase == SL_IDLE && !link->cut)
            set_deadline(link, timeout_ms);
}

void sl_link_enter(struct sl_link *link, enum sl_phase phase)
{
    const struct sl_http_server *server = link->server;
    count_phase(link, phase);
    if (link->cut)
        return;
    link->entered_ms = sl_loop_now_ms();
    if (phase == SL_HANDLING)
        set_deadline(link, 0);
    else
        set_deadline(link, phase == SL_IDLE ? idle_timeout_ms(server) : server->request_timeout_ms);
    if (phase == SL_IDLE && server->over)
        cut_quiet(link);
}

void sl_link_cut_quiet(struct sl_http_server *server)
{
    for (struct sl_link *link = server->links; link; link = link->next)
        if (!is_busy(link->phase))
            cut_quiet(link);
}

void sl_link_cancel_all(struct sl_http_server *server)
{
    for (struct sl_link *link = server->links; link; link = link->next)
        if (link->exchange.fiber)
            sl_fiber_cancel(link->exchange.fiber);
}

/* --- the library's callbacks --- */

struct sl_link *sl_link_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static struct sl_link *link_new(struct sl_http_server *server, struct MHD_Connection *connection)
{
    struct sl_link *link = SL_NEW(struct sl_link);
    link->server = server;
    link->connection = connection;
    link->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    write_address(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
        link->remote);
    link->next = server->links;
    if (link->next)
        link->next->previous = link;
    server->links = link;
    server->link_count++;
    if (server->tls)
        sl_server_tls_attach(link);
    sl_link_enter(link, SL_RECEIVING);
    if (server->link_count >= server->max_connections)
        sl_link_hurry_idle(server); /* who keeps connections for later must not lock others out */
    return link;
}

static void link_free(struct sl_link *link)
{
    struct sl_http_server *server = link->server;
    bool stays = link->exchange.refused || sl_linger_needed(link->fd);
    if (stays && !link->cut)
        sl_linger_begin(server, link->fd);
    count_phase(link, SL_IDLE);
    if (link->previous)
        link->previous->next = link->next;
    else
        server->links = link->next;
    if (link->next)
        link->next->previous = link->previous;
    server->link_count--;
    server->shut_out = false;
    sl_tls_pair_drop(link->pair);
    free(link);
    sl_wake_all(&server->quiet);
}

void sl_link_notify(void *ctx, struct MHD_Connection *connection, void **socket_ctx,
                    enum MHD_ConnectionNotificationCode what)
{
    struct sl_http_server *server = ctx;
    server->moved = true;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_ctx = link_new(server, connection);
        return;
    }
    link_free(*socket_ctx);
    *socket_ctx = NULL;
}

void *sl_link_requested(void *ctx, const char *uri, struct MHD_Connection *connection)
{
    struct sl_link *link = sl_link_of(connection);
    (void)ctx, (void)uri;
    if (link->phase == SL_IDLE) /* else the connection's first: its time runs already */
        sl_link_enter(link, SL_RECEIVING);
    return NULL;
}
