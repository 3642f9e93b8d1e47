/* Durations, sizes, URLs, the nearest word, and values from outside the file. */
#include "config/value.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/nearest.h"
#include "config/substitute.h"

#include <cmocka.h>

static const uint64_t BAD = UINT64_MAX;

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"500ms",                  500      },
        {"5s",                     5000     },
        {"10m",                    600000   },
        {"8h",                     28800000 },
        {"7d",                     604800000},
        {"0s",                     0        },
        {"5S",                     5000     },
        {"5",                      BAD      },
        {"",                       BAD      },
        {"s",                      BAD      },
        {"5 s",                    BAD      },
        {" 5s",                    BAD      },
        {"-5s",                    BAD      },
        {"1.5s",                   BAD      },
        {"5sec",                   BAD      },
        {"99999999999999999999s",  BAD      },
        {"9223372036854775807d",   BAD      },
        {"18446744073709551615ms", BAD      },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms = BAD;
        assert_int_equal(sl_duration_parse(cases[i].text, &ms), cases[i].ms != BAD);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void sizes_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"64KiB",       65536            },
        {"1MiB",        1048576          },
        {"2gib",        UINT64_C(2) << 30},
        {"1TiB",        UINT64_C(1) << 40},
        {"5GB",         5000000000       },
        {"1kb",         1000             },
        {"100",         100              },
        {"100B",        100              },
        {"1M",          BAD              },
        {"",            BAD              },
        {"MiB",         BAD              },
        {"1 MiB",       BAD              },
        {"99999999TiB", BAD              },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = BAD;
        assert_int_equal(sl_size_parse(cases[i].text, &bytes), cases[i].bytes != BAD);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void values_are_written_in_their_largest_unit(void **state)
{
    char text[SL_VALUE_BYTES];
    (void)state;
    sl_duration_format(90000, text);
    assert_string_equal(text, "90s");
    sl_duration_format(86400000, text);
    assert_string_equal(text, "1d");
    sl_duration_format(0, text);
    assert_string_equal(text, "0ms");
    sl_size_format(1 << 20, text);
    assert_string_equal(text, "1MiB");
    sl_size_format(1001, text);
    assert_string_equal(text, "1001B");
}

static void urls_are_checked(void **state)
{
    static const char *const https[] = {"https", NULL};
    static const char *const amqp[] = {"amqp", "amqps", NULL};
    static const struct {
        const char *url;
        const char *const *schemes;
        const char *wrong; /* NULL: fine */
    } cases[] = {
        {"https://contoso.operations.dynamics.com", https, NULL                                                      },
        {"HTTPS://contoso.com/",                    https, NULL                                                      },
        {"http://127.0.0.1:8080",                   https, NULL                                                      },
        {"http://[::1]:8080/x",                     https, NULL                                                      },
        {"http://localhost",                        https, NULL                                                      },
        {"http://user@localhost:1/",                https, NULL                                                      },
        {"http://127.0.0.1.evil.example",           https,
         "must begin with \"https://\" (plain http is for this machine alone)"                                       },
        {"http://localhost@evil.example/",          https,
         "must begin with \"https://\" (plain http is for this machine alone)"                                       },
        {"http://contoso.com",                      https,
         "must begin with \"https://\" (plain http is for this machine alone)"                                       },
        {"ftp://contoso.com",                       https, "needs a URL that begins with \"https://\""               },
        {"contoso.com",                             https, "needs a URL that begins with \"https://\""               },
        {"://contoso.com",                          https, "needs a URL that begins with \"https://\""               },
        {"",                                        https, "needs a URL that begins with \"https://\""               },
        {"https://",                                https, "names no host"                                           },
        {"https:///path",                           https, "names no host"                                           },
        {"https://:8080",                           https, "names no host"                                           },
        {"https://user:pw@",                        https, "names no host"                                           },
        {"https://a b",                             https, "must not hold blanks or control characters"              },
        {"amqp://guest:p%40w@rabbit:5672/vhost",    amqp,  NULL                                                      },
        {"amqps://rabbit",                          amqp,  NULL                                                      },
        {"http://rabbit",                           amqp,  "needs a URL that begins with \"amqp://\" or \"amqps://\""},
        {"mongodb://a:1,b:2/?replicaSet=rs0",       NULL,  NULL                                                      },
        {"hello",                                   NULL,  "needs a URL (scheme://host…)"                          },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[160];
        const char *wrong = sl_url_check(cases[i].url, cases[i].schemes, out, sizeof out);
        if (!cases[i].wrong && wrong)
            fail_msg("%s: %s", cases[i].url, wrong);
        if (cases[i].wrong)
            assert_string_equal(wrong, cases[i].wrong);
    }
}

static void distances_count_letters(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {
        {"",          "",           0},
        {"key",       "key",        0},
        {"key",       "KEY",        0},
        {"key",       "keys",       1},
        {"eky",       "key",        1},
        {"collecton", "collection", 1},
        {"kitten",    "sitting",    3},
        {"",          "abc",        3},
        {"abc",       "",           3},
        {"abcdef",    "ghijkl",     5}, /* more than the limit of 4 */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(sl_edit_distance(cases[i].a, cases[i].b, 4), cases[i].distance);
}

static void the_nearest_word_is_hinted_at(void **state)
{
    static const char *const words[] = {"collection", "key", "types", "source", NULL};
    static const struct {
        const char *typed, *hint;
    } cases[] = {
        {"collecton",  ": did you mean \"collection\"?"},
        {"Collection", ": did you mean \"collection\"?"},
        {"sorce",      ": did you mean \"source\"?"    },
        {"type",       ": did you mean \"types\"?"     },
        {"keys",       ": did you mean \"key\"?"       },
        {"wombat",     ""                              },
        {"",           ""                              },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char hint[64];
        struct sl_nearest nearest;
        sl_nearest_init(&nearest, cases[i].typed);
        for (size_t j = 0; words[j]; j++)
            sl_nearest_offer(&nearest, words[j]);
        assert_string_equal(sl_nearest_hint(&nearest, hint, sizeof hint), cases[i].hint);
    }
}

/* A file with the content; its name is valid until the next call. */
static const char *make_file(const char *content, mode_t mode)
{
    static char path[64];
    strcpy(path, "/tmp/sluice-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static void values_come_from_outside(void **state)
{
    static const struct {
        const char *text, *value, *message;
        bool outside;
    } cases[] = {
        {"plain",                      "plain",        NULL,                                                       false},
        {"",                           "",             NULL,                                                       false},
        {"${SL_TEST_A}",               "alpha",        NULL,                                                       true },
        {"x${SL_TEST_A}y${SL_TEST_A}", "xalphayalpha", NULL,                                                       true },
        {"${SL_TEST_EMPTY}",           "",             NULL,                                                       true },
        {"${SL_TEST_NESTED}",          "${SL_TEST_A}", NULL,                                                       true },
        {"$$",                         "$",            NULL,                                                       false},
        {"$${SL_TEST_A}",              "${SL_TEST_A}", NULL,                                                       false},
        {"pa$word",                    "pa$word",      NULL,                                                       false},
        {"end$",                       "end$",         NULL,                                                       false},
        {"${SL_TEST_UNSET}",           NULL,           "the environment variable SL_TEST_UNSET is not set",        false},
        {"${SL_TEST_BINARY}",          NULL,           "the environment variable SL_TEST_BINARY is not UTF-8",     false},
        {"${SL_TEST_A",                NULL,           "a \"${\" in it has no \"}\" (write $$ for a dollar sign)", false},
        {"${se-cret}",                 NULL,
         "a \"${…}\" in it is neither ${VARIABLE}, ${file:/path} nor ${credential:name} (write $$ "
         "for a dollar sign)",                                                                                     false},
        {"${}",                        NULL,
         "a \"${…}\" in it is neither ${VARIABLE}, ${file:/path} nor ${credential:name} (write $$ "
         "for a dollar sign)",                                                                                     false},
        {"${file:relative}",           NULL,           "\"${file:relative}\" needs an absolute path",              false},
        {"${file:/does/not/exist}",    NULL,
         "cannot open \"/does/not/exist\": No such file or directory",                                             false},
        {"${file:/tmp}",               NULL,           "\"/tmp\" is not a regular file",                           false},
    };
    (void)state;
    setenv("SL_TEST_A", "alpha", 1);
    setenv("SL_TEST_EMPTY", "", 1);
    setenv("SL_TEST_NESTED", "${SL_TEST_A}", 1);
    setenv("SL_TEST_BINARY", "\xff\xfe", 1);
    unsetenv("SL_TEST_UNSET");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_buf out;
        struct sl_err err = {0};
        struct sl_substituted substituted;
        sl_buf_init(&out);
        int rc = sl_substitute(sl_str_of(cases[i].text), &out, &substituted, &err);
        if (cases[i].message) {
            assert_int_equal(rc, SL_CONFIG);
            assert_string_equal(err.message, cases[i].message);
        } else {
            assert_int_equal(rc, SL_OK);
            assert_string_equal(out.data, cases[i].value);
            assert_int_equal(substituted.outside, cases[i].outside);
        }
        sl_buf_done(&out);
    }
}

static void files_give_their_content(void **state)
{
    static const struct {
        const char *content, *value;
        mode_t mode;
    } cases[] = {
        {"s3cret\n",   "s3cret", 0600},
        {"s3cret",     "s3cret", 0644},
        {"s3cret\r\n", "s3cret", 0600},
        {"a\nb\n\n",   "a\nb\n", 0600},
        {"",           "",       0600},
        {"\xff",       NULL,     0600},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = make_file(cases[i].content, cases[i].mode);
        char text[96];
        struct sl_buf out;
        struct sl_substituted substituted;
        sl_buf_init(&out);
        snprintf(text, sizeof text, "${file:%s}", path);
        int rc = sl_substitute(sl_str_of(text), &out, &substituted, NULL);
        unlink(path);
        assert_int_equal(rc, cases[i].value ? SL_OK : SL_CONFIG);
        if (cases[i].value) {
            assert_string_equal(out.data, cases[i].value);
            assert_int_equal(substituted.doubt[0] != 0, (cases[i].mode & 4) != 0);
        }
        sl_buf_done(&out);
    }
}

static void credentials_give_their_content(void **state)
{
    static const struct {
        const char *folder, *before, *after, *value, *message;
    } cases[] = {
        {"/tmp", "<${credential:",    "}>", "<s3cret>", NULL                   },
        {NULL,   "${credential:",     "}",  NULL,       "CREDENTIALS_DIRECTORY"},
        {"tmp",  "${credential:",     "}",  NULL,       "CREDENTIALS_DIRECTORY"},
        {"/tmp", "${credential:no-",  "}",  NULL,       "No such file"         },
        {"/tmp", "${credential:../",  "}",  NULL,       "not the name"         },
        {"/",    "${credential:tmp/", "}",  NULL,       "not the name"         },
        {"/tmp", "${credential:}",    "",   NULL,       "not the name"         },
    };
    const char *path = make_file("s3cret\n", 0644); /* who may read it is systemd's affair */
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[96];
        struct sl_buf out;
        struct sl_err err = {0};
        struct sl_substituted substituted;
        sl_buf_init_secret(&out);
        if (cases[i].folder)
            setenv("CREDENTIALS_DIRECTORY", cases[i].folder, 1);
        else
            unsetenv("CREDENTIALS_DIRECTORY");
        snprintf(text, sizeof text, "%s%s%s", cases[i].before, path + strlen("/tmp/"),
                 cases[i].after);
        int rc = sl_substitute(sl_str_of(text), &out, &substituted, &err);
        assert_int_equal(rc, cases[i].value ? SL_OK : SL_CONFIG);
        if (cases[i].value)
            assert_string_equal(out.data, cases[i].value);
        else
            assert_non_null(strstr(err.message, cases[i].message));
        assert_string_equal(substituted.doubt, "");
        sl_buf_done(&out);
    }
    unsetenv("CREDENTIALS_DIRECTORY");
    unlink(path);
}

static void a_large_file_is_no_value(void **state)
{
    static char content[70000];
    struct sl_buf out;
    struct sl_err err;
    struct sl_substituted substituted;
    char text[96], message[160];
    (void)state;
    memset(content, 'x', sizeof content - 1);
    const char *path = make_file(content, 0600);
    sl_buf_init(&out);
    snprintf(text, sizeof text, "${file:%s}", path);
    assert_int_equal(sl_substitute(sl_str_of(text), &out, &substituted, &err), SL_CONFIG);
    snprintf(message, sizeof message, "\"%s\" is larger than 64 KiB: not a value", path);
    assert_string_equal(err.message, message);
    unlink(path);
    sl_buf_done(&out);
}

static void passwords_in_urls_are_found(void **state)
{
    (void)state;
    static const char *const with[] = {"amqp://u:p@h/v", "mongodb://u:p@h1,h2/?a=b",
                                       "https://u:p%40q@[::1]:8/", "http://:p@h"},
                             *const without[] = {"amqp://h/",
                                                 "amqp://u@h",
                                                 "amqp://u:@h",
                                                 "amqp://h:5672/a:b@c",
                                                 "u:p@h",
                                                 "a://",
                                                 "",
                                                 "https://[::1]:8/",
                                                 "mongodb://h/?n=a:b@c"};
    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        assert_non_null(sl_url_password(with[i]));
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_null(sl_url_password(without[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(values_are_written_in_their_largest_unit),
        cmocka_unit_test(urls_are_checked),
        cmocka_unit_test(passwords_in_urls_are_found),
        cmocka_unit_test(distances_count_letters),
        cmocka_unit_test(the_nearest_word_is_hinted_at),
        cmocka_unit_test(values_come_from_outside),
        cmocka_unit_test(files_give_their_content),
        cmocka_unit_test(credentials_give_their_content),
        cmocka_unit_test(a_large_file_is_no_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
