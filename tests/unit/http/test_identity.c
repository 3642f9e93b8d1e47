/* http/identity: where a managed identity may be asked for, and what is asked. */
#include "http/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/oauth_settings.h"

#include <cmocka.h>

static void plain_http_leads_to_this_machine_alone(void **state)
{
    static const struct {
        const char *endpoint;
        bool good;
    } rows[] = {
        {SL_IDENTITY_ENDPOINT,                true },
        {"http://169.254.169.254/x",          true },
        {"http://localhost:42356/msi/token",  true },
        {"http://127.0.0.1:41741/MSI/token/", true },
        {"http://[::1]:41741/MSI/token/",     true },
        {"https://identity.example/token",    true },
        {"http://169.254.129.2:8081/x",       true },
        {"http://169.255.169.254/x",          false},
        {"http://169.254.169.254.example/x",  false},
        {"http://169.254.169.254@10.0.0.1/x", false},
        {"http://10.0.0.1/x",                 false},
        {"http://identity.example/token",     false},
        {"smtp://127.0.0.1/x",                false},
        {"nonsense",                          false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sl_err err = {0};
        assert_int_equal(sl_identity_check(rows[i].endpoint, &err),
                         rows[i].good ? SL_OK : SL_CONFIG);
        if (!rows[i].good)
            assert_memory_equal(err.message, "auth.endpoint", 13);
    }
}

static void the_request_is_as_the_service_wants_it(void **state)
{
    static const struct {
        struct sl_oauth_settings settings;
        const char *url, *header;
    } rows[] = {
        {{.scope = "https://a.crm.dynamics.com/.default"},
         "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
         "&resource=https%3A%2F%2Fa.crm.dynamics.com",                                 "Metadata: true"      },
        {{.scope = "https://a.crm.dynamics.com/.default", .client_id = "1 2&3"},
         "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
         "&resource=https%3A%2F%2Fa.crm.dynamics.com&client_id=1%202%263",             "Metadata: true"      },
        {{.scope = "api://x", .endpoint = "http://localhost:1/msi/token", .identity_header = "h"},
         "http://localhost:1/msi/token?api-version=2019-08-01&resource=api%3A%2F%2Fx", "X-IDENTITY-HEADER: h"},
        {{.scope = "/.default", .client_id = "", .endpoint = "http://localhost:1/?a=b"},
         "http://localhost:1/?a=b&api-version=2018-02-01&resource=%2F.default",        "Metadata: true"      },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sl_buf url, header;
        sl_buf_init(&url);
        sl_buf_init(&header);
        sl_identity_write(&rows[i].settings, &url, &header);
        assert_string_equal(url.data, rows[i].url);
        assert_string_equal(header.data, rows[i].header);
        sl_buf_done(&url);
        sl_buf_done(&header);
    }
}

static void pauses_grow_as_the_service_asks_for(void **state)
{
    static const uint64_t seconds[] = {1, 1, 2, 6, 14, 30, 30, 30};
    (void)state;
    for (unsigned i = 0; i < sizeof seconds / sizeof seconds[0]; i++)
        assert_int_equal(sl_identity_pause_ms(i), seconds[i] * 1000);
    assert_int_equal(sl_identity_pause_ms(4000000000u), 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_http_leads_to_this_machine_alone),
        cmocka_unit_test(the_request_is_as_the_service_wants_it),
        cmocka_unit_test(pauses_grow_as_the_service_asks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
