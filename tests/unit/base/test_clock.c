/* ISO 8601 in both directions, and the calendar under it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct {
    const char *text;
    int64_t wall_ms;
} good[] = {
    {"1970-01-01",                     0              },
    {"1970-01-01T00:00:00Z",           0              },
    {"1969-12-31T23:59:59.999Z",       -1             },
    {"2026-11-22T03:10:00.120Z",       1795317000120  },
    {"2026-11-22 03:10:00.120",        1795317000120  },
    {"2026-11-22t03:10:00.12z",        1795317000120  },
    {"2026-11-22T03:10:00.1207999999", 1795317000120  },
    {"2026-11-22T03:10",               1795317000000  },
    {"2026-11-22T04:10:00+01:00",      1795317000000  },
    {"2026-11-22T04:10:00+01",         1795317000000  },
    {"2026-11-22T08:40:00+0530",       1795317000000  },
    {"2026-11-21T21:10:00-06:00",      1795317000000  },
    {"2026-11-22T03:10:00-00:00",      1795317000000  },
    {"2000-02-29",                     951782400000   },
    {"2024-02-29T23:59:59Z",           1709251199000  },
    {"1600-02-29",                     -11670998400000},
    {"1900-01-01T00:00:00",            -2208988800000 },
    {"0001-01-01",                     -62135596800000},
    {"9999-12-31T23:59:59.999Z",       253402300799999},
};

static void what_is_a_date_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        size_t length = strlen(good[i].text);
        char *exact = malloc(length); /* no NUL behind it */
        memcpy(exact, good[i].text, length);
        int64_t wall_ms = 42;
        if (!sl_iso_parse(exact, length, &wall_ms) || wall_ms != good[i].wall_ms)
            fail_msg("%s gave %lld", good[i].text, (long long)wall_ms);
        free(exact);
    }
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026",
        "2026-11",
        "2026-1-22",
        "26-11-22",
        "2026/11/22",
        "2026-00-01",
        "2026-13-01",
        "2026-11-00",
        "2026-11-31",
        "2026-02-29",
        "1900-02-29",
        "2100-02-29",
        "2026-02-30",
        "2026-11-22T",
        "2026-11-22Z",
        "2026-11-22T3:10:00",
        "2026-11-22T24:00:00",
        "2026-11-22T03:60:00",
        "2026-11-22T03:10:60",
        "2026-11-22T03:10:",
        "2026-11-22T03:10:0",
        "2026-11-22T03:10.5", /* half a minute? nobody means that */
        "2026-11-22T03:10:00.",
        "2026-11-22T03:10:00.Z",
        "2026-11-22T03:10:00,5",
        "2026-11-22T03:10:00+",
        "2026-11-22T03:10:00+1",
        "2026-11-22T03:10:00+01:",
        "2026-11-22T03:10:00+01:6",
        "2026-11-22T03:10:00+01:60",
        "2026-11-22T03:10:00+19:00",
        "2026-11-22T03:10:00+01:00Z",
        "2026-11-22T03:10:00ZZ",
        "2026-11-22T03:10:00 Z",
        " 2026-11-22",
        "2026-11-22 ",
        "+2026-11-22",
        "-026-11-22",
        "20261122",
        "2026-11-2x",
        "2026-11-22X03:10:00",
        "yesterday",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        size_t length = strlen(bad[i]);
        char *exact = malloc(length + 1);
        memcpy(exact, bad[i], length);
        int64_t wall_ms = 42;
        if (sl_iso_parse(exact, length, &wall_ms) || wall_ms != 42)
            fail_msg("'%s' was read as %lld", bad[i], (long long)wall_ms);
        free(exact);
    }
}

static void no_prefix_of_a_date_reads_beyond_its_end(void **state)
{
    (void)state;
    static const char text[] = "2026-11-22T03:10:00.120+01:00";
    for (size_t length = 0; length < sizeof text; length++) {
        char *exact = malloc(length + !length);
        memcpy(exact, text, length);
        int64_t wall_ms;
        (void)sl_iso_parse(exact, length, &wall_ms); /* ASAN is the judge */
        free(exact);
    }
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    char text[SL_ISO_BYTES];
    sl_iso_format(1795317000120, text);
    assert_string_equal(text, "2026-11-22T03:10:00.120Z");
    sl_iso_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    sl_iso_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");

    int64_t step = 7 * 86400000ll + 12345678;
    for (int64_t ms = -62135596800000; ms < 253402300799999; ms += step) {
        int64_t back = 0;
        sl_iso_format(ms, text);
        assert_true(sl_iso_parse(text, strlen(text), &back));
        assert_true(back == ms);
    }
}

static void the_calendar_agrees_with_the_system(void **state)
{
    (void)state;
    for (int64_t day = -800000; day < 800000; day += 17) {
        time_t seconds = (time_t)(day * 86400);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        assert_true(sl_days_from_civil(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1,
                                       (unsigned)tm.tm_mday) == day);
    }
}

static void clocks_go_forward(void **state)
{
    (void)state;
    uint64_t before_ns = sl_now_ns(), before_ms = sl_now_ms();
    assert_true(sl_now_ns() >= before_ns);
    assert_true(sl_now_ms() >= before_ms);
    assert_true(sl_wall_ms() > 1700000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_date_is_read),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(no_prefix_of_a_date_reads_beyond_its_end),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(the_calendar_agrees_with_the_system),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
