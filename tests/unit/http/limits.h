/* A server with small limits, and what tests of limits ask of it. */
#ifndef SL_TEST_HTTP_LIMITS_H
#define SL_TEST_HTTP_LIMITS_H

#include "base/metric.h"
#include "base/secret.h"
#include "http/raw.h"
#include "http/server.h"

static unsigned handled; /* requests that got through to a handler */

static void count(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    (void)ctx;
    handled++;
    sl_buf_printf(&reply->body, "<%zu>", call->body.length);
}

static int check_key(void *ctx, const struct sl_http_call *call)
{
    EXPECT_INT(call->body.length, 0);
    EXPECT_TEXT(call->rest, "orders");
    EXPECT_TEXT(call->content_type, "application/json");
    if (!strcmp(call->method, "PUT"))
        return 503;
    return sl_secret_equal(sl_http_call_header(call, "X-Key"), ctx) ? 0 : 401;
}

static void tell_much(void *ctx, const struct sl_http_call *call, struct sl_http_reply *reply)
{
    enum { BYTES = 8 * 1024 * 1024 };
    (void)ctx, (void)call;
    memset(sl_buf_reserve(&reply->body, BYTES), 'm', BYTES);
    sl_buf_commit(&reply->body, BYTES);
}

static const struct sl_http_route routes[] = {
    {.method = "POST",        .path = "/count", .handler = count, .max_body_bytes = 60000},
    {.method = "POST",
     .path = "/ten",
     .fiber = true,
     .handler = count,
     .max_body_bytes = 10 * 1024 * 1024},
    {.method = "POST",
     .path = "/locked/",
     .prefix = true,
     .authorize = check_key,
     .handler = count,
     .ctx = (void *)"sesame",
     .max_body_bytes = 60000},
    {.method = "PUT",
     .path = "/locked/",
     .prefix = true,
     .authorize = check_key,
     .handler = count,
     .ctx = (void *)"sesame",
     .max_body_bytes = 60000},
    {.method = "GET", .path = "/much",                   .handler = tell_much                                  },
};

static struct sl_http_server *server;

static inline void start_with_limits(struct sl_http_server_options options)
{
    struct sl_err err = {0};
    options.name = "limits";
    options.listen = "127.0.0.1:0";
    options.routes = routes;
    options.route_count = sizeof routes / sizeof *routes;
    handled = 0;
    server = sl_http_server_start(&options, &err);
    assert_non_null(server);
}

static inline void with_limits(struct sl_http_server_options options, void (*body)(void *))
{
    start_with_limits(options);
    run_fiber(body, NULL);
}

static inline int64_t refused(const char *why)
{
    char part[80];
    snprintf(part, sizeof part, "listener=\"limits\",why=\"%s\"", why);
    return sl_metric_sum("http_refused_total", part);
}

/* The server must be as good as new for somebody else. */
static inline void expect_alive(void)
{
    struct raw *raw = raw_connect(server);
    EXPECT(raw_say(raw, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok"));
    EXPECT(raw_await(raw, "<2>", 1));
    raw_close(raw);
}

#define JSON "Content-Type: application/json\r\n"

#endif
