/* ops/ops, ready and status through the listener. */
#include "ops/ops.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"
#include "format/json.h"
#include "http/client.h"
#include "http/harness.h"

struct setup {
    struct sl_ops *ops;
    struct sl_http *http;
};

static const char *trouble; /* of the check "mongo" */

static const char *mongo_trouble(void *ctx)
{
    (void)ctx;
    return trouble;
}

static const char *always_trouble(void *ctx)
{
    return ctx;
}

static void feeds(void *ctx, struct sl_buf *buf)
{
    sl_buf_printf(buf, "[{\"name\":\"%s\"}]", (const char *)ctx);
}

static struct sl_http_response ask(struct setup *setup, const char *path, int status)
{
    char url[100];
    struct sl_http_response got = {0};
    struct sl_err err = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", sl_ops_port(setup->ops), path);
    struct sl_http_request request = {.url = url, .timeout_ms = 5000};
    int rc = sl_http_request(setup->http, &request, &got, &err);
    if (rc != SL_OK)
        fprintf(stderr, "%s\n", err.message);
    EXPECT_INT(rc, SL_OK);
    EXPECT_INT(got.status, status);
    return got;
}

static void expect_body(struct setup *setup, const char *path, int status, const char *body)
{
    struct sl_http_response got = ask(setup, path, status);
    EXPECT_TEXT(got.body, body);
    EXPECT_TEXT(got.content_type, "application/json");
    sl_http_response_done(&got);
}

/* token: NULL for none. */
static void with_ops_for(char *token, void (*body)(void *))
{
    static struct setup setup;
    struct sl_err err = {0};
    const struct sl_ops_settings settings = {.listen = (char *)"127.0.0.1:0", .token = token};
    const struct sl_about about = {"0.1.0", "all", sl_now_ms() - 5000};
    const struct sl_http_options options = {0};
    trouble = NULL;
    setup.ops = sl_ops_start(&settings, &about, &err);
    setup.http = sl_http_new(&options, &err);
    assert_non_null(setup.ops);
    run_fiber(body, &setup);
    sl_ready_clear();
    sl_status_clear();
    sl_metric_free_all();
}

static void with_ops(void (*body)(void *))
{
    with_ops_for(NULL, body);
}

static void done(struct setup *setup)
{
    sl_http_free(setup->http);
    sl_ops_stop(setup->ops);
}

static void be_ready_or_not(void *arg)
{
    struct setup *setup = arg;
    static char why[] = "blocked: \"memory\"";
    expect_body(setup, "/healthz", 200, "{\"healthy\":true}\n");
    expect_body(setup, "/readyz", 200, "{\"ready\":true}\n");

    sl_ready_register("mongo", mongo_trouble, NULL);
    sl_ready_register("broker", always_trouble, why);
    expect_body(setup, "/readyz", 503,
                "{\"ready\":false,\"trouble\":[{\"what\":\"broker\",\"message\":\"blocked: "
                "\\\"memory\\\"\"}]}\n");
    trouble = "no primary";
    expect_body(setup, "/readyz", 503,
                "{\"ready\":false,\"trouble\":[{\"what\":\"mongo\",\"message\":\"no primary\"},"
                "{\"what\":\"broker\",\"message\":\"blocked: \\\"memory\\\"\"}]}\n");
    expect_body(setup, "/healthz", 200, "{\"healthy\":true}\n");

    sl_ready_clear();
    trouble = NULL;
    expect_body(setup, "/readyz", 200, "{\"ready\":true}\n");
    EXPECT(sl_ready_ask(NULL));
    done(setup);
}

static void test_ready(void **state)
{
    (void)state;
    with_ops(be_ready_or_not);
}

static void show_status(void *arg)
{
    struct setup *setup = arg;
    static char name[] = "vendors";
    struct sl_metric *lag =
        sl_histogram_metric("latency_seconds", "Latency.", "feed=\"v\",stage=\"applied\"");
    sl_histogram_add(lag->histogram, 2000, 100);
    sl_status_register("feeds", feeds, name);
    sl_ready_register("mongo", mongo_trouble, NULL);
    trouble = "no primary";

    struct sl_http_response got = ask(setup, "/status", 200);
    struct sl_json_doc *doc = NULL;
    EXPECT_INT(sl_json_parse(got.body, got.length, NULL, &doc, NULL), SL_OK);
    const struct sl_json *root = doc ? sl_json_root(doc) : NULL;
    int64_t number = 0;
    EXPECT_TEXT(sl_json_text(sl_json_get(root, "version")), "0.1.0");
    EXPECT_TEXT(sl_json_text(sl_json_get(root, "role")), "all");
    EXPECT(sl_json_int(sl_json_get(root, "pid"), &number) && number == getpid());
    EXPECT(sl_json_int(sl_json_get(root, "uptime_s"), &number) && number >= 5 && number < 60);
    EXPECT(!sl_json_get(root, "ready")->truth);
    EXPECT_TEXT(sl_json_text(sl_json_get(sl_json_get(root, "trouble")->first, "what")), "mongo");
    EXPECT_TEXT(sl_json_text(sl_json_get(sl_json_get(root, "feeds")->first, "name")), "vendors");
    EXPECT(!sl_json_get(root, "other"));

    const struct sl_json *latency = sl_json_get(root, "latency")->first;
    EXPECT_TEXT(sl_json_text(sl_json_get(latency, "name")), "latency_seconds");
    const struct sl_json *labels = sl_json_get(latency, "labels");
    EXPECT_TEXT(sl_json_text(sl_json_get(labels, "feed")), "v");
    EXPECT_TEXT(sl_json_text(sl_json_get(labels, "stage")), "applied");
    EXPECT(sl_json_int(sl_json_get(latency, "count"), &number) && number == 100);
    EXPECT_TEXT(sl_json_get(latency, "p50_ms") ? sl_json_get(latency, "p50_ms")->text.at : NULL,
                "2.000");
    EXPECT_TEXT(sl_json_get(latency, "max_ms") ? sl_json_get(latency, "max_ms")->text.at : NULL,
                "2.000");
    sl_json_free(doc);
    sl_http_response_done(&got);
    done(setup);
}

static void test_status(void **state)
{
    (void)state;
    with_ops(show_status);
}

static void show_metrics(void *arg)
{
    struct setup *setup = arg;
    sl_metric_add(sl_counter("rows_total", "Rows.", "%s", ""), 3);
    struct sl_http_response got = ask(setup, "/metrics", 200);
    EXPECT_TEXT(got.content_type, "text/plain");
    EXPECT(strstr(got.body, "sluice_build_info{version=\"0.1.0\",role=\"all\"} 1\n"));
    EXPECT(strstr(got.body, "\nsluice_rows_total 3\n"));
    EXPECT(strstr(got.body, "\nprocess_resident_memory_bytes "));
    sl_http_response_done(&got);

    static char why[] = "blocked";
    sl_ready_register("mongo", mongo_trouble, NULL);
    sl_ready_register("broker", always_trouble, why);
    got = ask(setup, "/metrics", 200);
    EXPECT(strstr(got.body, "# TYPE sluice_ready gauge\nsluice_ready{part=\"mongo\"} 1\n"
                            "sluice_ready{part=\"broker\"} 0\n"));
    EXPECT(!strstr(got.body, why));
    sl_http_response_done(&got);
    done(setup);
}

static void test_metrics(void **state)
{
    (void)state;
    with_ops(show_metrics);
}

static void take_the_same_port(void *arg)
{
    struct setup *setup = arg;
    char listen[64];
    struct sl_err err = {0};
    const struct sl_about about = {"0.1.0", "all", 0};
    snprintf(listen, sizeof listen, "127.0.0.1:%u", sl_ops_port(setup->ops));
    const struct sl_ops_settings settings = {.listen = listen};
    EXPECT(!sl_ops_start(&settings, &about, &err));
    EXPECT_INT(err.code, SL_CONFIG);
    EXPECT(strstr(err.message, "ops.listen: cannot listen on '127.0.0.1:"));

    const struct sl_ops_settings none = {.listen = (char *)""};
    struct sl_ops *silent = sl_ops_start(&none, &about, &err);
    EXPECT(silent && sl_ops_port(silent) == 0);
    sl_ops_stop(silent);
    done(setup);
}

static void test_listen(void **state)
{
    (void)state;
    with_ops(take_the_same_port);
}

/* --- who may do what --- */

static int status_of(struct setup *setup, const char *method, const char *path, const char *header)
{
    char url[100];
    const char *const headers[] = {header, NULL};
    struct sl_http_response got = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", sl_ops_port(setup->ops), path);
    struct sl_http_request request = {
        .method = method, .url = url, .headers = header ? headers : NULL, .timeout_ms = 5000};
    EXPECT_INT(sl_http_request(setup->http, &request, &got, NULL), SL_OK);
    int status = got.status;
    sl_http_response_done(&got);
    return status;
}

static const char *const paths[] = {"/healthz", "/readyz", "/metrics", "/status"};
enum { PATHS = sizeof paths / sizeof *paths };

/* Nothing behind this listener changes anything, so there is nothing that needs a token for that.
 */
static void try_every_method(void *arg)
{
    static const char *const methods[] = {"POST",    "PUT",   "DELETE", "PATCH",
                                          "OPTIONS", "TRACE", "MKCOL",  "get"};
    struct setup *setup = arg;
    for (size_t i = 0; i < PATHS; i++) {
        EXPECT_INT(status_of(setup, "GET", paths[i], NULL), 200);
        EXPECT_INT(status_of(setup, "HEAD", paths[i], NULL), 200);
        for (size_t j = 0; j < sizeof methods / sizeof *methods; j++)
            EXPECT_INT(status_of(setup, methods[j], paths[i], NULL), 405);
    }
    done(setup);
}

static void test_nothing_can_be_changed(void **state)
{
    (void)state;
    with_ops(try_every_method);
}

static void show_tokens(void *arg)
{
    static const struct {
        const char *header;
        bool right;
    } rows[] = {
        {NULL,                                false},
        {"Authorization: Bearer open-sesame", true },
        {"authorization: bearer open-sesame", true },
        {"Authorization: Bearer open-sesam",  false},
        {"Authorization: Bearer ",            false},
        {"Authorization: open-sesame",        false},
        {"Authorization: Basic open-sesame",  false},
        {"X-Token: open-sesame",              false},
    };
    struct setup *setup = arg;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int expected = rows[i].right ? 200 : 401;
        EXPECT_INT(status_of(setup, "GET", "/metrics", rows[i].header), expected);
        EXPECT_INT(status_of(setup, "GET", "/status", rows[i].header), expected);
        EXPECT_INT(status_of(setup, "GET", "/healthz", rows[i].header), 200);
        EXPECT_INT(status_of(setup, "GET", "/readyz", rows[i].header), 200);
    }
    sl_ready_register("mongo", mongo_trouble, NULL);
    trouble = "login of user 'sluice' at db1.contoso.com was refused";
    expect_body(setup, "/readyz", 503, "{\"ready\":false}\n"); /* no reason for strangers */
    EXPECT_INT(status_of(setup, "GET", "/readyz", rows[1].header), 503);
    done(setup);
}

static void test_a_token_keeps_strangers_from_reading(void **state)
{
    (void)state;
    with_ops_for((char *)"open-sesame", show_tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_nothing_can_be_changed),
        cmocka_unit_test(test_a_token_keeps_strangers_from_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
