/* Sockets and the one timeout that libcurl asks for become uv_poll and uv_timer; what they report
 * goes back into curl_multi_socket_action. Fibers never run inside a libcurl callback: waking only
 * queues. */
#include "http/multi.h"

#include <stdlib.h>

#include "base/mem.h"
#include "http/transfer.h"
#include "loop/fiber.h"

enum { CONNECTIONS_KEPT = 16 };

/* One socket of libcurl's. */
struct watch {
    uv_poll_t poll; /* first: sl_handle_free frees the whole */
    struct sl_http *http;
    curl_socket_t socket;
    int events; /* asked for */
};

static void collect_finished(struct sl_http *http)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct sl_transfer *transfer = NULL;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        sl_transfer_finish(transfer, result); /* frees message */
    }
}

static void act(struct sl_http *http, curl_socket_t socket, int events)
{
    int running;
    curl_multi_socket_action(http->multi, socket, events, &running);
    collect_finished(http);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    int flags = 0;
    /* An error (a reset, mostly) stops the poll handle, and libcurl, told of "an error", would give
     * up at once. Told to read, it takes what the peer still said, then finds the real cause. */
    if (status < 0)
        events = UV_READABLE | UV_WRITABLE;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    act(watch->http, watch->socket, flags);
    if (status < 0 && watch->events && !uv_is_closing((uv_handle_t *)poll))
        uv_poll_start(poll, watch->events, on_ready);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int timer_asked(CURLM *multi, long timeout_ms, void *ctx)
{
    struct sl_http *http = ctx;
    (void)multi;
    if (timeout_ms < 0)
        return uv_timer_stop(http->timer);
    uv_update_time(sl_loop());
    return uv_timer_start(http->timer, on_timer, (uint64_t)timeout_ms, 0);
}

static struct watch *watch_new(struct sl_http *http, curl_socket_t socket)
{
    struct watch *watch = SL_NEW(struct watch);
    if (uv_poll_init_socket(sl_loop(), &watch->poll, socket)) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    watch->http = http;
    watch->socket = socket;
    curl_multi_assign(http->multi, socket, watch);
    return watch;
}

static int socket_asked(CURL *easy, curl_socket_t socket, int what, void *ctx, void *socket_ctx)
{
    struct sl_http *http = ctx;
    struct watch *watch = socket_ctx;
    (void)easy;

    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            curl_multi_assign(http->multi, socket, NULL);
            uv_close((uv_handle_t *)&watch->poll, sl_handle_free);
        }
        return 0;
    }
    if (!watch && !(watch = watch_new(http, socket)))
        return -1;

    watch->events =
        (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (!watch->events) /* paused: the socket stands still */
        return uv_poll_stop(&watch->poll);
    return uv_poll_start(&watch->poll, watch->events, on_ready);
}

int sl_multi_init(struct sl_http *http, struct sl_err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(http->multi = curl_multi_init()))
        return sl_err_set(err, SL_CONFIG, "cannot start libcurl");

    http->timer = sl_alloc(sizeof *http->timer);
    uv_timer_init(sl_loop(), http->timer);
    http->timer->data = http;

    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_asked);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_asked);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return SL_OK;
}

void sl_multi_done(struct sl_http *http)
{
    curl_multi_cleanup(http->multi);
    if (http->timer)
        uv_close((uv_handle_t *)http->timer, sl_handle_free);
    curl_global_cleanup();
}
