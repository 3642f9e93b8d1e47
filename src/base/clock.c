#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t sl_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t sl_now_ms(void)
{
    return sl_now_ns() / 1000000u;
}

int64_t sl_wall_us(void)
{
    return (int64_t)(read_clock(CLOCK_REALTIME) / 1000u);
}

int64_t sl_us_of_ms(int64_t ms)
{
    return ms < 0 || ms > INT64_MAX / 1000 ? 0 : ms * 1000;
}

int64_t sl_wall_ms(void)
{
    return sl_wall_us() / 1000;
}

int64_t sl_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    /* Years begin in March, so that the leap day is the last of its year. */
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void sl_iso_format(int64_t wall_ms, char out[SL_ISO_BYTES])
{
    int64_t ms = wall_ms % 1000;
    if (ms < 0)
        ms += 1000;
    time_t seconds = (time_t)((wall_ms - ms) / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    snprintf(out, SL_ISO_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u,
             (unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u,
             (unsigned)tm.tm_sec % 100u, (unsigned)ms % 1000u);
}

struct cursor {
    const char *at, *end;
};

/* Exactly count digits; false when they are not there. */
static bool digits(struct cursor *c, int count, unsigned *ret)
{
    unsigned value = 0;
    if (c->end - c->at < count)
        return false;
    for (int i = 0; i < count; i++) {
        char d = c->at[i];
        if (d < '0' || d > '9')
            return false;
        value = value * 10 + (unsigned)(d - '0');
    }
    c->at += count;
    *ret = value;
    return true;
}

static bool skip(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool fraction(struct cursor *c, unsigned *ret_ms)
{
    unsigned ms = 0, weight = 100;
    const char *start = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        ms += (unsigned)(*c->at++ - '0') * weight;
        weight /= 10;
    }
    *ret_ms = ms;
    return c->at > start;
}

static bool zone(struct cursor *c, int64_t *ret_offset_minutes)
{
    *ret_offset_minutes = 0;
    if (c->at == c->end || skip(c, 'Z') || skip(c, 'z'))
        return true;
    bool minus = *c->at == '-';
    unsigned hours, minutes = 0;
    if (!skip(c, '+') && !skip(c, '-'))
        return false;
    if (!digits(c, 2, &hours) || hours > 18)
        return false;
    if ((skip(c, ':') || c->at < c->end) && (!digits(c, 2, &minutes) || minutes > 59))
        return false;
    *ret_offset_minutes = (int64_t)(hours * 60 + minutes) * (minus ? -1 : 1);
    return true;
}

bool sl_iso_parse(const char *text, size_t length, int64_t *ret_wall_ms)
{
    struct cursor c = {text, text + length};
    unsigned year, month, day, hour = 0, minute = 0, second = 0, ms = 0;
    int64_t offset = 0;

    if (!digits(&c, 4, &year) || !skip(&c, '-') || !digits(&c, 2, &month) || !skip(&c, '-') ||
        !digits(&c, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    if (c.at < c.end) {
        if (!skip(&c, 'T') && !skip(&c, 't') && !skip(&c, ' '))
            return false;
        if (!digits(&c, 2, &hour) || !skip(&c, ':') || !digits(&c, 2, &minute))
            return false;
        if (skip(&c, ':') && (!digits(&c, 2, &second) || (skip(&c, '.') && !fraction(&c, &ms))))
            return false;
        if (!zone(&c, &offset) || hour > 23 || minute > 59 || second > 59)
            return false;
    }
    if (c.at != c.end)
        return false;
    int64_t seconds = sl_days_from_civil(year, month, day) * 86400 +
                      (int64_t)(hour * 3600 + minute * 60 + second) - offset * 60;
    *ret_wall_ms = seconds * 1000 + ms;
    return true;
}
