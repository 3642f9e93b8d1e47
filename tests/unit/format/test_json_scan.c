/* JSON that is whole in memory: tokens, refusals, skipping, and the same tree as the slow way. */
#include "format/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In memory of exactly its size, so that reading past its end is noticed. */
static struct sl_str exactly(const char *text, size_t size)
{
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    return (struct sl_str){copy, size};
}

/* As a value that is passed over is checked: it may have texts that are no UTF-8. */
static bool is_valid(struct sl_str text)
{
    struct sl_json_scan scan;
    int rc;
    sl_json_scan_init(&scan, text);
    scan.mute = true;
    while ((rc = sl_json_scan_next(&scan)) == SL_OK)
        ;
    sl_json_scan_done(&scan);
    return rc == SL_END;
}

/* One letter a token; "fault" or nothing at the end. */
static void write_tokens(struct sl_str text, struct sl_buf *out)
{
    static const char letters[] = "zbntk{}[]";
    struct sl_json_scan scan;
    int rc;
    sl_json_scan_init(&scan, text);
    while ((rc = sl_json_scan_next(&scan)) == SL_OK) {
        assert_true(scan.at > text.at && scan.at <= text.at + text.length);
        sl_buf_add_char(out, letters[scan.event]);
        if (scan.text.length)
            sl_buf_printf(out, "(" SL_STR_FORMAT ")", SL_STR_ARGS(scan.text));
    }
    if (rc != SL_END) {
        sl_buf_add_text(out, "fault");
        assert_int_equal(rc, SL_REJECTED);
        assert_int_equal(sl_json_scan_next(&scan), SL_REJECTED);
    }
    assert_true(is_valid(text) || rc != SL_END);
    sl_json_scan_done(&scan);
}

static const struct {
    const char *text, *tokens;
} rows[] = {
    {"1",                                        "n(1)"                                      },
    {" \t\r\n-0.5E+10 ",                         "n(-0.5E+10)"                               },
    {"12345678901234567890.123456789012345678",  "n(12345678901234567890.123456789012345678)"},
    {"[true,false,null]",                        "[b(true)b(false)z]"                        },
    {"{}",                                       "{}"                                        },
    {"[ ]",                                      "[]"                                        },
    {"{\"a\" : [ 1 , {\"b\":\"c\"} ] , \"\":2}", "{k(a)[n(1){k(b)t(c)}]kn(2)}"               },
    {"\"plain, and longer than eight bytes\"",   "t(plain, and longer than eight bytes)"     },
    {"\"ä漢😀\"",                            "t(ä漢😀)"                              },
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",           "t(\"\\/\b\f\n\r\t)"                        },
    {"\"http:\\/\\/x\\/y, and so on and on\"",   "t(http://x/y, and so on and on)"           },
    {"\"\\u0041\\u00e4\\u6f22\\uD83d\\uDe00.\"", "t(Aä漢😀.)"                            },
    {"{\"k\\u00e4\\n\":1}",                      "{k(kä\n)n(1)}"                            },
    {"",                                         "fault"                                     },
    {"[",                                        "[fault"                                    },
    {"[1",                                       "[n(1)fault"                                },
    {"[1,",                                      "[n(1)fault"                                },
    {"[1,]",                                     "[n(1)fault"                                },
    {"[,1]",                                     "[fault"                                    },
    {"[1 2]",                                    "[n(1)fault"                                },
    {"[1}",                                      "[n(1)fault"                                },
    {"{\"a\":1]",                                "{k(a)n(1)fault"                            },
    {"{\"a\":1,}",                               "{k(a)n(1)fault"                            },
    {"{\"a\"}",                                  "{fault"                                    },
    {"{\"a\" 1}",                                "{fault"                                    },
    {"{a:1}",                                    "{fault"                                    },
    {"{,}",                                      "{fault"                                    },
    {"{1:2}",                                    "{fault"                                    },
    {"1 2",                                      "n(1)fault"                                 },
    {"{}}",                                      "{}fault"                                   },
    {"01",                                       "n(0)fault"                                 },
    {"-",                                        "fault"                                     },
    {"+1",                                       "fault"                                     },
    {".5",                                       "fault"                                     },
    {"1.",                                       "fault"                                     },
    {"1.e5",                                     "fault"                                     },
    {"1e",                                       "fault"                                     },
    {"1e+",                                      "fault"                                     },
    {"tru",                                      "fault"                                     },
    {"nul",                                      "fault"                                     },
    {"[truer]",                                  "[b(true)fault"                             },
    {"NaN",                                      "fault"                                     },
    {"\"a",                                      "fault"                                     },
    {"\"a\\",                                    "fault"                                     },
    {"\"a\\\"",                                  "fault"                                     },
    {"\"\\x\"",                                  "fault"                                     },
    {"\"\\u12\"",                                "fault"                                     },
    {"\"\\u12g4\"",                              "fault"                                     },
    {"\"\\ud83d\"",                              "fault"                                     },
    {"\"\\ud83d\\u0041\"",                       "fault"                                     },
    {"\"\\ude00\\ud83d\"",                       "fault"                                     },
    {"\"\\ud83d\\ude\"",                         "fault"                                     },
    {"\"line\nfeed\"",                           "fault"                                     },
    {"\"\xc3\"",                                 "fault"                                     },
    {"\"\xed\xa0\x80\"",                         "fault"                                     },
    {"\"\xc3\\u00a4\"",                          "fault"                                     },
    {"\"a valid beginning, then \\n and \xff\"", "fault"                                     },
    {"{\"\xff\":1}",                             "{fault"                                    },
    {"// no\n1",                                 "fault"                                     },
    {"\xef\xbb\xbf{}",                           "fault"                                     },
    {"[1\f]",                                    "[n(1)fault"                                },
};

static void test_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_str text = exactly(rows[i].text, strlen(rows[i].text));
        struct sl_buf out = {0};
        write_tokens(text, &out);
        assert_string_equal(out.data, rows[i].tokens);
        sl_buf_done(&out);
        free((char *)(uintptr_t)text.at);
    }
}

static void test_every_place_of_the_first_special_byte(void **state)
{
    (void)state;
    static const char specials[] = {'"', '\\', '\n', '\x1f'};
    for (size_t length = 0; length < 40; length++)
        for (size_t i = 0; i < sizeof specials; i++) {
            char text[64];
            size_t size = 0;
            text[size++] = '"';
            for (size_t n = 0; n < length; n++)
                text[size++] = n % 2 ? '~' : ' '; /* the least and the greatest plain one */
            text[size++] = specials[i];
            text[size++] = '"';
            size -= specials[i] == '"';
            struct sl_str exact = exactly(text, size);
            assert_int_equal(is_valid(exact), specials[i] == '"');
            free((char *)(uintptr_t)exact.at);
        }
}

static void test_nul_is_a_character(void **state)
{
    (void)state;
    struct sl_json_scan scan;
    sl_json_scan_init(&scan, sl_str_of("\"a\\u0000b\""));
    assert_int_equal(sl_json_scan_next(&scan), SL_OK);
    assert_int_equal(scan.text.length, 3);
    assert_memory_equal(scan.text.at, "a\0b", 3);
    sl_json_scan_done(&scan);
    assert_false(is_valid((struct sl_str){"\"a\0b\"", 5}));
    assert_false(is_valid((struct sl_str){"1\0", 2}));
}

static void test_depth(void **state)
{
    (void)state;
    for (size_t levels = 63; levels <= 66; levels++) {
        char text[2 * 66];
        for (size_t i = 0; i < levels; i++) {
            text[i] = '[';
            text[levels + i] = ']';
        }
        bool valid = is_valid((struct sl_str){text, 2 * levels});
        assert_int_equal(valid, levels <= SL_JSON_DEPTH_MAX);
    }
}

static void test_skipping(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int rc;
    } values[] = {
        {"1",                               SL_OK      },
        {" \"x\\u00e4\" ",                  SL_OK      },
        {"{\"a\":[1,{\"b\":[]}],\"c\":{}}", SL_OK      },
        {"[]",                              SL_OK      },
        {"{\"a\":[1,}",                     SL_REJECTED},
        {"\"\xff\"",                        SL_OK      },
        {"{\"\xff\":\"\\ud83d\"}",          SL_OK      },
        {"\"\\ud83\"",                      SL_REJECTED},
        {"",                                SL_REJECTED},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[100];
        struct sl_json_scan scan;
        snprintf(text, sizeof text, "{\"skip\":%s,\"then\":2}", values[i].value);
        sl_json_scan_init(&scan, sl_str_of(text));
        assert_int_equal(sl_json_scan_next(&scan), SL_OK);
        assert_int_equal(sl_json_scan_next(&scan), SL_OK);
        assert_int_equal(sl_json_scan_skip(&scan), values[i].rc);
        if (values[i].rc == SL_OK) {
            assert_int_equal(sl_json_scan_next(&scan), SL_OK);
            assert_int_equal(scan.event, SL_JSON_ON_KEY);
            assert_true(sl_str_is(scan.text, "then"));
        }
        sl_json_scan_done(&scan);
    }
}

/* --- the tree --- */

static void assert_same(const struct sl_json *a, const struct sl_json *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->truth, b->truth);
    assert_int_equal(a->count, b->count);
    assert_true(sl_str_equal(a->key, b->key) && sl_str_equal(a->text, b->text));
    assert_int_equal(a->text.at[a->text.length], 0);
    assert_int_equal(a->at.line, 0);
    for (a = a->first, b = b->first; a; a = a->next, b = b->next)
        assert_same(a, b);
    assert_null(b);
}

/* What it accepts, the slow way accepts, and it is the same; what is well-formed it accepts. */
static void test_quick_trees_are_the_same(void **state)
{
    (void)state;
    static const char good[] = "{\"a\":[1,2.5,\"x\\u00e4\",{\"b\":null}],\"skip\":[{\"a\":\"\\/\"}]"
                               ",\"c\":{\"d\":true,\"d2\":\"longer than a word \\\\ of 8\"}} ";
    static const char *const skip[] = {"skip", NULL};
    static const struct sl_json_options options = {.skip = skip};
    unsigned accepted = 0;
    srand(5);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        size_t size = sizeof good - 1 - (round % 4 ? 0 : (size_t)rand() % sizeof good);
        for (int flips = rand() % 4; flips; flips--)
            text[(size_t)rand() % (sizeof good - 1)] = "{}[]\",:\\/u \n1ae\xff"[rand() % 17];
        struct sl_str exact = exactly(text, size);
        struct sl_json_doc *quick = NULL, *placed = NULL;
        int rc = sl_json_parse(exact.at, size, &options, &placed, NULL);
        int quick_rc = sl_json_parse_quick(exact, skip, &quick);
        assert_int_equal(quick_rc, rc); /* no oddity can come of these flips */
        if (rc == SL_OK) {
            assert_same(sl_json_root(quick), sl_json_root(placed));
            accepted++;
        }
        sl_json_free(quick);
        sl_json_free(placed);
        free((char *)(uintptr_t)exact.at);
    }
    assert_true(accepted > 1000);
}

/* Neither takes half a surrogate pair, whatever stands beside it. */
static void test_both_know_surrogate_pairs(void **state)
{
    (void)state;
    static const char *const parts[] = {"",    "x",       "\\n",     "\\\\",    "u",
                                        "\\/", "\\u0041", "\\ud83d", "\\uDBFF", "\\ude00"};
    enum { PARTS = sizeof parts / sizeof *parts };
    unsigned accepted = 0;
    for (size_t i = 0; i < (size_t)PARTS * PARTS * PARTS * PARTS; i++) {
        char text[64];
        struct sl_json_doc *quick = NULL, *placed = NULL;
        snprintf(text, sizeof text, "\"%s%s%s%s\"", parts[i % PARTS], parts[i / PARTS % PARTS],
                 parts[i / PARTS / PARTS % PARTS], parts[i / PARTS / PARTS / PARTS]);
        int rc = sl_json_parse(text, strlen(text), NULL, &placed, NULL);
        if (sl_json_parse_quick(sl_str_of(text), NULL, &quick) != rc)
            fail_msg("%s: %s", text, rc == SL_OK ? "taken" : "refused");
        if (rc == SL_OK) {
            assert_same(sl_json_root(quick), sl_json_root(placed));
            accepted++;
        }
        sl_json_free(quick);
        sl_json_free(placed);
    }
    assert_true(accepted > 1000);
}

static void test_quick_refuses_a_repeated_key(void **state)
{
    (void)state;
    static const char *const skip[] = {"s", NULL};
    struct sl_json_doc *doc;
    assert_int_equal(sl_json_parse_quick(sl_str_of("[{\"a\":1,\"b\":2,\"a\":3}]"), skip, &doc),
                     SL_REJECTED);
    assert_int_equal(
        sl_json_parse_quick(sl_str_of("{\"s\":1,\"s\":{\"a\":1,\"a\":2}}"), skip, &doc), SL_OK);
    assert_int_equal(sl_json_root(doc)->count, 0);
    sl_json_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_every_place_of_the_first_special_byte),
        cmocka_unit_test(test_nul_is_a_character),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_skipping),
        cmocka_unit_test(test_quick_trees_are_the_same),
        cmocka_unit_test(test_both_know_surrogate_pairs),
        cmocka_unit_test(test_quick_refuses_a_repeated_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
