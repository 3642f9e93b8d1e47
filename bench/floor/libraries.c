/* The front by libraries: libmicrohttpd on its epoll descriptor, yajl for what it brings; libcurl
 * is beside this file. */
#include "libraries.h"

#include <string.h>

#include <microhttpd.h>
#include <yajl/yajl_parse.h>

enum {
    RUNS_MAX = 16, /* a turn; a request with its answer takes three */
    ACCEPTED = 202,
};

static struct MHD_Daemon *server;
static struct MHD_Connection *connection;
static bool is_waiting, is_answered;

static int on_name(void *ctx, const unsigned char *name, size_t length)
{
    (void)ctx, (void)name, (void)length;
    return 1;
}

static void parse(const struct floor_row *row)
{
    static const yajl_callbacks callbacks = {.yajl_map_key = on_name, .yajl_string = on_name};
    yajl_handle parser = yajl_alloc(&callbacks, NULL, NULL);
    if (yajl_parse(parser, (const unsigned char *)row->text, row->length) != yajl_status_ok ||
        yajl_complete_parse(parser) != yajl_status_ok)
        floor_fail("request", "no JSON");
    yajl_free(parser);
}

static void turn(void)
{
    MHD_UNSIGNED_LONG_LONG unused;
    for (int i = 0; i < RUNS_MAX; i++) {
        MHD_run(server);
        if (MHD_get_timeout(server, &unused) != MHD_YES)
            return;
    }
    floor_fail("libmicrohttpd", "it does not come to rest");
}

static void answer(void)
{
    is_answered = true;
    if (!is_waiting)
        return;
    is_waiting = false;
    MHD_resume_connection(connection);
    turn();
}

static enum MHD_Result send_answer(void)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(2, (void *)(uintptr_t) "{}", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result rc = MHD_queue_response(connection, ACCEPTED, response);
    MHD_destroy_response(response);
    return rc;
}

/* Called with the headers, with the body, and at the end; and once more when it has waited. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *from, const char *path,
                                  const char *method, const char *version, const char *piece,
                                  size_t *piece_size, void **request)
{
    struct floor *floor = ctx;
    struct floor_row *row = floor_next_row(floor);
    (void)path, (void)method, (void)version;
    if (!*request) {
        *request = floor;
        row->length = 0;
        is_answered = false;
        connection = from;
        return MHD_YES;
    }
    if (*piece_size) {
        if (*piece_size > sizeof row->text - row->length)
            floor_fail("request", "too long a row");
        memcpy(row->text + row->length, piece, *piece_size);
        row->length += *piece_size;
        *piece_size = 0;
        return MHD_YES;
    }
    if (!is_answered) {
        parse(row);
        floor_took(floor);
    }
    if (is_answered)
        return send_answer();
    is_waiting = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)status, (void)events;
    turn();
}

static void start(struct floor *floor)
{
    static uv_poll_t poll;
    server = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, floor->options.port, NULL,
                              NULL, on_request, floor, MHD_OPTION_END);
    if (!server)
        floor_fail("listen", "the port is taken");
    uv_poll_init(uv_default_loop(), &poll,
                 MHD_get_daemon_info(server, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    uv_poll_start(&poll, UV_READABLE, on_ready);
    if (floor->options.get_url)
        floor_curl_start(&floor->options);
}

const struct floor_front floor_libraries = {start, answer, floor_curl_ask};
