/* http/client: whole answers, and every way they can go wrong. */
#include "http/client_peer.h"

#include <stdlib.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gets),     cmocka_unit_test(test_fields),
        cmocka_unit_test(test_requests), cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_once),     cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
