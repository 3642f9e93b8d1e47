/* What a source's "auth" asks the token endpoint for. */
#include "source/auth.h"

#include <stdlib.h>

#include "base/log.h"
#include "http/harness.h"
#include "http/peer.h"

static char last_request[4096];

static void serve(struct peer_link *link)
{
    static const char body[] =
        "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"t\"}";
    while (peer_read_request(link)) {
        char text[400];
        snprintf(last_request, sizeof last_request, "%s", link->request);
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(body), body);
        if (!peer_say(link, text))
            return;
    }
}

struct row {
    const char *scope, *url, *sent;
};

static const struct row rows[] = {
    {NULL,    "https://a.crm.dynamics.com",    "scope=https%3A%2F%2Fa.crm.dynamics.com%2F.default"},
    {NULL,    "https://a.crm.dynamics.com///", "scope=https%3A%2F%2Fa.crm.dynamics.com%2F.default"},
    {"api:x", "https://a.crm.dynamics.com",    "scope=api%3Ax"                                    },
};

struct setup {
    struct peer peer;
    char tenant[20], client_id[20], client_secret[20];
};

static struct sl_auth_settings make_settings(struct setup *setup, char *scope)
{
    snprintf(setup->tenant, sizeof setup->tenant, "contoso.com");
    snprintf(setup->client_id, sizeof setup->client_id, "11-22");
    snprintf(setup->client_secret, sizeof setup->client_secret, "s3cret");
    return (struct sl_auth_settings){
        .type = SL_OAUTH_SECRET,
        .authority = setup->peer.origin,
        .tenant = setup->tenant,
        .client_id = setup->client_id,
        .client_secret = setup->client_secret,
        .scope = scope,
    };
}

static void ask(void *arg)
{
    struct setup *setup = arg;
    const struct sl_http_options options = {0};
    struct sl_http *http = sl_http_new(&options, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char scope[40];
        const char *token = NULL;
        struct sl_oauth *oauth = NULL;
        struct sl_err err = {0};
        snprintf(scope, sizeof scope, "%s", rows[i].scope ? rows[i].scope : "");
        struct sl_auth_settings settings = make_settings(setup, rows[i].scope ? scope : NULL);
        EXPECT_INT(sl_auth_oauth(http, "fno", &settings, rows[i].url, &oauth, &err), SL_OK);
        EXPECT_INT(sl_oauth_token(oauth, &token, &err), SL_OK);
        EXPECT_TEXT(token, "t");
        EXPECT(strstr(last_request, "POST /contoso.com/oauth2/v2.0/token "));
        EXPECT(strstr(last_request, rows[i].sent));
        sl_oauth_free(oauth);
    }
    sl_http_free(http);
}

static void the_scope_follows_from_the_url(void **state)
{
    static struct setup setup;
    (void)state;
    memset(&setup, 0, sizeof setup);
    sl_log_setup(SL_ERROR, SL_LOG_TEXT);
    peer_start(&setup.peer, serve, NULL);
    run_fiber(ask, &setup);
    peer_stop(&setup.peer);
}

static void refuse(void *arg)
{
    struct setup *setup = arg;
    char plain[] = "http://login.example";
    const struct sl_http_options options = {0};
    struct sl_http *http = sl_http_new(&options, NULL);
    struct sl_auth_settings settings = make_settings(setup, NULL);
    struct sl_oauth *oauth = NULL;
    struct sl_err err = {0};
    settings.authority = plain;
    EXPECT_INT(sl_auth_oauth(http, "fno", &settings, "https://a", &oauth, &err), SL_CONFIG);
    EXPECT(!oauth);
    EXPECT(!strstr(err.message, "s3cret"));
    sl_http_free(http);
}

static void a_secret_never_goes_out_in_the_clear(void **state)
{
    static struct setup setup;
    (void)state;
    run_fiber(refuse, &setup);
}

static void the_base_of_a_url_has_no_slash(void **state)
{
    (void)state;
    assert_int_equal(sl_auth_base_length("https://a"), 9);
    assert_int_equal(sl_auth_base_length("https://a//"), 9);
    assert_int_equal(sl_auth_base_length(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scope_follows_from_the_url),
        cmocka_unit_test(a_secret_never_goes_out_in_the_clear),
        cmocka_unit_test(the_base_of_a_url_has_no_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
