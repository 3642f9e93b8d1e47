/* base/secret: what opens the door, and what does not. */
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_equal(void **state)
{
    static const struct {
        const char *given, *expected;
        bool equal;
    } rows[] = {
        {"open sesame",  "open sesame", true },
        {"s",            "s",           true },
        {"\xff\x80",     "\xff\x80",    true },
        {"open sesamE",  "open sesame", false},
        {"Open sesame",  "open sesame", false},
        {"open sesam",   "open sesame", false},
        {"open sesamee", "open sesame", false},
        {"",             "open sesame", false},
        {NULL,           "open sesame", false},
        {"abab",         "ab",          false}, /* the secret twice */
        {"ab",           "abab",        false},
        {"",             "",            false}, /* no secret: no door */
        {"x",            "",            false},
        {NULL,           NULL,          false},
        {"",             NULL,          false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(sl_secret_equal(rows[i].given, rows[i].expected), rows[i].equal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
