#include "base/histogram.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SUB_BITS = 5, SUB = 1 << SUB_BITS, OCTAVES = 36, STEPS = (OCTAVES + 1) * SUB };
enum { SLICES = 4 }; /* the one that is being filled, and a minute of whole ones */

struct slice {
    uint64_t sum_us, max_us;
    uint32_t steps[STEPS];
};

struct sl_histogram {
    uint64_t count, sum_us, max_us;
    uint64_t steps[STEPS];
    struct slice slices[SLICES];
    unsigned slice; /* being filled */
};

struct sl_histogram *sl_histogram_new(void)
{
    return SL_NEW(struct sl_histogram);
}

void sl_histogram_free(struct sl_histogram *histogram)
{
    free(histogram);
}

void sl_histogram_clear(struct sl_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

/* Values below SUB are exact; above, the octave and the SUB_BITS bits after the leading one. */
static unsigned step_of(uint64_t value)
{
    if (value < SUB)
        return (unsigned)value;
    unsigned octave = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
    unsigned step = (octave + 1) * SUB + (unsigned)((value >> octave) & (SUB - 1));
    return step < STEPS ? step : STEPS - 1;
}

static uint64_t top_of(unsigned step)
{
    if (step < SUB)
        return step;
    unsigned octave = step / SUB - 1;
    return (((uint64_t)SUB + step % SUB + 1) << octave) - 1;
}

void sl_histogram_add(struct sl_histogram *histogram, uint64_t value_us, uint64_t count)
{
    unsigned step = step_of(value_us);
    struct slice *slice = &histogram->slices[histogram->slice];
    histogram->steps[step] += count;
    histogram->count += count;
    histogram->sum_us += value_us * count;
    if (value_us > histogram->max_us)
        histogram->max_us = value_us;
    slice->steps[step] += (uint32_t)count;
    slice->sum_us += value_us * count;
    if (value_us > slice->max_us)
        slice->max_us = value_us;
}

void sl_histogram_turn(struct sl_histogram *histogram)
{
    histogram->slice = (histogram->slice + 1) % SLICES;
    memset(&histogram->slices[histogram->slice], 0, sizeof *histogram->slices);
}

struct sl_histogram *sl_histogram_recent(const struct sl_histogram *histogram)
{
    struct sl_histogram *recent = sl_histogram_new();
    for (unsigned i = 0; i < SLICES; i++) {
        const struct slice *slice = &histogram->slices[i];
        for (unsigned step = 0; step < STEPS; step++) {
            recent->steps[step] += slice->steps[step];
            recent->count += slice->steps[step];
        }
        recent->sum_us += slice->sum_us;
        if (slice->max_us > recent->max_us)
            recent->max_us = slice->max_us;
    }
    return recent;
}

uint64_t sl_histogram_count(const struct sl_histogram *histogram)
{
    return histogram->count;
}

uint64_t sl_histogram_sum_us(const struct sl_histogram *histogram)
{
    return histogram->sum_us;
}

uint64_t sl_histogram_max_us(const struct sl_histogram *histogram)
{
    return histogram->max_us;
}

uint64_t sl_histogram_quantile_us(const struct sl_histogram *histogram, double share)
{
    if (!histogram->count)
        return 0;
    /* Rounded up, so that at least the share lies at or below the answer; 1e-6 absorbs 0.07 * 100.
     */
    double exact = share * (double)histogram->count - 1e-6;
    uint64_t wanted = exact > 0 ? (uint64_t)exact + 1 : 1, seen = 0;
    for (unsigned i = 0; i < STEPS; i++) {
        seen += histogram->steps[i];
        if (seen >= wanted)
            return top_of(i) < histogram->max_us ? top_of(i) : histogram->max_us;
    }
    return histogram->max_us;
}

uint64_t sl_histogram_count_to(const struct sl_histogram *histogram, uint64_t limit_us)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < STEPS && top_of(i) <= limit_us; i++)
        seen += histogram->steps[i];
    return seen;
}
