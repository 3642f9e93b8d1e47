/* What servers say of themselves, and what is told of those that cannot be used. */
#include "mongo/member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_answers(void **state)
{
    static const struct {
        const char *hello; /* the fields that matter, as a server of version 6 gives them */
        const char *set;
        enum sl_code code;
        const char *part; /* of the message; NULL: there is none */
    } rows[] = {
        {"{\"setName\": \"rs0\"}",        "rs0", SL_OK,     NULL                                    },
        {"{\"setName\": \"rs0\"}",        NULL,  SL_OK,     NULL                                    },
        {"{\"setName\": \"rs1\"}",        "rs0", SL_CONFIG, "a member of the replica set 'rs1', not"},
        {"{\"msg\": \"isdbgrid\"}",       NULL,  SL_OK,     NULL                                    },
        {"{\"msg\": \"isdbgrid\"}",       "rs0", SL_CONFIG, "h:1 is a mongos"                       },
        {"{\"isWritablePrimary\": true}", "d",   SL_CONFIG, "h:1 is no member"                      },
        {"{\"isWritablePrimary\": true}", "d",   SL_CONFIG, "--replSet d "                          },
        {"{\"isWritablePrimary\": true}", NULL,  SL_CONFIG, "--replSet rs0 "                        },
        {"{\"isreplicaset\": true}",      "rs0", SL_CLOSED, "h:1 is no member"                      },
        {"{\"isreplicaset\": true}",      NULL,  SL_CLOSED, "rs.initiate()"                         },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_err err = {0};
        bson_t *hello = bson_new_from_json((const uint8_t *)rows[i].hello, -1, NULL);
        assert_non_null(hello);
        assert_int_equal(sl_mongo_member_check(hello, rows[i].set, "h:1", &err), rows[i].code);
        if (rows[i].part)
            assert_non_null(strstr(err.message, rows[i].part));
        bson_destroy(hello);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
