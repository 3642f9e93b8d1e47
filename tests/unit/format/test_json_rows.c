/* Posted rows: objects, arrays, lines; types; what is wrong, and where; each case at every chunk
 * size. */
#include "format/json_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/bson_reader.h"
#include "format/extjson.h"

#include <cmocka.h>

struct heard {
    struct sl_buf out;
    struct sl_columns columns;
    uint64_t stop_at; /* the row at which the handler fails; 0: none */
    unsigned faults;
};

static int on_column(void *ctx, struct sl_str name, const struct sl_column **ret,
                     struct sl_err *err)
{
    struct heard *heard = ctx;
    if (sl_str_is(name, "wrong"))
        return sl_err_set(err, SL_REJECTED, "no column of ours");
    *ret = sl_columns_find(&heard->columns, name);
    return SL_OK;
}

static int on_row(void *ctx, const struct sl_json_row *row, struct sl_err *err)
{
    struct heard *heard = ctx;
    if (row->number == heard->stop_at)
        return sl_err_set(err, SL_CANCELED, "stopped");
    assert_int_equal(sl_bson_check(row->doc, err), SL_OK);
    sl_buf_printf(&heard->out, "%llu@%u:%u ", (unsigned long long)row->number, row->line,
                  row->column);
    assert_int_equal(sl_extjson_write(&heard->out, row->doc.at, row->doc.length, err), SL_OK);
    sl_buf_add_char(&heard->out, '\n');
    return SL_OK;
}

static void on_fault(void *ctx, const struct sl_json_rows_fault *fault)
{
    struct heard *heard = ctx;
    heard->faults++;
    sl_buf_printf(&heard->out, "fault %llu@%u:%u [%s] %s\n", (unsigned long long)fault->row,
                  fault->line, fault->offset, fault->column, fault->reason);
}

static const struct sl_json_rows_handler handler = {on_column, on_row, on_fault};

static void fill_columns(struct sl_columns *set)
{
    static const struct {
        const char *name;
        enum sl_type type;
    } columns[] = {
        {"s", SL_TYPE_STRING },
        {"i", SL_TYPE_INT    },
        {"d", SL_TYPE_DECIMAL},
        {"f", SL_TYPE_DOUBLE },
        {"b", SL_TYPE_BOOL   },
        {"t", SL_TYPE_DATE   },
    };
    sl_columns_init(set);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        sl_columns_add(set, sl_str_of(columns[i].name), columns[i].type, true);
}

static char *read_post(bool lines, size_t max_row_bytes, const char *text, size_t size,
                       size_t chunk, uint64_t stop_at, struct sl_err *err)
{
    struct heard heard = {.stop_at = stop_at};
    struct sl_json_rows_options options = {lines, max_row_bytes};
    fill_columns(&heard.columns);
    struct sl_json_rows *rows = sl_json_rows_new(&options, &handler, &heard);
    int rc = SL_OK;
    for (size_t at = 0; at < size && rc == SL_OK; at += chunk) {
        size_t part = size - at < chunk ? size - at : chunk;
        char *copy = sl_alloc(part);
        memcpy(copy, text + at, part);
        rc = sl_json_rows_feed(rows, copy, part, err);
        free(copy);
    }
    if (rc == SL_OK)
        rc = sl_json_rows_end(rows, err);
    assert_int_equal(heard.faults, rc == SL_REJECTED);
    if (rc == SL_OK)
        sl_buf_printf(&heard.out, "%llu rows", (unsigned long long)sl_json_rows_count(rows));
    else
        sl_buf_printf(&heard.out, "%s", sl_code_name(rc));
    sl_json_rows_free(rows);
    sl_columns_done(&heard.columns);
    return sl_buf_take(&heard.out);
}

struct rows_case {
    const char *name;
    bool lines;
    const char *text, *expected;
};

static const struct rows_case posts[] = {
    {"an object",                              false, " {\"a\":1}\n",                                  "1@1:2 {\"a\":1}\n1 rows"                                               },
    {"an array",                               false, "[{\"a\":1},\n {\"a\":\"é\"}, {\"a\":[]}]",
     "1@1:2 {\"a\":1}\n2@2:2 {\"a\":\"é\"}\n3@2:13 {\"a\":[]}\n3 rows"                                                                                                        },
    {"an empty array",                         false, "[]",                                            "0 rows"                                                                },
    {"an empty object",                        false, "[{}]",                                          "1@1:2 {}\n1 rows"                                                      },
    {"lines",                                  true,  "{\"a\":1}\n{\"a\":2}",                          "1@1:1 {\"a\":1}\n2@2:1 {\"a\":2}\n2 rows"                              },
    {"lines with blanks",                      true,  "\r\n{\"a\":1}\r\n\r\n \t\n  {\"a\":2}\r\n",
     "1@2:1 {\"a\":1}\n2@5:3 {\"a\":2}\n2 rows"                                                                                                                                },
    {"no lines",                               true,  "",                                              "0 rows"                                                                },
    {"blank lines",                            true,  "\n \n",                                         "0 rows"                                                                },
    {"a byte order mark",                      true,  "\xef\xbb\xbf{\"a\":1}\n",                       "1@1:1 {\"a\":1}\n1 rows"                                               },
    {"values by what they are",                false,
     "{\"w\":12,\"x\":1.5,\"e\":1e2,\"n\":null,\"o\":{\"p\":[true,{\"q\":\"r\"}]},"
     "\"m\":{\"$numberDecimal\":\"1.50\"},\"D\":{\"$date\":\"2026-11-22\"}}",                          "1@1:1 {\"w\":12,\"x\":1.5,\"e\":100.0,\"n\":null,\"o\":{\"p\":[true,{\"q\":\"r\"}]},"
     "\"m\":{\"$numberDecimal\":\"1.50\"},\"D\":{\"$date\":\"2026-11-22T00:00:00.000Z\"}}\n1 rows"},
    {"values by their column's type",          false,
     "{\"s\":0.10,\"i\":\"12\",\"d\":1.0000000000,\"f\":3,\"b\":\"Yes\",\"t\":\"2026-11-22\"}",        "1@1:1 {\"s\":\"0.10\",\"i\":12,\"d\":{\"$numberDecimal\":\"1.0000000000\"},\"f\":3.0,"
     "\"b\":true,\"t\":{\"$date\":\"2026-11-22T00:00:00.000Z\"}}\n1 rows"       },
    {"wrapped values by their column's type",  false,
     "{\"i\":{\"$numberLong\":\"12\"},\"d\":{\"$numberDecimal\":\"1.50\"},\"f\":{\"$numberInt\":"
     "\"3\"},"
     "\"t\":{\"$date\":\"2026-11-22T00:00:00Z\"}}",                                                    "1@1:1 {\"i\":12,\"d\":{\"$numberDecimal\":\"1.50\"},\"f\":3.0,"
     "\"t\":{\"$date\":\"2026-11-22T00:00:00.000Z\"}}\n1 rows"                                                              },
    {"a wrapped date in milliseconds",         false,
     "{\"t\":{\"$date\":{\"$numberLong\":\"-1\"}},\"i\":\"1\"}",                                       "1@1:1 {\"t\":{\"$date\":\"1969-12-31T23:59:59.999Z\"},\"i\":1}\n1 rows"},
    {"nulls and empty texts in typed columns", false,
     "{\"s\":\"\",\"i\":null,\"d\":\"\",\"f\":\" \",\"b\":null,\"t\":\"\"}",                           "1@1:1 {\"s\":\"\",\"i\":null,\"b\":null}\n1 rows"                      },
    {"a type holds for top fields alone",      false, "{\"o\":{\"i\":\"x\"}}",
     "1@1:1 {\"o\":{\"i\":\"x\"}}\n1 rows"                                                                                                                                     },
    {"the same key in different objects",      false, "{\"a\":{\"a\":1},\"c\":[{\"a\":1},{\"a\":1}]}",
     "1@1:1 {\"a\":{\"a\":1},\"c\":[{\"a\":1},{\"a\":1}]}\n1 rows"                                                                                                             },
};

static const struct rows_case refused[] = {
    {"nothing",                          false, "",                                           "fault 0@1:1 [] JSON cut off near byte 0\nrejected"               },
    {"a number",                         false, "12 ",                                        "fault 0@1:2 [] expected an object, or an array of them\nrejected"},
    {"a number on a line",               true,  "\n12\n",                                     "fault 0@2:2 [] expected an object\nrejected"                     },
    {"an array on a line",               true,  "[{}]",                                       "fault 0@1:1 [] expected an object\nrejected"                     },
    {"an array in the array",            false, "[[]]",                                       "fault 0@1:2 [] expected an object\nrejected"                     },
    {"something in the array",           false, "[{},\n1]",
     "1@1:2 {}\nfault 1@2:1 [] expected an object\nrejected"                                                                                                    },
    {"two objects",                      false, "{}\n{}",
     "1@1:1 {}\nfault 1@2:1 [] malformed JSON (parse error: trailing garbage) near byte "
     "4\nrejected"                                                                                                                                              },
    {"two on a line",                    true,  "{} {}",
     "1@1:1 {}\nfault 1@1:4 [] expected one object a line\nrejected"                                                                                            },
    {"one on two lines",                 true,  "{}\n{\"a\":\n1}",
     "1@1:1 {}\nfault 2@3:2 [] the object does not end on the line where it begins\nrejected"                                                                   },
    {"cut off",                          false, "[{\"a\":1},{\"b\"",
     "1@1:2 {\"a\":1}\nfault 2@1:14 [b] JSON cut off near byte 13\nrejected"                                                                                    },
    {"a text in an int column",          false, "[{\"i\":1},\n{\"i\":\"x\"}]",
     "1@1:2 {\"i\":1}\nfault 2@2:8 [i] column 'i': 'x' is no int: expected digits with an optional "
     "sign\nrejected"                                                                                                                                           },
    {"a fraction in an int column",      false, "{\"i\":1.5}",
     "fault 1@1:8 [i] column 'i': '1.5' is no int: expected digits with an optional "
     "sign\nrejected"                                                                                                                                           },
    {"a truth in an int column",         false, "{\"i\":true}",
     "fault 1@1:9 [i] column 'i': 'true' is no int: it is a truth value\nrejected"                                                                              },
    {"a number in a date column",        false, "{\"t\":1 }",
     "fault 1@1:6 [t] column 't': '1' is no date: it is a number\nrejected"                                                                                     },
    {"a date that is none",              false, "{\"t\":\"22/11/2026\"}",
     "fault 1@1:17 [t] column 't': '22/11/2026' is no date: expected ISO 8601, as 2026-11-22 or "
     "2026-11-22T03:10:00Z\nrejected"                                                                                                                           },
    {"an array in a typed column",       false, "{\"s\":[1]}",
     "fault 1@1:6 [s] column 's': expected string, found an array\nrejected"                                                                                    },
    {"an object in a typed column",      false, "{\"d\":{\"a\":1}}",
     "fault 1@1:9 [d] column 'd': expected decimal, found an object\nrejected"                                                                                  },
    {"a wrapped value of another type",  false, "{\"d\":{\"$date\":\"2026-11-22\"}}",
     "fault 1@1:13 [d] column 'd': expected decimal, found an object\nrejected"                                                                                 },
    {"a wrapped date that is none",      false, "{\"t\":{\"$date\":\"\"}}",
     "fault 1@1:16 [t] column 't': Extended JSON: $date holds no ISO 8601 moment\nrejected"                                                                     },
    {"something beside a wrapped date",  false, "{\"t\":{\"$date\":\"2026-11-22\",\"a\":1}}",
     "fault 1@1:30 [t] column 't': Extended JSON: $date stands alone in its object\nrejected"                                                                   },
    {"another date in a wrapped one",    false, "{\"t\":{\"$date\":{\"a\":1}}}",
     "fault 1@1:18 [t] column 't': Extended JSON: $date holds an unknown key\nrejected"                                                                         },
    {"a wrapped NaN",                    false, "{\"f\":{\"$numberDouble\":\"NaN\"}}",
     "fault 1@1:27 [f] column 'f': 'NaN' is no double: expected digits with an optional sign, "
     "point "
     "and exponent\nrejected"                                                                                                                                   },
    {"NaN",                              false, "{\"f\":NaN}",
     "fault 1@1:6 [f] malformed JSON (lexical error: invalid char in json text.) near byte "
     "6\nrejected"                                                                                                                                              },
    {"a key twice",                      false, "{\"a\":1,\"c\":2,\"a\":3}",
     "fault 1@1:19 [a] column 'a': it appears twice in its object\nrejected"                                                                                    },
    {"a typed key twice",                false, "{\"i\":1,\"i\":2}",
     "fault 1@1:13 [i] column 'i': it appears twice in its object\nrejected"                                                                                    },
    {"a key twice, deep inside",         false, "{\"a\":[{\"b\":{\"c\":1,\"c\":1}}]}",
     "fault 1@1:27 [c] column 'c': it appears twice in its object\nrejected"                                                                                    },
    {"a whole number that is too large", false, "{\"a\":9223372036854775808}",
     "fault 1@1:24 [a] column 'a': Extended JSON: a whole number does not fit 64 bits (use "
     "$numberDecimal)\nrejected"                                                                                                                                },
    {"a text that is not UTF-8",         false, "{\"a\":\"\xff\"}",
     "fault 1@1:8 [a] column 'a': Extended JSON: a text is not valid UTF-8\nrejected"                                                                           },
    {"a typed text that is not UTF-8",   false, "{\"s\":\"\xff\"}",
     "fault 1@1:8 [s] column 's': '' is no string: it is not valid UTF-8\nrejected"                                                                             },
    {"a column that is not wanted",      false, "{\"a\":1,\n\"wrong\":2}",
     "fault 1@2:7 [wrong] column 'wrong': no column of ours\nrejected"                                                                                          },
    {"sluice's own name",                false, "{\"_id\":1}",
     "fault 1@1:6 [_id] column '_id': this name is sluice's own\nrejected"                                                                                      },
};

#define HALF "holds half of a surrogate pair (half a character)\nrejected"

static const struct rows_case halves[] = {
    {"a first half and another character", false,
     "[{\"a\":\"\\ud83d\\ude00\"},\n{\"a\":\"\\ud83d\\u0041\"}]",                      "1@1:2 {\"a\":\"😀\"}\nfault 2@2:19 [a] column 'a': Extended JSON: a text " HALF},
    {"a first half alone",                 true,  "{\"a\":\"\\ud83dx\"}",
     "fault 1@1:14 [a] column 'a': Extended JSON: a text " HALF                                                                                                          },
    {"a second half alone",                false, "{\"a\":\"\\ude00\"}",
     "fault 1@1:13 [a] column 'a': Extended JSON: a text " HALF                                                                                                          },
    {"in a typed text",                    false, "{\"s\":\"\\ud83d\\ud83d\\ude00\"}",
     "fault 1@1:25 [s] column 's': '' is no string: it " HALF                                                                                                            },
    {"in a key deep inside",               false, "{\"o\":{\"\\ud83d\\u0041\":1}}",
     "fault 1@1:20 [o] column 'o': Extended JSON: a key " HALF                                                                                                           },
};

static void run_cases(const struct rows_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(cases[i].text);
        for (size_t chunk = 1; chunk <= size + 1; chunk++) {
            struct sl_err err = {0};
            char *heard = read_post(cases[i].lines, 1000, cases[i].text, size, chunk, 0, &err);
            if (strcmp(heard, cases[i].expected))
                fail_msg("%s, chunks of %zu:\n%s\ninstead of\n%s", cases[i].name, chunk, heard,
                         cases[i].expected);
            free(heard);
        }
    }
}

static void test_posts_give_rows(void **state)
{
    (void)state;
    run_cases(posts, sizeof posts / sizeof *posts);
}

static void test_what_is_wrong_is_told_with_its_place(void **state)
{
    (void)state;
    run_cases(refused, sizeof refused / sizeof *refused);
}

static void test_half_of_a_surrogate_pair_is_no_character(void **state)
{
    (void)state;
    run_cases(halves, sizeof halves / sizeof *halves);
}

static void test_the_error_names_line_row_and_column(void **state)
{
    (void)state;
    static const char text[] = "{\"i\":1}\n\n{\"i\":\"many\"}\n";
    struct sl_err err = {0};
    free(read_post(true, 1000, text, strlen(text), 5, 0, &err));
    assert_string_equal(err.message, "line 3, row 2: column 'i': 'many' is no int: expected digits "
                                     "with an optional sign");
}

static void test_a_failing_callback_is_no_fault(void **state)
{
    (void)state;
    static const char text[] = "[{\"a\":1},{\"a\":2},{\"a\":3}]";
    struct sl_err err = {0};
    char *heard = read_post(false, 1000, text, strlen(text), 100, 2, &err);
    assert_string_equal(heard, "1@1:2 {\"a\":1}\ncanceled");
    assert_string_equal(err.message, "stopped");
    free(heard);
}

static void test_a_row_that_is_too_large_fails(void **state)
{
    (void)state;
    char text[400],
        expected[] =
            "1@1:1 {\"a\":1}\nfault 2@2:132 [] the row is larger than limits.max_row\nrejected";
    snprintf(text, sizeof text, "{\"a\":1}\n{\"a\":\"%0120d\",\"b\":1}\n", 0);
    for (size_t chunk = 1; chunk < sizeof text; chunk++) {
        struct sl_err err = {0};
        char *heard = read_post(true, 100, text, strlen(text), chunk, 0, &err);
        assert_non_null(strstr(heard, "the row is larger than limits.max_row"));
        assert_int_equal(strncmp(heard, expected, 15), 0);
        free(heard);
    }
}

/* count times the piece, then the end. */
static int feed_many(bool lines, const char *begin, const char *piece, size_t count,
                     struct sl_err *err)
{
    struct heard heard = {0};
    struct sl_json_rows_options options = {lines, 100000};
    struct sl_json_rows *rows = sl_json_rows_new(&options, &handler, &heard);
    int rc = sl_json_rows_feed(rows, begin, strlen(begin), err);
    for (size_t i = 0; i < count && rc == SL_OK; i++)
        rc = sl_json_rows_feed(rows, piece, strlen(piece), err);
    if (rc == SL_OK)
        rc = sl_json_rows_end(rows, err);
    sl_json_rows_free(rows);
    sl_buf_done(&heard.out);
    return rc;
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    struct sl_err err = {0};
    assert_int_equal(feed_many(false, "{\"a\":", "[", 1000000, &err), SL_REJECTED);
    assert_non_null(strstr(err.message, "nested deeper than 64 levels"));
    assert_int_equal(feed_many(true, "", "{\"a\":", 1000000, &err), SL_REJECTED);
    assert_non_null(strstr(err.message, "nested deeper than 64 levels"));
}

static void test_an_endless_text_fails_early(void **state)
{
    (void)state;
    struct sl_err err = {0};
    static char piece[4097];
    memset(piece, 'x', sizeof piece - 1);
    struct heard heard = {0};
    struct sl_json_rows_options options = {false, 100000};
    struct sl_json_rows *rows = sl_json_rows_new(&options, &handler, &heard);
    int rc = sl_json_rows_feed(rows, "{\"a\":\"", 6, &err);
    for (int i = 0; i < 1000 && rc == SL_OK; i++)
        rc = sl_json_rows_feed(rows, piece, sizeof piece - 1, &err);
    if (rc == SL_OK)
        rc = sl_json_rows_feed(rows, "\"}", 2, &err);
    assert_int_equal(rc, SL_REJECTED);
    assert_non_null(strstr(err.message, "the row is larger than limits.max_row"));
    sl_json_rows_free(rows);
    sl_buf_done(&heard.out);
}

static void test_many_keys_are_compared_too(void **state)
{
    (void)state;
    struct sl_err err = {0};
    for (int twice = 0; twice < 2; twice++) {
        struct sl_buf text = {0};
        sl_buf_add_text(&text, "{\"k0\":0");
        for (int i = 1; i < 1000; i++)
            sl_buf_printf(&text, ",\"k%d\":%d", i, i);
        sl_buf_add_text(&text, twice ? ",\"k500\":1}" : "}");
        char *heard = read_post(false, 1 << 20, text.data, text.length, 1000, 0, &err);
        if (twice)
            assert_string_equal(err.message,
                                "line 1, row 1: column 'k500': it appears twice in its object");
        else
            assert_non_null(strstr(heard, "1 rows"));
        free(heard);
        sl_buf_done(&text);
    }
}

/* Bytes changed at random: never a crash, and the same outcome whatever the chunks. */
static void test_damaged_posts_read_the_same_in_any_chunks(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"s\":\"\\u00e5\\\\\\\"b\",\"i\":12,\"d\":{\"$numberDecimal\":\"1.50\"},\"a\":[1,null]}\n"
        "{\"t\":\"2026-11-22\",\"o\":{\"a\":[1,{\"b\":{\"$date\":\"2026-11-22\"}}]},\"f\":1.5}\n";
    static const char bytes[] = "{}[]\",:\\u019ae.-+ \n\xff\xc3tfn";
    uint32_t seed = 1;
    for (int round = 0; round < 3000; round++) {
        char text[sizeof whole];
        memcpy(text, whole, sizeof whole);
        for (int change = 0; change < 1 + round % 3; change++) {
            seed = seed * 1664525 + 1013904223;
            text[(seed >> 8) % (sizeof whole - 1)] = bytes[(seed >> 24) % (sizeof bytes - 1)];
        }
        struct sl_err err = {0};
        size_t chunk = 1 + seed % 23;
        char *all = read_post(true, 150, text, sizeof whole - 1, sizeof whole, 0, &err);
        char *some = read_post(true, 150, text, sizeof whole - 1, chunk, 0, &err);
        /* Where malformed JSON was noticed may differ by the chunk's end. */
        if (strstr(all, "malformed"))
            strstr(all, "fault")[0] = strstr(some, "fault")[0] = 0;
        if (strcmp(all, some))
            fail_msg("chunks of %zu:\n%s\ninstead of\n%s", chunk, some, all);
        free(all);
        free(some);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts_give_rows),
        cmocka_unit_test(test_what_is_wrong_is_told_with_its_place),
        cmocka_unit_test(test_half_of_a_surrogate_pair_is_no_character),
        cmocka_unit_test(test_the_error_names_line_row_and_column),
        cmocka_unit_test(test_a_failing_callback_is_no_fault),
        cmocka_unit_test(test_a_row_that_is_too_large_fails),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_an_endless_text_fails_early),
        cmocka_unit_test(test_many_keys_are_compared_too),
        cmocka_unit_test(test_damaged_posts_read_the_same_in_any_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
