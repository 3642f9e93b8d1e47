/* How far a right reaches, from the service's answer. */
#include "dataverse/reach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void the_widest_depth_counts(void **state)
{
    static const struct row {
        const char *answer;
        enum sl_reach reach;
        const char *depth;
    } rows[] = {
        {"{\"RolePrivileges\":[{\"Depth\":\"Global\"}]}",                       SL_REACH_WHOLE,  "Global"},
        {"{\"RolePrivileges\":[{\"Depth\":\"Basic\"}]}",                        SL_REACH_PART,   "Basic" },
        {"{\"RolePrivileges\":[{\"Depth\":\"Local\"}]}",                        SL_REACH_PART,   "Local" },
        {"{\"RolePrivileges\":[{\"Depth\":\"deep\"}]}",                         SL_REACH_PART,   "deep"  },
        {"{\"RolePrivileges\":[{\"Depth\":3}]}",                                SL_REACH_WHOLE,  "3"     },
        {"{\"RolePrivileges\":[{\"Depth\":0}]}",                                SL_REACH_PART,   "0"     },
        {"{\"RolePrivileges\":[{\"Depth\":\"Basic\"},{\"Depth\":\"Global\"}]}", SL_REACH_WHOLE,
         "Global"                                                                                        },
        {"{\"RolePrivileges\":[{\"Depth\":\"Global\"},{\"Depth\":\"Basic\"}]}", SL_REACH_WHOLE,
         "Global"                                                                                        },
        {"{\"RolePrivileges\":[{\"Depth\":\"Vast\"},{\"Depth\":\"Deep\"}]}",    SL_REACH_PART,   "Deep"  },
        {"{\"RolePrivileges\":[{\"Depth\":\"Vast\"}]}",                         SL_REACH_UNTOLD, "Vast"  },
        {"{\"RolePrivileges\":[{\"Depth\":4}]}",                                SL_REACH_UNTOLD, "4"     },
        {"{\"RolePrivileges\":[{\"Depth\":null},{}]}",                          SL_REACH_UNTOLD, "none"  },
        {"{\"RolePrivileges\":[]}",                                             SL_REACH_UNTOLD, "none"  },
        {"{\"RolePrivileges\":{\"Depth\":\"Basic\"}}",                          SL_REACH_UNTOLD, "none"  },
        {"[]",                                                                  SL_REACH_UNTOLD, "none"  },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_json_doc *doc;
        struct sl_dataverse_reach reach;
        assert_int_equal(sl_json_parse(rows[i].answer, strlen(rows[i].answer), NULL, &doc, NULL),
                         SL_OK);
        sl_dataverse_reach_parse(sl_json_root(doc), &reach);
        sl_json_free(doc);
        if (reach.reach != rows[i].reach)
            print_message("%s\n", rows[i].answer);
        assert_int_equal(reach.reach, rows[i].reach);
        assert_string_equal(reach.depth, rows[i].depth);
    }
}

static void what_will_not_be_told_is_told_apart_from_what_may_pass(void **state)
{
    static const struct row {
        enum sl_code code;
        int cause;
        bool refused;
    } rows[] = {
        {SL_CONFIG,    403, true },
        {SL_CONFIG,    404, true },
        {SL_NOTFOUND,  404, true },
        {SL_REJECTED,  400, true },
        {SL_CONFIG,    401, false}, /* the token */
        {SL_CONFIG,    0,   false},
        {SL_CLOSED,    500, false},
        {SL_THROTTLED, 429, false},
        {SL_TIMEOUT,   0,   false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct sl_err err = {.code = rows[i].code, .cause = rows[i].cause};
        assert_int_equal(sl_dataverse_reach_is_refused(&err), rows[i].refused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_widest_depth_counts),
        cmocka_unit_test(what_will_not_be_told_is_told_apart_from_what_may_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
