/* Pauses between tries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/backoff.h"

#include <cmocka.h>

static void a_pause_doubles_up_to_the_limit(void **state)
{
    (void)state;
    assert_int_equal(sl_backoff_next(500, 10000), 1000);
    assert_int_equal(sl_backoff_next(8000, 10000), 10000);
    assert_int_equal(sl_backoff_next(10000, 10000), 10000);
    assert_int_equal(sl_backoff_next(UINT64_MAX, 10000), 10000);
}

static void failures_in_a_row_count(void **state)
{
    (void)state;
    static const uint64_t wanted_ms[] = {500, 500, 1000, 2000, 4000, 8000, 10000, 10000};
    for (unsigned failures = 0; failures < sizeof wanted_ms / sizeof *wanted_ms; failures++)
        assert_int_equal(sl_backoff_after(failures, 500, 10000), wanted_ms[failures]);
    assert_int_equal(sl_backoff_after(UINT32_MAX, 500, 10000), 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pause_doubles_up_to_the_limit),
        cmocka_unit_test(failures_in_a_row_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
