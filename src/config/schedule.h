/* When a feed runs: every so often, or at the times of a cron expression. All times are UTC. */
#ifndef SL_CONFIG_SCHEDULE_H
#define SL_CONFIG_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct sl_schedule {
    uint64_t every_ms; /* 0: by cron */
    uint64_t minutes;  /* bits 0-59 */
    uint32_t hours;    /* bits 0-23 */
    uint32_t days;     /* bits 1-31 */
    uint32_t months;   /* bits 1-12 */
    uint32_t weekdays; /* bits 0-6, Sunday is 0 */
    bool any_day;      /* the field of days began with '*' */
    bool any_weekday;
};

/* Reads a cron expression of five fields (minute, hour, day of month, month, day of week), each a
 * list of numbers, ranges and '*', these two with steps; months and days of the week have their
 * English names, too; 7 is Sunday. Also @hourly, @daily, @midnight, @weekly, @monthly, @yearly and
 * @annually. As in every cron, when both the day of month and the day of week are restricted, a day
 * that meets one of them is meant. Fails with SL_CONFIG, also when no day of any year is meant. */
int sl_schedule_parse_cron(const char *text, struct sl_schedule *ret, struct sl_err *err);

/* The first time after after_wall_ms (milliseconds since 1970), in milliseconds: after_wall_ms plus
 * every_ms, or the next minute that the cron expression means. -1 when none comes. */
int64_t sl_schedule_next(const struct sl_schedule *schedule, int64_t after_wall_ms);

#endif
