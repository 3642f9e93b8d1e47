/* Clocks. Loop time decides about waiting; wall time only stamps data. */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t sl_now_ms(void); /* monotonic, milliseconds */
uint64_t sl_now_ns(void); /* monotonic, nanoseconds */
int64_t sl_wall_ms(void); /* milliseconds since 1970, UTC */
int64_t sl_wall_us(void); /* microseconds */

/* A wall clock's milliseconds, as a message may claim them, in microseconds; 0 when they are beyond
 * all reason. */
int64_t sl_us_of_ms(int64_t ms);

/* Writes "2026-11-22T03:10:00.120Z" (24 characters and NUL). */
#define SL_ISO_BYTES 32
void sl_iso_format(int64_t wall_ms, char out[SL_ISO_BYTES]);

/* Reads ISO 8601 ("2026-11-22", "…T03:10:00", fraction of any length, "Z" or "+hh:mm"; a blank may
 * stand for the T; no zone means UTC). False when it is not one, or the day does not exist. */
bool sl_iso_parse(const char *text, size_t length, int64_t *ret_wall_ms);

/* Days since 1970-01-01 of a proleptic Gregorian date. */
int64_t sl_days_from_civil(int64_t year, unsigned month, unsigned day);

#endif
