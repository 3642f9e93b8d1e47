/* The broker's URL, and the pause between tries. */
#include "broker/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *url;
    const char *out; /* "host port user password vhost tls"; NULL: refused */
} cases[] = {
    {"amqp://guest:guest@127.0.0.1:5672/", "127.0.0.1 5672 guest guest / 0"         },
    {"amqp://127.0.0.1",                   "127.0.0.1 5672 guest guest / 0"         },
    {"amqps://broker.example.com",         "broker.example.com 5671 guest guest / 1"},
    {"AMQP://h:1",                         "h 1 guest guest / 0"                    },
    {"amqp://u:p@h/sales",                 "h 5672 u p sales 0"                     },
    {"amqp://u:p@h/%2F",                   "h 5672 u p / 0"                         },
    {"amqp://u:p@h/a%20b%2fc",             "h 5672 u p a b/c 0"                     },
    {"amqp://us%40er:p%3a%2F%40@h/v",      "h 5672 us@er p:/@ v 0"                  },
    {"amqp://u:p:q@h",                     "h 5672 u p:q / 0"                       },
    {"amqp://u@h",                         "h 5672 u  / 0"                          },
    {"amqp://u:p@x@h",                     "h 5672 u p@x / 0"                       },
    {"amqp://[::1]:5673/v",                "::1 5673 guest guest v 0"               },
    {"amqp://[::1]",                       "::1 5672 guest guest / 0"               },
    {"amqp://h:65535",                     "h 65535 guest guest / 0"                },
    {"amqp://h:65536",                     NULL                                     },
    {"amqp://h:0",                         NULL                                     },
    {"amqp://h:",                          NULL                                     },
    {"amqp://h:12x",                       NULL                                     },
    {"amqp://h:999999",                    NULL                                     },
    {"amqp://",                            NULL                                     },
    {"amqp://:5672",                       NULL                                     },
    {"amqp://[::1",                        NULL                                     },
    {"amqp://[::1]x",                      NULL                                     },
    {"amqp://h/a/b",                       NULL                                     },
    {"amqp://h/v?heartbeat=5",             NULL                                     },
    {"amqp://h?x",                         NULL                                     },
    {"amqp://u:%zz@h",                     NULL                                     },
    {"amqp://u:%4@h",                      NULL                                     },
    {"amqp://u:p%00q@h",                   NULL                                     },
    {"http://h",                           NULL                                     },
    {"h:5672",                             NULL                                     },
    {"",                                   NULL                                     },
    {NULL,                                 NULL                                     },
};

static void urls_are_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_amqp_address a = {0};
        struct sl_err err;
        char out[256] = "";
        int rc = sl_amqp_address_parse(cases[i].url, &a, &err);
        if (rc == SL_OK)
            snprintf(out, sizeof out, "%s %u %s %s %s %d", a.host, a.port, a.user, a.password,
                     a.vhost, a.tls);
        if (rc != (cases[i].out ? SL_OK : SL_CONFIG) ||
            (cases[i].out && strcmp(out, cases[i].out) != 0))
            fail_msg("%s: %s '%s'", cases[i].url, sl_code_name(rc), out);
        sl_amqp_address_done(&a);
    }
}

static void refusal_does_not_show_the_password(void **state)
{
    (void)state;
    struct sl_amqp_address address;
    struct sl_err err;
    assert_int_equal(sl_amqp_address_parse("amqp://u:hunter2%@h", &address, &err), SL_CONFIG);
    assert_null(strstr(err.message, "hunter2"));
    assert_non_null(strstr(err.message, "broker.url"));
}

static void backoff_grows_and_stays_within_bounds(void **state)
{
    (void)state;
    static const uint64_t most_ms[] = {500, 500, 1000, 2000, 4000, 8000, 10000, 10000};
    for (unsigned failures = 0; failures < 8; failures++)
        for (int i = 0; i < 200; i++) {
            uint64_t ms = sl_broker_backoff_ms(failures);
            assert_in_range(ms, most_ms[failures] / 2, most_ms[failures]);
        }
    assert_in_range(sl_broker_backoff_ms(1000000), 5000, 10000);
}

static void bad_tls_file_is_a_configuration_error(void **state)
{
    (void)state;
    struct sl_broker_settings settings = {.url = "amqps://h", .tls.ca_file = "/does/not/exist"};
    struct sl_err err;
    assert_null(sl_broker_new(&settings, &err));
    assert_int_equal(err.code, SL_CONFIG);
    assert_string_equal(
        err.message, "broker.tls: cannot use CA file /does/not/exist: No such file or directory");
}

static void tls_files_without_tls_are_a_configuration_error(void **state)
{
    (void)state;
    struct sl_broker_settings settings = {.url = "amqp://h", .tls.ca_file = "/does/not/exist"};
    struct sl_err err;
    assert_null(sl_broker_new(&settings, &err));
    assert_int_equal(err.code, SL_CONFIG);
    assert_string_equal(err.message, "broker.tls needs a broker.url that begins with amqps://");
}

static void only_a_url_without_user_is_anonymous(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool anonymous;
    } rows[] = {
        {"amqps://h/v",     true },
        {"amqps://u:p@h",   false},
        {"amqps://guest@h", false},
        {"amqps://@h",      false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_amqp_address address;
        assert_int_equal(sl_amqp_address_parse(rows[i].url, &address, NULL), SL_OK);
        assert_int_equal(address.anonymous, rows[i].anonymous);
        sl_amqp_address_done(&address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read_or_refused),
        cmocka_unit_test(refusal_does_not_show_the_password),
        cmocka_unit_test(backoff_grows_and_stays_within_bounds),
        cmocka_unit_test(bad_tls_file_is_a_configuration_error),
        cmocka_unit_test(tls_files_without_tls_are_a_configuration_error),
        cmocka_unit_test(only_a_url_without_user_is_anonymous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
