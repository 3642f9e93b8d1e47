/* http/server: handlers that wait. Others are served meanwhile, clients go away meanwhile, the
 * server is stopped meanwhile. */
#include "cpu.h"
#include "http/server.h"

#include "base/metric.h"
#include "http/raw.h"

/* What the handlers did, and the door at which they wait. */
static struct {
    unsigned started, ended, cancelled;
    bool open;
    struct sl_waitlist waiters;
} door;

static void wait_at_door(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    (void)ctx;
    door.started++;
    while (!door.open) {
        if (sl_wait(&door.waiters, SL_FOREVER) == SL_CANCELED) {
            door.cancelled++;
            reply->status = 503;
            reply->retry_after_s = 3;
            break;
        }
    }
    door.ended++;
    sl_buf_printf(&reply->body, "<%s %s %zu>", door.open ? "open" : "cancelled",
                  sl_http_call_header(call, "X-A"), call->body.length);
}

static void open_door(void *arg)
{
    (void)arg;
    door.open = true;
    sl_wake_all(&door.waiters);
}

static void nap(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    const char *ms = sl_http_call_query(call, "ms");
    (void)ctx;
    sl_fiber_sleep(strtoull(ms ? ms : "0", NULL, 10));
    sl_buf_printf(&reply->body, "<slept %s>", ms ? ms : "0");
}

static void echo(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    (void)ctx;
    sl_fiber_yield();
    sl_buf_add(&reply->body, call->body.at, call->body.length);
}

static void now(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    (void)ctx, (void)call;
    sl_buf_add_text(&reply->body, "<now>");
}

/* On a fiber, but without waiting for anything. */
static void brief(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    (void)ctx;
    EXPECT(sl_fiber_self());
    sl_buf_printf(&reply->body, "<brief %zu>", call->body.length);
}

static const struct sl_http_route routes[] = {
    {.method = "POST",          .path = "/brief", .fiber = true,                     .handler = brief, .max_body_bytes = 100000},
    {.method = "POST",
     .path = "/door",
     .fiber = true,
     .handler = wait_at_door,
     .max_body_bytes = 100000},
    {.method = "GET",             .path = "/nap",                     .fiber = true,                                                       .handler = nap},
    {.method = "POST",           .path = "/echo", .fiber = true, .handler = echo, .max_body_bytes = 100000},
    {.method = "GET",                         .path = "/now",                          .handler = now                                 },
};

static struct sl_http_server *server;

static void with_server(void (*body)(void *))
{
    const struct sl_http_server_options options = {.name = "fibers",
                                                   .listen = "127.0.0.1:0",
                                                   .routes = routes,
                                                   .route_count = sizeof routes / sizeof *routes,
                                                   .max_connections = 4,
                                                   .request_timeout_ms = 2000};
    struct sl_err err = {0};
    memset(&door, 0, sizeof door);
    server = sl_http_server_start(&options, &err);
    assert_non_null(server);
    run_fiber(body, NULL);
}

#define DOOR "POST /door HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc"
#define NOW "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"

static bool has_started(void *arg)
{
    return door.started == *(unsigned *)arg;
}

static bool has_ended(void *arg)
{
    return door.ended == *(unsigned *)arg;
}

/* Opens a connection and waits until a handler works on it. */
static struct raw *knock(void)
{
    struct raw *raw = raw_connect(server);
    unsigned wanted = door.started + 1;
    EXPECT(raw_say(raw, DOOR));
    EXPECT(wait_until(has_started, &wanted));
    return raw;
}

/* --- at once --- */

static void be_brief(void *arg)
{
    static const char text[] = "POST /brief HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    (void)arg;
    struct raw *raw = raw_connect(server);
    for (unsigned i = 1; i <= 20; i++) { /* alone, and with one that waits behind it */
        EXPECT(raw_say(raw, text));
        EXPECT(raw_await(raw, "<brief 3>", 2 * i - 1));
        EXPECT(raw_say(raw, "GET /nap?ms=1 HTTP/1.1\r\nHost: a\r\n\r\n"));
        EXPECT(raw_say(raw, text));
        EXPECT(raw_await(raw, "<brief 3>", 2 * i));
        EXPECT_INT(raw_count(raw, "<slept 1>"), i);
    }
    EXPECT_INT(sl_fiber_count(), 1); /* this one */
    raw_close(raw);
    sl_http_server_stop(server, 0);
}

static void test_handlers_that_do_not_wait(void **state)
{
    (void)state;
    with_server(be_brief);
}

/* --- meanwhile --- */

static void serve_others(void *arg)
{
    struct raw *waiting[3], *other;
    (void)arg;
    for (int i = 0; i < 3; i++)
        waiting[i] = knock();
    other = raw_connect(server);
    uint64_t idle_ms = 0; /* since when the other one may be so */
    for (unsigned i = 1; i <= 50; i++) {
        idle_ms = sl_loop_now_ms();
        EXPECT(raw_say(other, NOW "GET /nap?ms=1 HTTP/1.1\r\nHost: a\r\n\r\n"));
        EXPECT(raw_await(other, "<slept 1>", i));
    }
    EXPECT_INT(raw_count(other, "<now>"), 50);

    struct raw *late = raw_connect(server); /* no connection is left for it … */
    EXPECT(raw_say(late, NOW));
    sl_fiber_sleep(100);
    raw_pull(late);
    EXPECT(late->length == 0 || sl_loop_now_ms() - idle_ms >= 1000); /* given away */
    raw_close(other);                                                /* … until one goes */
    EXPECT(raw_await(late, "<now>", 1));

    sl_fiber_sleep(2100); /* longer than a request may take to come in */
    for (int i = 0; i < 3; i++) {
        raw_pull(waiting[i]);
        EXPECT(!waiting[i]->length && !waiting[i]->closed);
    }
    open_door(NULL);
    for (int i = 0; i < 3; i++) {
        EXPECT(raw_await(waiting[i], "<open 1 3>", 1));
        EXPECT(raw_say(waiting[i], NOW)); /* the connection lives on */
        EXPECT(raw_await(waiting[i], "<now>", 1));
        raw_close(waiting[i]);
    }
    raw_close(late);
    sl_http_server_stop(server, 0);
}

static void test_others_are_served(void **state)
{
    (void)state;
    with_server(serve_others);
}

/* Several requests in one go: answered in order, whichever runs where. */
static void pipeline(void *arg)
{
    struct raw *raw = raw_connect(server);
    (void)arg;
    EXPECT(raw_say(raw, "GET /nap?ms=30 HTTP/1.1\r\nHost: a\r\n\r\n" NOW
                        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n<echo>"
                        "GET /nap?ms=10 HTTP/1.1\r\nHost: a\r\n\r\n" NOW));
    EXPECT(raw_await(raw, "<now>", 2));
    const char *first = strstr(raw->in, "<slept 30>"), *second = strstr(raw->in, "<now>"),
               *third = strstr(raw->in, "<echo>"), *fourth = strstr(raw->in, "<slept 10>");
    EXPECT(first && second > first && third > second && fourth > third);
    raw_close(raw);
    sl_http_server_stop(server, 0);
}

static void test_pipelining(void **state)
{
    (void)state;
    with_server(pipeline);
}

/* --- clients that go --- */

static void go_away(void *arg)
{
    (void)arg;
    for (unsigned i = 1; i <= 12; i++) { /* three times as many as there are connections */
        door.open = false;
        struct raw *raw = knock();
        if (i % 3 == 1)
            shutdown(raw->fd, SHUT_RD);
        if (i % 3 == 0)
            raw_reset(raw);
        else
            raw_close(raw);
        sl_fiber_sleep(1);
        open_door(NULL);
        EXPECT(wait_until(has_ended, &i));
    }
    struct raw *raw = raw_connect(server);
    EXPECT(raw_say(raw, DOOR));
    EXPECT(raw_await(raw, "<open 1 3>", 1));
    EXPECT_INT(door.cancelled, 0);
    raw_close(raw);
    sl_http_server_stop(server, 0);
}

static void test_client_goes_away(void **state)
{
    (void)state;
    with_server(go_away);
}

/* A client that has shut down its sending side still wants its answer. */
static void half_close(void *arg)
{
    struct raw *older = raw_connect(server); /* in the library's list behind the other */
    (void)arg;
    struct raw *raw = knock();
    shutdown(raw->fd, SHUT_WR);
    sl_fiber_sleep(20);
    open_door(NULL);
    EXPECT(raw_await(raw, "<open 1 3>", 1));
    EXPECT(raw_await_end(raw));
    raw_close(raw);
    raw_close(older);
    sl_http_server_stop(server, 0);
}

static void test_half_closed_client_is_answered(void **state)
{
    (void)state;
    with_server(half_close);
}

/* --- stopping --- */

/* One request ends while the server stops, and its connection with it; then the other may. */
static void open_later(void *arg)
{
    struct raw *quick = arg;
    EXPECT(raw_await_end(quick));
    EXPECT_INT(raw_count(quick, "<slept 60>"), 1);
    open_door(NULL);
}

static void stop_with_grace(void *arg)
{
    struct raw *working = knock(), *idle = raw_connect(server), *half = raw_connect(server),
               *quick = raw_connect(server);
    (void)arg;
    EXPECT(raw_say(idle, NOW));
    EXPECT(raw_await(idle, "<now>", 1));
    EXPECT(raw_say(half, "POST /door HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\nabc"));
    EXPECT(raw_say(working, NOW)); /* a second request behind the first is not begun any more */
    EXPECT(raw_say(quick, "GET /nap?ms=60 HTTP/1.1\r\nHost: a\r\n\r\n"));
    sl_fiber_sleep(20);
    sl_fiber_spawn("open later", open_later, quick);

    uint64_t before_ms = sl_loop_now_ms();
    sl_http_server_stop(server, sl_deadline_in(20000));
    uint64_t took_ms = sl_loop_now_ms() - before_ms;
    EXPECT(took_ms >= 20 && took_ms < 10000);
    EXPECT_INT(door.ended, 1);
    EXPECT_INT(door.cancelled, 0);
    EXPECT(raw_await(working, "<open 1 3>", 1));
    EXPECT(raw_await_end(working) && raw_await_end(idle) && raw_await_end(half));
    EXPECT_INT(raw_count(working, "<now>"), 0);
    EXPECT_INT(half->length, 0);
    raw_close(working);
    raw_close(idle);
    raw_close(half);
    raw_close(quick);
}

static void test_stop_with_grace(void **state)
{
    (void)state;
    with_server(stop_with_grace);
}

static void stop_at_once(void *arg)
{
    struct raw *raws[3];
    (void)arg;
    for (int i = 0; i < 3; i++)
        raws[i] = knock();
    raw_reset(raws[2]);
    sl_http_server_stop(server, sl_deadline_in(50));
    EXPECT_INT(door.ended, 3);
    EXPECT_INT(door.cancelled, 3);
    EXPECT_INT(sl_fiber_count(), 1); /* this one */
    for (int i = 0; i < 2; i++) {
        EXPECT(raw_await_end(raws[i])); /* told why */
        EXPECT_INT(raw_count(raws[i], "HTTP/1.1 503 "), 1);
        EXPECT_INT(raw_count(raws[i], "\r\nRetry-After: 3\r\n"), 1);
        EXPECT_INT(raw_count(raws[i], "<cancelled 1 3>"), 1);
        raw_close(raws[i]);
    }
}

static void test_stop_cancels(void **state)
{
    (void)state;
    with_server(stop_at_once);
}

static void stop_patiently(void *arg)
{
    sl_http_server_stop(server, SL_FOREVER);
    *(bool *)arg = true;
}

static void cancel_the_stop(void *arg)
{
    bool stopped = false;
    struct raw *raw = knock();
    (void)arg;
    struct sl_fiber *stopper = sl_fiber_spawn_joinable("stopper", stop_patiently, &stopped);
    sl_fiber_sleep(20);
    EXPECT(!stopped);
    sl_fiber_cancel(stopper);
    sl_fiber_join(stopper);
    EXPECT(stopped);
    EXPECT_INT(door.cancelled, 1);
    EXPECT(raw_await(raw, "<cancelled 1 3>", 1));
    raw_close(raw);
}

static void test_cancelled_stop(void **state)
{
    (void)state;
    with_server(cancel_the_stop);
}

/* --- what it costs --- */

static void post_many(void *arg)
{
    enum { POSTS = 2000, ROW_BYTES = 300 };
    static char ask[1000];
    struct raw *raw = raw_connect(server);
    (void)arg;
    int length = snprintf(ask, sizeof ask,
                          "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                          "Content-Length: %d\r\n\r\n%*s<",
                          ROW_BYTES, ROW_BYTES - 1, "");
    double before_ms = cpu_ms();
    for (unsigned i = 0; i < POSTS; i++) {
        raw->length = 0;
        EXPECT(raw_send(raw, ask, (size_t)length));
        while (raw_pull(raw), !strstr(raw->in, "<") && !raw->closed)
            sl_fiber_yield();
    }
    double each_ms = (cpu_ms() - before_ms) / POSTS;
    print_message("a post costs %.3f ms of CPU, its client included\n", each_ms);
    EXPECT(each_ms < 1); /* a bound for a slow machine and sanitizers; 0.1 is usual */

    before_ms = cpu_ms();
    sl_fiber_sleep(500);
    double idle_ms = cpu_ms() - before_ms;
    print_message("half a second of idling costs %.3f ms\n", idle_ms);
    EXPECT(idle_ms < 5);
    raw_close(raw);
    sl_http_server_stop(server, 0);
}

static void test_cost(void **state)
{
    (void)state;
    with_server(post_many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handlers_that_do_not_wait),
        cmocka_unit_test(test_others_are_served),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_client_goes_away),
        cmocka_unit_test(test_half_closed_client_is_answered),
        cmocka_unit_test(test_stop_with_grace),
        cmocka_unit_test(test_stop_cancels),
        cmocka_unit_test(test_cancelled_stop),
        cmocka_unit_test(test_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
