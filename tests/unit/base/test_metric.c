/* Histograms against a sorted array; metrics: one series a name and label set, one name together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "base/metric.h"

#include <cmocka.h>

enum { VALUES = 20000 };

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The smallest recorded value at or below which the share lies. */
static uint64_t exact_quantile(const uint64_t *sorted, size_t count, double share)
{
    for (size_t i = 0; i < count; i++)
        if ((double)(i + 1) >= share * (double)count - 1e-6)
            return sorted[i];
    return sorted[count - 1];
}

static void quantiles_are_within_3_2_percent(void **state)
{
    (void)state;
    static const double shares[] = {0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};
    static uint64_t values[VALUES];
    srand(3);
    for (unsigned round = 0; round < 20; round++) {
        size_t count = round < 10 ? round * 17 + 1 : VALUES;
        unsigned bits = 1 + round * 2; /* from nanoscopic to days */
        struct sl_histogram *histogram = sl_histogram_new();
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t random = (uint64_t)rand() << 31 ^ (uint64_t)rand();
            values[i] = random & ((1ull << (1 + (unsigned)rand() % bits)) - 1);
            sl_histogram_add(histogram, values[i], 1);
            sum += values[i];
        }
        qsort(values, count, sizeof *values, by_size);
        assert_true(sl_histogram_count(histogram) == count);
        assert_true(sl_histogram_sum_us(histogram) == sum);
        assert_true(sl_histogram_max_us(histogram) == values[count - 1]);
        for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
            uint64_t exact = exact_quantile(values, count, shares[i]);
            uint64_t got = sl_histogram_quantile_us(histogram, shares[i]);
            if (got < exact || (double)got > (double)exact * 1.032)
                fail_msg("round %u, share %f: %llu instead of %llu", round, shares[i],
                         (unsigned long long)got, (unsigned long long)exact);
        }
        sl_histogram_free(histogram);
    }
}

static void small_values_are_exact_and_counted_up_to_a_limit(void **state)
{
    (void)state;
    struct sl_histogram *histogram = sl_histogram_new();
    assert_int_equal(sl_histogram_quantile_us(histogram, 0.5), 0);
    for (uint64_t value = 0; value < 64; value++)
        sl_histogram_add(histogram, value, value + 1);
    for (uint64_t limit = 0; limit < 64; limit++)
        assert_int_equal(sl_histogram_count_to(histogram, limit), (limit + 1) * (limit + 2) / 2);
    sl_histogram_clear(histogram);
    assert_int_equal(sl_histogram_count(histogram), 0);
    assert_int_equal(sl_histogram_count_to(histogram, UINT64_MAX), 0);
    sl_histogram_free(histogram);
}

static void counting_up_to_a_limit_never_counts_too_much(void **state)
{
    (void)state;
    static const uint64_t limits[] = {100, 1000, 5000, 10000, 100000, 1000000, 60000000};
    struct sl_histogram *histogram = sl_histogram_new();
    srand(4);
    static uint64_t values[VALUES];
    for (size_t i = 0; i < VALUES; i++)
        sl_histogram_add(histogram, values[i] = (uint64_t)(rand() % 100000000), 1);
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        uint64_t below = 0, surely = 0;
        for (size_t i = 0; i < VALUES; i++) {
            below += values[i] <= limits[l];
            surely += (double)values[i] * 1.032 <= (double)limits[l];
        }
        assert_true(sl_histogram_count_to(histogram, limits[l]) <= below);
        assert_true(sl_histogram_count_to(histogram, limits[l]) >= surely);
    }
    sl_histogram_free(histogram);
}

static void the_longest_durations_are_kept(void **state)
{
    (void)state;
    struct sl_histogram *histogram = sl_histogram_new();
    sl_histogram_add(histogram, UINT64_MAX / 4, 2);
    assert_int_equal(sl_histogram_count(histogram), 2);
    assert_true(sl_histogram_max_us(histogram) == UINT64_MAX / 4);
    assert_true(sl_histogram_quantile_us(histogram, 1) > 0);
    sl_histogram_free(histogram);
}

static void a_series_is_made_once(void **state)
{
    (void)state;
    struct sl_metric *read = sl_counter("rows_total", "Rows.", "feed=\"%s\",stage=\"read\"", "v");
    struct sl_metric *lag = sl_gauge("lag", "Lag.", "%s", "");
    struct sl_metric *dead = sl_counter("rows_total", "Rows.", "feed=\"%s\",stage=\"dead\"", "v");
    struct sl_metric *time = sl_histogram_metric("stage_seconds", "Time.", "stage=\"read\"");
    struct sl_metric *other = sl_counter("rows_total", "Rows.", "feed=\"w\",stage=\"read\"");

    assert_ptr_equal(sl_counter("rows_total", "", "feed=\"v\",stage=\"read\""), read);
    assert_ptr_not_equal(read, dead);
    assert_non_null(time->histogram);
    assert_null(lag->histogram);

    /* In order of first use, one name together. */
    const struct sl_metric *expected[] = {read, dead, other, lag, time};
    const struct sl_metric *at = sl_metric_first();
    for (size_t i = 0; i < 5; i++, at = at->next)
        assert_ptr_equal(at, expected[i]);
    assert_null(at);

    sl_metric_add(read, 5);
    sl_metric_add(dead, 2);
    sl_metric_add(other, 100);
    sl_metric_set(lag, 7);
    assert_int_equal(sl_metric_sum("rows_total", ""), 107);
    assert_int_equal(sl_metric_sum("rows_total", "feed=\"v\""), 7);
    assert_int_equal(sl_metric_sum("rows_total", "stage=\"read\""), 105);
    assert_int_equal(sl_metric_sum("lag", ""), 7);
    assert_int_equal(sl_metric_sum("nothing", ""), 0);
    sl_metric_free_all();
    assert_null(sl_metric_first());
}

static void test_the_last_minute(void **state)
{
    struct sl_histogram *histogram = sl_histogram_new(), *recent;
    (void)state;
    sl_histogram_add(histogram, 9000, 1000);
    for (int turns = 0; turns < 4; turns++) {
        recent = sl_histogram_recent(histogram);
        assert_int_equal(sl_histogram_count(recent), 1000 + (uint64_t)turns);
        assert_int_equal(sl_histogram_max_us(recent), 9000);
        sl_histogram_free(recent);
        sl_histogram_turn(histogram);
        sl_histogram_add(histogram, 20, 1);
    }
    recent =
        sl_histogram_recent(histogram); /* the first slice is forgotten, the four others are not */
    assert_int_equal(sl_histogram_count(recent), 4);
    assert_int_equal(sl_histogram_max_us(recent), 20);
    assert_int_equal(sl_histogram_quantile_us(recent, 0.99), 20);
    assert_int_equal(sl_histogram_sum_us(recent), 80);
    sl_histogram_free(recent);
    assert_int_equal(sl_histogram_count(histogram), 1004); /* since the start */
    assert_int_equal(sl_histogram_max_us(histogram), 9000);
    sl_histogram_free(histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_minute),
        cmocka_unit_test(quantiles_are_within_3_2_percent),
        cmocka_unit_test(small_values_are_exact_and_counted_up_to_a_limit),
        cmocka_unit_test(counting_up_to_a_limit_never_counts_too_much),
        cmocka_unit_test(the_longest_durations_are_kept),
        cmocka_unit_test(a_series_is_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
