/* http/server: a stop does not leave a request unanswered, whichever moment it comes in. */
#include "http/limits.h"

#define HEAD "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
#define POST HEAD "abc"

struct stop {
    uint64_t grace_ms, took_ms;
    bool over;
};

static void stop_on_fiber(void *arg)
{
    struct stop *stop = arg;
    uint64_t before_ms = sl_loop_now_ms();
    sl_http_server_stop(server, sl_deadline_in(stop->grace_ms));
    stop->took_ms = sl_loop_now_ms() - before_ms;
    stop->over = true;
}

static void with_server(void (*body)(void *))
{
    with_limits((struct sl_http_server_options){0}, body);
}

/* The same, for what must not take long. */
static void in_time(void (*body)(void *))
{
    for (int tries = 0; tries < 5; tries++) {
        start_with_limits((struct sl_http_server_options){0});
        if (run_undisturbed(body, NULL))
            return;
    }
    fail_msg("the machine stood still again and again");
}

/* A connection that has been used and is kept. */
static struct raw *keep(void)
{
    struct raw *raw = raw_connect(server);
    EXPECT(raw_say(raw, POST));
    EXPECT(raw_await(raw, "<3>", 1));
    EXPECT_INT(raw_count(raw, "Connection: close"), 0);
    return raw;
}

/* What the library has not looked at when the stop begins. */
static void ask_just_before(void *arg)
{
    struct raw *kept = keep(), *fresh = raw_connect(server);
    (void)arg;
    sl_fiber_sleep(20); /* the fresh one is accepted */
    EXPECT_INT(send(kept->fd, POST, strlen(POST), 0), (ssize_t)strlen(POST));
    EXPECT_INT(send(fresh->fd, POST, strlen(POST), 0), (ssize_t)strlen(POST));
    sl_http_server_stop(server, sl_deadline_in(5000));
    EXPECT(raw_await_end(kept) && raw_await_end(fresh));
    EXPECT_INT(raw_count(kept, "<3>"), 2);
    EXPECT_INT(raw_count(fresh, "<3>"), 1);
    EXPECT_INT(raw_count(kept, "\r\nConnection: close\r\n"), 1);
    raw_close(kept);
    raw_close(fresh);
}

static void test_request_before_the_stop(void **state)
{
    (void)state;
    with_server(ask_just_before);
}

/* On its way when the stop begins, and not here in one piece. */
static void ask_just_after(void *arg)
{
    struct raw *kept = keep();
    struct stop stop = {.grace_ms = 5000};
    (void)arg;
    struct sl_fiber *stopper = sl_fiber_spawn_joinable("stopper", stop_on_fiber, &stop);
    sl_fiber_sleep(100);
    EXPECT(!stop.over);
    EXPECT(raw_say(kept, HEAD));
    sl_fiber_sleep(100);
    EXPECT(raw_say(kept, "abc"));
    EXPECT(raw_await(kept, "<3>", 2));
    EXPECT(raw_await_end(kept));
    EXPECT_INT(raw_count(kept, "HTTP/1.1 200 "), 2);
    EXPECT_INT(raw_count(kept, "\r\nConnection: close\r\n"), 1);
    sl_fiber_join(stopper);
    EXPECT(stop.took_ms < 900); /* nobody is left to wait for */
    raw_close(kept);
}

static void test_request_after_the_stop(void **state)
{
    (void)state;
    in_time(ask_just_after);
}

/* Without time to be handled it is told so, and the bytes of its body, which nobody reads, do not
 * take that away. */
static void ask_too_late(void *arg)
{
    enum { BODY_BYTES = 50000 };
    static char body[BODY_BYTES];
    struct raw *kept = keep();
    struct stop stop = {.grace_ms = 5000};
    (void)arg;
    EXPECT(raw_say(kept, "POST /ten HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"));
    EXPECT(raw_send(kept, body, sizeof body));
    struct sl_fiber *stopper = sl_fiber_spawn_joinable("stopper", stop_on_fiber, &stop);
    sl_fiber_cancel(stopper);
    sl_fiber_join(stopper);
    send(kept->fd, body, sizeof body, MSG_NOSIGNAL);
    EXPECT(raw_await_end(kept));
    EXPECT_INT(raw_count(kept, "HTTP/1.1 503 "), 1);
    EXPECT_INT(raw_count(kept, "\r\nConnection: close\r\n"), 1);
    EXPECT_INT(handled, 1);
    raw_close(kept);
}

static void test_request_without_time(void **state)
{
    (void)state;
    with_server(ask_too_late);
}

/* A connection that has been idle for a second is not waited for. */
static void end_idle(void *arg)
{
    struct raw *kept = keep();
    struct stop stop = {.grace_ms = 5000};
    (void)arg;
    sl_fiber_sleep(1050);
    stop_on_fiber(&stop);
    EXPECT(stop.took_ms < 500);
    EXPECT(raw_await_end(kept));
    raw_close(kept);
}

static void test_idle_connections_hold_up_no_stop(void **state)
{
    (void)state;
    in_time(end_idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_before_the_stop),
        cmocka_unit_test(test_request_after_the_stop),
        cmocka_unit_test(test_request_without_time),
        cmocka_unit_test(test_idle_connections_hold_up_no_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
