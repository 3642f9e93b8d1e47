/* http/oauth: one request for many fibers, and patience after a refusal. */
#include "http/oauth.h"

#include <stdlib.h>

#include "http/oauth_reply.h"
#include "http/token_endpoint.h"

/* --- one flight --- */

struct crowd {
    struct setup *setup;
    unsigned done;
};

static void want_token(void *arg)
{
    struct crowd *crowd = arg;
    expect_token(crowd->setup->oauth, "token-1");
    crowd->done++;
}

static bool all_have_one(void *arg)
{
    return ((struct crowd *)arg)->done == 5;
}

static void one_request_for_many(void *arg)
{
    struct setup *setup = arg;
    struct crowd crowd = {setup, 0};
    for (int i = 0; i < 5; i++)
        sl_fiber_spawn("want", want_token, &crowd);
    EXPECT(wait_until(all_have_one, &crowd));
    EXPECT_INT(requests(setup), 1);
    EXPECT(strstr(last_request, "POST /contoso.com/oauth2/v2.0/token HTTP/1.1\r\n"));
    EXPECT(strstr(last_request, "Content-Type: application/x-www-form-urlencoded\r\n"));
    EXPECT(strstr(last_request, "\r\n\r\ngrant_type=client_credentials&client_id=11-22&"
                                "scope=https%3A%2F%2Fcontoso.operations.dynamics.com%2F.default&"
                                "client_secret=s%26cr%3Dt%20%2B~"));

    expect_token(setup->oauth, "token-1");
    EXPECT_INT(requests(setup), 1);
    EXPECT(sl_oauth_refused(setup->oauth, sl_oauth_number(setup->oauth)));
    expect_token(setup->oauth, "token-2");
    done(setup);
}

static void test_single_flight(void **state)
{
    (void)state;
    with_endpoint(one_request_for_many, 3599, 50);
}

static void ask_and_be_cancelled(void *arg)
{
    struct setup *setup = arg;
    const char *token;
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, NULL), SL_CANCELED);
}

static bool is_asked(void *arg)
{
    return requests(arg) == 1;
}

static void asker_is_cancelled(void *arg)
{
    struct setup *setup = arg;
    struct sl_fiber *asker = sl_fiber_spawn_joinable("asker", ask_and_be_cancelled, setup);
    EXPECT(wait_until(is_asked, setup));
    sl_fiber_cancel(asker);
    expect_token(setup->oauth, "token-2"); /* waits for the asker, then asks itself */
    sl_fiber_join(asker);
    done(setup);
}

static void test_cancelled_asker(void **state)
{
    (void)state;
    with_endpoint(asker_is_cancelled, 3599, 100);
}

/* --- refusals --- */

static void be_patient(void *arg)
{
    struct setup *setup = arg;
    const char *token;
    struct sl_err err;
    answer_with(401, NULL, bad_secret);
    for (int i = 0; i < 20; i++) {
        EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_CONFIG);
        EXPECT_TEXT(err.message,
                    "cannot get a token: AADSTS7000215: Invalid client secret provided.");
    }
    EXPECT_INT(requests(setup), 1);
    EXPECT(err.retry_after_ms > 0 && err.retry_after_ms <= 1000);

    sl_fiber_sleep(1050);
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_CONFIG);
    EXPECT_INT(requests(setup), 2);
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_CONFIG);
    EXPECT(err.retry_after_ms > 1000 && err.retry_after_ms <= 2000);

    answer_with(200, NULL, NULL);
    sl_fiber_sleep(2050);
    expect_token(setup->oauth, "token-3");

    EXPECT(sl_oauth_refused(setup->oauth, sl_oauth_number(setup->oauth)));
    answer_with(429, "Retry-After: 3\r\n", "slow down");
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_THROTTLED);
    EXPECT_INT(err.retry_after_ms, 3000);
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_THROTTLED);
    EXPECT(err.retry_after_ms > 2000 && err.retry_after_ms <= 3000);
    EXPECT_INT(requests(setup), 4);
    done(setup);
}

static void replace_what_was_refused(void *arg)
{
    struct setup *setup = arg;
    struct sl_oauth *oauth = setup->oauth;
    expect_token(setup->oauth, "token-1");
    unsigned first = sl_oauth_number(oauth);
    for (int i = 0; i < 50; i++) /* that many were under way when it was revoked */
        EXPECT(sl_oauth_refused(oauth, first));
    expect_token(setup->oauth, "token-2");
    EXPECT(sl_oauth_refused(oauth, first));
    expect_token(setup->oauth, "token-2");
    EXPECT_INT(requests(setup), 2);

    unsigned second = sl_oauth_number(oauth);
    EXPECT(!sl_oauth_refused(oauth, second)); /* so it is not the token */
    sl_fiber_sleep(1050);
    EXPECT(sl_oauth_refused(oauth, second));
    expect_token(setup->oauth, "token-3");
    unsigned third = sl_oauth_number(oauth);
    sl_fiber_sleep(1050);
    EXPECT(!sl_oauth_refused(oauth, third)); /* for two seconds now */
    expect_token(setup->oauth, "token-3");
    sl_oauth_accepted(oauth, second); /* says nothing of the third */
    EXPECT(!sl_oauth_refused(oauth, third));
    sl_oauth_accepted(oauth, third);
    EXPECT(sl_oauth_refused(oauth, third));
    expect_token(setup->oauth, "token-4");
    EXPECT_INT(requests(setup), 4);
    done(setup);
}

static void test_refused_by_the_peer(void **state)
{
    (void)state;
    with_endpoint(replace_what_was_refused, 3599, 0);
}

static void test_refusals(void **state)
{
    (void)state;
    with_endpoint(be_patient, 3599, 0);
}

struct reply {
    int status;
    const char *body;
    int rc;
    const char *text; /* the token, or the message */
    int64_t life_s;
};

static const struct reply replies[] = {
    {200, "{\"access_token\":\"abc\",\"expires_in\":3599,\"token_type\":\"Bearer\"}",         SL_OK,        "abc",
     3599                                                                                                                                                                                },
    {200, "{\"access_token\":\"abc\",\"expires_in\":\"60\"}",                                 SL_OK,        "abc",                                                                  60   },
    {200, "{\"access_token\":\"abc\"}",                                                       SL_OK,        "abc",                                                                  300  },
    {200, "{\"access_token\":\"abc\",\"expires_in\":-5}",                                     SL_OK,        "abc",                                                                  1    },
    {200, "{\"access_token\":\"abc\",\"expires_in\":99999999}",                               SL_OK,        "abc",                                                                  86400},
    {200, "{\"access_token\":\"\"}",                                                          SL_CLOSED,    "the token endpoint's answer has no access_token",
     0                                                                                                                                                                                   },
    {200, "{\"access_token\":7}",                                                             SL_CLOSED,    "the token endpoint's answer has no access_token",                      0    },
    {200, "[]",                                                                               SL_CLOSED,    "the token endpoint's answer has no access_token",                      0    },
    {200, "<html>",                                                                           SL_CLOSED,    "the token endpoint's answer is not JSON",                              0    },
    {200, "{\"access_token\":\"abc\",\"token_type\":\"mac\"}",                                SL_CONFIG,
     "the token endpoint gives no bearer tokens",                                                                                                                                   0    },
    {400,
     "{\"error\":\"invalid_scope\",\"error_description\":\"AADSTS70011: The scope is not "
     "valid.\\r\\nTrace ID: 1\\r\\nCorrelation ID: 2\"}",                                     SL_CONFIG,    "AADSTS70011: The scope is not valid.",                                 0    },
    {400, "{\"error\":\"unauthorized_client\"}",                                              SL_CONFIG,
     "the token endpoint refused: unauthorized_client",                                                                                                                             0    },
    {401, "{\"error\":\"invalid_client\",\"error_description\":\" Trace ID: 1\"}",            SL_CONFIG,
     "the token endpoint refused: invalid_client",                                                                                                                                  0    },
    {400, "{\"error\":\"temporarily_unavailable\",\"error_description\":\"AADSTS90033: x\"}",
     SL_CLOSED,                                                                                             "the token endpoint is unavailable for a while",                        0    },
    {404, "<html>",                                                                           SL_CONFIG,
     "the token endpoint answered HTTP status 404: is the authority right?",                                                                                                        0    },
    {302, "",                                                                                 SL_CONFIG,    "the token endpoint answered HTTP status 302: is the authority right?", 0    },
    {429, "",                                                                                 SL_THROTTLED, "the token endpoint answered HTTP status 429",                          0    },
    {503, "",                                                                                 SL_CLOSED,    "the token endpoint answered HTTP status 503",                          0    },
};

/* Of the managed identity of a machine or an app. */
static const struct reply identity_replies[] = {
    {200, "{\"access_token\":\"abc\",\"expires_in\":\"3599\",\"expires_on\":\"1\"}",      SL_OK,        "abc",
     3599                                                                                                                                                              },
    {200, "{\"access_token\":\"abc\",\"expires_on\":\"1\"}",                              SL_OK,        "abc",                                                    1    },
    {200, "{\"access_token\":\"abc\",\"expires_on\":\"99999999999\"}",                    SL_OK,        "abc",                                                    86400},
    {200, "{\"access_token\":\"abc\"}",                                                   SL_OK,        "abc",                                                    300  },
    {200, "<html>",                                                                       SL_CLOSED,    "the managed identity endpoint's answer is not JSON",     0    },
    {400, "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}", SL_CONFIG,
     "the managed identity endpoint refused: Identity not found",                                                                                                 0    },
    {400, "",                                                                             SL_CONFIG,
     "the managed identity endpoint answered HTTP status 400: has this machine or app such an "
     "identity?",                                                                                                                                                 0    },
    {302, "",                                                                             SL_CONFIG,
     "the managed identity endpoint answered HTTP status 302: has this machine or app such an "
     "identity?",                                                                                                                                                 0    },
    {403, "",                                                                             SL_CONFIG,
     "the managed identity endpoint answered HTTP status 403: has this machine or app such an "
     "identity?",                                                                                                                                                 0    },
    {404, "",                                                                             SL_CLOSED,    "the managed identity endpoint answered HTTP status 404", 0    },
    {410, "",                                                                             SL_CLOSED,    "the managed identity endpoint answered HTTP status 410", 0    },
    {429, "",                                                                             SL_THROTTLED, "the managed identity endpoint answered HTTP status 429", 0    },
    {500, "",                                                                             SL_CLOSED,    "the managed identity endpoint answered HTTP status 500", 0    },
};

static void check_replies(const struct reply *reply, size_t count, enum sl_oauth_type type)
{
    for (; count--; reply++) {
        const struct sl_http_response response = {
            .status = reply->status, .body = (char *)reply->body, .length = strlen(reply->body)};
        char *token = NULL;
        int64_t life_s = 0;
        struct sl_err err = {0};
        assert_int_equal(sl_oauth_reply_read(&response, type, &token, &life_s, &err), reply->rc);
        assert_string_equal(token ? token : err.message, reply->text);
        assert_int_equal(life_s, reply->life_s);
        free(token);
    }
}

static void test_replies(void **state)
{
    const size_t count = sizeof identity_replies / sizeof identity_replies[0];
    (void)state;
    check_replies(replies, sizeof replies / sizeof *replies, SL_OAUTH_SECRET);
    check_replies(identity_replies, count, SL_OAUTH_IDENTITY);
}

static void test_settings(void **state)
{
    struct sl_err err = {0};
    struct sl_oauth_settings settings = {.tenant = "t", .client_id = "c", .scope = "s"};
    (void)state;
    assert_null(sl_oauth_new(NULL, &settings, &err));
    assert_int_equal(err.code, SL_CONFIG);
    settings.client_secret = "x";
    settings.authority = "http://login.example";
    assert_null(sl_oauth_new(NULL, &settings, &err));
    assert_string_equal(err.message,
                        "auth.authority 'http://login.example/' must begin with https://");
    settings.authority = NULL;
    struct sl_oauth *oauth = sl_oauth_new(NULL, &settings, &err);
    assert_non_null(oauth);
    sl_oauth_free(oauth);
    sl_oauth_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_flight), cmocka_unit_test(test_cancelled_asker),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_refused_by_the_peer),
        cmocka_unit_test(test_replies),       cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
