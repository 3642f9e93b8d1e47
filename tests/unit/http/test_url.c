/* http/url: what a URL leads to, and what of it may be shown. */
#include "http/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    int rc;
    const char *scheme, *host;
    unsigned port;
    bool loopback;
} urls[] = {
    {"https://contoso.operations.dynamics.com/data", SL_OK,     "https",
     "contoso.operations.dynamics.com",                                                            443,  false},
    {"HTTP://Example.COM:8080/x?y#z",                SL_OK,     "http",  "example.com",            8080, false},
    {"http://localhost/",                            SL_OK,     "http",  "localhost",              80,   true },
    {"http://127.0.0.1:1/",                          SL_OK,     "http",  "127.0.0.1",              1,    true },
    {"http://127.1.2.3/",                            SL_OK,     "http",  "127.1.2.3",              80,   true },
    {"http://[::1]:9/",                              SL_OK,     "http",  "::1",                    9,    true },
    {"http://127.0.0.1.evil.example/",               SL_OK,     "http",  "127.0.0.1.evil.example", 80,   false},
    {"https://localhost@evil.example/",              SL_OK,     "https", "evil.example",           443,  false},
    {"https://10.0.0.1",                             SL_OK,     "https", "10.0.0.1",               443,  false},
    {"smtps://mail.example",                         SL_OK,     "smtps", "mail.example",           465,  false},
    {"smtp://mail.example:2525",                     SL_OK,     "smtp",  "mail.example",           2525, false},
    {NULL,                                           SL_CONFIG, NULL,    NULL,                     0,    false},
    {"",                                             SL_CONFIG, NULL,    NULL,                     0,    false},
    {"example.com/path",                             SL_CONFIG, NULL,    NULL,                     0,    false},
    {"https://",                                     SL_CONFIG, NULL,    NULL,                     0,    false},
    {"https://host:99999/",                          SL_CONFIG, NULL,    NULL,                     0,    false},
    {"https://a b/",                                 SL_CONFIG, NULL,    NULL,                     0,    false},
    {"https://h\xc3\xb6st.example/",                 SL_CONFIG, NULL,    NULL,                     0,    false},
    {"ftp://example.com/",                           SL_CONFIG, NULL,    NULL,                     0,    false},
    {"file:///etc/passwd",                           SL_CONFIG, NULL,    NULL,                     0,    false},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct sl_url url;
        struct sl_err err = {0};
        int rc = sl_url_parse(urls[i].text, &url, &err);
        if (rc != urls[i].rc)
            print_error("%s: %s\n", urls[i].text, err.message);
        assert_int_equal(rc, urls[i].rc);
        if (rc != SL_OK)
            continue;
        assert_string_equal(url.scheme, urls[i].scheme);
        assert_string_equal(url.host, urls[i].host);
        assert_int_equal(url.port, urls[i].port);
        assert_int_equal(url.loopback, urls[i].loopback);
    }
}

static void test_secure(void **state)
{
    struct sl_url url;
    struct sl_err err;
    (void)state;
    assert_int_equal(sl_url_require_secure("https://a.example/", "package URL", &url, &err), SL_OK);
    assert_int_equal(sl_url_require_secure("http://[::1]:80/", "package URL", &url, &err), SL_OK);
    assert_int_equal(
        sl_url_require_secure("http://a.example/p?sig=SECRET", "package URL", &url, &err),
        SL_CONFIG);
    assert_string_equal(err.message, "package URL 'http://a.example/p' must begin with https://");
    assert_int_equal(sl_url_require_secure("smtp://127.0.0.1/", "package URL", &url, &err),
                     SL_CONFIG);
    assert_int_equal(sl_url_require_secure("", "package URL", &url, &err), SL_CONFIG);
}

static void test_safe(void **state)
{
    static const struct {
        const char *text, *safe;
    } rows[] = {
        {"https://acct.blob.core.windows.net/dmf/1?sv=1&sig=SECRET#SECRET",
         "https://acct.blob.core.windows.net/dmf/1"                                              },
        {"https://user:SECRET@host:8443/a",                                 "https://host:8443/a"},
        {"amqp://user:SECRET@host:5672/v",                                  "amqp://host:5672/v" },
        {"SECRET",                                                          "(not a URL)"        },
        {NULL,                                                              "(not a URL)"        },
    };
    char out[SL_URL_SAFE_BYTES], longest[4000];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(sl_url_safe(rows[i].text, out), rows[i].safe);

    memset(longest, 'p', sizeof longest);
    memcpy(longest, "https://host/", 13);
    longest[sizeof longest - 1] = 0;
    assert_string_equal(sl_url_safe(longest, out), "https://host/...");
}

/* What begins like the URL before takes a shorter way, and must come to the same. */
static void test_like_the_last(void **state)
{
    static const char *const rows[] = {
        "https://host:8443/api?sig=SECRET#SECRET",
        "https://host:8443/",
        "https://host:8443/a/../b",
        "https://host:8443",
        "https://host:8443?sig=SECRET",
        "https://host:8443@evil.example/SECRET/",
        "https://host:8443.evil.example/",
        "https://host:84431/",
        "https://host:8443\\@evil.example/",
        "https://host:8443/a b",
        "https://host:8443/a\r\nX: y",
        "https://host:8443/\xc3\xb6",
        "http://host:8443/",
        "https://HOST:8443/",
        "https://host/",
        "https://user@host:8443/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_url url = {0}, again = {0};
        char safe[SL_URL_SAFE_BYTES], safe_again[SL_URL_SAFE_BYTES];
        assert_int_equal(sl_url_parse("https://other.example/", &url, NULL), SL_OK);
        sl_url_safe(rows[i], safe);
        int rc = sl_url_parse(rows[i], &url, NULL);
        assert_int_equal(sl_url_parse("https://host:8443/x", &again, NULL), SL_OK);
        sl_url_safe(rows[i], safe_again);
        assert_int_equal(sl_url_parse(rows[i], &again, NULL), rc);
        assert_null(strstr(safe_again, "SECRET#"));
        if (rc != SL_OK)
            continue;
        assert_string_equal(again.host, url.host);
        assert_int_equal(again.port, url.port);
        if (!strstr(rows[i], "..")) /* it is shown as it was written */
            assert_string_equal(safe_again, safe);
    }
}

static void test_escape(void **state)
{
    struct sl_buf url;
    (void)state;
    sl_buf_init(&url);
    sl_url_escape(&url, "a_b-c.d~1 &$'é");
    assert_string_equal(url.data, "a_b-c.d~1%20%26%24%27%C3%A9");
    sl_buf_done(&url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),  cmocka_unit_test(test_secure),
        cmocka_unit_test(test_safe),   cmocka_unit_test(test_like_the_last),
        cmocka_unit_test(test_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
