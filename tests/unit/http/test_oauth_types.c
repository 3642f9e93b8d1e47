/* http/oauth: what is sent for each way of signing in, and that files are read anew each time. */
#include "http/oauth.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"
#include "format/base64.h"
#include "format/json.h"
#include "http/certificate.h"
#include "http/harness.h"
#include "http/peer.h"
#include "http/tokens.h"

#define TOKEN "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln"
#define OTHER_TOKEN "eyJhbGciOiJub25lIn0.eyJhIjoyfQ.c2ln"

static atomic_int status;
static char last_request[16384];

static void serve(struct peer_link *link)
{
    while (peer_read_request(link)) {
        char text[400], body[200];
        snprintf(last_request, sizeof last_request, "%s", link->request);
        int length =
            snprintf(body, sizeof body, "{\"expires_in\":\"3599\",\"access_token\":\"token-%u\"}",
                     atomic_load(&link->peer->requests));
        snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s",
                 atomic_load(&status), length, body);
        if (!peer_say(link, text))
            return;
    }
}

struct setup {
    struct peer peer;
    struct sl_http *http;
    struct sl_oauth *oauth;
    struct sl_oauth_settings settings;
    char folder[40], certificate[80], key[80], token[80];
    char audience[100], endpoint[100];
};

static unsigned requests(struct setup *setup)
{
    return atomic_load(&setup->peer.requests);
}

static void with_peer(void (*body)(void *), enum sl_oauth_type type)
{
    static struct setup setup;
    const struct sl_http_options options = {.proxy = (char *)"http://127.0.0.1:9"}; /* nobody */
    memset(&setup, 0, sizeof setup);
    snprintf(setup.folder, sizeof setup.folder, "/tmp/sluice-oauth-XXXXXX");
    assert_non_null(mkdtemp(setup.folder));
    snprintf(setup.certificate, sizeof setup.certificate, "%s/c.pem", setup.folder);
    snprintf(setup.key, sizeof setup.key, "%s/k.pem", setup.folder);
    snprintf(setup.token, sizeof setup.token, "%s/token", setup.folder);
    sl_log_setup(SL_ERROR, SL_LOG_TEXT);
    atomic_store(&status, 200);
    peer_start(&setup.peer, serve, NULL);
    snprintf(setup.audience, sizeof setup.audience, "%s/contoso.com/oauth2/v2.0/token",
             setup.peer.origin);
    snprintf(setup.endpoint, sizeof setup.endpoint, "%s/msi/token", setup.peer.origin);
    setup.settings = (struct sl_oauth_settings){
        .type = type,
        .source = "fno",
        .authority = setup.peer.origin,
        .tenant = "contoso.com",
        .client_id = "11-22",
        .certificate_file = setup.certificate,
        .key_file = setup.key,
        .token_file = setup.token,
        .endpoint = setup.endpoint,
        .scope = "https://a.crm.dynamics.com/.default",
    };
    setup.http = sl_http_new(&options, NULL);
    setup.oauth = sl_oauth_new(setup.http, &setup.settings, NULL);
    assert_non_null(setup.oauth);
    run_fiber(body, &setup);
    peer_stop(&setup.peer);
    unlink(setup.certificate);
    unlink(setup.key);
    unlink(setup.token);
    assert_int_equal(rmdir(setup.folder), 0);
}

static void done(struct setup *setup)
{
    sl_oauth_free(setup->oauth);
    sl_http_free(setup->http);
}

/* The next call asks anew. */
static void expire(struct setup *setup)
{
    EXPECT(sl_oauth_refused(setup->oauth, sl_oauth_number(setup->oauth)));
}

/* --- a certificate --- */

/* The JSON of one part of the assertion that was sent. */
static struct sl_json_doc *part_of_assertion(int number)
{
    const char *at = strstr(last_request, "client_assertion=");
    struct sl_buf bytes;
    struct sl_json_doc *doc = NULL;
    char text[4096];
    if (!at)
        return NULL;
    at += strlen("client_assertion=");
    for (int i = 0; i < number; i++)
        at += strcspn(at, ".&") + 1;
    size_t length = strcspn(at, ".&");
    snprintf(text, sizeof text, "%.*s%.*s", (int)length, at, (int)((4 - length % 4) % 4), "===");
    for (char *c = text; *c; c++)
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
    sl_buf_init(&bytes);
    if (sl_base64_decode(&bytes, text, strlen(text)))
        sl_json_parse(bytes.data, bytes.length, NULL, &doc, NULL);
    sl_buf_done(&bytes);
    return doc;
}

static void expect_member(struct sl_json_doc *doc, const char *name, const char *wanted)
{
    EXPECT_TEXT(sl_json_text(sl_json_get(sl_json_root(doc), name)), wanted);
}

static int64_t number_of(struct sl_json_doc *doc, const char *name)
{
    int64_t number = -1;
    sl_json_int(sl_json_get(sl_json_root(doc), name), &number);
    return number;
}

static void expect_header(const struct pair *pair)
{
    uint8_t hash[32];
    struct sl_buf print;
    X509_digest(pair->certificate, EVP_sha256(), hash, NULL);
    sl_buf_init(&print);
    sl_base64url_encode(&print, hash, sizeof hash);
    struct sl_json_doc *header = part_of_assertion(0);
    EXPECT(header);
    if (header) {
        expect_member(header, "alg", "PS256");
        expect_member(header, "typ", "JWT");
        expect_member(header, "x5t#S256", print.data);
        sl_json_free(header);
    }
    sl_buf_done(&print);
}

/* Checks the claims and writes the id. */
static void expect_claims(const char *audience, char id[40])
{
    struct sl_json_doc *claims = part_of_assertion(1);
    EXPECT(claims);
    if (!claims)
        return;
    expect_member(claims, "iss", "11-22");
    expect_member(claims, "sub", "11-22");
    expect_member(claims, "aud", audience);
    const char *text = sl_json_text(sl_json_get(sl_json_root(claims), "jti"));
    snprintf(id, 40, "%s", text ? text : "");
    EXPECT_INT(strlen(id), 32);
    int64_t now = time(NULL), begin = number_of(claims, "nbf"), end = number_of(claims, "exp");
    EXPECT(begin <= now && begin > now - 5);
    EXPECT_INT(number_of(claims, "iat"), begin);
    EXPECT_INT(end - begin, 300);
    sl_json_free(claims);
}

static void sign_in_by_certificate(void *arg)
{
    struct setup *setup = arg;
    char first_id[40] = "", second_id[40] = "";
    struct pair one = make_pair("one", 2048), two = make_pair("two", 2048);
    write_certificate(one.certificate, setup->certificate);
    write_key(one.key, setup->key);
    expect_token(setup->oauth, "token-1");
    EXPECT(strstr(last_request, "POST /contoso.com/oauth2/v2.0/token HTTP/1.1\r\n"));
    EXPECT(strstr(last_request, "\r\n\r\ngrant_type=client_credentials&client_id=11-22&"
                                "scope=https%3A%2F%2Fa.crm.dynamics.com%2F.default&"
                                "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A"
                                "client-assertion-type%3Ajwt-bearer&client_assertion="));
    EXPECT(!strstr(last_request, "client_secret"));
    expect_header(&one);
    expect_claims(setup->audience, first_id);
    int64_t end_s = sl_metric_sum("auth_certificate_expires_seconds", "source=\"fno\"");
    EXPECT(end_s > time(NULL) + 3500 && end_s <= time(NULL) + 3600);

    write_certificate(two.certificate, setup->certificate); /* rotated, without a restart */
    write_key(two.key, setup->key);
    expire(setup);
    expect_token(setup->oauth, "token-2");
    expect_header(&two);
    expect_claims(setup->audience, second_id);
    EXPECT(strcmp(first_id, second_id) != 0);
    free_pair(one);
    free_pair(two);
    done(setup);
}

static void test_certificate(void **state)
{
    (void)state;
    with_peer(sign_in_by_certificate, SL_OAUTH_CERTIFICATE);
}

/* Half of the pair is new, for a moment. */
static void wait_for_the_other_half(void *arg)
{
    struct setup *setup = arg;
    const char *token;
    struct sl_err err = {0};
    struct pair one = make_pair("one", 2048), two = make_pair("two", 2048);
    write_certificate(one.certificate, setup->certificate);
    write_key(two.key, setup->key);
    for (int i = 0; i < 10; i++) {
        EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_CONFIG);
        EXPECT(strstr(err.message, "cannot get a token: the key in '"));
        EXPECT(strstr(err.message, "does not belong to the certificate"));
        EXPECT(err.retry_after_ms <= 1000);
    }
    EXPECT(!strstr(err.message, "MII"));
    EXPECT_INT(requests(setup), 0);
    write_certificate(two.certificate, setup->certificate);
    sl_fiber_sleep(1050);
    expect_token(setup->oauth, "token-1");
    expect_header(&two);
    free_pair(one);
    free_pair(two);
    done(setup);
}

static void test_half_a_pair(void **state)
{
    (void)state;
    with_peer(wait_for_the_other_half, SL_OAUTH_CERTIFICATE);
}

/* --- a federated token --- */

static void expect_refused_file(struct setup *setup, const char *words)
{
    const char *token;
    struct sl_err err = {0};
    struct sl_oauth *oauth = sl_oauth_new(setup->http, &setup->settings, NULL);
    EXPECT_INT(sl_oauth_token(oauth, &token, &err), SL_CONFIG);
    EXPECT(strstr(err.message, setup->token));
    EXPECT(strstr(err.message, words));
    EXPECT(!strstr(err.message, "hunter2"));
    sl_oauth_free(oauth);
}

static void sign_in_by_federated_token(void *arg)
{
    static const char *const none[] = {
        "",
        "\n",
        "hunter2",
        "a.hunter2",
        "a.b.hunter2.d",
        "a..hunter2",
        ".b.",
        "a.b.",
        "a.b.hunter2 ",
        "{\"a\":1}",
        "a.b.hunter2\nmore",
        "a.b.hunter2=",
        " a.b.hunter2",
        "-----BEGIN A-----",
    };
    struct setup *setup = arg;
    expect_refused_file(setup, "No such file or directory");
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        write_text(setup->token, none[i]);
        expect_refused_file(setup, "does not hold a token (a JWT and nothing else)");
    }
    EXPECT_INT(requests(setup), 0); /* nothing of that was sent away */

    write_text(setup->token, TOKEN);
    expect_token(setup->oauth, "token-1");
    EXPECT(strstr(last_request, "jwt-bearer&client_assertion=" TOKEN));
    write_text(setup->token, OTHER_TOKEN "\r\n"); /* renewed; a line end is none of it */
    expire(setup);
    expect_token(setup->oauth, "token-2");
    const char *sent = strstr(last_request, "client_assertion=");
    EXPECT_TEXT(sent ? sent + strlen("client_assertion=") : NULL, OTHER_TOKEN);
    done(setup);
}

static void test_federated_token(void **state)
{
    (void)state;
    with_peer(sign_in_by_federated_token, SL_OAUTH_FEDERATED);
}

/* --- a managed identity --- */

static void sign_in_as_the_machine(void *arg)
{
    struct setup *setup = arg;
    const char *token;
    struct sl_err err = {0};
    atomic_store(&status, 404); /* it has just started */
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_CLOSED);
    atomic_store(&status, 429);
    sl_fiber_sleep(1050);
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_THROTTLED);
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_THROTTLED);
    EXPECT(err.retry_after_ms > 1000 && err.retry_after_ms <= 2000);
    EXPECT_INT(requests(setup), 2);
    atomic_store(&status, 200);
    sl_fiber_sleep(2050);
    expect_token(setup->oauth, "token-3");
    EXPECT(strstr(last_request, "GET /msi/token?api-version=2018-02-01&resource="
                                "https%3A%2F%2Fa.crm.dynamics.com&client_id=11-22 HTTP/1.1\r\n"));
    EXPECT(strstr(last_request, "\r\nMetadata: true\r\n"));
    EXPECT(!strstr(last_request, "X-IDENTITY-HEADER"));
    done(setup);
}

static void test_managed_identity(void **state)
{
    (void)state;
    with_peer(sign_in_as_the_machine, SL_OAUTH_IDENTITY);
}

static void go_past_the_proxy(void *arg)
{
    struct setup *setup = arg;
    struct sl_http_response response = {0};
    char url[60];
    snprintf(url, sizeof url, "http://0.0.0.0:%u/", setup->peer.port); /* here, and no loopback */
    struct sl_http_request request = {.url = url};
    struct sl_err err;
    EXPECT_INT(sl_http_request(setup->http, &request, &response, &err), SL_CLOSED);
    request.direct = true;
    EXPECT_INT(sl_http_request(setup->http, &request, &response, &err), SL_OK);
    sl_http_response_done(&response);
    request.direct = false;
    EXPECT_INT(sl_http_request(setup->http, &request, &response, &err), SL_CLOSED);
    done(setup);
}

static void test_no_proxy(void **state)
{
    (void)state;
    with_peer(go_past_the_proxy, SL_OAUTH_IDENTITY);
}

/* --- settings --- */

static void each_type_has_its_needs(void **state)
{
    static const struct {
        struct sl_oauth_settings settings;
        const char *wrong; /* NULL: good */
    } rows[] = {
        {{.type = SL_OAUTH_CERTIFICATE, .scope = "s", .client_id = "c", .tenant = "t"},
         "auth needs tenant, client_id and certificate_file"                                   },
        {{.type = SL_OAUTH_FEDERATED, .scope = "s", .client_id = "c", .token_file = "f"},
         "auth needs tenant, client_id and token_file"                                         },
        {{.type = SL_OAUTH_FEDERATED, .client_id = "c", .token_file = "f", .tenant = "t"},
         "auth needs a scope"                                                                  },
        {{.type = SL_OAUTH_IDENTITY, .scope = "s", .endpoint = "http://10.0.0.1/x"},
         "auth.endpoint 'http://10.0.0.1/x' must begin with https:// (plain http is for this "
         "machine and 169.254.0.0/16 alone)"                                                   },
        {{.type = SL_OAUTH_IDENTITY, .scope = "s"},                                        NULL},
        {{.type = SL_OAUTH_FEDERATED,
          .scope = "s",
          .client_id = "c",
          .tenant = "t",
          .token_file = "f"},
         NULL                                                                                  },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sl_err err = {0};
        struct sl_oauth *oauth = sl_oauth_new(NULL, &rows[i].settings, &err);
        assert_true(!oauth == (rows[i].wrong != NULL));
        assert_string_equal(err.message, rows[i].wrong ? rows[i].wrong : "");
        sl_oauth_free(oauth);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificate),     cmocka_unit_test(test_half_a_pair),
        cmocka_unit_test(test_federated_token), cmocka_unit_test(test_managed_identity),
        cmocka_unit_test(test_no_proxy),        cmocka_unit_test(each_type_has_its_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
