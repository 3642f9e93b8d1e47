/* A histogram of durations with a bounded relative error (under 3.2 %), in the manner of
 * HdrHistogram: 32 linear steps in each power of two. Values are microseconds. */
#ifndef SL_BASE_HISTOGRAM_H
#define SL_BASE_HISTOGRAM_H

#include <stdint.h>

struct sl_histogram;

struct sl_histogram *sl_histogram_new(void);
void sl_histogram_free(struct sl_histogram *histogram);
void sl_histogram_clear(struct sl_histogram *histogram);

/* Records value_us count times. */
void sl_histogram_add(struct sl_histogram *histogram, uint64_t value_us, uint64_t count);

uint64_t sl_histogram_count(const struct sl_histogram *histogram);
uint64_t sl_histogram_sum_us(const struct sl_histogram *histogram);
uint64_t sl_histogram_max_us(const struct sl_histogram *histogram);

/* The last minute (up to a third of one more) is counted beside, in slices: to be called every
 * SL_HISTOGRAM_SLICE_MS. */
enum { SL_HISTOGRAM_SLICE_MS = 20 * 1000 };
void sl_histogram_turn(struct sl_histogram *histogram);

/* What was recorded in the last minute, as a histogram of its own: the caller frees it. */
struct sl_histogram *sl_histogram_recent(const struct sl_histogram *histogram);

/* The value below or at which the share (0..1) of all recorded values lies; 0 when empty. */
uint64_t sl_histogram_quantile_us(const struct sl_histogram *histogram, double share);

/* How many values are at or below limit_us, exact to a step: for Prometheus buckets. */
uint64_t sl_histogram_count_to(const struct sl_histogram *histogram, uint64_t limit_us);

#endif
