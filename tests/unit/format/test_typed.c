/* Cells to typed fields, numbers as text, and keys: tables; every document is checked by libbson.
 */
#include "format/typed.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <bson/bson.h>

#include "format/key.h"
#include "format/number.h"

#include <cmocka.h>

/* The cell's field as libbson sees it, in its canonical JSON; "" when there is none. */
static char *typed(struct sl_arena *arena, enum sl_type type, struct sl_str cell,
                   const char **ret_code, struct sl_err *err)
{
    struct sl_bson_writer writer;
    sl_bson_begin(&writer, arena);
    int rc = sl_typed_append(&writer, SL_BSON_KEY("c"), type, cell, ret_code, err);
    struct sl_str doc = sl_bson_end(&writer);
    bson_t bson;
    assert_true(bson_init_static(&bson, (const uint8_t *)doc.at, doc.length));
    assert_true(bson_validate(&bson, BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL, NULL));
    assert_int_equal(err->code, rc);
    if (rc != SL_OK)
        assert_int_equal(bson_count_keys(&bson), 0);
    char *json = bson_as_canonical_extended_json(&bson, NULL);
    char *text = sl_arena_text(arena, json, strlen(json));
    bson_free(json);
    return text;
}

#define CELL(literal) literal, sizeof(literal) - 1

static const struct {
    enum sl_type type;
    const char *cell;
    size_t size;
    const char *json; /* NULL: refused */
} cells[] = {
    {SL_TYPE_STRING,  CELL(""),                                       "{ \"c\" : \"\" }"                                  },
    {SL_TYPE_STRING,  CELL(" x "),                                    "{ \"c\" : \" x \" }"                               },
    {SL_TYPE_STRING,  CELL("€漢😀"),                             "{ \"c\" : \"€漢😀\" }"                        },
    {SL_TYPE_STRING,  CELL("a\0b"),                                   "{ \"c\" : \"a\\u0000b\" }"                         },
    {SL_TYPE_STRING,  CELL("a\xff"),                                  NULL                                                },
    {SL_TYPE_STRING,  CELL("\xc0\x80"),                               NULL                                                },
    {SL_TYPE_STRING,  CELL("\xed\xa0\x80"),                           NULL                                                },
    {SL_TYPE_INT,     CELL(""),                                       "{ }"                                               },
    {SL_TYPE_INT,     CELL("  "),                                     "{ }"                                               },
    {SL_TYPE_INT,     CELL("0"),                                      "{ \"c\" : { \"$numberLong\" : \"0\" } }"           },
    {SL_TYPE_INT,     CELL("-0017"),                                  "{ \"c\" : { \"$numberLong\" : \"-17\" } }"         },
    {SL_TYPE_INT,     CELL(" +5 "),                                   "{ \"c\" : { \"$numberLong\" : \"5\" } }"           },
    {SL_TYPE_INT,     CELL("9223372036854775807"),
     "{ \"c\" : { \"$numberLong\" : \"9223372036854775807\" } }"                                                          },
    {SL_TYPE_INT,     CELL("-9223372036854775808"),
     "{ \"c\" : { \"$numberLong\" : \"-9223372036854775808\" } }"                                                         },
    {SL_TYPE_INT,     CELL("9223372036854775808"),                    NULL                                                },
    {SL_TYPE_INT,     CELL("-9223372036854775809"),                   NULL                                                },
    {SL_TYPE_INT,     CELL("99999999999999999999"),                   NULL                                                },
    {SL_TYPE_INT,     CELL("1.0"),                                    NULL                                                },
    {SL_TYPE_INT,     CELL("1e3"),                                    NULL                                                },
    {SL_TYPE_INT,     CELL("1,000"),                                  NULL                                                },
    {SL_TYPE_INT,     CELL("0x10"),                                   NULL                                                },
    {SL_TYPE_INT,     CELL("-"),                                      NULL                                                },
    {SL_TYPE_INT,     CELL("1 2"),                                    NULL                                                },
    {SL_TYPE_INT,     CELL("1\0"),                                    NULL                                                },
    {SL_TYPE_DECIMAL, CELL(""),                                       "{ }"                                               },
    {SL_TYPE_DECIMAL, CELL("1500.50"),                                "{ \"c\" : { \"$numberDecimal\" : \"1500.50\" } }"  },
    {SL_TYPE_DECIMAL, CELL("-0.000001"),                              "{ \"c\" : { \"$numberDecimal\" : \"-0.000001\" } }"},
    {SL_TYPE_DECIMAL, CELL("0.00"),                                   "{ \"c\" : { \"$numberDecimal\" : \"0.00\" } }"     },
    {SL_TYPE_DECIMAL, CELL(".5"),                                     "{ \"c\" : { \"$numberDecimal\" : \"0.5\" } }"      },
    {SL_TYPE_DECIMAL, CELL("1E+5"),                                   "{ \"c\" : { \"$numberDecimal\" : \"1E+5\" } }"     },
    {SL_TYPE_DECIMAL, CELL("12345678901234567890123456789012.34"),
     "{ \"c\" : { \"$numberDecimal\" : \"12345678901234567890123456789012.34\" } }"                                       },
    {SL_TYPE_DECIMAL, CELL("00000000000000000000000000000000000001"),
     "{ \"c\" : { \"$numberDecimal\" : \"1\" } }"                                                                         },
    {SL_TYPE_DECIMAL, CELL("123456789012345678901234567890123.45"),   NULL                                                },
    {SL_TYPE_DECIMAL, CELL("1E+7000"),                                NULL                                                },
    {SL_TYPE_DECIMAL, CELL("1E-7000"),                                NULL                                                },
    {SL_TYPE_DECIMAL, CELL("1E99999999999999999999"),                 NULL                                                },
    {SL_TYPE_DECIMAL, CELL("NaN"),                                    NULL                                                },
    {SL_TYPE_DECIMAL, CELL("Infinity"),                               NULL                                                },
    {SL_TYPE_DECIMAL, CELL("1.5.0"),                                  NULL                                                },
    {SL_TYPE_DECIMAL, CELL("1,5"),                                    NULL                                                },
    {SL_TYPE_DECIMAL, CELL("1E"),                                     NULL                                                },
    {SL_TYPE_DOUBLE,  CELL(""),                                       "{ }"                                               },
    {SL_TYPE_DOUBLE,  CELL("1.5"),                                    "{ \"c\" : { \"$numberDouble\" : \"1.5\" } }"       },
    {SL_TYPE_DOUBLE,  CELL("-2"),                                     "{ \"c\" : { \"$numberDouble\" : \"-2.0\" } }"      },
    {SL_TYPE_DOUBLE,  CELL("1e300"),
     "{ \"c\" : { \"$numberDouble\" : \"1.0000000000000000525e+300\" } }"                                                 },
    {SL_TYPE_DOUBLE,  CELL("1e999"),                                  NULL                                                },
    {SL_TYPE_DOUBLE,  CELL("1e-999"),                                 NULL                                                },
    {SL_TYPE_DOUBLE,  CELL("nan"),                                    NULL                                                },
    {SL_TYPE_DOUBLE,  CELL("inf"),                                    NULL                                                },
    {SL_TYPE_DOUBLE,  CELL("0x1p3"),                                  NULL                                                },
    {SL_TYPE_DOUBLE,  CELL("1,5"),                                    NULL                                                },
    {SL_TYPE_BOOL,    CELL(""),                                       "{ }"                                               },
    {SL_TYPE_BOOL,    CELL("Yes"),                                    "{ \"c\" : true }"                                  },
    {SL_TYPE_BOOL,    CELL("NO"),                                     "{ \"c\" : false }"                                 },
    {SL_TYPE_BOOL,    CELL("tRuE"),                                   "{ \"c\" : true }"                                  },
    {SL_TYPE_BOOL,    CELL("false"),                                  "{ \"c\" : false }"                                 },
    {SL_TYPE_BOOL,    CELL("1"),                                      "{ \"c\" : true }"                                  },
    {SL_TYPE_BOOL,    CELL("0"),                                      "{ \"c\" : false }"                                 },
    {SL_TYPE_BOOL,    CELL("y"),                                      NULL                                                },
    {SL_TYPE_BOOL,    CELL("2"),                                      NULL                                                },
    {SL_TYPE_DATE,    CELL(""),                                       "{ }"                                               },
    {SL_TYPE_DATE,    CELL("1970-01-02"),
     "{ \"c\" : { \"$date\" : { \"$numberLong\" : \"86400000\" } } }"                                                     },
    {SL_TYPE_DATE,    CELL("2026-11-22 03:10:00"),
     "{ \"c\" : { \"$date\" : { \"$numberLong\" : \"1795317000000\" } } }"                                                },
    {SL_TYPE_DATE,    CELL("2026-11-22T03:10:00.120Z"),
     "{ \"c\" : { \"$date\" : { \"$numberLong\" : \"1795317000120\" } } }"                                                },
    {SL_TYPE_DATE,    CELL("2026-11-22T03:10:00+01:00"),
     "{ \"c\" : { \"$date\" : { \"$numberLong\" : \"1795313400000\" } } }"                                                },
    {SL_TYPE_DATE,    CELL("11/22/2026 03:10:00 AM"),                 NULL                                                },
    {SL_TYPE_DATE,    CELL("2026-02-30"),                             NULL                                                },
    {SL_TYPE_DATE,    CELL("yesterday"),                              NULL                                                },
};

static void test_every_cell(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        struct sl_arena arena;
        struct sl_err err = {0};
        const char *code = NULL;
        sl_arena_init(&arena, 1000);
        struct sl_str cell = {cells[i].cell, cells[i].size};
        char *json = typed(&arena, cells[i].type, cell, &code, &err);
        if (cells[i].json && (err.code || strcmp(json, cells[i].json) != 0))
            fail_msg("'%s' as %s: %s %s", cells[i].cell, sl_type_name(cells[i].type), json,
                     err.message);
        if (!cells[i].json) {
            if (!code)
                fail_msg("'%s' as %s: %s", cells[i].cell, sl_type_name(cells[i].type), json);
            assert_string_equal(code, cells[i].type == SL_TYPE_STRING ? "bad_utf8" : "untypable");
            assert_non_null(strstr(err.message, "column 'c'"));
            assert_non_null(strstr(err.message, sl_type_name(cells[i].type)));
        }
        sl_arena_done(&arena);
    }
}

static void test_a_reason_is_short_and_printable(void **state)
{
    (void)state;
    struct sl_arena arena;
    struct sl_err err = {0};
    char cell[500];
    sl_arena_init(&arena, 1000);
    memset(cell, 'x', sizeof cell);
    static const char begin[] = "a\r\n\x1b[1m\t", euro[] = "€";
    memcpy(cell, begin, sizeof begin - 1);
    memcpy(cell + 39, euro, sizeof euro - 1);
    typed(&arena, SL_TYPE_INT, (struct sl_str){cell, sizeof cell}, NULL, &err);
    assert_string_equal(err.message, "column 'c': 'a   [1m xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' is "
                                     "no int: expected digits with an optional sign");
    typed(&arena, SL_TYPE_STRING, (struct sl_str){"\xff\xfe\n", 3}, NULL, &err);
    assert_non_null(strstr(err.message, "'?? '"));
    assert_true(sl_utf8_valid(err.message, strlen(err.message)));
    sl_arena_done(&arena);
}

static void test_type_names(void **state)
{
    (void)state;
    enum sl_type type;
    for (int i = 0; sl_type_names[i]; i++) {
        assert_true(sl_type_parse(sl_type_names[i], &type));
        assert_int_equal(type, i);
        assert_string_equal(sl_type_name(type), sl_type_names[i]);
    }
    assert_false(sl_type_parse("integer", &type));
}

static uint64_t random64(void)
{
    return (uint64_t)rand() << 62 ^ (uint64_t)rand() << 31 ^ (uint64_t)rand();
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void check_double(double value)
{
    char text[SL_NUMBER_BYTES];
    double again;
    size_t length = sl_double_format(value, text);
    assert_int_equal(length, strlen(text));
    assert_non_null(strpbrk(text, ".e"));
    assert_int_equal(sl_double_parse(text, length, &again), SL_NUMBER_OK);
    if (bits_of(value) != bits_of(again) || strtod(text, NULL) != value)
        fail_msg("%.17g became %s", value, text);
}

static void test_doubles_survive_as_text(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } known[] = {
        {0,                   "0.0"                    },
        {-0.0,                "-0.0"                   },
        {1,                   "1.0"                    },
        {1500.5,              "1500.5"                 },
        {0.1,                 "0.1"                    },
        {-123.456,            "-123.456"               },
        {1e15,                "1e+15"                  },
        {1e22,                "1e+22"                  },
        {0.30000000000000004, "0.30000000000000004"    },
        {5e-324,              "4.94065645841247e-324"  },
        {DBL_MAX,             "1.7976931348623157e+308"},
        {123456789012345.0,   "123456789012345.0"      },
    };
    char text[SL_NUMBER_BYTES];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        sl_double_format(known[i].value, text);
        assert_string_equal(text, known[i].text);
        check_double(known[i].value);
    }
    srand(3);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = random64();
        double value;
        memcpy(&value, &bits, sizeof value);
        if (value - value == 0)
            check_double(value);
        check_double((double)(rand() % 2000000 - 1000000) / 100);
        check_double((double)(int64_t)bits / 1e9);
    }
}

static void test_doubles_are_read_as_libc_reads_them(void **state)
{
    (void)state;
    srand(4);
    for (int i = 0; i < 100000; i++) {
        char text[64];
        double value;
        snprintf(text, sizeof text, "%llu.%0*de%d", (unsigned long long)(random64() >> rand() % 64),
                 1 + rand() % 10, rand() % 1000, rand() % 60 - 30);
        assert_int_equal(sl_double_parse(text, strlen(text), &value), SL_NUMBER_OK);
        double wanted = strtod(text, NULL);
        if (bits_of(value) != bits_of(wanted))
            fail_msg("%s was read as %.17g", text, value);
    }
}

static void check_decimal(const char *text)
{
    struct sl_decimal ours;
    bson_decimal128_t theirs;
    char formatted[SL_NUMBER_BYTES], wanted[BSON_DECIMAL128_STRING];
    assert_int_equal(sl_decimal_parse(text, strlen(text), &ours), SL_NUMBER_OK);
    assert_true(bson_decimal128_from_string(text, &theirs));
    if (ours.low != theirs.low || ours.high != theirs.high)
        fail_msg("decimal %s is read otherwise by libbson", text);
    bson_decimal128_to_string(&theirs, wanted);
    assert_int_equal(sl_decimal_format(ours, formatted), strlen(wanted));
    assert_string_equal(formatted, wanted);
}

static void test_decimals_beyond_34_digits_are_zero(void **state)
{
    (void)state;
    /* 10^34 - 1 and 10^34; a coefficient from 2^113 on; the specials. */
    static const struct {
        struct sl_decimal value;
        const char *text;
    } cases[] = {
        {{0x378d8e63ffffffff, 0x3041ed09bead87c0}, "9999999999999999999999999999999999"},
        {{0x378d8e6400000000, 0x3041ed09bead87c0}, "0"                                 },
        {{14, 0x0effffff00000000},                 "0E-4257"                           },
        {{1, 0x6c10000000000000},                  "0"                                 },
        {{0, 0x7800000000000000},                  "Infinity"                          },
        {{0, 0x7c00000000000000},                  "NaN"                               },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[SL_NUMBER_BYTES];
        sl_decimal_format(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_decimals_agree_with_libbson(void **state)
{
    (void)state;
    static const char *const known[] = {"0",    "-0",   "0.0000000", "0.000001", "0.0000001",
                                        "1E+2", "1e-9", "100",       "0.10",     "-99.999",
                                        "5E-6", "0E+9", "1E+6111",   "1E-6176",  "+3"};
    srand(5);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        check_decimal(known[i]);
    for (int i = 0; i < 100000; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s%llu.%0*d", rand() % 2 ? "-" : "",
                 (unsigned long long)(random64() >> rand() % 64), 1 + rand() % 9, rand() % 10);
        check_decimal(text);
        snprintf(text, sizeof text, "0.%0*dE%d", 1 + rand() % 30, rand(), rand() % 200 - 100);
        check_decimal(text);
    }
}

static const struct {
    const char *columns[3], *values[3], *key; /* key NULL: refused */
} keys[] = {
    {{"dataAreaId", "VendorAccountNumber"}, {"USMF", "V-1001"}, "usmf|V-1001"},
    {{"DATAAREAID", "A"},                   {"USmf", "Ab"},     "usmf|Ab"    },
    {{"A"},                                 {"x|y"},            "x\\|y"      },
    {{"A"},                                 {"x\\y"},           "x\\\\y"     },
    {{"A", "B"},                            {"x|", "y"},        "x\\||y"     },
    {{"A", "B"},                            {"x", "|y"},        "x|\\|y"     },
    {{"A", "B"},                            {"x\\", "y"},       "x\\\\|y"    },
    {{"A", "B", "C"},                       {"1", " ", "ä"},   "1| |ä"     },
    {{"A", "B"},                            {"1", ""},          NULL         },
};

static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct sl_key_part parts[3];
        struct sl_str values[3], key;
        struct sl_arena arena;
        struct sl_err err = {0};
        const char *code = NULL;
        uint32_t n = 0;
        for (; n < 3 && keys[i].columns[n]; n++) {
            parts[n] = sl_key_part_of(keys[i].columns[n]);
            values[n] = sl_str_of(keys[i].values[n]);
        }
        sl_arena_init(&arena, 256);
        int rc = sl_key_join(&arena, parts, values, n, &key, &code, &err);
        assert_int_equal(rc, keys[i].key ? SL_OK : SL_REJECTED);
        if (keys[i].key) {
            assert_string_equal(key.at, keys[i].key);
            assert_int_equal(key.length, strlen(keys[i].key));
        } else {
            assert_string_equal(code, "empty_key");
            assert_string_equal(err.message, "the key column 'B' is empty");
        }
        sl_arena_done(&arena);
    }
}

static void test_a_key_must_be_utf8(void **state)
{
    (void)state;
    struct sl_key_part part = sl_key_part_of("A");
    struct sl_str value = {"\xff", 1}, key;
    struct sl_arena arena;
    struct sl_err err = {0};
    const char *code = NULL;
    sl_arena_init(&arena, 256);
    assert_int_equal(sl_key_join(&arena, &part, &value, 1, &key, &code, &err), SL_REJECTED);
    assert_string_equal(code, "bad_utf8");
    sl_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_a_reason_is_short_and_printable),
        cmocka_unit_test(test_type_names),
        cmocka_unit_test(test_doubles_survive_as_text),
        cmocka_unit_test(test_doubles_are_read_as_libc_reads_them),
        cmocka_unit_test(test_decimals_agree_with_libbson),
        cmocka_unit_test(test_decimals_beyond_34_digits_are_zero),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_a_key_must_be_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
