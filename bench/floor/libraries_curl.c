/* One handle for all requests, its URL taken apart once, its connection watched all the time: what
 * libcurl takes at least. */
#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "libraries.h"

enum { OK = 200 };

static CURLM *multi;
static CURL *easy;
static uv_timer_t timer;
static uv_poll_t connection;
static int watched_events;

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    (void)data, (void)ctx;
    return size * count;
}

static void take_answer(void)
{
    int left;
    long status = 0;
    if (!curl_multi_info_read(multi, &left))
        return;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != OK)
        floor_fail("Dataverse", "no 200");
    curl_multi_remove_handle(multi, easy);
    floor_mark();
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    int fd, running;
    (void)status;
    uv_fileno((uv_handle_t *)poll, &fd);
    curl_multi_socket_action(multi, fd,
                             (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                                 (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0),
                             &running);
    take_answer();
}

/* There is one host, and so one connection, which stays. */
static int watch(CURL *handle, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    (void)handle, (void)ctx, (void)socket_ctx;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (what == CURL_POLL_REMOVE || events == watched_events)
        return 0;
    if (!watched_events)
        uv_poll_init(uv_default_loop(), &connection, fd);
    watched_events = events;
    uv_poll_start(&connection, events, on_socket);
    return 0;
}

static int on_close(void *ctx, curl_socket_t fd)
{
    (void)ctx, (void)fd;
    floor_fail("Dataverse", "the connection was closed");
}

static void on_timer(uv_timer_t *handle)
{
    int running;
    (void)handle;
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_answer();
}

static int set_timer(CURLM *handle, long ms, void *ctx)
{
    (void)handle, (void)ctx;
    if (ms < 0)
        uv_timer_stop(&timer);
    else
        uv_timer_start(&timer, on_timer, (uint64_t)ms, 0);
    return 0;
}

static struct curl_slist *headers(const char *token)
{
    char *authorization;
    if (asprintf(&authorization, "Authorization: Bearer %s", token) < 0)
        abort();
    struct curl_slist *list = curl_slist_append(NULL, authorization);
    list = curl_slist_append(list, "Accept: application/json");
    list = curl_slist_append(list, "OData-Version: 4.0");
    free(authorization);
    return list;
}

void floor_curl_start(const struct floor_options *options)
{
    curl_global_init(CURL_GLOBAL_ALL);
    CURLU *url = curl_url();
    if (curl_url_set(url, CURLUPART_URL, options->get_url, 0) != CURLUE_OK)
        floor_fail("Dataverse", "no such URL");
    uv_timer_init(uv_default_loop(), &timer);
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_CURLU, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers(options->token));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
}

void floor_curl_ask(void)
{
    int running;
    if (curl_multi_add_handle(multi, easy) != CURLM_OK)
        floor_fail("Dataverse", "a request is under way");
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
}
