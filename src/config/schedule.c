/* Cron expressions become bit sets; the next time is found by walking days, never minutes. */
#include "config/schedule.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/str.h"

enum { MINUTE_MS = 60 * 1000, MINUTES_A_DAY = 24 * 60 };

/* 29 February is missing for eight years around 2100. */
enum { DAYS_TO_SEARCH = 366 * 9 };

static const char *const MONTHS[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                     "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const WEEKDAYS[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

struct field {
    const char *name;
    unsigned minimum, maximum;
    const char *const *names; /* of minimum and the following; NULL: none */
};

static const struct field FIELDS[5] = {
    {"minute",       0, 59, NULL    },
    {"hour",         0, 23, NULL    },
    {"day of month", 1, 31, NULL    },
    {"month",        1, 12, MONTHS  },
    {"day of week",  0, 7,  WEEKDAYS},
};

static const struct {
    const char *name, *meaning;
} MACROS[] = {
    {"@hourly",   "0 * * * *"},
    {"@daily",    "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@weekly",   "0 0 * * 0"},
    {"@monthly",  "0 0 1 * *"},
    {"@yearly",   "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

/* Reads a number or a name at *at and moves *at behind it. */
static bool read_value(const struct field *field, const char **at, unsigned *ret)
{
    if (isdigit((unsigned char)**at)) {
        unsigned value = 0;
        for (; isdigit((unsigned char)**at); (*at)++)
            if ((value = value * 10 + (unsigned)(**at - '0')) > 999)
                return false;
        *ret = value;
        return value >= field->minimum && value <= field->maximum;
    }
    for (unsigned i = 0; field->names && field->names[i]; i++) {
        if (strncasecmp(*at, field->names[i], 3) != 0 || isalnum((unsigned char)(*at)[3]))
            continue;
        *at += 3;
        *ret = field->minimum + i;
        return true;
    }
    return false;
}

/* Reads the step behind '/', when there is one. */
static bool read_step(const char **at, unsigned *ret)
{
    *ret = 1;
    if (**at != '/')
        return true;
    unsigned step = 0;
    for ((*at)++; isdigit((unsigned char)**at) && step < 1000; (*at)++)
        step = step * 10 + (unsigned)(**at - '0');
    *ret = step;
    return step > 0;
}

/* One element of a list: "*", "5", "1-5", "mon-fri", with "/2" behind all but a single value. */
static int read_element(const struct field *field, const char **at, uint64_t *bits,
                        struct sl_err *err)
{
    const char *start = *at;
    unsigned from = field->minimum, to = field->maximum, step;
    bool ranged = **at == '*';
    if (ranged) {
        (*at)++;
    } else {
        if (!read_value(field, at, &from))
            goto malformed;
        to = from;
        if (**at == '-') {
            ranged = true;
            (*at)++;
            if (!read_value(field, at, &to))
                goto malformed;
        }
    }
    if (from > to)
        return sl_err_set(err, SL_CONFIG,
                          "the range \"%.*s\" of the field %s ends before it begins: write it as "
                          "two ranges",
                          (int)(*at - start), start, field->name);
    if (**at == '/' && !ranged)
        return sl_err_set(err, SL_CONFIG, "a step (/) in the field %s needs a range or * before it",
                          field->name);
    if (!read_step(at, &step) || (**at && **at != ',' && **at != ' '))
        goto malformed;
    for (unsigned value = from; value <= to; value += step)
        *bits |= UINT64_C(1) << value;
    return SL_OK;

malformed:
    return sl_err_set(err, SL_CONFIG, "\"%.*s\" is no %s (%u-%u%s)", (int)strcspn(start, " ,"),
                      start, field->name, field->minimum, field->maximum,
                      field->names == MONTHS     ? " or jan-dec"
                      : field->names == WEEKDAYS ? " or sun-sat"
                                                 : "");
}

static int read_field(const struct field *field, const char **at, uint64_t *ret, struct sl_err *err)
{
    uint64_t bits = 0;
    for (;;) {
        int rc = read_element(field, at, &bits, err);
        if (rc != SL_OK)
            return rc;
        if (**at != ',')
            break;
        (*at)++;
    }
    *ret = bits;
    return SL_OK;
}

static const char *expand(const char *text)
{
    for (size_t i = 0; i < sizeof MACROS / sizeof MACROS[0]; i++)
        if (!strcasecmp(text, MACROS[i].name))
            return MACROS[i].meaning;
    return text;
}

int sl_schedule_parse_cron(const char *text, struct sl_schedule *ret, struct sl_err *err)
{
    uint64_t bits[5] = {0};
    bool any[5] = {false};
    const char *at = expand(text);
    for (unsigned i = 0; i < 5; i++) {
        at += strspn(at, " ");
        if (!*at)
            return sl_err_set(err, SL_CONFIG,
                              "a cron expression has five fields (minute, hour, day of month, "
                              "month, day of week), this one has %u",
                              i);
        any[i] = *at == '*';
        int rc = read_field(&FIELDS[i], &at, &bits[i], err);
        if (rc != SL_OK)
            return rc;
    }
    if (at[strspn(at, " ")])
        return sl_err_set(err, SL_CONFIG,
                          "a cron expression has five fields, this one has more (seconds are not "
                          "among them)");
    struct sl_schedule schedule = {
        .minutes = bits[0],
        .hours = (uint32_t)bits[1],
        .days = (uint32_t)bits[2],
        .months = (uint32_t)bits[3],
        .weekdays = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7f),
        .any_day = any[2],
        .any_weekday = any[4],
    };
    if (sl_schedule_next(&schedule, 0) < 0)
        return sl_err_set(err, SL_CONFIG, "no month has such a day, so it would never run");
    *ret = schedule;
    return SL_OK;
}

struct date {
    int64_t year;
    unsigned month, day;
};

static unsigned days_in_month(int64_t year, unsigned month)
{
    int64_t next =
        month == 12 ? sl_days_from_civil(year + 1, 1, 1) : sl_days_from_civil(year, month + 1, 1);
    return (unsigned)(next - sl_days_from_civil(year, month, 1));
}

static struct date date_of(int64_t days)
{
    struct date date = {1970 + days / 366, 1, 1};
    while (sl_days_from_civil(date.year + 1, 1, 1) <= days)
        date.year++;
    while (date.month < 12 && sl_days_from_civil(date.year, date.month + 1, 1) <= days)
        date.month++;
    date.day = (unsigned)(days - sl_days_from_civil(date.year, date.month, 1)) + 1;
    return date;
}

static void next_day(struct date *date)
{
    if (++date->day <= days_in_month(date->year, date->month))
        return;
    date->day = 1;
    if (++date->month <= 12)
        return;
    date->month = 1;
    date->year++;
}

static bool means_day(const struct sl_schedule *schedule, int64_t days, const struct date *date)
{
    if (!(schedule->months >> date->month & 1))
        return false;
    bool day = schedule->days >> date->day & 1;
    bool weekday = schedule->weekdays >> ((days + 4) % 7) & 1; /* 1970-01-01 was a Thursday */
    return schedule->any_day || schedule->any_weekday ? day && weekday : day || weekday;
}

/* The first minute of the day at or after minute that is meant, or -1. */
static int minute_in_day(const struct sl_schedule *schedule, int minute)
{
    for (; minute < MINUTES_A_DAY; minute++) {
        if (!(schedule->hours >> (minute / 60) & 1))
            minute += 59 - minute % 60; /* to the hour's end */
        else if (schedule->minutes >> (minute % 60) & 1)
            return minute;
    }
    return -1;
}

int64_t sl_schedule_next(const struct sl_schedule *schedule, int64_t after_wall_ms)
{
    if (schedule->every_ms)
        return after_wall_ms + (int64_t)schedule->every_ms;
    int64_t minute = after_wall_ms < 0 ? 0 : after_wall_ms / MINUTE_MS + 1;
    int64_t days = minute / MINUTES_A_DAY;
    int start = (int)(minute % MINUTES_A_DAY);
    struct date date = date_of(days);
    for (int64_t last = days + DAYS_TO_SEARCH; days <= last; days++, start = 0) {
        int found = means_day(schedule, days, &date) ? minute_in_day(schedule, start) : -1;
        if (found >= 0)
            return (days * MINUTES_A_DAY + found) * MINUTE_MS;
        next_day(&date);
    }
    return -1;
}
