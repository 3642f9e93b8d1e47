/* http/server: what a stranger may not send. Each refusal says why, is counted, and costs the
 * others nothing. */
#include "http/limits.h"

#include <microhttpd.h>

/* --- what the headers alone decide --- */

static const struct {
    const char *name, *head, *status, *why;
    bool reads_on; /* the connection stays */
} rows[] = {
    {"no such path",                                 "GET /none HTTP/1.1\r\nHost: a\r\n\r\n",                                            "404", "route",     true },
    {"no such path, with a body",                    "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
     "404",                                                                                                                                     "route",     false},
    {"no such path, chunked",
     "POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",                                                             "404", "route",     false},
    {"other method",                                 "DELETE /count HTTP/1.1\r\nHost: a\r\n\r\n",                                        "405", "method",    true },
    {"no key",                                       "POST /locked/orders HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 60000\r\n\r\n",
     "401",                                                                                                                                     "authorize", false},
    {"wrong key",
     "POST /locked/orders HTTP/1.1\r\nHost: a\r\nX-Key: Sesame\r\n" JSON
     "Content-Length: 60000\r\n\r\n",                                                                                                    "401", "authorize", false},
    {"wrong key, and patience",
     "POST /locked/orders HTTP/1.1\r\nHost: a\r\nX-Key: s\r\n" JSON
     "Expect: 100-continue\r\nContent-Length: 60000\r\n\r\n",                                                                            "401", "authorize", false},
    {"wrong key and too much",
     "POST /locked/orders HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 60001\r\n\r\n",                                                 "401",
     "authorize",                                                                                                                                            false},
    {"not now",                                      "PUT /locked/orders HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 5\r\n\r\n",
     "503",                                                                                                                                     "authorize", false},
    {"too much",
     "POST /locked/orders HTTP/1.1\r\nHost: a\r\nX-Key: sesame\r\n" JSON
     "Content-Length: 60001\r\n\r\n",                                                                                                    "413", "size",      false},
    {"too much by far",
     "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551614\r\n\r\n",                                                  "413",
     "size",                                                                                                                                                 false},
    {"a length that stands for none in the library",
     "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",                                                  "400",
     "framing",                                                                                                                                              false},
    {"two lengths",
     "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",                                                "400",
     "framing",                                                                                                                                              false},
    {"length and chunks",
     "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",                                       "400", "framing",   false},
    {"two encodings",
     "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
     "identity\r\n\r\n",                                                                                                                 "400", "framing",   false},
    {"space before a colon",
     "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length : 24\r\n\r\n"
     "GET /count HTTP/1.1\r\n\r\n",                                                                                                      "400", "framing",   false},
    {"length on a line of its own",
     "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 24\r\n\r\n"
     "GET /count HTTP/1.1\r\n\r\n",                                                                                                      "400", "framing",   false},
    {"encoding on two lines of its own",
     "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\tchun\r\n ked\r\n\r\n0\r\n\r\n",                                         "400", "framing",   false},
    {"space before the first header",
     "POST /count HTTP/1.1\r\n Content-Length: 24\r\nHost: a\r\n\r\n",                                                                   "400", "framing",   false},
    {"unknown encoding",                             "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
     "400",                                                                                                                                     "framing",   false},
};

/* libmicrohttpd from 1.0 refuses more and more of bad framing by itself; then the page is its own.
 */
static void expect_refusal(struct raw *raw, size_t row, int64_t before)
{
    bool ours = strstr(raw->in, "\"}\n");
    EXPECT(ours || (MHD_VERSION >= 0x01000000 && !strcmp(rows[row].why, "framing")));
    EXPECT_INT(refused(rows[row].why) - before, ours);
}

static void refuse_by_headers(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct raw *raw = raw_connect(server);
        char status[32];
        int failures = failed_expectations;
        int64_t before = refused(rows[i].why);
        snprintf(status, sizeof status, "HTTP/1.1 %s ", rows[i].status);
        EXPECT(raw_say(raw, rows[i].head)); /* and nothing of the body */
        if (rows[i].reads_on)
            EXPECT(raw_await(raw, "\"}\n", 1));
        else
            EXPECT(raw_await_end(raw));
        EXPECT(!strncmp(raw->in, status, strlen(status)));
        EXPECT_INT(raw_count(raw, "HTTP/1.1 "), 1); /* no "100 Continue" either */
        EXPECT_INT(raw_count(raw, "\r\nRetry-After: 1\r\n"), !strcmp(rows[i].status, "503"));
        sl_fiber_sleep(1);
        EXPECT_INT(raw_is_closed(raw), !rows[i].reads_on);
        expect_refusal(raw, i, before);
        if (failed_expectations > failures)
            fprintf(stderr, "in: %s\n", rows[i].name);
        raw_close(raw);
    }
    EXPECT_INT(handled, 0);

    struct raw *raw = raw_connect(server);
    EXPECT(raw_say(raw, "POST /locked/orders HTTP/1.1\r\nHost: a\r\nX-Key: sesame\r\n" JSON
                        "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
    EXPECT(raw_await(raw, "HTTP/1.1 100 Continue\r\n", 1));
    EXPECT(raw_say(raw, "hello"));
    EXPECT(raw_await(raw, "<5>", 1));
    raw_close(raw);
    sl_http_server_stop(server, 0);
}

static void test_headers(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){0}, refuse_by_headers);
}

/* A flood of headers, or an endless URL, is answered by the library itself. */
static void flood(void *arg)
{
    static char junk[50 * 1024];
    struct raw *headers = raw_connect(server), *url = raw_connect(server);
    (void)arg;
    memset(junk, 'h', sizeof junk);
    EXPECT(raw_say(headers, "GET /much HTTP/1.1\r\nHost: a\r\nX-H: "));
    raw_send(headers, junk, sizeof junk);
    EXPECT(raw_await_end(headers));
    EXPECT(!strncmp(headers->in, "HTTP/1.1 431 ", 13));
    EXPECT(raw_say(url, "GET /"));
    raw_send(url, junk, sizeof junk);
    EXPECT(raw_await_end(url));
    EXPECT(!strncmp(url->in, "HTTP/1.1 414 ", 13));
    raw_close(headers);
    raw_close(url);
    expect_alive();
    sl_http_server_stop(server, 0);
}

static void test_header_flood(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){0}, flood);
}

/* --- bodies --- */

enum { ELEVEN_MB = 11 * 1024 * 1024 };
static char eleven[ELEVEN_MB];

/* Too long a body gets its answer, however it is sent, and although most of it is never read. */
static void send_eleven(void *arg)
{
    static const char *const heads[] = {
        "POST /ten HTTP/1.1\r\nHost: a\r\nContent-Length: 11534336\r\n\r\n",
        "POST /ten HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb00000\r\n",
    };
    (void)arg;
    memset(eleven, 'e', sizeof eleven);
    for (int i = 0; i < 2; i++) {
        int64_t before = refused("size");
        struct raw *raw = raw_connect(server);
        EXPECT(raw_say(raw, heads[i]));
        raw_send(raw, eleven, sizeof eleven);
        EXPECT(raw_await(raw, "{\"error\":\"Content Too Large\"}\n", 1));
        EXPECT(!strncmp(raw->in, "HTTP/1.1 413 ", 13));
        EXPECT(raw_await_end(raw));
        EXPECT_INT(refused("size") - before, 1);
        raw_close(raw);
    }
    EXPECT_INT(handled, 0);

    struct raw *raw = raw_connect(server); /* ten are welcome */
    EXPECT(raw_say(raw, "POST /ten HTTP/1.1\r\nHost: a\r\nContent-Length: 10485760\r\n\r\n"));
    EXPECT(raw_send(raw, eleven, 10 * 1024 * 1024));
    EXPECT(raw_await(raw, "<10485760>", 1));
    raw_close(raw);
    expect_alive();
    sl_http_server_stop(server, 0);
}

static void test_eleven_megabytes(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){0}, send_eleven);
}

/* A simple client reads when it has sent all: nothing breaks in its hands before. */
static void send_first(void *arg)
{
    enum { PIECE_BYTES = 20000, PIECES = 10 };
    struct raw *raw = raw_connect(server);
    (void)arg;
    EXPECT(raw_say(raw, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"));
    for (int i = 0; i < PIECES; i++) {
        sl_fiber_sleep(10);
        EXPECT_INT(send(raw->fd, eleven, PIECE_BYTES, MSG_NOSIGNAL), PIECE_BYTES);
    }
    EXPECT(raw_await(raw, "{\"error\":\"Content Too Large\"}\n", 1));
    EXPECT(raw_await_end(raw));
    raw_close(raw);
    sl_http_server_stop(server, 0);
}

static void test_send_first_read_later(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){0}, send_first);
}

/* One that ignores the answer and goes on sending is cut off in the end. */
static void send_deaf(void *arg)
{
    struct raw *raw = raw_connect(server);
    (void)arg;
    EXPECT(raw_say(raw, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"));
    uint64_t before_ms = sl_loop_now_ms();
    while (sl_loop_now_ms() - before_ms < 8000) {
        ssize_t sent = send(raw->fd, eleven, 64 * 1024, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            break;
        sl_fiber_sleep(sent < 0 ? 5 : 1);
    }
    EXPECT(sl_loop_now_ms() - before_ms < 8000);
    raw_close(raw);
    expect_alive();
    sl_http_server_stop(server, 0);
}

static void test_deaf_sender(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){0}, send_deaf);
}

/* All bodies together: 100,000 bytes. */
static void fill_memory(void *arg)
{
    static char half[30000];
    struct raw *first = raw_connect(server), *second = raw_connect(server),
               *chunked = raw_connect(server);
    (void)arg;
    memset(half, 'h', sizeof half);
    EXPECT(raw_say(first, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"));
    EXPECT(raw_send(first, half, sizeof half));
    sl_fiber_sleep(20); /* what is promised counts, not what has come */

    EXPECT(raw_say(second, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"));
    EXPECT(raw_await(second, "{\"error\":\"Service Unavailable\"}\n", 1));
    EXPECT(!strncmp(second->in, "HTTP/1.1 503 ", 13));
    EXPECT_INT(raw_count(second, "\r\nRetry-After: 1\r\n"), 1);
    EXPECT_INT(refused("memory"), 1);

    EXPECT(raw_say(
        chunked, "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n"));
    raw_send(chunked, half, sizeof half);
    sl_fiber_sleep(20);
    raw_pull(chunked);
    EXPECT_INT(chunked->length, 0);
    raw_send(chunked, half, sizeof half);
    EXPECT(raw_await(chunked, "{\"error\":\"Service Unavailable\"}\n", 1));
    EXPECT(!strncmp(chunked->in, "HTTP/1.1 503 ", 13));
    EXPECT_INT(raw_count(chunked, "\r\nRetry-After: 1\r\n"), 1);
    EXPECT(raw_await_end(chunked));
    EXPECT_INT(refused("memory"), 2);

    EXPECT(raw_send(first, half, sizeof half));
    EXPECT(raw_await(first, "<60000>", 1));
    EXPECT(raw_say(first, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"));
    EXPECT(raw_send(first, half, sizeof half));
    raw_reset(first); /* gives back what it had promised */
    sl_fiber_sleep(20);
    raw_close(second);
    second = raw_connect(server);
    EXPECT(raw_say(second, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"));
    EXPECT(raw_send(second, half, sizeof half) && raw_send(second, half, sizeof half));
    EXPECT(raw_await(second, "<60000>", 1));
    raw_close(second);
    raw_close(chunked);
    sl_http_server_stop(server, 0);
}

static void test_memory(void **state)
{
    (void)state;
    with_limits((struct sl_http_server_options){.max_pending_bytes = 100000}, fill_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),          cmocka_unit_test(test_header_flood),
        cmocka_unit_test(test_eleven_megabytes), cmocka_unit_test(test_send_first_read_later),
        cmocka_unit_test(test_deaf_sender),      cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
