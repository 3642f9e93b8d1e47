/* http/server and http/listen, asked by our own client and by raw sockets. */
#include "cpu.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/metric.h"
#include "http/client.h"
#include "http/listen.h"
#include "http/raw.h"
#include "http/shortage.h"

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

/* Shows what a handler is told. */
static void show(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    (void)ctx;
    EXPECT(call->arrived_ms <= sl_loop_now_ms() && call->arrived_ms + 5000 > sl_loop_now_ms());
    reply->retry_after_s = 7;
    sl_buf_printf(&reply->body, "%s|%s|%s|%s|" SL_STR_FORMAT, call->path, call->rest,
                  call->content_type, call->remote, SL_STR_ARGS(call->body));
}

static const struct sl_http_route routes[] = {
    {.method = "GET",  .path = "/hello", .handler = hello, .ctx = (void *)"ctx"   },
    {.method = "POST", .path = "/count", .handler = count, .max_body_bytes = 50000},
    {.method = "POST", .path = "/show/", .prefix = true,   .handler = show        },
};

struct setup {
    struct sl_http_server *server;
    struct sl_http *http;
    char origin[64];
};

static struct sl_http_server *start(const char *listen, struct sl_err *err)
{
    const struct sl_http_server_options options = {
        .name = "test",
        .listen = listen,
        .routes = routes,
        .route_count = sizeof routes / sizeof *routes,
        .max_connections = 4,
        .request_timeout_ms = 4000, /* longer than a machine may stand still */
    };
    return sl_http_server_start(&options, err);
}

static void with_server(void (*body)(void *))
{
    static struct setup setup;
    const struct sl_http_options options = {0};
    struct sl_err err = {0};
    setup.server = start("127.0.0.1:0", &err);
    setup.http = sl_http_new(&options, &err);
    if (!setup.server)
        fprintf(stderr, "%s\n", err.message);
    assert_non_null(setup.server);
    snprintf(setup.origin, sizeof setup.origin, "http://127.0.0.1:%u",
             sl_http_server_port(setup.server));
    run_fiber(body, &setup);
}

static void done(struct setup *setup)
{
    sl_http_free(setup->http);
    sl_http_server_stop(setup->server, 0);
}

/* --- routes --- */

static const struct {
    const char *method, *path;
    size_t body_bytes;
    int status;
    const char *body, *content_type;
} calls[] = {
    {"GET",    "/hello",            0,     200, "GET ctx - 1",                                          "text/plain"      },
    {"GET",    "/hello?name=a%20b", 0,     200, "GET ctx a b 1",                                        "text/plain"      },
    {"HEAD",   "/hello",            0,     200, "",                                                     "text/plain"      },
    {"GET",    "/hello/",           0,     404, "{\"error\":\"Not Found\"}\n",                          "application/json"},
    {"GET",    "/",                 0,     404, "{\"error\":\"Not Found\"}\n",                          "application/json"},
    {"DELETE", "/hello",            0,     405, "{\"error\":\"Method Not Allowed\"}\n",                 "application/json"},
    {"GET",    "/count",            0,     405, "{\"error\":\"Method Not Allowed\"}\n",                 "application/json"},
    {"POST",   "/count",            0,     202, "0",                                                    "application/json"},
    {"POST",   "/count",            50000, 202, "50000",                                                "application/json"},
    {"POST",   "/count",            50001, 413, "{\"error\":\"Content Too Large\"}\n",                  "application/json"},
    {"POST",   "/missing",          1000,  404, "{\"error\":\"Not Found\"}\n",                          "application/json"},
    {"POST",   "/missing",          5000,  404, "{\"error\":\"Not Found\"}\n",                          "application/json"},
    {"GET",    "/show/x",           0,     405, "{\"error\":\"Method Not Allowed\"}\n",                 "application/json"},
    {"POST",   "/show",             0,     404, "{\"error\":\"Not Found\"}\n",                          "application/json"},
    {"POST",   "/show/",            0,     200, "/show/||application/x-www-form-urlencoded|127.0.0.1|",
     "application/json"                                                                                                   },
    {"POST",   "/show/a%20b/c?d=e", 3,     200,
     "/show/a b/c|a b/c|application/x-www-form-urlencoded|127.0.0.1|xxx",                               "application/json"},
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

static void be_rude(void *arg)
{
    struct setup *setup = arg;
    static char junk[200 * 1024];
    memset(junk, 'j', sizeof junk);

    struct raw *slow = raw_connect(setup->server); /* says nothing: closed after a second */
    struct raw *endless = raw_connect(setup->server);
    EXPECT(raw_say(endless, "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "30000\r\n"));
    raw_send(endless, junk, sizeof junk); /* as far as it is let */
    EXPECT(raw_await_end(endless));
    EXPECT(!strncmp(endless->in, "HTTP/1.1 413 Content Too Large\r\n", 32));
    EXPECT(raw_await_end(slow));
    EXPECT_INT(slow->length, 0);
    raw_close(slow);
    raw_close(endless);

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
    struct sl_http_request request = {.url = url, .timeout_ms = 20000};
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
    struct raw *idle[IDLE];
    for (int i = 0; i < IDLE; i++)
        idle[i] = raw_connect(setup->server);
    double before_ms = cpu_ms();
    sl_fiber_spawn("asker", ask_hello, &asker);
    sl_fiber_sleep(500);
    EXPECT(cpu_ms() - before_ms < 250);
    EXPECT(!asker.answered);
    EXPECT(wait_until(is_answered, &asker.answered));
    for (int i = 0; i < IDLE; i++)
        raw_close(idle[i]);
    done(setup);
}

static void test_crowd(void **state)
{
    (void)state;
    with_server(crowd_in);
}

/* --- no descriptor left --- */

static unsigned turns;

static void count_turn(uv_check_t *check)
{
    (void)check;
    turns++;
}

/* Who has connected waits until there is one; nothing spins, and it is told once. */
static void run_out(void *arg)
{
    struct setup *setup = arg;
    static uv_check_t check;
    struct shortage shortage;
    struct raw *raw = raw_connect(setup->server); /* the server has not looked yet */
    EXPECT(raw_say(raw, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
    shortage_begin(&shortage);
    uv_check_init(sl_loop(), &check);
    uv_check_start(&check, count_turn);
    turns = 0;
    sl_fiber_sleep(1300); /* it tries again after a second */
    EXPECT_INT(shortage_end(&shortage, "nobody can connect"), 1);
    EXPECT(turns < 100);
    raw_pull(raw);
    EXPECT_INT(raw->length, 0);
    EXPECT(raw_await(raw, "GET ctx - -", 1));
    uv_close((uv_handle_t *)&check, NULL);
    raw_close(raw);
    done(setup);
}

static void test_run_out(void **state)
{
    (void)state;
    with_server(run_out);
}

/* No descriptor is left until the listener has seen one visitor more. */
static void miss_one(struct raw *visitor)
{
    struct shortage shortage;
    shortage_begin(&shortage);
    EXPECT(raw_say(visitor, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
    sl_fiber_sleep(100);
    EXPECT_INT(shortage_end(&shortage, "nobody can connect"), 1);
}

/* The library lets nobody in until a connection has gone: one in use is told that it ends. */
static void run_out_beside_busy(void *arg)
{
    struct setup *setup = arg;
    struct raw *kept = raw_connect(setup->server);
    EXPECT(raw_say(kept, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\n"));
    EXPECT(raw_await(kept, "GET ctx - -", 1));
    EXPECT_INT(raw_count(kept, "Connection: close"), 0);
    struct raw *late = raw_connect(setup->server);
    miss_one(late);
    EXPECT(raw_say(kept, "Host: a\r\n\r\n") && raw_await(kept, "GET ctx - -", 2));
    EXPECT_INT(raw_count(kept, "Connection: close"), 1);
    EXPECT(raw_await(late, "GET ctx - -", 1));
    EXPECT_INT(raw_count(late, "Connection: close"), 0);
    raw_close(kept);
    raw_close(late);
    done(setup);
}

/* And one that rests ends by itself, long before its time. */
static void run_out_beside_idle(void *arg)
{
    struct setup *setup = arg;
    struct raw *kept = raw_connect(setup->server);
    EXPECT(raw_say(kept, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
    EXPECT(raw_await(kept, "GET ctx - -", 1));
    struct raw *late = raw_connect(setup->server);
    miss_one(late);
    EXPECT(raw_await(late, "GET ctx - -", 1));
    raw_close(kept);
    raw_close(late);
    done(setup);
}

static void test_run_out_beside_others(void **state)
{
    (void)state;
    with_server(run_out_beside_busy);
    with_server(run_out_beside_idle);
}

/* --- one connection, many requests --- */

static void keep_alive(void *arg)
{
    struct setup *setup = arg;
    struct raw *raw = raw_connect(setup->server);
    int64_t before = sl_metric_sum("http_requests_total", "listener=\"test\",status=\"202\"");

    /* Each may be cut anywhere: sent in pieces of every length. */
    static const char text[] =
        "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
        "GET /none HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /hello HTTP/1.1\r\nHost: a\r\nX-None:\r\nX-Blank: \r\nX-A: last\r\n\r\n";
    unsigned rounds = 0;
    for (size_t step = 1; step < sizeof text; step += 1 + step / 2) {
        for (size_t at = 0; at < sizeof text - 1; at += step) {
            size_t left = sizeof text - 1 - at;
            EXPECT(raw_send(raw, text + at, left < step ? left : step));
            sl_fiber_yield();
        }
        rounds++;
        EXPECT(raw_await(raw, "GET ctx - last", rounds));
    }
    EXPECT_INT(raw_count(raw, "\r\n\r\n5HTTP/1.1 202 "), rounds);
    EXPECT_INT(raw_count(raw, "\r\n\r\n7HTTP/1.1 404 "), rounds);
    EXPECT_INT(raw_count(raw, "HTTP/1.1 "), 4 * rounds);
    EXPECT(!raw->closed);
    EXPECT_INT(sl_metric_sum("http_requests_total", "listener=\"test\",status=\"202\"") - before,
               2 * rounds);
    raw_close(raw);
    done(setup);
}

static void test_keep_alive(void **state)
{
    (void)state;
    with_server(keep_alive);
}

/* --- several servers --- */

static void serve_twice(void *arg)
{
    struct setup *setup = arg;
    struct sl_err err = {0};
    struct sl_http_server *other = start("127.0.0.1:0", &err);
    struct raw *one = raw_connect(setup->server), *two = raw_connect(other);
    static const char ask[] =
        "POST /show/x HTTP/1.1\r\nHost: a\r\n"
        "Content-Type: Text/CSV; charset=utf-8\r\nContent-Length: 2\r\n\r\nhi";
    EXPECT(raw_say(one, ask));
    EXPECT(raw_say(two, ask));
    EXPECT(raw_await(one, "/show/x|x|text/csv|127.0.0.1|hi", 1));
    EXPECT(raw_await(two, "/show/x|x|text/csv|127.0.0.1|hi", 1));
    EXPECT_INT(raw_count(one, "\r\nRetry-After: 7\r\n"), 1);
    sl_http_server_stop(other, 0);
    EXPECT(raw_await_end(two));
    EXPECT(raw_say(one, ask));
    EXPECT(raw_await(one, "|hi", 2));
    raw_close(one);
    raw_close(two);
    done(setup);
}

static void test_two_servers(void **state)
{
    (void)state;
    with_server(serve_twice);
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
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_rude_clients),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_run_out),
        cmocka_unit_test(test_run_out_beside_others),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_two_servers),
        cmocka_unit_test(test_port_taken),
        cmocka_unit_test(test_listen_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
