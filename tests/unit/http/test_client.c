/* http/client: whole answers, every way they can go wrong, and streams with their backpressure. */
#include "http/client.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "http/harness.h"
#include "http/peer.h"

enum { PATTERN_BYTES = 64 * 1024, ENDLESS_BYTES = 1 << 30, BIG_BYTES = 3 * 1024 * 1024 + 17 };

/* --- the server --- */

static char pattern(size_t offset)
{
    return (char)('a' + offset % 23);
}

/* A body whose byte at each offset is known. */
static void send_pattern(struct peer_link *link, size_t total)
{
    char head[128], piece[PATTERN_BYTES];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", total);
    if (!peer_say(link, head))
        return;
    for (size_t at = 0; at < total;) {
        size_t size = total - at < sizeof piece ? total - at : sizeof piece;
        for (size_t i = 0; i < size; i++)
            piece[i] = pattern(at + i);
        if (!peer_send(link, piece, size))
            return;
        at += size;
    }
}

static void send_echo(struct peer_link *link)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
             link->request_length);
    peer_say(link, head);
    peer_send(link, link->request, link->request_length);
}

static void send_many_headers(struct peer_link *link, unsigned count, size_t value_length)
{
    char value[8192];
    memset(value, 'x', sizeof value);
    value[value_length < sizeof value ? value_length : sizeof value - 1] = 0;
    peer_say(link, "HTTP/1.1 200 OK\r\n");
    for (unsigned i = 0; i < count; i++)
        if (!peer_say(link, "X-Junk: ") || !peer_say(link, value) || !peer_say(link, "\r\n"))
            return;
    peer_say(link, "Content-Length: 0\r\n\r\n");
}

/* Answers that end the connection: what is said, and then the socket is closed. */
static const struct {
    const char *path, *said;
} last_words[] = {
    {"/truncated",         "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"           },
    {"/chunked-truncated", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
    {"/half-head",         "HTTP/1.1 200 OK\r\nContent-Len"                                     },
    {"/silent-close",      ""                                                                   },
    {"/garbage",           "what do you want?\r\n\r\n"                                          },
    {"/until-close",       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"              },
};

/* Answers after which the connection stays. */
static const struct {
    const char *path, *said;
} answers[] = {
    {"/plain",   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"                                    },
    {"/empty",   "HTTP/1.1 204 No Content\r\n\r\n"                                                      },
    {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: 1\r\nETag: late\r\n\r\n"       },
    {"/interim", "HTTP/1.1 103 Early Hints\r\nETag: \"early\"\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nETag: \"final\"\r\nContent-Length: 2\r\n\r\nok"    },
    {"/denied",  "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n"
                "Content-Length: 4\r\n\r\nno!!"                                          },
    {"/moved",   "HTTP/1.1 302 Found\r\nLocation: /plain\r\nContent-Length: 0\r\n\r\n"                  },
    {"/busy",    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n"
              "Content-Length: 0\r\n\r\n"                                                  },
    {"/fields",  "HTTP/1.1 206 Partial Content\r\nETag:  \"0x8DC\"  \r\n"
                "Date: Sun, 22 Nov 2026 03:10:00 GMT\r\n"
                "Retry-After: Sun, 22 Nov 2026 03:10:30 GMT\r\n"
                "Content-Type: Application/JSON; charset=utf-8\r\n"
                "Content-Range: bytes 100-104/1000\r\n"
                "x-ms-error-code: AuthenticationFailed\r\nContent-Length: 5\r\n\r\nhello"},
};

static bool serve_one(struct peer_link *link)
{
    for (size_t i = 0; i < sizeof last_words / sizeof *last_words; i++)
        if (peer_asked(link, last_words[i].path)) {
            peer_say(link, last_words[i].said);
            return false;
        }
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (peer_asked(link, answers[i].path))
            return peer_say(link, answers[i].said);

    if (peer_asked(link, "/echo")) {
        send_echo(link);
    } else if (peer_asked(link, "/big")) {
        send_pattern(link, BIG_BYTES);
    } else if (peer_asked(link, "/endless")) {
        send_pattern(link, ENDLESS_BYTES);
    } else if (peer_asked(link, "/many-headers")) {
        send_many_headers(link, 300, 1);
    } else if (peer_asked(link, "/long-headers")) {
        send_many_headers(link, 50, 4000);
    } else if (peer_asked(link, "/stalled")) {
        peer_say(link, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
        peer_wait_end(link);
    } else if (peer_asked(link, "/export")) {
        return false; /* took it, and dies without a word */
    } else if (peer_asked(link, "/mute")) {
        peer_wait_end(link);
    } else {
        return peer_say(link, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
    return true;
}

static void serve(struct peer_link *link)
{
    while (peer_read_request(link) && serve_one(link))
        ;
}

/* --- what each test starts with --- */

struct setup {
    struct peer peer;
    struct sl_http *http;
    char url[256];
};

static const char *url_of(struct setup *setup, const char *path)
{
    snprintf(setup->url, sizeof setup->url, "%s%s", setup->peer.origin, path);
    return setup->url;
}

static void with_server(void (*body)(void *))
{
    static struct setup setup;
    const struct sl_http_options options = {.connect_timeout_ms = 2000, .version = "9.8"};
    struct sl_err err = {0};
    memset(&setup, 0, sizeof setup);
    peer_start(&setup.peer, serve, NULL);
    setup.http = sl_http_new(&options, &err);
    assert_non_null(setup.http);
    run_fiber(body, &setup);
    peer_stop(&setup.peer);
}

/* --- whole answers --- */

static const struct {
    const char *path;
    int rc, status;
    const char *body;    /* of an answer */
    const char *message; /* part of the failure's */
} gets[] = {
    {"/plain",             SL_OK,       200, "hello",     NULL                 },
    {"/empty",             SL_OK,       204, "",          NULL                 },
    {"/chunked",           SL_OK,       200, "hello",     NULL                 },
    {"/interim",           SL_OK,       200, "ok",        NULL                 },
    {"/denied",            SL_OK,       401, "no!!",      NULL                 },
    {"/moved",             SL_OK,       302, "",          NULL                 },
    {"/nothing-here",      SL_OK,       404, "",          NULL                 },
    {"/until-close",       SL_OK,       200, "all of it", NULL                 },
    {"/truncated",         SL_CLOSED,   0,   NULL,        "/truncated"         },
    {"/chunked-truncated", SL_CLOSED,   0,   NULL,        "/chunked-truncated" },
    {"/half-head",         SL_CLOSED,   0,   NULL,        "/half-head"         },
    {"/silent-close",      SL_CLOSED,   0,   NULL,        "/silent-close"      },
    {"/garbage",           SL_CLOSED,   0,   NULL,        "/garbage"           },
    {"/many-headers",      SL_CLOSED,   0,   NULL,        "too many headers"   },
    {"/long-headers",      SL_CLOSED,   0,   NULL,        "too many headers"   },
    {"/mute",              SL_TIMEOUT,  0,   NULL,        "in time"            },
    {"/stalled",           SL_TIMEOUT,  0,   NULL,        "in time"            },
    {"/big",               SL_REJECTED, 0,   NULL,        "longer than allowed"},
    {"/endless",           SL_REJECTED, 0,   NULL,        "longer than allowed"},
};

static void all_gets(void *arg)
{
    struct setup *setup = arg;
    for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
        struct sl_http_request request = {.url = url_of(setup, gets[i].path),
                                          .timeout_ms = gets[i].rc == SL_TIMEOUT ? 150 : 10000,
                                          .max_body_bytes = 65536};
        struct sl_http_response response = {0};
        struct sl_err err = {0};
        int rc = sl_http_request(setup->http, &request, &response, &err);
        if (rc != gets[i].rc)
            fprintf(stderr, "%s: %s: %s\n", gets[i].path, sl_code_name(rc), err.message);
        EXPECT_INT(rc, gets[i].rc);
        EXPECT_INT(response.status, gets[i].status);
        if (gets[i].body)
            EXPECT_TEXT(response.body, gets[i].body);
        else
            EXPECT(strstr(err.message, gets[i].message));
        sl_http_response_done(&response);
    }
    sl_http_free(setup->http);
}

static void test_gets(void **state)
{
    (void)state;
    with_server(all_gets);
}

static void read_fields(void *arg)
{
    struct setup *setup = arg;
    struct sl_http_request request = {.url = url_of(setup, "/fields")};
    struct sl_http_response got = {0};
    struct sl_err err;
    EXPECT_INT(sl_http_request(setup->http, &request, &got, &err), SL_OK);
    EXPECT_TEXT(got.etag, "\"0x8DC\"");
    EXPECT_TEXT(got.content_type, "application/json");
    EXPECT_TEXT(got.error_code, "AuthenticationFailed");
    EXPECT_INT(got.content_length, 5);
    EXPECT_INT(got.range_first, 100);
    EXPECT_INT(got.range_total, 1000);
    EXPECT_INT(got.retry_after_ms, 30000);
    EXPECT_INT(got.date_ms, 1795317000000);
    EXPECT(!got.location);
    sl_http_response_done(&got);

    request.url = url_of(setup, "/moved");
    EXPECT_INT(sl_http_request(setup->http, &request, &got, &err), SL_OK);
    EXPECT_TEXT(got.location, "/plain");
    EXPECT_INT(got.range_total, -1);
    EXPECT_INT(sl_http_check(&got, "cannot poll", &err), SL_REJECTED);
    EXPECT_TEXT(err.message, "cannot poll: HTTP status 302");
    sl_http_response_done(&got);

    request.url = url_of(setup, "/busy");
    EXPECT_INT(sl_http_request(setup->http, &request, &got, &err), SL_OK);
    EXPECT_INT(sl_http_check(&got, "cannot poll", &err), SL_THROTTLED);
    EXPECT_INT(err.retry_after_ms, 7000);
    EXPECT_INT(err.cause, 429);
    sl_http_response_done(&got);

    request.url = url_of(setup, "/interim");
    EXPECT_INT(sl_http_request(setup->http, &request, &got, &err), SL_OK);
    EXPECT_TEXT(got.etag, "\"final\"");
    sl_http_response_done(&got);

    request.url = url_of(setup, "/chunked");
    EXPECT_INT(sl_http_request(setup->http, &request, &got, &err), SL_OK);
    EXPECT_TEXT(got.etag, ""); /* a trailer is no header */
    EXPECT_INT(got.content_length, -1);
    sl_http_response_done(&got);
    sl_http_free(setup->http);
}

static void test_fields(void **state)
{
    (void)state;
    with_server(read_fields);
}

static void expect_request(struct setup *setup, const struct sl_http_request *request,
                           const char *const *parts)
{
    struct sl_http_response got = {0};
    struct sl_err err = {0};
    EXPECT_INT(sl_http_request(setup->http, request, &got, &err), SL_OK);
    for (; got.body && *parts; parts++)
        if (!strstr(got.body, *parts)) {
            fprintf(stderr, "'%s' is not in: %s\n", *parts, got.body);
            EXPECT(!"in the request");
        }
    sl_http_response_done(&got);
}

static void send_requests(void *arg)
{
    struct setup *setup = arg;
    const char *headers[] = {"X-One: 1", "Accept: application/json", NULL};
    char *body = malloc(20000);
    memset(body, 'b', 20000);

    struct sl_http_request get = {
        .url = url_of(setup, "/echo?q=1"), .headers = headers, .bearer = "t0ken"};
    expect_request(setup, &get,
                   (const char *[]){"GET /echo?q=1 HTTP/1.1\r\n", "User-Agent: sluice/9.8\r\n",
                                    "X-One: 1\r\n", "Accept: application/json\r\n",
                                    "Authorization: Bearer t0ken\r\n", NULL});
    struct sl_http_request post = {.url = setup->url, .body = sl_str_of("a=1")};
    expect_request(setup, &post,
                   (const char *[]){"POST /echo", "Content-Length: 3\r\n", "\r\n\r\na=1", NULL});
    struct sl_http_request empty = {.method = "POST", .url = setup->url};
    expect_request(setup, &empty, (const char *[]){"POST /echo", "Content-Length: 0\r\n", NULL});
    struct sl_http_request patch = {
        .method = "PATCH", .url = setup->url, .body = {body, 20000}
    };
    expect_request(setup, &patch,
                   (const char *[]){"PATCH /echo", "Content-Length: 20000\r\n", "bbbbbb", NULL});
    struct sl_http_request remove = {.method = "DELETE", .url = setup->url};
    expect_request(setup, &remove, (const char *[]){"DELETE /echo", NULL});
    free(body);

    EXPECT_INT(atomic_load(&setup->peer.connections), 1); /* kept alive, and used again */
    sl_http_free(setup->http);
}

static void test_requests(void **state)
{
    (void)state;
    with_server(send_requests);
}

static void send_bad_requests(void *arg)
{
    struct setup *setup = arg;
    const char *headers[] = {"X-One: 1\r\nX-Two: 2", NULL};
    struct sl_http_response got = {0};
    struct sl_err err = {0};

    struct sl_http_request split = {.url = url_of(setup, "/echo"), .headers = headers};
    EXPECT_INT(sl_http_request(setup->http, &split, &got, &err), SL_REJECTED);
    struct sl_http_request bearer = {.url = setup->url, .bearer = "a\r\nX: secret"};
    EXPECT_INT(sl_http_request(setup->http, &bearer, &got, &err), SL_REJECTED);
    EXPECT(!strstr(err.message, "secret"));
    static const char *const urls[] = {
        "",        "nonsense", "ftp://127.0.0.1/x", "file:///etc/passwd", "smtp://127.0.0.1/",
        "http://", NULL};
    for (const char *const *url = urls; *url; url++) {
        struct sl_http_request request = {.url = *url};
        EXPECT_INT(sl_http_request(setup->http, &request, &got, &err), SL_CONFIG);
    }
    EXPECT_INT(atomic_load(&setup->peer.connections), 0);
    sl_http_free(setup->http);
}

static void test_bad_requests(void **state)
{
    (void)state;
    with_server(send_bad_requests);
}

/* An action must not be done twice because its connection died. */
static void send_once(void *arg)
{
    struct setup *setup = arg;
    struct sl_err err = {0};
    for (int once = 0; once <= 1; once++) {
        struct sl_http_request plain = {.url = url_of(setup, "/plain")};
        struct sl_http_response got = {0};
        EXPECT_INT(sl_http_request(setup->http, &plain, &got, &err), SL_OK);
        sl_http_response_done(&got);

        atomic_store(&setup->peer.requests, 0);
        struct sl_http_request action = {
            .url = url_of(setup, "/export"), .body = sl_str_of("{}"), .once = once};
        EXPECT_INT(sl_http_request(setup->http, &action, &got, &err), SL_CLOSED);
        EXPECT_INT(atomic_load(&setup->peer.requests), once ? 1 : 2);
    }
    sl_http_free(setup->http);
}

static void test_once(void **state)
{
    (void)state;
    with_server(send_once);
}

/* A port where nothing listens, and names: by /etc/hosts, and one that cannot exist. */
static void reach_hosts(void *arg)
{
    struct setup *setup = arg;
    struct sl_http_response got = {0};
    struct sl_err err = {0};
    struct peer other;
    char url[256];
    peer_start(&other, serve, NULL);
    peer_stop(&other);

    snprintf(url, sizeof url, "%s/blob?sig=SECRET", other.origin);
    struct sl_http_request request = {.url = url};
    EXPECT_INT(sl_http_request(setup->http, &request, &got, &err), SL_CLOSED);
    EXPECT(strstr(err.message, "/blob"));
    EXPECT(!strstr(err.message, "SECRET"));

    snprintf(url, sizeof url, "http://localhost:%u/plain", setup->peer.port);
    EXPECT_INT(sl_http_request(setup->http, &request, &got, &err), SL_OK);
    EXPECT_TEXT(got.body, "hello");
    sl_http_response_done(&got);

    request.url = "http://no-such-host.invalid/?sig=SECRET";
    int rc = sl_http_request(setup->http, &request, &got, &err);
    EXPECT(rc == SL_CLOSED || rc == SL_TIMEOUT);
    EXPECT(!strstr(err.message, "SECRET"));
    sl_http_free(setup->http);
}

static void test_hosts(void **state)
{
    (void)state;
    with_server(reach_hosts);
}

/* --- streams --- */

static struct sl_http_stream *open_stream(struct setup *setup, const char *path)
{
    struct sl_http_request request = {.url = url_of(setup, path), .timeout_ms = 5000};
    struct sl_http_stream *stream = NULL;
    struct sl_http_response head = {0};
    struct sl_err err = {0};
    EXPECT_INT(sl_http_open(setup->http, &request, &stream, &head, &err), SL_OK);
    EXPECT_INT(head.status, 200);
    EXPECT(!head.body);
    sl_http_response_done(&head);
    return stream;
}

/* Reads size bytes of the pattern from offset on in pieces of at most piece; how many came. */
static size_t read_pattern(struct sl_http_stream *stream, size_t offset, size_t size, size_t piece,
                           int *ret_rc)
{
    char *buf = malloc(piece);
    struct sl_err err;
    size_t at = 0, wrong = 0;
    *ret_rc = SL_OK;
    while (at < size && *ret_rc == SL_OK) {
        size_t got = 0, want = size - at < piece ? size - at : piece;
        *ret_rc = sl_http_read(stream, buf, want, &got, sl_deadline_in(5000), &err);
        for (size_t i = 0; i < got; i++)
            wrong += buf[i] != pattern(offset + at + i);
        at += got;
    }
    EXPECT_INT(wrong, 0);
    free(buf);
    return at;
}

static void read_big(void *arg)
{
    static const size_t pieces[] = {1000, 16384, 333000};
    struct setup *setup = arg;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        int rc;
        struct sl_http_stream *stream = open_stream(setup, "/big");
        EXPECT_INT(read_pattern(stream, 0, SIZE_MAX, pieces[i], &rc), BIG_BYTES);
        EXPECT_INT(rc, SL_END);
        EXPECT_INT(read_pattern(stream, 0, 1, 1, &rc), 0);
        EXPECT_INT(rc, SL_END); /* and stays so */
        sl_http_close(stream);
    }
    sl_http_free(setup->http);
}

static void test_stream_whole(void **state)
{
    (void)state;
    with_server(read_big);
}

static void read_broken(void *arg)
{
    struct setup *setup = arg;
    static const struct {
        const char *path;
        int rc;
        size_t size;
    } cases[] = {
        {"/truncated",         SL_CLOSED,  10},
        {"/chunked-truncated", SL_CLOSED,  5 },
        {"/stalled",           SL_TIMEOUT, 10},
        {"/chunked",           SL_END,     5 },
        {"/until-close",       SL_END,     9 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_http_stream *stream = open_stream(setup, cases[i].path);
        struct sl_err err = {0};
        char buf[200];
        size_t total = 0, got = 0;
        int rc;
        while ((rc = sl_http_read(stream, buf, 3, &got, sl_deadline_in(200), &err)) == SL_OK)
            total += got;
        EXPECT_INT(rc, cases[i].rc);
        EXPECT_INT(total, cases[i].size);
        sl_http_close(stream);
    }
    sl_http_free(setup->http);
}

static void test_stream_broken(void **state)
{
    (void)state;
    with_server(read_broken);
}

static uint64_t own_cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

/* Suspends until the server has been able to send nothing for a while; what it sent until then. */
static unsigned long long sent_when_still(struct peer *peer)
{
    unsigned long long before = 0, now = atomic_load(&peer->sent_bytes);
    for (int i = 0; i < 50 && before != now; i++) {
        before = now;
        sl_fiber_sleep(200);
        now = atomic_load(&peer->sent_bytes);
    }
    return now;
}

static bool is_broken(void *arg)
{
    return atomic_load(&((struct peer *)arg)->broken);
}

static void stop_the_socket(void *arg)
{
    enum { STEP = 8 * 1024 * 1024, LIMIT = 1024 * 1024 };
    struct setup *setup = arg;
    int rc;
    struct sl_http_stream *stream = open_stream(setup, "/endless");
    size_t at = read_pattern(stream, 0, 1000, 1000, &rc);

    unsigned long long sent = sent_when_still(&setup->peer);
    EXPECT(sent > 1000);
    EXPECT(sent < LIMIT);
    uint64_t cpu_ms = own_cpu_ms();
    sl_fiber_sleep(300);
    EXPECT(own_cpu_ms() - cpu_ms < 100); /* it waits, it does not spin */
    EXPECT_INT(atomic_load(&setup->peer.sent_bytes), (long long)sent);

    at += read_pattern(stream, at, STEP, 50000, &rc);
    EXPECT_INT(rc, SL_OK);
    EXPECT_INT(at, STEP + 1000);
    sent = sent_when_still(&setup->peer);
    EXPECT(sent < at + 16UL * LIMIT); /* the kernel's window has grown meanwhile */

    sl_http_close(stream);
    EXPECT(wait_until(is_broken, &setup->peer));
    sl_http_free(setup->http);
}

static void test_backpressure(void **state)
{
    (void)state;
    with_server(stop_the_socket);
}

struct victim {
    struct setup *setup;
    const char *path;
    bool streams;
    bool waits; /* about to wait for what will not come */
    int rc;
};

static void be_cancelled(void *arg)
{
    struct victim *victim = arg;
    struct sl_err err;
    if (victim->streams) {
        struct sl_http_stream *stream = open_stream(victim->setup, victim->path);
        char buf[100];
        size_t got;
        victim->waits = true;
        while ((victim->rc = sl_http_read(stream, buf, sizeof buf, &got, SL_FOREVER, &err)) ==
               SL_OK)
            ;
        sl_http_close(stream);
    } else {
        struct sl_http_request request = {.url = url_of(victim->setup, victim->path)};
        struct sl_http_response response;
        victim->waits = true;
        victim->rc = sl_http_request(victim->setup->http, &request, &response, &err);
    }
}

static bool has_ended(void *arg)
{
    return atomic_load(&((struct peer *)arg)->ended);
}

static bool has_request(void *arg)
{
    return atomic_load(&((struct peer *)arg)->requests) > 0;
}

static void cancel_in_the_middle(void *arg)
{
    struct setup *setup = arg;
    struct victim victims[] = {
        {setup, "/mute",    false, false, SL_OK},
        {setup, "/stalled", true,  false, SL_OK},
    };
    for (size_t i = 0; i < sizeof victims / sizeof *victims; i++) {
        atomic_store(&setup->peer.ended, false);
        atomic_store(&setup->peer.requests, 0);
        struct sl_fiber *fiber = sl_fiber_spawn_joinable("victim", be_cancelled, &victims[i]);
        EXPECT(wait_until(has_request, &setup->peer));
        while (!victims[i].waits)
            sl_fiber_yield();
        uint64_t before_ms = sl_loop_now_ms();
        sl_fiber_cancel(fiber);
        sl_fiber_join(fiber);
        EXPECT(sl_loop_now_ms() - before_ms < 100);
        EXPECT_INT(victims[i].rc, SL_CANCELED);
        EXPECT(wait_until(has_ended, &setup->peer)); /* the socket was closed at once */
    }
    sl_http_free(setup->http);
}

static void test_cancel(void **state)
{
    (void)state;
    with_server(cancel_in_the_middle);
}

struct crowd {
    struct setup *setup;
    unsigned done;
};

static void one_of_many(void *arg)
{
    struct crowd *crowd = arg;
    int rc;
    struct sl_http_stream *stream = open_stream(crowd->setup, "/big");
    EXPECT_INT(read_pattern(stream, 0, SIZE_MAX, 10000, &rc), BIG_BYTES);
    EXPECT_INT(rc, SL_END);
    sl_http_close(stream);
    crowd->done++;
}

static bool all_done(void *arg)
{
    return ((struct crowd *)arg)->done == 10;
}

static void many_at_once(void *arg)
{
    struct setup *setup = arg;
    struct crowd crowd = {setup, 0};
    for (int i = 0; i < 10; i++)
        sl_fiber_spawn("one", one_of_many, &crowd);
    EXPECT(wait_until(all_done, &crowd));
    sl_http_free(setup->http);
}

static void test_many_streams(void **state)
{
    (void)state;
    with_server(many_at_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gets),         cmocka_unit_test(test_fields),
        cmocka_unit_test(test_requests),     cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_once),         cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_stream_whole), cmocka_unit_test(test_stream_broken),
        cmocka_unit_test(test_backpressure), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_many_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
