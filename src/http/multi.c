/* Sockets and the one timeout that libcurl asks for become uv_poll and uv_timer; what they report
 * goes back into curl_multi_socket_action. Fibers never run inside a libcurl callback: waking only
 * queues.
 *
 * A socket is watched until it is closed, also between two requests: to begin and to end watching
 * takes six calls of the kernel, which each request would pay for. But not while its transfer is
 * paused: that libcurl asks for it no more is not so in 8.5 and 8.6, which go on reading, into
 * memory. */
#include "http/multi.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/wiping.h"
#include "http/transfer.h"
#include "loop/fiber.h"

enum { CONNECTIONS_KEPT = 16 };

/* One socket of libcurl's. */
struct sl_multi_watch {
    uv_poll_t poll; /* first: sl_handle_free frees the whole */
    struct sl_multi_watch *next;
    struct sl_http *http;
    curl_socket_t socket;
    int events;       /* looked for */
    const CURL *easy; /* whose transfer wants it; NULL: none does */
    int asked;        /* the events that it wants */
    bool held;        /* and does not get yet */
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

static void on_ready(uv_poll_t *poll, int status, int events);

static int look_for(struct sl_multi_watch *watch, int events)
{
    watch->events = events;
    return events ? uv_poll_start(&watch->poll, events, on_ready) : uv_poll_stop(&watch->poll);
}

/* Each change costs calls of the kernel. */
static int look_only_for(struct sl_multi_watch *watch, int events)
{
    return events == watch->events ? 0 : look_for(watch, events);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct sl_multi_watch *watch = poll->data;
    int flags = 0;
    /* The peer has closed a connection that is kept, mostly: libcurl sees that when it wants it. */
    if (!watch->easy) {
        look_for(watch, 0);
        return;
    }
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
        look_for(watch, watch->events);
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

/* --- sockets --- */

static struct sl_multi_watch *watch_of(struct sl_http *http, curl_socket_t socket)
{
    struct sl_multi_watch *watch = http->watches;
    while (watch && watch->socket != socket)
        watch = watch->next;
    return watch;
}

static struct sl_multi_watch *watch_new(struct sl_http *http, curl_socket_t socket)
{
    struct sl_multi_watch *watch = SL_NEW(struct sl_multi_watch);
    if (uv_poll_init_socket(sl_loop(), &watch->poll, socket)) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    watch->http = http;
    watch->socket = socket;
    watch->next = http->watches;
    http->watches = watch;
    return watch;
}

static void watch_free(struct sl_multi_watch *watch)
{
    struct sl_multi_watch **at = &watch->http->watches;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    uv_close((uv_handle_t *)&watch->poll, sl_handle_free);
}

static int socket_asked(CURL *easy, curl_socket_t socket, int what, void *ctx, void *socket_ctx)
{
    struct sl_http *http = ctx;
    struct sl_multi_watch *watch = watch_of(http, socket);
    (void)socket_ctx;

    if (what == CURL_POLL_REMOVE) { /* the connection is kept, or the socket closed next */
        if (watch) {
            watch->easy = NULL;
            watch->held = false;
            if (watch->events != UV_READABLE)
                look_only_for(watch, 0);
        }
        return 0;
    }
    if (!watch && !(watch = watch_new(http, socket)))
        return -1;

    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    watch->easy = easy;
    watch->asked = events;
    return watch->held ? 0 : look_only_for(watch, events);
}

void sl_multi_hold(struct sl_http *http, const CURL *easy, bool held)
{
    struct sl_multi_watch *watch = http->watches;
    while (watch && watch->easy != easy)
        watch = watch->next;
    if (!watch)
        return; /* libcurl does not ask for it either */
    watch->held = held;
    look_only_for(watch, held ? 0 : watch->asked);
}

int sl_multi_close_socket(void *ctx, curl_socket_t socket)
{
    struct sl_multi_watch *watch = watch_of(ctx, socket);
    if (watch)
        watch_free(watch);
    return close(socket);
}

/* --- from beginning to end --- */

/* It copies what it sends, tokens and client secrets among it, and does not wipe. */
static bool start_curl(void)
{
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, sl_wiping_free, sl_wiping_realloc,
                                strdup, calloc) == CURLE_OK;
}

int sl_multi_init(struct sl_http *http, struct sl_err *err)
{
    if (!start_curl() || !(http->multi = curl_multi_init()))
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
    curl_easy_cleanup(http->spare_easy);
    curl_multi_cleanup(http->multi);
    while (http->watches)
        watch_free(http->watches);
    if (http->timer)
        uv_close((uv_handle_t *)http->timer, sl_handle_free);
    curl_global_cleanup();
}
