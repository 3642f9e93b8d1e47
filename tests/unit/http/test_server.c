/* http/server and http/listen, asked by our own client and by raw sockets. */
#include "http/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "http/client.h"
#include "http/harness.h"
#include "http/listen.h"

static void hello(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    const char *name = sl_http_call_query(call, "name"), *header = sl_http_call_header(call, "X-A");
    reply->content_type = "text/plain";
    sl_buf_printf(&reply->body, "%s %s %s %s", call->method, ctx ? (char *)ctx : "",
                  name ? name : "-", header ? header : "-");
}

static void count(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    (void)ctx;
    reply->status = 202;
    sl_buf_printf(&reply->body, "%zu", call->body.length);
}

static const struct sl_http_route routes[] = {
    {"GET",  "/hello", hello, (void *)"ctx", 0    },
    {"POST", "/count", count, NULL,          50000},
};

struct setup {
    struct sl_http_server *server;
    struct sl_http *http;
    char origin[64];
};

static struct sl_http_server *start(const char *listen, struct sl_err *err)
{
    const struct sl_http_server_options options = {
        .listen = listen, .routes = routes, .route_count = 2, .max_connections = 4, .timeout_s = 1};
    return sl_http_server_start(&options, err);
}

static void with_server(void (*body)(void *))
{
    static struct setup setup;
    const struct sl_http_options options = {0};
    struct sl_err err = {0};
    setup.server = start("127.0.0.1:0", &err);
    setup.http = sl_http_new(&options, &err);
    assert_non_null(setup.server);
    snprintf(setup.origin, sizeof setup.origin, "http://127.0.0.1:%u",
             sl_http_server_port(setup.server));
    run_fiber(body, &setup);
}

static void done(struct setup *setup)
{
    sl_http_free(setup->http);
    sl_http_server_stop(setup->server);
}

/* --- routes --- */

static const struct {
    const char *method, *path;
    size_t body_bytes;
    int status;
    const char *body, *content_type;
} calls[] = {
    {"GET",    "/hello",            0,     200, "GET ctx - 1",                          "text/plain"      },
    {"GET",    "/hello?name=a%20b", 0,     200, "GET ctx a b 1",                        "text/plain"      },
    {"HEAD",   "/hello",            0,     200, "",                                     "text/plain"      },
    {"GET",    "/hello/",           0,     404, "{\"error\":\"Not Found\"}\n",          "application/json"},
    {"GET",    "/",                 0,     404, "{\"error\":\"Not Found\"}\n",          "application/json"},
    {"DELETE", "/hello",            0,     405, "{\"error\":\"Method Not Allowed\"}\n", "application/json"},
    {"GET",    "/count",            0,     405, "{\"error\":\"Method Not Allowed\"}\n", "application/json"},
    {"POST",   "/count",            0,     202, "0",                                    "application/json"},
    {"POST",   "/count",            50000, 202, "50000",                                "application/json"},
    {"POST",   "/count",            50001, 413, "{\"error\":\"Content Too Large\"}\n",  "application/json"},
    {"POST",   "/missing",          1000,  404, "{\"error\":\"Not Found\"}\n",          "application/json"},
    {"POST",   "/missing",          5000,  413, "{\"error\":\"Content Too Large\"}\n",  "application/json"},
};

static unsigned threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    unsigned count_of = 0;
    if (!tasks)
        return 0;
    while (readdir(tasks))
        count_of++;
    closedir(tasks);
    return count_of - 2;
}

static void make_calls(void *arg)
{
    struct setup *setup = arg;
    static char body[60000];
    static const char *const headers[] = {"X-A: 1", NULL};
    unsigned before = threads();
    memset(body, 'x', sizeof body);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        char url[200];
        snprintf(url, sizeof url, "%s%s", setup->origin, calls[i].path);
        struct sl_http_request request = {
            .method = calls[i].method, .url = url, .headers = headers, .timeout_ms = 5000};
        if (calls[i].body_bytes)
            request.body = (struct sl_str){body, calls[i].body_bytes};
        struct sl_http_response got = {0};
        struct sl_err err = {0};
        int rc = sl_http_request(setup->http, &request, &got, &err);
        if (rc != SL_OK || got.status != calls[i].status)
            fprintf(stderr, "%s %s: %s\n", calls[i].method, calls[i].path, err.message);
        EXPECT_INT(rc, SL_OK);
        EXPECT_INT(got.status, calls[i].status);
        EXPECT_TEXT(got.body, calls[i].body);
        EXPECT_TEXT(got.content_type, calls[i].content_type);
        sl_http_response_done(&got);
    }
    EXPECT_INT(threads(), before); /* neither server nor client starts one */
    EXPECT_INT(before, 1);
    done(setup);
}

static void test_routes(void **state)
{
    (void)state;
    with_server(make_calls);
}

/* --- rude clients --- */

static int connect_raw(const struct setup *setup)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(sl_http_server_port(setup->server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static bool is_closed(void *arg)
{
    char byte;
    ssize_t got = recv(*(int *)arg, &byte, 1, MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN);
}

static void be_rude(void *arg)
{
    struct setup *setup = arg;
    static char junk[200 * 1024];
    memset(junk, 'j', sizeof junk);

    int slow = connect_raw(setup); /* says nothing: closed after a second */
    int endless = connect_raw(setup);
    static const char head[] =
        "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n30000\r\n";
    EXPECT(send(endless, head, strlen(head), 0) > 0);
    ssize_t sent = send(endless, junk, sizeof junk, MSG_NOSIGNAL | MSG_DONTWAIT);
    EXPECT(sent > 0);
    EXPECT(wait_until(is_closed, &endless));
    EXPECT(wait_until(is_closed, &slow));
    close(slow);
    close(endless);

    char url[100];
    snprintf(url, sizeof url, "%s/hello", setup->origin);
    struct sl_http_request request = {.url = url, .timeout_ms = 5000};
    struct sl_http_response got = {0};
    EXPECT_INT(sl_http_request(setup->http, &request, &got, NULL), SL_OK); /* still there */
    EXPECT_INT(got.status, 200);
    sl_http_response_done(&got);
    done(setup);
}

static void test_rude_clients(void **state)
{
    (void)state;
    with_server(be_rude);
}

static bool is_answered(void *arg)
{
    return *(bool *)arg;
}

struct asker {
    struct setup *setup;
    bool answered;
};

static void ask_hello(void *arg)
{
    struct asker *asker = arg;
    char url[100];
    snprintf(url, sizeof url, "%s/hello", asker->setup->origin);
    struct sl_http_request request = {.url = url, .timeout_ms = 8000};
    struct sl_http_response got = {0};
    EXPECT_INT(sl_http_request(asker->setup->http, &request, &got, NULL), SL_OK);
    sl_http_response_done(&got);
    asker->answered = true;
}

/* More connections than allowed: the late one waits until an idle one is closed; nothing spins. */
static void crowd_in(void *arg)
{
    enum { IDLE = 6 };
    struct setup *setup = arg;
    struct asker asker = {setup, false};
    int idle[IDLE];
    for (int i = 0; i < IDLE; i++)
        idle[i] = connect_raw(setup);
    struct timespec before, after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    sl_fiber_spawn("asker", ask_hello, &asker);
    sl_fiber_sleep(500);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    EXPECT(!asker.answered);
    EXPECT((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 <
           250);
    EXPECT(wait_until(is_answered, &asker.answered));
    for (int i = 0; i < IDLE; i++)
        close(idle[i]);
    done(setup);
}

static void test_crowd(void **state)
{
    (void)state;
    with_server(crowd_in);
}

/* --- addresses --- */

static void take_the_same_port(void *arg)
{
    struct setup *setup = arg;
    char listen[64], wanted[160];
    struct sl_err err = {0};
    snprintf(listen, sizeof listen, "127.0.0.1:%u", sl_http_server_port(setup->server));
    snprintf(wanted, sizeof wanted, "cannot listen on '%s': another program has this port", listen);
    EXPECT(!start(listen, &err));
    EXPECT_INT(err.code, SL_CONFIG);
    EXPECT_TEXT(err.message, wanted);
    EXPECT(!start("192.0.2.1:0", &err));
    EXPECT_INT(err.code, SL_CONFIG);
    done(setup);
}

static void test_port_taken(void **state)
{
    (void)state;
    with_server(take_the_same_port);
}

static void test_listen_parse(void **state)
{
    static const struct {
        const char *text;
        int family; /* 0: refused */
        const char *address;
        unsigned port;
    } rows[] = {
        {"127.0.0.1:9464",      AF_INET,  "127.0.0.1",   9464 },
        {"0.0.0.0:80",          AF_INET,  "0.0.0.0",     80   },
        {"localhost:0",         AF_INET,  "127.0.0.1",   0    },
        {"[::1]:9464",          AF_INET6, "::1",         9464 },
        {":8080",               AF_INET6, "::",          8080 },
        {"*:8080",              AF_INET6, "::",          8080 },
        {"[2001:db8::1]:65535", AF_INET6, "2001:db8::1", 65535},
        {"",                    0,        NULL,          0    },
        {"9464",                0,        NULL,          0    },
        {"127.0.0.1",           0,        NULL,          0    },
        {"127.0.0.1:",          0,        NULL,          0    },
        {"127.0.0.1:x",         0,        NULL,          0    },
        {"127.0.0.1:65536",     0,        NULL,          0    },
        {"127.0.0.1:-1",        0,        NULL,          0    },
        {"::1:80",              0,        NULL,          0    },
        {"[::1:80",             0,        NULL,          0    },
        {"example.com:80",      0,        NULL,          0    },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sockaddr_storage address = {0};
        socklen_t length;
        char text[64];
        int rc = sl_listen_parse(rows[i].text, &address, &length, NULL);
        assert_int_equal(rc, rows[i].family ? SL_OK : SL_CONFIG);
        assert_int_equal(address.ss_family, rows[i].family);
        if (rows[i].family == AF_INET) {
            const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
            assert_int_equal(ntohs(v4->sin_port), rows[i].port);
            inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
            assert_string_equal(text, rows[i].address);
        } else if (rows[i].family == AF_INET6) {
            const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
            assert_int_equal(ntohs(v6->sin6_port), rows[i].port);
            inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
            assert_string_equal(text, rows[i].address);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),       cmocka_unit_test(test_rude_clients),
        cmocka_unit_test(test_crowd),        cmocka_unit_test(test_port_taken),
        cmocka_unit_test(test_listen_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
