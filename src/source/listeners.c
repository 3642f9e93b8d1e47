#include "source/listeners.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "source/listen_settings.h"

enum { PENDING_BYTES = 64 * 1024 * 1024 }; /* of bodies, unless one alone may be as large */

struct listener {
    struct listener *next;
    const char *address;
    struct sl_http_route *routes;
    size_t route_count;
    struct sl_http_server *server;
    struct sl_fiber *stopper;
    uint64_t deadline_ms; /* to stop */
};

struct sl_listeners {
    const struct sl_config *config;
    struct listener *first;
};

struct sl_listeners *sl_listeners_new(const struct sl_config *config)
{
    struct sl_listeners *listeners = SL_NEW(struct sl_listeners);
    listeners->config = config;
    return listeners;
}

static struct listener *listener_at(struct sl_listeners *listeners, const char *address)
{
    struct listener **at = &listeners->first;
    while (*at && strcmp((*at)->address, address) != 0)
        at = &(*at)->next;
    if (!*at) {
        *at = SL_NEW(struct listener);
        (*at)->address = address;
    }
    return *at;
}

/* Whole paths come first: a prefix is for what is left. */
void sl_listeners_add(struct sl_listeners *listeners, const struct sl_source_config *source,
                      const struct sl_http_route *route)
{
    struct listener *listener = listener_at(listeners, sl_listen_of(source)->address);
    size_t count = listener->route_count++, place = count;
    listener->routes =
        sl_realloc(listener->routes, listener->route_count * sizeof *listener->routes);
    while (!route->prefix && place && listener->routes[place - 1].prefix)
        place--;
    memmove(&listener->routes[place + 1], &listener->routes[place],
            (count - place) * sizeof *listener->routes);
    listener->routes[place] = *route;
}

static int start(const struct sl_config *config, struct listener *listener, struct sl_err *err)
{
    struct sl_listen_settings shared;
    sl_listen_share(config, listener->address, &shared);
    const struct sl_http_server_options options = {
        .name = listener->address,
        .listen = listener->address,
        .routes = listener->routes,
        .route_count = listener->route_count,
        .certificate = shared.tls.certificate,
        .key = shared.tls.key,
        .max_connections = (unsigned)shared.max_connections,
        .max_rate = (unsigned)shared.max_rate,
        .max_pending_bytes =
            shared.max_body_bytes > PENDING_BYTES ? shared.max_body_bytes : PENDING_BYTES,
        .request_timeout_ms = (unsigned)shared.request_timeout_ms,
    };
    listener->server = sl_http_server_start(&options, err);
    if (!listener->server)
        return err->code;
    sl_log(SL_INFO, "listening", SL_T("address", listener->address),
           SL_T("scheme", shared.tls.certificate ? "https" : "http"));
    return SL_OK;
}

int sl_listeners_start(struct sl_listeners *listeners, struct sl_err *err)
{
    int rc = SL_OK;
    for (struct listener *one = listeners->first; one && rc == SL_OK; one = one->next)
        rc = start(listeners->config, one, err);
    return rc;
}

static void stop(void *arg)
{
    struct listener *listener = arg;
    sl_http_server_stop(listener->server, listener->deadline_ms);
}

/* All at once: while one waits for its last requests, the others take no more either. */
void sl_listeners_stop(struct sl_listeners *listeners, uint64_t deadline_ms, bool again)
{
    if (!listeners)
        return;
    for (struct listener *one = listeners->first; one; one = one->next) {
        one->deadline_ms = deadline_ms;
        if (again && one->server)
            sl_http_server_hand_over(one->server);
        one->stopper = sl_fiber_spawn_joinable("listener.stop", stop, one);
    }
    while (listeners->first) {
        struct listener *one = listeners->first;
        listeners->first = one->next;
        sl_fiber_join(one->stopper);
        free(one->routes);
        free(one);
    }
    free(listeners);
}
