/* The JSON tree: values, places, complaints with line and column, limits. */
#include "format/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sl_json_doc *parse(const char *text)
{
    static const struct sl_json_options options = {.comments = true};
    struct sl_json_doc *doc = NULL;
    struct sl_err err = {0};
    if (sl_json_parse(text, strlen(text), &options, &doc, &err) != SL_OK)
        fail_msg("%s: %s", text, err.message);
    return doc;
}

static void show(const struct sl_json *node, struct sl_buf *out)
{
    static const char letters[] = "zbnt[{";
    if (node->key.length)
        sl_buf_printf(out, "%s@%u:%u=", node->key.at, node->key_at.line, node->key_at.column);
    sl_buf_printf(out, "%c@%u:%u", letters[node->kind], node->at.line, node->at.column);
    if (node->kind == SL_JSON_BOOL)
        sl_buf_add_text(out, node->truth ? "(true)" : "(false)");
    if (node->kind == SL_JSON_NUMBER || node->kind == SL_JSON_TEXT)
        sl_buf_printf(out, "(%s)", node->text.at);
    uint32_t count = 0;
    for (const struct sl_json *child = node->first; child; child = child->next, count++) {
        sl_buf_add_char(out, ' ');
        show(child, out);
    }
    assert_int_equal(count, node->count);
    if (node->kind >= SL_JSON_LIST)
        sl_buf_add_char(out, node->kind == SL_JSON_LIST ? ']' : '}');
}

static const struct {
    const char *text, *tree;
} trees[] = {
    {"1",                                                                        "n@1:1(1)"                                       },
    {" \"a\" ",                                                                  "t@1:2(a)"                                       },
    {"null",                                                                     "z@1:1"                                          },
    {"-1.50e+3",                                                                 "n@1:1(-1.50e+3)"                                },
    {"true\n",                                                                   "b@1:1(true)"                                    },
    {"\xef\xbb\xbf{}",                                                           "{@1:1}"                                         },
    {"[]",                                                                       "[@1:1]"                                         },
    {"[1, [2,3],\n {}]",                                                         "[@1:1 n@1:2(1) [@1:5 n@1:6(2) n@1:8(3)] {@2:2}]"},
    {"{\"a\":1,\n  \"b\" : [true , false]}",
     "{@1:1 a@1:2=n@1:6(1) b@2:3=[@2:9 b@2:10(true) b@2:17(false)]}"                                                              },
    {"// top\n{ /* x\n y */ \"a\": // why\n  1 /**/ , /*,:*/ \"b\":2 }\n// end",
     "{@2:1 a@3:7=n@4:3(1) b@4:19=n@4:23(2)}"                                                                                     },
    {"{\"ä漢😀\":\"x\", \"c\\u00e4\\n\\\"\":\"\\ud83d\\ude00\"}",
     "{@1:1 ä漢😀@1:2=t@1:8(x) cä\n\"@1:13=t@1:27(😀)}"                                                                    },
    {"{\"url\":\"https://x//y /*z*/\",\"n\":1}",                                 "{@1:1 url@1:2=t@1:8(https://x//y /*z*/) "
                                                 "n@1:29=n@1:33(1)}"              },
    {"[\r\n1,\r\n2]",                                                            "[@1:1 n@2:1(1) n@3:1(2)]"                       },
};

static void test_trees_and_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        struct sl_json_doc *doc = parse(trees[i].text);
        struct sl_buf out = {0};
        show(sl_json_root(doc), &out);
        assert_string_equal(out.data, trees[i].tree);
        sl_buf_done(&out);
        sl_json_free(doc);
    }
}

static const struct {
    const char *text;
    const char *message; /* its beginning */
} broken[] = {
    {"",                               "f:1:1: no value here"                           },
    {"  \n ",                          "f:2:2: no value here"                           },
    {"{",                              "f:1:2: the text ends inside"                    },
    {"[1,\n2",                         "f:2:2: the text ends inside"                    },
    {"{\"a\":\"b",                     "f:1:8: the text ends inside"                    },
    {"{\"a\" 1}",                      "f:1:6: expected ':' after the key"              },
    {"{\"a\":1\n \"b\":2}",            "f:2:2: expected ',' or '}' after the value"     },
    {"[1 2]",                          "f:1:4: expected ',' or ']' after the value"     },
    {"{\"a\":1,}",                     "f:1:7: nothing follows this comma: take it away"},
    {"[1,]",                           "f:1:3: nothing follows this comma"              },
    {"[1,,2]",                         "f:1:4: expected a value"                        },
    {"{a:1}",                          "f:1:2: expected a"                              },
    {"{'a':1}",                        "f:1:2: expected a"                              },
    {"[1]]",                           "f:1:4: expected the end of the text"            },
    {"[1] 2",                          "f:1:5: expected the end of the text"            },
    {"{\"a\":tru}",                    "f:1:6: expected a value"                        },
    {"{\"a\":01}",                     "f:1:7: expected ',' or '}'"                     },
    {"{\"a\":1.}",                     "f:1:6: expected a digit after the decimal point"},
    {"{\"a\":-}",                      "f:1:6: expected a digit after the minus"        },
    {"{\"a\":\"\\x\"}",                "f:1:6: a text has a '\\'"                       },
    {"{\"a\":\"\\u00g0\"}",            "f:1:6: expected four hexadecimal"               },
    {"{\"a\":\"x\ny\"}",               "f:1:6: a text holds a control"                  },
    {"{\"a\":1,\n\"b\":2,\n \"a\":3}", "f:3:2: the key \"a\" appears twice"             },
    {"[\"\xff\"]",                     "f:1:2: this text is not valid UTF-8"            },
    {"[\"\\udc00\"]",                  "f:1:2: this text holds half of a surrogate"     },
    {"[1,\n\"\\ud83d\\u0041\"]",       "f:2:1: this text holds half of a surrogate"     },
    {"{\"a\":\"\\ud83d\"}",            "f:1:6: this text holds half of a surrogate"     },
    {"{\"\\ud83dx\":1}",               "f:1:2: this key holds half of a surrogate"      },
    {"[\"\\ud83d\\n\",1,,2]",          "f:1:2: this text holds half of a surrogate"     },
    {"/*\\ud83d*/[1,,2]//\\ud83d",     "f:1:14: expected a value"                       },
    {"[1] // \\ud83d\n 2",             "f:2:2: expected the end of the text"            },
    {"[1]\\",                          "f:1:4: expected"                                },
    {"{\"\xc3\":1}",                   "f:1:2: this key is not valid UTF-8"             },
    {"\"x",                            "f:1:3: the text ends inside"                    },
    {"[NaN]",                          "f:1:2: expected a value"                        },
};

static void test_complaints_point_at_the_place(void **state)
{
    (void)state;
    static const struct sl_json_options options = {.name = "f", .comments = true};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct sl_json_doc *doc = NULL;
        struct sl_err err = {0};
        int rc = sl_json_parse(broken[i].text, strlen(broken[i].text), &options, &doc, &err);
        assert_null(doc);
        if (rc != SL_REJECTED ||
            strncmp(err.message, broken[i].message, strlen(broken[i].message)) != 0)
            fail_msg("%s: got '%s', wanted '%s'", broken[i].text, err.message, broken[i].message);
    }
}

static void test_comments_only_when_asked_for(void **state)
{
    (void)state;
    struct sl_json_doc *doc = NULL;
    struct sl_err err = {0};
    assert_int_equal(sl_json_parse("[1] // x", 8, NULL, &doc, &err), SL_REJECTED);
    assert_int_equal(sl_json_parse("[/**/1]", 7, NULL, &doc, &err), SL_REJECTED);
    assert_string_equal(err.message, "1:2: expected a value; comments are not allowed here");
}

static void test_depth_and_size_are_bounded(void **state)
{
    (void)state;
    char text[200];
    struct sl_json_doc *doc = NULL;
    struct sl_err err = {0};
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    assert_int_equal(sl_json_parse(text, 128, NULL, &doc, &err), SL_OK);
    sl_json_free(doc);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_int_equal(sl_json_parse(text, 130, NULL, &doc, &err), SL_REJECTED);
    assert_string_equal(err.message, "1:65: nested too deep (64 levels at most)");

    static const struct sl_json_options small = {.max_bytes = 10};
    assert_int_equal(sl_json_parse("[1,2,3,4,5]", 11, &small, &doc, &err), SL_REJECTED);
    assert_int_equal(sl_json_parse("[1,2,3,45]", 10, &small, &doc, &err), SL_OK);
    sl_json_free(doc);
}

static void test_repeated_keys_among_many(void **state)
{
    (void)state;
    for (int repeated = 0; repeated <= 100; repeated += 10) {
        struct sl_buf text = {0};
        sl_buf_add_text(&text, "{");
        for (int i = 0; i < 100; i++)
            sl_buf_printf(&text, "\"k%d\":%d,\n", i, i);
        sl_buf_printf(&text, "\"k%d\":0}", repeated);
        struct sl_json_doc *doc = NULL;
        struct sl_err err = {0};
        int rc = sl_json_parse(text.data, text.length, NULL, &doc, &err);
        assert_int_equal(rc, repeated == 100 ? SL_OK : SL_REJECTED);
        if (rc != SL_OK)
            assert_memory_equal(err.message, "101:1: the key", 14);
        sl_json_free(doc);
        sl_buf_done(&text);
    }
}

static void test_reading_values(void **state)
{
    (void)state;
    struct sl_json_doc *doc =
        parse("{\"value\":\"x\",\"n\":-42,\"f\":1.5,\"big\":9223372036854775808,"
              "\"nul\":\"a\\u0000b\",\"in\":{\"er\":true}}");
    const struct sl_json *root = sl_json_root(doc);
    int64_t n = 0;
    assert_string_equal(sl_json_text(sl_json_get(root, "value")), "x");
    assert_null(sl_json_text(sl_json_get(root, "n")));
    assert_null(sl_json_text(sl_json_get(root, "nul")));
    assert_int_equal(sl_json_get(root, "nul")->text.length, 3);
    assert_null(sl_json_get(root, "Value"));
    assert_true(sl_json_get(sl_json_get(root, "in"), "er")->truth);
    assert_null(sl_json_get(sl_json_get(root, "none"), "er"));
    assert_true(sl_json_int(sl_json_get(root, "n"), &n));
    assert_int_equal(n, -42);
    assert_false(sl_json_int(sl_json_get(root, "f"), &n));
    assert_false(sl_json_int(sl_json_get(root, "big"), &n));
    assert_false(sl_json_int(sl_json_get(root, "value"), &n));
    assert_false(sl_json_int(NULL, &n));
    assert_string_equal(sl_json_kind_name(root->kind), "an object");
    sl_json_free(doc);
}

static void test_damaged_text_never_crashes(void **state)
{
    (void)state;
    static const char good[] = "{\"a\":[1,2.5,\"x\\u00e4\",{\"b\":null}],\"c\":{\"d\":true}} // e";
    static const struct sl_json_options options = {.comments = true};
    srand(5);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        size_t size = (size_t)rand() % sizeof good;
        for (int flips = rand() % 4; flips; flips--)
            text[(size_t)rand() % (sizeof good - 1)] = "{}[]\",:\\/* \n1ae\xff"[rand() % 17];
        struct sl_json_doc *doc = NULL;
        struct sl_err err = {0};
        char *exact = malloc(size ? size : 1); /* so that reading past the end is noticed */
        memcpy(exact, text, size);
        int rc = sl_json_parse(exact, size, &options, &doc, &err);
        assert_true(rc == SL_OK || (rc == SL_REJECTED && err.message[0] && !doc));
        sl_json_free(doc);

        free(exact);
    }
}

/* What is skipped is not there, but must be JSON all the same (of any bytes in its texts), and the
 * places behind it are right. */
static void test_skipped(void **state)
{
    static const char *const names[] = {"s", "skipped", NULL};
    static const struct {
        const char *text, *tree, *complaint;
    } rows[] = {
        {"{\"s\":1,\"a\":2}",                               "{@1:1 a@1:8=n@1:12(2)}",               NULL                              },
        {"{\"a\":{\"s\":[1,{\"a\":null}],\"b\":2}}",        "{@1:1 a@1:2={@1:6 b@1:26=n@1:30(2)}}", NULL                              },
        {"{\"skipped\":{\"a\":{},\"a\":[[]]},\"s\":\"x\"}", "{@1:1}",                               NULL                              },
        {"[{\"s\":true},{\"s\":null},\"s\"]",               "[@1:1 {@1:2} {@1:13} t@1:24(s)]",      NULL                              },
        {"{\"s\":}",                                        NULL,                                   "1:6: expected a value"           },
        {"{\"s\":\"\xff\",\"a\":2}",                        "{@1:1 a@1:10=n@1:14(2)}",              NULL                              },
        {"{\"s\":\"\\ud83d\\u0041\",\"a\":2}",              "{@1:1 a@1:21=n@1:25(2)}",              NULL                              },
        {"{\"s\":[\"\\ud83d\"],\"a\":2}",                   "{@1:1 a@1:17=n@1:21(2)}",              NULL                              },
        {"{\"s\":{\"\xff\":1}}",                            "{@1:1}",                               NULL                              },
        {"{\"\xff\":1,\"s\":2}",                            NULL,                                   "1:2: this key is not valid UTF-8"},
        {"{\"s\":[1,2",                                     NULL,                                   "the text ends inside"            },
    };
    static const struct sl_json_options options = {.skip = names};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_json_doc *doc = NULL;
        struct sl_err err = {0};
        struct sl_buf out;
        int rc = sl_json_parse(rows[i].text, strlen(rows[i].text), &options, &doc, &err);
        if ((rc == SL_OK) != !rows[i].complaint ||
            (rc != SL_OK && !strstr(err.message, rows[i].complaint)))
            fail_msg("%s: %s", rows[i].text, err.message);
        if (rc != SL_OK)
            continue;
        sl_buf_init(&out);
        show(sl_json_root(doc), &out);
        assert_string_equal(out.data, rows[i].tree);
        sl_buf_done(&out);
        sl_json_free(doc);
    }
    char deep[2 * 80 + 16] = "{\"s\":";
    size_t length = strlen(deep);
    for (int levels = 63; levels <= 64; levels++) {
        struct sl_json_doc *doc = NULL;
        struct sl_err err = {0};
        memset(deep + length, '[', (size_t)levels);
        memset(deep + length + levels, ']', (size_t)levels);
        memcpy(deep + length + 2 * levels, "}", 2);
        int rc = sl_json_parse(deep, strlen(deep), &options, &doc, &err);
        assert_int_equal(rc, levels == 63 ? SL_OK : SL_REJECTED);
        if (rc == SL_OK)
            sl_json_free(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_skipped),
        cmocka_unit_test(test_trees_and_places),
        cmocka_unit_test(test_complaints_point_at_the_place),
        cmocka_unit_test(test_comments_only_when_asked_for),
        cmocka_unit_test(test_depth_and_size_are_bounded),
        cmocka_unit_test(test_repeated_keys_among_many),
        cmocka_unit_test(test_reading_values),
        cmocka_unit_test(test_damaged_text_never_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
