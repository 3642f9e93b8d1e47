/* ops/prometheus: the text, exactly. */
#include "ops/prometheus.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/metric.h"

#include <cmocka.h>

static void test_text(void **state)
{
    struct sl_buf buf;
    (void)state;
    sl_buf_init(&buf);
    sl_prometheus_metrics(&buf);
    assert_int_equal(buf.length, 0);

    sl_metric_add(sl_counter("rows_total", "Rows by stage.", "feed=\"v\",stage=\"read\""), 7);
    sl_metric_set(sl_gauge("blocked", "A \\ and\nmore.", "%s", ""), -1);
    sl_metric_add(sl_counter("rows_total", "Rows by stage.", "feed=\"v\",stage=\"applied\""), 5);
    sl_prometheus_metrics(&buf);
    assert_string_equal(buf.data, "# HELP sluice_rows_total Rows by stage.\n"
                                  "# TYPE sluice_rows_total counter\n"
                                  "sluice_rows_total{feed=\"v\",stage=\"read\"} 7\n"
                                  "sluice_rows_total{feed=\"v\",stage=\"applied\"} 5\n"
                                  "# HELP sluice_blocked A \\\\ and\\nmore.\n"
                                  "# TYPE sluice_blocked gauge\n"
                                  "sluice_blocked -1\n");
    sl_buf_done(&buf);
    sl_metric_free_all();
}

#define BUCKETS(labels, a, b, c)                                                                   \
    "sluice_lag_seconds_bucket{" labels "le=\"0.0005\"} " a "\n"                                   \
    "sluice_lag_seconds_bucket{" labels "le=\"0.001\"} " b "\n"                                    \
    "sluice_lag_seconds_bucket{" labels "le=\"0.0025\"} " b "\n"                                   \
    "sluice_lag_seconds_bucket{" labels "le=\"0.005\"} " b "\n"                                    \
    "sluice_lag_seconds_bucket{" labels "le=\"0.01\"} " b "\n"                                     \
    "sluice_lag_seconds_bucket{" labels "le=\"0.025\"} " b "\n"                                    \
    "sluice_lag_seconds_bucket{" labels "le=\"0.05\"} " b "\n"                                     \
    "sluice_lag_seconds_bucket{" labels "le=\"0.1\"} " b "\n"                                      \
    "sluice_lag_seconds_bucket{" labels "le=\"0.25\"} " b "\n"                                     \
    "sluice_lag_seconds_bucket{" labels "le=\"0.5\"} " b "\n"                                      \
    "sluice_lag_seconds_bucket{" labels "le=\"1\"} " b "\n"                                        \
    "sluice_lag_seconds_bucket{" labels "le=\"2.5\"} " b "\n"                                      \
    "sluice_lag_seconds_bucket{" labels "le=\"5\"} " c "\n"                                        \
    "sluice_lag_seconds_bucket{" labels "le=\"10\"} " c "\n"                                       \
    "sluice_lag_seconds_bucket{" labels "le=\"30\"} " c "\n"                                       \
    "sluice_lag_seconds_bucket{" labels "le=\"60\"} " c "\n"                                       \
    "sluice_lag_seconds_bucket{" labels "le=\"300\"} " c "\n"                                      \
    "sluice_lag_seconds_bucket{" labels "le=\"1800\"} " c "\n"                                     \
    "sluice_lag_seconds_bucket{" labels "le=\"7200\"} " c "\n"                                     \
    "sluice_lag_seconds_bucket{" labels "le=\"43200\"} " c "\n"                                    \
    "sluice_lag_seconds_bucket{" labels "le=\"+Inf\"} " c "\n"

static void test_histogram(void **state)
{
    struct sl_buf buf;
    (void)state;
    sl_buf_init(&buf);
    struct sl_metric *lag = sl_histogram_metric("lag_seconds", "Lag.", "stage=\"apply\"");
    sl_histogram_metric("lag_seconds", "Lag.", "stage=\"read\"");
    sl_histogram_add(lag->histogram, 400, 2);
    sl_histogram_add(lag->histogram, 700, 1);
    sl_histogram_add(lag->histogram, 3000000, 3);
    sl_prometheus_metrics(&buf);
    assert_string_equal(buf.data,
                        "# HELP sluice_lag_seconds Lag.\n"
                        "# TYPE sluice_lag_seconds histogram\n" BUCKETS(
                            "stage=\"apply\",", "2", "3",
                            "6") "sluice_lag_seconds_sum{stage=\"apply\"} 9.001500\n"
                                 "sluice_lag_seconds_count{stage=\"apply\"} 6\n" BUCKETS(
                                     "stage=\"read\",", "0", "0",
                                     "0") "sluice_lag_seconds_sum{stage=\"read\"} 0.000000\n"
                                          "sluice_lag_seconds_count{stage=\"read\"} 0\n");
    sl_buf_clear(&buf);
    sl_metric_free_all();

    sl_histogram_metric("lag_seconds", "Lag.", "%s", "");
    sl_prometheus_metrics(&buf);
    assert_non_null(strstr(buf.data, BUCKETS("", "0", "0", "0") "sluice_lag_seconds_sum 0.000000\n"
                                                                "sluice_lag_seconds_count 0\n"));
    sl_buf_done(&buf);
    sl_metric_free_all();
}

static double value_of(const char *text, const char *name)
{
    char start[100];
    snprintf(start, sizeof start, "\n%s ", name);
    const char *at = strstr(text, start);
    assert_non_null(at);
    return strtod(at + strlen(start), NULL);
}

static void test_process(void **state)
{
    struct sl_buf before, after;
    (void)state;
    sl_buf_init(&before);
    sl_buf_init(&after);
    sl_prometheus_process(&before);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sl_prometheus_process(&after);
    close(fd);

    assert_true(value_of(before.data, "process_resident_memory_bytes") > 1e6);
    assert_true(value_of(before.data, "process_cpu_seconds_total") >= 0);
    assert_true(value_of(before.data, "process_max_fds") >= 64);
    double age_s = (double)time(NULL) - value_of(before.data, "process_start_time_seconds");
    assert_true(age_s > -2 && age_s < 3600);
    assert_true(value_of(after.data, "process_open_fds") ==
                value_of(before.data, "process_open_fds") + 1);
    sl_buf_done(&before);
    sl_buf_done(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
