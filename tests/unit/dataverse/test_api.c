/* Requests to Dataverse against a peer that answers what the case says: headers, hosts, tokens,
 * and every refusal of dataverse/refusals.h with its meaning. */
#include "dataverse/api.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "dataverse/refusals.h"
#include "http/harness.h"
#include "http/peer.h"

static const struct answer FINE = {
    200, "Content-Type: application/json; odata.metadata=minimal\r\n", "{\"value\":[]}"};

/* The service and its token endpoint on one port. */
static struct service {
    struct peer peer;
    pthread_mutex_t lock;
    struct answer answers[4]; /* in turn; the last one from then on */
    unsigned answer_count, asked, tokens;
    char last_request[8192];
} service;

static void answer_token(struct peer_link *link)
{
    char text[512], body[128];
    snprintf(body, sizeof body,
             "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"secret-%u\"}",
             ++service.tokens);
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
             body);
    peer_say(link, text);
}

static void answer_call(struct peer_link *link)
{
    unsigned number = service.asked++;
    const struct answer *answer =
        &service.answers[number < service.answer_count ? number : service.answer_count - 1];
    char head[1024];
    snprintf(service.last_request, sizeof service.last_request, "%s", link->request);
    snprintf(head, sizeof head, "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\n\r\n", answer->status,
             answer->headers, strlen(answer->body));
    if (peer_say(link, head))
        peer_say(link, answer->body);
}

static void serve(struct peer_link *link)
{
    while (peer_read_request(link)) {
        pthread_mutex_lock(&service.lock);
        if (peer_asked(link, "/contoso.com/oauth2/v2.0/token"))
            answer_token(link);
        else
            answer_call(link);
        pthread_mutex_unlock(&service.lock);
    }
}

struct scene {
    struct sl_http *http;
    struct sl_dataverse_source_settings settings;
    struct sl_dataverse_remote remote;
    const void *arg;
};

static void answer_with(const struct answer *answers, unsigned count)
{
    pthread_mutex_lock(&service.lock);
    for (unsigned i = 0; i < count; i++)
        service.answers[i] = answers[i];
    service.answer_count = count;
    service.asked = 0;
    pthread_mutex_unlock(&service.lock);
}

static void with_service(void (*body)(void *))
{
    static struct scene scene;
    static char tenant[] = "contoso.com", client[] = "11-22", secret[] = "hush";
    char url[100];
    const struct sl_http_options options = {0};
    struct sl_err err = {0};
    memset(&scene, 0, sizeof scene);
    memset(&service, 0, sizeof service);
    pthread_mutex_init(&service.lock, NULL);
    sl_log_setup(SL_ERROR, SL_LOG_TEXT);
    peer_start(&service.peer, serve, NULL);
    answer_with(&FINE, 1);
    snprintf(url, sizeof url, "%s/", service.peer.origin);
    scene.settings = (struct sl_dataverse_source_settings){
        .url = url,
        .auth = {.authority = service.peer.origin,
                 .tenant = tenant,
                 .client_id = client,
                 .client_secret = secret                         },
        .request_timeout_ms = 5000,
        .page_size = 5000,
        .budget = { 6000,                         1200000, 300000, 52, 80},
    };
    scene.http = sl_http_new(&options, NULL);
    assert_int_equal(
        sl_dataverse_remote_init(&scene.remote, scene.http, "crm", &scene.settings, &err), SL_OK);
    run_fiber(body, &scene);
    peer_stop(&service.peer);
    pthread_mutex_destroy(&service.lock);
    sl_metric_free_all();
}

static void done(struct scene *scene)
{
    sl_dataverse_remote_done(&scene->remote);
    sl_http_free(scene->http);
}

static bool sent(const char *line)
{
    return strcasestr(service.last_request, line) != NULL;
}

static char *link_to(const char *origin, const char *rest)
{
    static char link[300];
    snprintf(link, sizeof link, "%s/api/data/v9.2/%s", origin, rest);
    return link;
}

/* The budget must be as it was: nothing under way. */
static void expect_idle(struct scene *scene)
{
    struct sl_buf json;
    sl_buf_init(&json);
    sl_budget_status(scene->remote.budget, &json);
    EXPECT(strstr(json.data, "\"in_flight\":0,\"waiting\":0"));
    sl_buf_done(&json);
}

/* --- what is sent --- */

static void a_request_says_who_and_what_body(void *arg)
{
    struct scene *scene = arg;
    struct sl_err err = {0};
    struct sl_http_stream *stream;
    struct sl_http_response head;
    const struct sl_dataverse_get get = {.path = "accounts?$select=name%20x",
                                         .prefer = "odata.track-changes,odata.maxpagesize=5",
                                         .urgency = SL_STEADY};
    char piece[100];
    size_t size = 0;
    static const struct answer dated = {
        200, "Date: Mon, 21 Sep 2026 14:15:23 GMT\r\nContent-Type: application/json\r\n", "{}"};
    answer_with(&dated, 1);
    EXPECT_INT(sl_dataverse_open(&scene->remote, &get, &stream, &head, &err), SL_OK);
    EXPECT_INT(head.status, 200);
    sl_http_response_done(&head);
    EXPECT_INT(sl_http_read(stream, piece, sizeof piece, &size, sl_deadline_in(5000), &err), SL_OK);
    EXPECT_INT(size, 2);
    sl_dataverse_close(&scene->remote, stream);
    EXPECT(sent("GET /api/data/v9.2/accounts?$select=name%20x HTTP/1.1\r\n"));
    EXPECT(sent("\r\nPrefer: odata.track-changes,odata.maxpagesize=5\r\n"));
    EXPECT(sent("\r\nOData-Version: 4.0\r\n"));
    EXPECT(sent("\r\nOData-MaxVersion: 4.0\r\n"));
    EXPECT(sent("\r\nAccept: application/json\r\n"));
    EXPECT(sent("\r\nAuthorization: Bearer secret-1\r\n"));
    EXPECT(scene->remote.offset.known);
    expect_idle(scene);

    /* A link goes as it is, without Prefer when there is none. */
    const struct sl_dataverse_get follow = {
        .link = link_to(service.peer.origin, "accounts?$deltatoken=919042%2108%2f22")};
    EXPECT_INT(sl_dataverse_open(&scene->remote, &follow, &stream, &head, &err), SL_OK);
    sl_http_response_done(&head);
    sl_dataverse_close(&scene->remote, stream); /* unread */
    EXPECT(sent("GET /api/data/v9.2/accounts?$deltatoken=919042%2108%2f22 HTTP/1.1\r\n"));
    EXPECT(!sent("\r\nPrefer:"));
    EXPECT_INT(service.tokens, 1);
    expect_idle(scene);
    done(scene);
}

static void a_request_says_who_and_what(void **state)
{
    (void)state;
    with_service(a_request_says_who_and_what_body);
}

static void a_token_that_is_refused_is_fetched_anew_once_body(void *arg)
{
    struct scene *scene = arg;
    static const struct answer once[] = {
        {401, "",                                   ""                  },
        {200, "Content-Type: application/json\r\n", "{\"UserId\":\"x\"}"}
    };
    const struct sl_dataverse_get get = {.path = "WhoAmI"};
    struct sl_err err = {0};
    struct sl_json_doc *doc = NULL;
    answer_with(once, 2);
    EXPECT_INT(sl_dataverse_read_json(&scene->remote, &get, &doc, &err), SL_OK);
    EXPECT_TEXT(sl_json_text(sl_json_get(sl_json_root(doc), "UserId")), "x");
    sl_json_free(doc);
    EXPECT_INT(service.tokens, 2);
    EXPECT(sent("Bearer secret-2"));

    answer_with(once, 1);
    EXPECT_INT(sl_dataverse_read_json(&scene->remote, &get, &doc, &err), SL_CONFIG);
    EXPECT(strstr(err.message, "WhoAmI: the service does not accept the token (401)"));
    EXPECT_INT(service.asked, 2);
    EXPECT_INT(err.cause, 401);
    expect_idle(scene);
    done(scene);
}

static void a_token_that_is_refused_is_fetched_anew_once(void **state)
{
    (void)state;
    with_service(a_token_that_is_refused_is_fetched_anew_once_body);
}

/* --- where the token does not go --- */

static void a_link_to_another_host_is_not_followed_body(void *arg)
{
    struct scene *scene = arg;
    char other_port[64], userinfo[96];
    snprintf(other_port, sizeof other_port, "http://127.0.0.1:%u", service.peer.port + 1);
    snprintf(userinfo, sizeof userinfo, "http://127.0.0.1:%u@evil.example", service.peer.port);
    const char *const origins[] = {"http://evil.example", "https://127.0.0.1", other_port, userinfo,
                                   "http://localhost",    "ftp://127.0.0.1",   "nonsense"};
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        struct sl_err err = {0};
        struct sl_http_stream *stream;
        struct sl_http_response head;
        const struct sl_dataverse_get get = {.link = link_to(origins[i], "accounts?$skiptoken=s")};
        EXPECT_INT(sl_dataverse_open(&scene->remote, &get, &stream, &head, &err), SL_NOTFOUND);
        EXPECT(strstr(err.message, "accounts: the link leads to another host"));
        EXPECT(!strstr(err.message, "skiptoken"));
    }
    EXPECT_INT(atomic_load(&service.peer.requests), 0);
    EXPECT_INT(sl_metric_sum("links_refused_total", "source=\"crm\""), 7);
    expect_idle(scene);
    done(scene);
}

static void a_link_to_another_host_is_not_followed(void **state)
{
    (void)state;
    with_service(a_link_to_another_host_is_not_followed_body);
}

/* --- refusals --- */

static void refusals_mean_what_they_mean_body(void *arg)
{
    struct scene *scene = arg;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++) {
        struct sl_err err = {0};
        struct sl_http_stream *stream;
        struct sl_http_response head;
        const struct sl_dataverse_get get = {
            .link =
                REFUSALS[i].link ? link_to(service.peer.origin, "accounts?$deltatoken=t") : NULL,
            .path = REFUSALS[i].link ? NULL : "accounts?$select=hidden",
            .row = REFUSALS[i].row};
        const char *counted = REFUSALS[i].counted;
        char label[40] = "none";
        if (counted)
            snprintf(label, sizeof label, "code=\"%s\"", counted);
        int64_t before = sl_metric_sum("throttled_total", label);

        /* A throttle holds the next one back: each gets a budget of its own. */
        sl_budget_free(scene->remote.budget);
        scene->remote.budget = sl_budget_new("crm", &scene->settings.budget);
        answer_with(&REFUSALS[i].answer, 1);
        int rc = sl_dataverse_open(&scene->remote, &get, &stream, &head, &err);
        if (rc != REFUSALS[i].code || !strstr(err.message, REFUSALS[i].says) ||
            strncmp(err.message, "accounts: ", 10) || strstr(err.message, "hidden") ||
            strstr(err.message, "deltatoken"))
            fprintf(stderr, "%s: %s: %s\n", REFUSALS[i].name, sl_code_name(rc), err.message);
        EXPECT_INT(rc, REFUSALS[i].code);
        EXPECT(strstr(err.message, REFUSALS[i].says));
        EXPECT(!strncmp(err.message, "accounts: ", 10));
        EXPECT(!strstr(err.message, "hidden") && !strstr(err.message, "deltatoken"));
        EXPECT_INT(err.retry_after_ms, REFUSALS[i].retry_after_ms);
        EXPECT_INT(err.cause, REFUSALS[i].cause ? REFUSALS[i].cause : REFUSALS[i].answer.status);
        EXPECT_INT(sl_metric_sum("throttled_total", label), before + (counted ? 1 : 0));
        EXPECT(!sl_budget_trouble(scene->remote.budget) == !counted);
        expect_idle(scene);
    }
    EXPECT(!sent("evil"));
    done(scene);
}

static void refusals_mean_what_they_mean(void **state)
{
    (void)state;
    with_service(refusals_mean_what_they_mean_body);
}

static void a_throttle_without_a_time_is_obeyed_too_body(void *arg)
{
    struct scene *scene = arg;
    static const struct answer silent = {429, "", ""}, away = {503, "", ""};
    const struct sl_dataverse_get get = {.path = "accounts"};
    struct sl_err err = {0};
    struct sl_json_doc *doc;
    answer_with(&silent, 1);
    EXPECT_INT(sl_dataverse_read_json(&scene->remote, &get, &doc, &err), SL_THROTTLED);
    EXPECT_INT(err.retry_after_ms, 30000);
    sl_budget_free(scene->remote.budget);
    scene->remote.budget = sl_budget_new("crm", &scene->settings.budget);
    answer_with(&away, 1);
    EXPECT_INT(sl_dataverse_read_json(&scene->remote, &get, &doc, &err), SL_THROTTLED);
    EXPECT_INT(err.retry_after_ms, 5000);
    done(scene);
}

static void a_throttle_without_a_time_is_obeyed_too(void **state)
{
    (void)state;
    with_service(a_throttle_without_a_time_is_obeyed_too_body);
}

/* A retry waits in the next call, not in the caller. */
static void the_next_one_waits_body(void *arg)
{
    struct scene *scene = arg;
    static const struct answer answers[] = {
        {429, "Retry-After: 1\r\n", ""              },
        {200, JSON,                 "{\"value\":[]}"}
    };
    const struct sl_dataverse_get get = {.path = "accounts", .urgency = SL_URGENT};
    struct sl_err err = {0};
    struct sl_json_doc *doc = NULL;
    answer_with(answers, 2);
    EXPECT_INT(sl_dataverse_read_json(&scene->remote, &get, &doc, &err), SL_THROTTLED);
    uint64_t begin_ms = sl_loop_now_ms();
    EXPECT_INT(sl_dataverse_read_json(&scene->remote, &get, &doc, &err), SL_OK);
    EXPECT(sl_loop_now_ms() - begin_ms >= 950);
    sl_json_free(doc);
    done(scene);
}

static void the_next_one_waits(void **state)
{
    (void)state;
    with_service(the_next_one_waits_body);
}

/* Asks for rows of the table (NULL: of none), which is answered so, when it is asked. */
static int ask_of(struct scene *scene, const char *table, const struct answer *answer,
                  struct sl_err *err)
{
    const struct sl_dataverse_get get = {.path = "rows", .table = table};
    struct sl_json_doc *doc = NULL;
    answer_with(answer, 1);
    *err = (struct sl_err){0};
    int rc = sl_dataverse_read_json(&scene->remote, &get, &doc, err);
    if (rc == SL_OK)
        sl_json_free(doc);
    return rc;
}

static void a_table_that_is_away_holds_no_other_body(void *arg)
{
    struct scene *scene = arg;
    static const struct answer away = {503, "Retry-After: 60\r\n", ""}, soon = {503, "", ""};
    struct sl_budget **budget = &scene->remote.budget;
    struct sl_err err;

    /* Two tables with a service of their own: the third one is answered. */
    EXPECT_INT(ask_of(scene, "account", &FINE, &err), SL_OK);
    EXPECT_INT(ask_of(scene, "vendor", &away, &err), SL_THROTTLED);
    EXPECT_INT(ask_of(scene, "customer", &soon, &err), SL_THROTTLED);
    EXPECT_INT(err.retry_after_ms, 5000);
    EXPECT(!sl_budget_trouble(*budget));
    EXPECT_INT(ask_of(scene, "account", &FINE, &err), SL_OK);
    EXPECT_INT(sl_metric_sum("throttled_total", "code=\"503\""), 2);

    /* They are not asked before the time is over. */
    EXPECT_INT(ask_of(scene, "vendor", &FINE, &err), SL_THROTTLED);
    EXPECT_INT(service.asked, 0);
    EXPECT_INT(err.cause, 503);
    EXPECT(err.retry_after_ms > 59000 && err.retry_after_ms <= 60000);
    EXPECT(strstr(err.message, "rows: the service is not available (503); asked again after 60 s"));

    /* Nothing was answered for long: the service is away, but others do not wait for a minute. */
    scene->remote.answered_ms -= 40000;
    EXPECT_INT(ask_of(scene, "lead", &away, &err), SL_THROTTLED);
    EXPECT_INT(err.retry_after_ms, 60000);
    EXPECT(strstr(sl_budget_trouble(*budget), "(503): 30 s left"));
    expect_idle(scene);
    done(scene);
}

static void a_table_that_is_away_holds_no_other(void **state)
{
    (void)state;
    with_service(a_table_that_is_away_holds_no_other_body);
}

static void a_service_that_is_away_holds_all_body(void *arg)
{
    struct scene *scene = arg;
    static const struct answer away = {503, "Retry-After: 60\r\n", ""};
    struct sl_budget **budget = &scene->remote.budget;
    struct sl_err err;

    EXPECT_INT(ask_of(scene, "vendor", &away, &err), SL_THROTTLED); /* it may be the only one */
    EXPECT(!sl_budget_trouble(*budget));
    EXPECT_INT(ask_of(scene, NULL, &away, &err), SL_THROTTLED);
    EXPECT(strstr(sl_budget_trouble(*budget), "(503): 60 s left"));
    expect_idle(scene);
    done(scene);
}

static void a_service_that_is_away_holds_all(void **state)
{
    (void)state;
    with_service(a_service_that_is_away_holds_all_body);
}

/* --- answers that lie, and a service that is away --- */

static void malformed_json_is_told_body(void *arg)
{
    struct scene *scene = arg;
    static const struct answer malformed = {200, JSON, "{\"value\":["};
    const struct sl_dataverse_get get = {.path = "accounts?$top=1"};
    struct sl_err err = {0};
    struct sl_json_doc *doc;
    answer_with(&malformed, 1);
    EXPECT_INT(sl_dataverse_read_json(&scene->remote, &get, &doc, &err), SL_CLOSED);
    EXPECT(strstr(err.message, "accounts: the answer is not JSON"));
    expect_idle(scene);
    peer_stop(&service.peer);
    EXPECT_INT(sl_dataverse_read_json(&scene->remote, &get, &doc, &err), SL_CLOSED);
    EXPECT(!strncmp(err.message, "accounts: ", 10));
    EXPECT(!strstr(err.message, "top"));
    expect_idle(scene);
    peer_start(&service.peer, serve, NULL); /* for the end of the test */
    done(scene);
}

static void malformed_json_is_told(void **state)
{
    (void)state;
    with_service(malformed_json_is_told_body);
}

static void what_cannot_be_used_is_told_at_the_start(void **state)
{
    static char plain[] = "http://contoso.crm.dynamics.com", tenant[] = "t", client[] = "c",
                secret[] = "s";
    struct sl_dataverse_source_settings settings = {
        .url = plain, .auth = {.tenant = tenant, .client_id = client, .client_secret = secret}
    };
    struct sl_dataverse_remote remote;
    struct sl_err err;
    (void)state;
    assert_int_equal(sl_dataverse_remote_init(&remote, NULL, "crm", &settings, &err), SL_CONFIG);
    assert_non_null(strstr(err.message, "must begin with https://"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_says_who_and_what),
        cmocka_unit_test(a_token_that_is_refused_is_fetched_anew_once),
        cmocka_unit_test(a_link_to_another_host_is_not_followed),
        cmocka_unit_test(refusals_mean_what_they_mean),
        cmocka_unit_test(a_throttle_without_a_time_is_obeyed_too),
        cmocka_unit_test(the_next_one_waits),
        cmocka_unit_test(a_table_that_is_away_holds_no_other),
        cmocka_unit_test(a_service_that_is_away_holds_all),
        cmocka_unit_test(malformed_json_is_told),
        cmocka_unit_test(what_cannot_be_used_is_told_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
