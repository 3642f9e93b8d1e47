/* What failures mean, what of a server's words is kept, and which URLs are taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "mongo/client.h"
#include "mongo/error.h"
#include "mongo/uri.h"

#include <cmocka.h>

static void test_codes(void **state)
{
    static const struct {
        int32_t server_code;
        int code;
    } rows[] = {
        {50,     SL_TIMEOUT },
        {64,     SL_TIMEOUT },
        {91,     SL_CLOSED  },
        {112,    SL_CLOSED  },
        {189,    SL_CLOSED  },
        {10107,  SL_CLOSED  },
        {11602,  SL_CLOSED  },
        {13388,  SL_CLOSED  },
        {121,    SL_REJECTED},
        {11000,  SL_REJECTED},
        {28765,  SL_REJECTED},
        {10334,  SL_REJECTED},
        {13,     SL_CONFIG  },
        {18,     SL_CONFIG  },
        {166,    SL_CONFIG  },
        {424242, SL_CONFIG  },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (sl_mongo_server_code(rows[i].server_code) != rows[i].code)
            fail_msg("code %d is %s", rows[i].server_code,
                     sl_code_name(sl_mongo_server_code(rows[i].server_code)));
    }
}

/* A row's own error: what is not known is the row's fault, or it would hold up all others. */
static void test_row_codes(void **state)
{
    (void)state;
    static const struct {
        int32_t server_code;
        int code;
        bool known;
    } rows[] = {
        {424242, SL_REJECTED, false},
        {11000,  SL_REJECTED, true },
        {112,    SL_CLOSED,   true },
        {371,    SL_CLOSED,   true },
        {82,     SL_CLOSED,   true },
        {250,    SL_CLOSED,   true },
        {10058,  SL_CLOSED,   true },
        {13,     SL_CONFIG,   true },
        {166,    SL_CONFIG,   true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool known;
        assert_int_equal(sl_mongo_row_code(rows[i].server_code, &known), rows[i].code);
        assert_int_equal(known, rows[i].known);
    }
    assert_true(sl_mongo_lost_primary(10058) && sl_mongo_lost_primary(189));
    assert_false(sl_mongo_lost_primary(112) || sl_mongo_lost_primary(424242));
}

static void test_driver_errors(void **state)
{
    static const struct {
        uint32_t domain, code;
        int32_t said; /* code in the reply; 0: no reply */
        int wanted;
    } rows[] = {
        {MONGOC_ERROR_STREAM,           MONGOC_ERROR_STREAM_SOCKET,       0,     SL_CLOSED  },
        {MONGOC_ERROR_SERVER_SELECTION, 13053,                            0,     SL_CLOSED  },
        {MONGOC_ERROR_CLIENT,           MONGOC_ERROR_CLIENT_AUTHENTICATE, 0,     SL_CONFIG  },
        {MONGOC_ERROR_SERVER,           11000,                            0,     SL_REJECTED},
        {MONGOC_ERROR_SERVER,           1,                                10107, SL_CLOSED  },
        {MONGOC_ERROR_SERVER,           1,                                13,    SL_CONFIG  },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bson_error_t error = {.domain = rows[i].domain, .code = rows[i].code};
        bson_t reply = BSON_INITIALIZER;
        if (rows[i].said)
            BSON_APPEND_INT32(&reply, "code", rows[i].said);
        assert_int_equal(sl_mongo_error_code(&error, rows[i].said ? &reply : NULL), rows[i].wanted);
        bson_destroy(&reply);
    }
}

static void test_reasons(void **state)
{
    static const struct {
        int32_t code;
        const char *message, *wanted;
    } rows[] = {
        {121,   "Document failed validation",                                                        "Document failed validation"                              },
        {11000,
         "E11000 duplicate key error collection: d.c index: mail_1 dup key: { mail: \"a@b\" }",      "E11000 duplicate key error collection: d.c index: mail_1"},
        {13,    "not authorized on d to execute command { insert: \"c\", documents: [ { x: 0 } ] }",
         "not authorized on d to execute command"                                                                                                              },
        {9,     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaä",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                                                                                       },
        {9,     "",                                                                                  ""                                                        },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char reason[63];
        sl_mongo_reason(rows[i].code, rows[i].message, reason, sizeof reason);
        assert_string_equal(reason, rows[i].wanted);
    }
}

static void test_mask(void **state)
{
    static const char *const rows[][2] = {
        {"mongodb://user:secret@host:1/?a=b",         "mongodb://***@host:1/?a=b"                },
        {"mongodb://user:se@cr/et@host:1/",           "mongodb://***@host:1/"                    },
        {"bad 'mongodb+srv://u:p@h/x' and more, a@b", "bad 'mongodb+srv://***@h/x' and more, a@b"},
        {"mongodb://a:b@x mongodb://c:d@y",           "mongodb://***@x mongodb://***@y"          },
        {"mongodb://u@h",                             "mongodb://*@h"                            },
        {"mongodb://host:27017/?replicaSet=rs0",      "mongodb://host:27017/?replicaSet=rs0"     },
        {"no address, me@example.com, mongodb",       "no address, me@example.com, mongodb"      },
        {"",                                          ""                                         },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128];
        snprintf(text, sizeof text, "%s", rows[i][0]);
        sl_mongo_mask(text);
        assert_string_equal(text, rows[i][1]);
    }
}

static void test_urls(void **state)
{
    static const struct {
        const char *url;
        const char *complaint; /* part of the message; NULL: taken */
    } rows[] = {
        {"mongodb://127.0.0.1:1/?replicaSet=rs0",                       NULL            },
        {"mongodb://u:p@a:1,b:2,[::1]:3/?tls=true&authSource=admin",    NULL            },
        {"mongodb+srv://user:secret@cluster.example.com/",              NULL            },
        {"mongodb+srv://user:secret@cluster.example.com:27017/",        "without a port"},
        {"mongodb+srv://cluster.example.com/?tlsInsecure=true",         "tlsinsecure"   },
        {"mongodb://user:secret@h/?authMechanism=GSSAPI",               "GSSAPI"        },
        {"mongodb://h/?authMechanism=MONGODB-AWS&authSource=$external", "MONGODB-AWS"   },
        {"mongodb://user:secret@h/?replicaSte=rs0&tsl=true",            "ste\", \"tsl\""},
        {"mongodb+srv://user:secret@cluster.example.com/?ab=1",         "option \"ab\"" },
        {"mongodb://user:12/ab?secret=ef@h/",                           "as %40"        },
        {"mongodb://user:se/cret@h/",                                   "as %40"        },
        {"mongodb://h/?w=majority&retryWrites=true&appName=a@b",        NULL            },
        {"mongodb://user:secret@h:port/",                               "mongo.url: "   },
        {"http://user:secret@h/",                                       "mongo.url: "   },
        {"",                                                            "mongo.url: "   },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_err err = {0};
        struct sl_mongo_settings settings = {.url = (char *)(uintptr_t)rows[i].url,
                                             .max_clients = 1};
        struct sl_mongo *mongo = sl_mongo_new(&settings, &err);
        assert_int_equal(mongo != NULL, rows[i].complaint == NULL);
        sl_mongo_free(mongo);
        if (!rows[i].complaint)
            continue;
        assert_int_equal(err.code, SL_CONFIG);
        assert_non_null(strstr(err.message, rows[i].complaint));
        assert_null(strstr(err.message, "secret"));
    }
}

static void test_defaults(void **state)
{
    (void)state;
    struct sl_err err = {0};
    mongoc_uri_t *uri =
        sl_mongo_uri_new("mongodb://h/?connectTimeoutMS=700&serverSelectionTryOnce=false", &err);
    assert_non_null(uri);
    assert_string_equal(mongoc_uri_get_appname(uri), "sluice");
    assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 0), 700);
    assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0), 3600000);
    assert_true(mongoc_uri_get_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false));

    struct sl_tls_options tls;
    assert_false(sl_mongo_uri_tls(uri, &tls));
    mongoc_uri_destroy(uri);

    uri = sl_mongo_uri_new("mongodb://h/?tls=true&tlsCAFile=/ca.pem&tlsCertificateKeyFile=/me.pem",
                           &err);
    assert_non_null(uri);
    assert_true(sl_mongo_uri_tls(uri, &tls));
    assert_string_equal(tls.ca_file, "/ca.pem");
    assert_string_equal(tls.certificate, "/me.pem");
    assert_string_equal(tls.key, "/me.pem");
    assert_null(tls.password);
    mongoc_uri_destroy(uri);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),         cmocka_unit_test(test_row_codes),
        cmocka_unit_test(test_driver_errors), cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_mask),          cmocka_unit_test(test_urls),
        cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
