/* The simulator's clocks. */
#include "sim/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t sim_clock_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t sim_clock_steady_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

static void split(int64_t at_ms, struct tm *ret_tm)
{
    time_t seconds = (time_t)(at_ms / 1000);
    gmtime_r(&seconds, ret_tm);
}

void sim_clock_iso(int64_t at_ms, char *out, size_t size)
{
    struct tm tm;
    split(at_ms, &tm);
    if (strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

void sim_clock_iso_ms(int64_t at_ms, char *out, size_t size)
{
    struct tm tm;
    split(at_ms, &tm);
    size_t len = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, size - len, ".%03dZ", (int)(at_ms % 1000));
}

int64_t sim_clock_parse(const char *iso)
{
    struct tm tm = {0};
    const char *end = strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end || strcmp(end, "Z") != 0)
        return -1;
    return (int64_t)timegm(&tm) * 1000;
}

void sim_clock_http(int64_t at_ms, char *out, size_t size)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    split(at_ms, &tm);
    snprintf(out, size, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}
