/* The offset of a clock that tells whole seconds only. */
#include "dataverse/clock_offset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define START INT64_C(1790000000000)

/* Samples at random moments, answered within rtt_ms; returns the error of the estimate. */
static int64_t error_after(struct sl_clock_offset *offset, int64_t true_ms, unsigned samples,
                           int64_t *now_ms)
{
    for (unsigned i = 0; i < samples; i++) {
        *now_ms += 500 + rand() % 3000;
        int64_t rtt_ms = 4 + rand() % 8;
        int64_t read_ms = *now_ms + rand() % rtt_ms + true_ms;
        sl_clock_offset_add(offset, *now_ms, *now_ms + rtt_ms, read_ms / 1000 * 1000);
    }
    return llabs(sl_clock_offset_ms(offset) - true_ms);
}

static void a_hundred_samples_are_enough(void **state)
{
    static const int64_t offsets[] = {0, 1, -1, 370, -999, 12345, -86400000};
    (void)state;
    for (unsigned i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        struct sl_clock_offset offset = {0};
        int64_t now_ms = START + 321;
        srand(i + 1);
        assert_true(error_after(&offset, offsets[i], 1, &now_ms) <= 520);
        assert_true(error_after(&offset, offsets[i], 100, &now_ms) <= 20);
    }
}

/* Asked at the same moment of each second, as a poll every three seconds is. */
static void clocks_that_agree_are_right_from_the_first_answer_on(void **state)
{
    struct sl_clock_offset offset = {0};
    (void)state;
    assert_int_equal(sl_clock_offset_doubt_ms(&offset), 0);
    for (int64_t i = 0; i < 20; i++) {
        int64_t now_ms = START + 100 + i * 3000;
        sl_clock_offset_add(&offset, now_ms, now_ms + 5, now_ms / 1000 * 1000);
        assert_int_equal(sl_clock_offset_ms(&offset), 0);
        assert_in_range(sl_clock_offset_doubt_ms(&offset), 895, 905);
    }
}

static void a_clock_that_was_set_is_noticed(void **state)
{
    struct sl_clock_offset offset = {0};
    int64_t now_ms = START;
    (void)state;
    srand(3);
    assert_true(error_after(&offset, 100, 100, &now_ms) <= 20);
    assert_true(error_after(&offset, 5100, 200, &now_ms) <= 20);
    assert_true(error_after(&offset, -60000, 200, &now_ms) <= 20);
}

static void a_clock_that_drifts_is_followed(void **state)
{
    struct sl_clock_offset offset = {0};
    int64_t now_ms = START;
    (void)state;
    srand(4);
    for (int64_t true_ms = 0; true_ms < 200; true_ms += 2) /* 2 ms in about 40 s: 50 ppm */
        assert_true(error_after(&offset, true_ms, 20, &now_ms) <= 520);
    assert_true(error_after(&offset, 200, 20, &now_ms) <= 40);
}

static void what_says_nothing_is_passed_over(void **state)
{
    struct sl_clock_offset offset = {0};
    (void)state;
    sl_clock_offset_add(&offset, START, START + 10, 0);
    assert_false(offset.known);
    assert_int_equal(sl_clock_offset_ms(&offset), 0);
    sl_clock_offset_add(&offset, START + 10, START, START); /* our clock was set meanwhile */
    assert_false(offset.known);
    sl_clock_offset_add(&offset, START + 400, START + 410, START + 5000);
    assert_int_equal(sl_clock_offset_ms(&offset), 5095);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_samples_are_enough),
        cmocka_unit_test(clocks_that_agree_are_right_from_the_first_answer_on),
        cmocka_unit_test(a_clock_that_was_set_is_noticed),
        cmocka_unit_test(a_clock_that_drifts_is_followed),
        cmocka_unit_test(what_says_nothing_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
