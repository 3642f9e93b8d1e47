/* http/head: dates, of which the last one is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "http/head.h"

#include <cmocka.h>

/* Reads an answer of these lines, ended by NULL, and forgets what it holds on the heap. */
static struct sl_http_response read_head(const char *const lines[])
{
    struct sl_head head;
    sl_head_init(&head);
    for (size_t i = 0; lines[i]; i++)
        assert_true(sl_head_line(&head, lines[i], strlen(lines[i])));
    assert_true(head.complete);
    struct sl_http_response response = head.response;
    sl_http_response_done(&head.response);
    return response;
}

static int64_t date_in_answer(const char *value)
{
    char line[200];
    const char *const lines[] = {"HTTP/1.1 200 OK\r\n", line, "\r\n", NULL};
    snprintf(line, sizeof line, "Date: %s\r\n", value);
    return read_head(lines).date_ms;
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

static uint32_t wait_in_answer(const char *first, const char *second)
{
    const char *const lines[] = {"HTTP/1.1 503 Busy\r\n", first, second, "\r\n", NULL};
    return read_head(lines).retry_after_ms;
}

/* By the clock of whoever answers, which may be years from ours, wherever in the head it is told.
 */
static void test_waits(void **state)
{
    static const char server[] = "Server: x\r\n",
                      date[] = "Date: Sun, 22 Nov 2037 03:10:00 GMT\r\n",
                      until[] = "Retry-After: Sun, 22 Nov 2037 03:10:30 GMT\r\n",
                      over[] = "Retry-After: Sun, 22 Nov 2037 03:09:59 GMT\r\n";
    (void)state;
    assert_int_equal(wait_in_answer(date, until), 30000);
    assert_int_equal(wait_in_answer(until, date), 30000);
    assert_int_equal(wait_in_answer(over, date), 0);
    assert_int_equal(wait_in_answer("Retry-After: 7\r\n", date), 7000);
    assert_int_equal(wait_in_answer(server, "Retry-After: 86400\r\n"), 900000);
    assert_int_equal(wait_in_answer(date, "Retry-After: Mon, 23 Nov 2037 03:10:00 GMT\r\n"),
                     900000);
    assert_int_equal(wait_in_answer(server, "Retry-After: soon\r\n"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dates), cmocka_unit_test(test_waits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
