/* The loop's delay: a slice of work that is too long shows in the metric. */
#include "base/clock.h"
#include "base/metric.h"
#include "loop/delay.h"
#include "loop/in_fiber.h"

static void hog(uint64_t ms)
{
    uint64_t until_ns = sl_now_ns() + ms * 1000000;
    while (sl_now_ns() < until_ns)
        ;
}

static struct sl_histogram *delays(void)
{
    return sl_histogram_metric("loop_delay_seconds", "", "%s", "")->histogram;
}

static void block_once(void *arg)
{
    (void)arg;
    sl_loop_delay_watch(2);
    UNTIL(sl_histogram_count(delays()) >= 3);

    sl_histogram_clear(delays());
    hog(20);
    UNTIL(sl_histogram_count(delays()) >= 2);
    EXPECT(sl_histogram_max_us(delays()) >= 17000); /* 20 ms less the interval and a rounding */
    EXPECT(sl_histogram_count(delays()) >= 8);      /* a timer every 2 ms would have been late */
    EXPECT(sl_histogram_quantile_us(delays(), 0.5) >= 5000);
    sl_loop_delay_watch(0);

    uint64_t after = sl_histogram_count(delays());
    EXPECT(sl_fiber_sleep(20) == SL_OK);
    EXPECT(sl_histogram_count(delays()) == after);
}

static void a_blocked_loop_is_measured(void **state)
{
    (void)state;
    run_in_fiber(block_once, NULL);
}

static void change_interval(void *arg)
{
    (void)arg;
    sl_loop_delay_watch(1000);
    sl_loop_delay_watch(1); /* at once, before the loop has turned */
    sl_histogram_clear(delays());
    UNTIL(sl_histogram_count(delays()) >= 3);
    sl_loop_delay_watch(0);
    sl_loop_delay_watch(0);
}

static void the_interval_can_be_changed(void **state)
{
    (void)state;
    run_in_fiber(change_interval, NULL);
}

static int close_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blocked_loop_is_measured),
        cmocka_unit_test(the_interval_can_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
