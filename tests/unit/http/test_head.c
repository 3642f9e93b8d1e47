/* http/head: dates, of which the last one is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "http/head.h"

#include <cmocka.h>

static int64_t date_in_answer(const char *value)
{
    struct sl_head head;
    char line[200];
    sl_head_init(&head);
    const char *const lines[] = {"HTTP/1.1 200 OK\r\n", line, "\r\n"};
    snprintf(line, sizeof line, "Date: %s\r\n", value);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_true(sl_head_line(&head, lines[i], strlen(lines[i])));
    assert_true(head.complete);
    int64_t date_ms = head.response.date_ms;
    sl_http_response_done(&head.response);
    return date_ms;
}

static void test_dates(void **state)
{
    static const char first[] = "Sun, 22 Nov 2026 03:10:00 GMT";
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(date_in_answer(first), 1795317000000);
        assert_int_equal(date_in_answer(first), 1795317000000);
        assert_int_equal(date_in_answer("Sun, 22 Nov 2026 03:10:01 GMT"), 1795317001000);
        assert_int_equal(date_in_answer("soon"), 0);
        assert_int_equal(date_in_answer("soon"), 0);
        assert_int_equal(date_in_answer(""), 0);
        assert_int_equal(
            date_in_answer("Sun, 22 Nov 2026 03:10:00 GMT (by the clock on the tower of "
                           "the town hall)"),
            0); /* longer than a date can be */
        assert_int_equal(date_in_answer(first), 1795317000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
