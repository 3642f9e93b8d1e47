/* http/server: how often, how many, how slowly a stranger may come. */
#include "http/limits.h"

#define POST "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"

/* --- how often, how many --- */

static void hurry(void *arg)
{
    (void)arg;
    struct raw *raw = raw_connect(server);
    char six[6 * sizeof POST]; /* in one go: a fifth of a second later there is one more */
    for (size_t i = 0; i < 6; i++)
        memcpy(six + i * (sizeof POST - 1), POST, sizeof POST);
    EXPECT(raw_say(raw, six));
    EXPECT(raw_await(raw, "<1>", 5));
    EXPECT(raw_await(raw, "{\"error\":\"Too Many Requests\"}\n", 1));
    EXPECT_INT(raw_count(raw, "HTTP/1.1 429 "), 1);
    EXPECT_INT(raw_count(raw, "\r\nRetry-After: 1\r\n"), 1);
    EXPECT_INT(refused("rate"), 1);
    EXPECT_INT(handled, 5);
    raw_close(raw);

    raw = raw_connect(server); /* who has no key uses up nobody's share */
    for (unsigned i = 1; i <= 20; i++) {
        struct raw *stranger = raw_connect(server);
        EXPECT(raw_say(stranger, "POST /locked/orders HTTP/1.1\r\nHost: a\r\n" JSON "\r\n"));
        EXPECT(raw_await(stranger, "HTTP/1.1 401 ", 1));
        raw_close(stranger);
    }
    sl_fiber_sleep(1000); /* as Retry-After said */
    for (unsigned i = 1; i <= 5; i++) {
        EXPECT(raw_say(raw, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
        EXPECT(raw_await(raw, "<1>", i));
    }
    raw_close(raw);
    sl_http_server_stop(server, 0);
}

static void test_rate(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){.max_rate = 5}, hurry);
}

static void come_in_crowds(void *arg)
{
    struct raw *one = raw_connect(server), *two = raw_connect(server), *three;
    (void)arg;
    EXPECT(raw_say(two, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
    EXPECT(raw_await(two, "<1>", 1));
    three = raw_connect(server);
    EXPECT(raw_await_end(three));
    EXPECT_INT(three->length, 0);
    EXPECT_INT(refused("address"), 1);
    raw_close(one);
    raw_close(three);
    sl_fiber_sleep(20);
    expect_alive();
    raw_close(two);
    sl_http_server_stop(server, 0);
}

static void test_per_address(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){.max_per_address = 2}, come_in_crowds);
}

/* Idle connections hold no place that somebody else waits for. */
static void keep_places(void *arg)
{
    struct raw *kept[2], *late;
    (void)arg;
    for (int i = 0; i < 2; i++) {
        kept[i] = raw_connect(server);
        EXPECT(raw_say(kept[i], "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
        EXPECT(raw_await(kept[i], "<1>", 1));
    }
    uint64_t before_ms = sl_loop_now_ms();
    late = raw_connect(server);
    EXPECT(raw_say(late, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
    EXPECT(raw_await(late, "<1>", 1));
    EXPECT(sl_loop_now_ms() - before_ms < 9000); /* without haste it would be a minute */
    for (int i = 0; i < 2; i++)
        raw_close(kept[i]);
    raw_close(late);
    sl_http_server_stop(server, 0);
}

static void test_kept_connections_make_room(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){.max_connections = 2}, keep_places);
}

/* --- how slowly --- */

enum { REQUEST_MS = 400, IDLE_MS = 700, BYTE_EVERY_MS = 40 };

/* Says first at once, then one byte of rest after the other, until it is hung up on or has said
 * all; returns how long that took. */
static uint64_t drip(struct raw *raw, const char *first, const char *rest)
{
    uint64_t before_ms = sl_loop_now_ms();
    EXPECT(raw_say(raw, first));
    while (*rest && !raw_is_closed(raw)) {
        sl_fiber_sleep(BYTE_EVERY_MS);
        send(raw->fd, rest++, 1, MSG_NOSIGNAL);
    }
    EXPECT(raw->closed);
    return sl_loop_now_ms() - before_ms;
}

static const struct {
    const char *name, *first, *rest;
    unsigned least_ms;
} slow[] = {
    {"says nothing but blank lines", "",
     "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",                                                                                     REQUEST_MS},
    {"a slow request line",          "",                                                                      "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     REQUEST_MS                                                                                                                                                                    },
    {"slow headers",                 "GET /much HTTP/1.1\r\n",
     "X-Aaaaaaaaaaaaa: a\r\nX-B: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",                                                                                                        REQUEST_MS},
    {"a slow body",                  "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n",
     "body body body body body body body body body body",                                                                                                                REQUEST_MS},
    {"slow chunks",                  "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
     "1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n",                                                                                           REQUEST_MS},
    {"a slow second request line",   "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
     "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",                                                                                                           IDLE_MS   },
    {"slow second headers",
     "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\r\n",                       "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", REQUEST_MS},
};

static void be_slow(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
        struct raw *raw = raw_connect(server);
        uint64_t took_ms = drip(raw, slow[i].first, slow[i].rest);
        if (took_ms < slow[i].least_ms - 20 || took_ms > slow[i].least_ms + 5000) {
            fprintf(stderr, "%s: hung up after %u ms\n", slow[i].name, (unsigned)took_ms);
            failed_expectations++;
        }
        EXPECT_INT(raw_count(raw, "HTTP/1.1 "), raw_count(raw, "<1>"));
        raw_close(raw);
    }
    EXPECT_INT(refused("slow"), sizeof slow / sizeof *slow - 1); /* an idle one is no offender */
    sl_http_server_stop(server, 0);
}

static void test_slow_senders(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){.request_timeout_ms = REQUEST_MS,
                                                .idle_timeout_ms = IDLE_MS},
                be_slow);
}

/* An answer that nobody takes does not stay for ever, nor does an idle connection. */
static void be_lazy(void *arg)
{
    struct raw *lazy = raw_connect(server), *idle = raw_connect(server);
    int64_t before = refused("slow");
    (void)arg;
    uint64_t before_ms = sl_loop_now_ms();
    EXPECT(raw_say(idle, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
    EXPECT(raw_await(idle, "<1>", 1));
    EXPECT(raw_say(lazy, "GET /much HTTP/1.1\r\nHost: a\r\n\r\n"));
    EXPECT(raw_await_end(idle));
    uint64_t took_ms = sl_loop_now_ms() - before_ms;
    EXPECT(took_ms >= IDLE_MS - 20 && took_ms < IDLE_MS + 5000);
    EXPECT_INT(refused("slow") - before, 1);
    size_t total = 0; /* what was in the kernel may still be read, and then it ends */
    while (!raw_is_closed(lazy)) {
        total += lazy->length;
        lazy->length = 0;
    }
    EXPECT(total + lazy->length < 8 * 1024 * 1024);
    raw_close(lazy);
    raw_close(idle);
    sl_http_server_stop(server, 0);
}

static void test_lazy_readers(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){.request_timeout_ms = REQUEST_MS,
                                                .idle_timeout_ms = IDLE_MS},
                be_lazy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_per_address),
        cmocka_unit_test(test_kept_connections_make_room),
        cmocka_unit_test(test_slow_senders),
        cmocka_unit_test(test_lazy_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
