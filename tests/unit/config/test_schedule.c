/* Cron expressions and the times they mean. */
#include "config/schedule.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <setjmp.h>

#include "base/clock.h"

#include <cmocka.h>

static int64_t at(const char *text)
{
    int64_t wall_ms = 0;
    assert_true(sl_iso_parse(text, strlen(text), &wall_ms));
    return wall_ms;
}

static void cron_gives_the_next_time(void **state)
{
    static const struct {
        const char *cron, *after, *next;
    } cases[] = {
        {"* * * * *",            "2026-11-22T03:10:00",     "2026-11-22T03:11:00"},
        {"* * * * *",            "2026-11-22T03:10:59.999", "2026-11-22T03:11:00"},
        {"*/15 * * * *",         "2026-11-22T03:10:30",     "2026-11-22T03:15:00"},
        {"*/15 * * * *",         "2026-11-22T03:45:00",     "2026-11-22T04:00:00"},
        {"0 3 * * *",            "2026-11-22T03:00:00",     "2026-11-23T03:00:00"},
        {"0 3 * * *",            "2026-11-22T02:59:59",     "2026-11-22T03:00:00"},
        {"59 23 31 12 *",        "2026-11-22",              "2026-12-31T23:59:00"},
        {"0 0 1 * *",            "2026-11-30T23:59:00",     "2026-12-01"         },
        {"0 0 1 * *",            "2026-12-01",              "2027-01-01"         },
        {"0 0 31 * *",           "2026-01-31",              "2026-03-31"         },
        {"0 0 30 * *",           "2027-01-30",              "2027-03-30"         },
        {"0 0 29 2 *",           "2026-01-01",              "2028-02-29"         },
        {"0 0 29 2 *",           "2028-02-29",              "2032-02-29"         },
        {"0 0 29 2 *",           "2096-03-01",              "2104-02-29"         },
        {"30 8 * * mon-fri",     "2026-11-20T08:30:00",     "2026-11-23T08:30:00"},
        {"30 8 * * 1-5",         "2026-11-22T00:00:00",     "2026-11-23T08:30:00"},
        {"0 12 * * 0",           "2026-11-22T11:59:00",     "2026-11-22T12:00:00"},
        {"0 12 * * 7",           "2026-11-22T12:00:00",     "2026-11-29T12:00:00"},
        {"0 12 * * SUN",         "2026-11-23T00:00:00",     "2026-11-29T12:00:00"},
        {"0 0 13 * fri",         "2026-11-22",              "2026-11-27"         },
        {"0 0 13 * fri",         "2026-12-11",              "2026-12-13"         },
        {"0 0 */2 * fri",        "2026-11-22",              "2026-11-27"         },
        {"0 0 * jan,jul *",      "2026-01-31T12:00:00",     "2026-07-01"         },
        {"5,10-12,50/1 1 * * *", "2026-11-22",              NULL                 },
        {"5,10-12 1 * * *",      "2026-11-22T01:05:00",     "2026-11-22T01:10:00"},
        {"5,10-12 1 * * *",      "2026-11-22T01:12:00",     "2026-11-23T01:05:00"},
        {"10-30/10 22-23 * * *", "2026-11-22T22:30:00",     "2026-11-22T23:10:00"},
        {"  0   0  *  *  *  ",   "2026-11-22T12:00:00",     "2026-11-23"         },
        {"@hourly",              "2026-11-22T12:00:00",     "2026-11-22T13:00:00"},
        {"@daily",               "2026-12-31T12:00:00",     "2027-01-01"         },
        {"@weekly",              "2026-11-23",              "2026-11-29"         },
        {"@monthly",             "2026-02-28",              "2026-03-01"         },
        {"@yearly",              "2026-02-28",              "2027-01-01"         },
        {"0 0 * * *",            "1969-07-20",              "1970-01-01"         },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_schedule schedule;
        struct sl_err err = {0};
        int rc = sl_schedule_parse_cron(cases[i].cron, &schedule, &err);
        if (!cases[i].next) {
            assert_int_equal(rc, SL_CONFIG);
            continue;
        }
        if (rc != SL_OK)
            fail_msg("%s: %s", cases[i].cron, err.message);
        int64_t next = sl_schedule_next(&schedule, at(cases[i].after));
        char text[SL_ISO_BYTES];
        sl_iso_format(next, text);
        if (next != at(cases[i].next))
            fail_msg("%s after %s: %s", cases[i].cron, cases[i].after, text);
    }
}

static void every_counts_from_the_last_run(void **state)
{
    struct sl_schedule schedule = {.every_ms = 300000};
    (void)state;
    assert_int_equal(sl_schedule_next(&schedule, 1000), 301000);
}

static void bad_cron_is_explained(void **state)
{
    static const struct {
        const char *cron, *message;
    } cases[] = {
        {"",                             "a cron expression has five fields (minute, hour, day of month, month, day of "
             "week), this one has 0"                                                      },
        {"5 4 * *",                      "a cron expression has five fields (minute, hour, day of month, month, day of "
                    "week), this one has 4"                                        },
        {"0 5 4 * * *",
         "a cron expression has five fields, this one has more (seconds are not among "
         "them)"                                                                                      },
        {"60 * * * *",                   "\"60\" is no minute (0-59)"                                 },
        {"* 24 * * *",                   "\"24\" is no hour (0-23)"                                   },
        {"* * 0 * *",                    "\"0\" is no day of month (1-31)"                            },
        {"* * * 13 *",                   "\"13\" is no month (1-12 or jan-dec)"                       },
        {"* * * * 8",                    "\"8\" is no day of week (0-7 or sun-sat)"                   },
        {"* * * foo *",                  "\"foo\" is no month (1-12 or jan-dec)"                      },
        {"* * * june *",                 "\"june\" is no month (1-12 or jan-dec)"                     },
        {"1- * * * *",                   "\"1-\" is no minute (0-59)"                                 },
        {"1,,2 * * * *",                 "\"\" is no minute (0-59)"                                   },
        {"-1 * * * *",                   "\"-1\" is no minute (0-59)"                                 },
        {"*/0 * * * *",                  "\"*/0\" is no minute (0-59)"                                },
        {"99999999999999999999 * * * *", "\"99999999999999999999\" is no minute (0-59)"               },
        {"5/15 * * * *",                 "a step (/) in the field minute needs a range or * before it"},
        {"* 22-2 * * *",
         "the range \"22-2\" of the field hour ends before it begins: write it as two "
         "ranges"                                                                                     },
        {"* * * * fri-mon",              "the range \"fri-mon\" of the field day of week ends before it begins: "
                            "write it as two ranges"                       },
        {"0 0 30 2 *",                   "no month has such a day, so it would never run"             },
        {"0 0 31 4,6 *",                 "no month has such a day, so it would never run"             },
        {"@often",                       "\"@often\" is no minute (0-59)"                             },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_schedule schedule;
        struct sl_err err = {0};
        assert_int_equal(sl_schedule_parse_cron(cases[i].cron, &schedule, &err), SL_CONFIG);
        assert_string_equal(err.message, cases[i].message);
    }
}

/* Whether the minute is meant, by the C library's calendar. */
static bool meant(const struct sl_schedule *schedule, int64_t wall_ms)
{
    struct tm tm;
    time_t seconds = (time_t)(wall_ms / 1000);
    gmtime_r(&seconds, &tm);
    bool day = schedule->days >> tm.tm_mday & 1, weekday = schedule->weekdays >> tm.tm_wday & 1;
    bool either = schedule->any_day || schedule->any_weekday ? day && weekday : day || weekday;
    return schedule->minutes >> tm.tm_min & 1 && schedule->hours >> tm.tm_hour & 1 &&
           schedule->months >> (tm.tm_mon + 1) & 1 && either;
}

/* Walks the minutes around a leap day and expects every one that is meant, and no other. */
static void next_agrees_with_a_slow_search(void **state)
{
    static const char *const crons[] = {"7-19/3 */5 1,15,29-31 * *", "0 0 * 2,3 sun", "58 23 * * 6",
                                        "0 1 10-12 * tue,thu", "*/7 * 29 2 *"};
    (void)state;
    for (size_t i = 0; i < sizeof crons / sizeof crons[0]; i++) {
        struct sl_schedule schedule;
        unsigned found = 0;
        assert_int_equal(sl_schedule_parse_cron(crons[i], &schedule, NULL), SL_OK);
        int64_t from = at("2027-12-25"), next = sl_schedule_next(&schedule, from - 1);
        for (int64_t minute = from; minute < from + INT64_C(100) * 86400000; minute += 60000) {
            assert_int_equal(meant(&schedule, minute), next == minute);
            if (next != minute)
                continue;
            next = sl_schedule_next(&schedule, minute);
            found++;
        }
        assert_true(found > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cron_gives_the_next_time),
        cmocka_unit_test(every_counts_from_the_last_run),
        cmocka_unit_test(bad_cron_is_explained),
        cmocka_unit_test(next_agrees_with_a_slow_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
