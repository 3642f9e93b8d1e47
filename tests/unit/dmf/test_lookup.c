/* How data projects are asked for by name, and what is made of the answer. */
#include "dmf/lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void literals_are_quoted_and_escaped(void **state)
{
    static const struct row {
        const char *text, *query;
    } rows[] = {
        {"SLUICE-VENDORS",  "%27SLUICE-VENDORS%27"                  },
        {"",                "%27%27"                                },
        {"two words",       "%27two%20words%27"                     },
        {"O'Neill's",       "%27O%27%27Neill%27%27s%27"             },
        {"'",               "%27%27%27%27"                          },
        {"a/b#c&d?e=f+g%h", "%27a%2Fb%23c%26d%3Fe%3Df%2Bg%25h%27"   },
        {"Kühlgüter",     "%27K%C3%BChlg%C3%BCter%27"             },
        {"' or Name ne '",  "%27%27%27%20or%20Name%20ne%20%27%27%27"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_buf query;
        sl_buf_init(&query);
        sl_dmf_add_literal(&query, rows[i].text);
        assert_string_equal(query.data, rows[i].query);
        sl_buf_done(&query);
    }
}

static int take(const struct sl_dmf_wanted *wanted, const char *answer, struct sl_dmf_names *ret,
                struct sl_err *err)
{
    struct sl_json_doc *doc;
    assert_int_equal(sl_json_parse(answer, strlen(answer), NULL, &doc, NULL), SL_OK);
    int rc = sl_dmf_names_take(wanted, sl_json_root(doc), ret, err);
    sl_json_free(doc);
    return rc;
}

static void names_are_those_of_the_rows(void **state)
{
    static const struct row {
        const char *is, *answer;
        size_t count;
        const char *first;
    } rows[] = {
        {"A",  "{\"value\":[]}",                                                                 0, NULL},
        {"A",  "{\"value\":[{\"N\":\"A\",\"E\":\"x\"}]}",                                        1, "x" },
        {"A",
         "{\"@odata.count\":2,\"value\":[{\"N\":\"A\",\"E\":\"x\"},{\"N\":\"a\",\"E\":\"y\"}]}", 2,
         "x"                                                                                            },
 /* The database takes these two for the same. */
        {"Ä", "{\"value\":[{\"N\":\"ä\",\"E\":\"x\"}]}",                                       1, "x" },
 /* To the service "A*" is whatever begins with A. */
        {"A*", "{\"value\":[{\"N\":\"AB\",\"E\":\"x\"},{\"N\":\"a*\",\"E\":\"y\"}]}",            1, "y" },
        {"A*", "{\"value\":[{\"N\":\"AB\",\"E\":\"x\"},{\"N\":null,\"E\":\"y\"}]}",              0, NULL},
        {NULL, "{\"value\":[{\"E\":\"x\"},{\"E\":\"y\"},{\"E\":\"z\"}]}",                        3, "x" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct sl_dmf_wanted wanted = {"Set", "E", rows[i].is ? "N" : NULL, rows[i].is};
        struct sl_dmf_names names = {0};
        assert_int_equal(take(&wanted, rows[i].answer, &names, NULL), SL_OK);
        assert_int_equal(names.count, rows[i].count);
        if (rows[i].first) {
            assert_string_equal(names.at[0], rows[i].first);
            assert_true(sl_dmf_names_have(&names, rows[i].first));
        }
        assert_false(sl_dmf_names_have(&names, "xy"));
        sl_dmf_names_done(&names);
    }
}

static void an_answer_that_does_not_tell_it_is_no_empty_one(void **state)
{
    static const struct row {
        const char *answer;
        int rc;
        const char *message;
    } rows[] = {
        {"{}",                                               SL_CLOSED,   "Set: the answer has no list \"value\""},
        {"[]",                                               SL_CLOSED,   "Set: the answer has no list \"value\""},
        {"{\"value\":\"x\"}",                                SL_CLOSED,   "Set: the answer has no list \"value\""},
        {"{\"value\":{\"E\":\"x\"}}",                        SL_CLOSED,   "Set: the answer has no list \"value\""},
        {"{\"value\":[{\"E\":\"x\"},{\"F\":\"x\"}]}",        SL_CLOSED,
         "Set: a row of the answer has no \"E\""                                                                 },
        {"{\"value\":[{\"E\":null}]}",                       SL_CLOSED,   "Set: a row of the answer has no \"E\""},
        {"{\"value\":[\"E\"]}",                              SL_CLOSED,   "Set: a row of the answer has no \"E\""},
        {"{\"value\":[],\"@odata.nextLink\":\"https://x\"}", SL_REJECTED,
         "Set: the answer is longer than a page"                                                                 },
    };
    const struct sl_dmf_wanted wanted = {.set = "Set", .member = "E"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_dmf_names names = {0};
        struct sl_err err = {0};
        assert_int_equal(take(&wanted, rows[i].answer, &names, &err), rows[i].rc);
        assert_string_equal(err.message, rows[i].message);
        assert_null(names.at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_quoted_and_escaped),
        cmocka_unit_test(names_are_those_of_the_rows),
        cmocka_unit_test(an_answer_that_does_not_tell_it_is_no_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
