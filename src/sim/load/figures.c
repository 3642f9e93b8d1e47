/* Latencies are kept one by one: a run of a million takes some hundred megabytes, and its
 * percentiles are exact. */
#include "sim/load/load.h"

#include <math.h>
#include <stdlib.h>

#define TICKS_PER_HALF 5

static int by_value(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

struct load_figures load_figures_of(int64_t *values, size_t count)
{
    struct load_figures figures = {.sorted = values, .count = count};
    if (count)
        qsort(values, count, sizeof(*values), by_value);
    for (size_t i = 0; i < count; i++)
        figures.mean_ns += (double)values[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        figures.deviation_ns += pow((double)values[i] - figures.mean_ns, 2) / (double)count;
    figures.deviation_ns = sqrt(figures.deviation_ns);
    return figures;
}

void load_figures_done(struct load_figures *figures)
{
    free(figures->sorted);
    *figures = (struct load_figures){0};
}

/* How many must be at or below; at least one. */
static size_t rank_of(const struct load_figures *figures, double share)
{
    double rank = ceil(share * (double)figures->count);
    if (rank < 1)
        return 1;
    return rank > (double)figures->count ? figures->count : (size_t)rank;
}

int64_t load_figures_at(const struct load_figures *figures, double share)
{
    return figures->count ? figures->sorted[rank_of(figures, share) - 1] : 0;
}

static double ms(double ns)
{
    return ns / 1e6;
}

/* The columns and their widths as HdrHistogram prints them; the last line has no fourth one. */
void load_figures_write(const struct load_figures *figures, struct sim_text *out)
{
    sim_text_printf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
                    "1/(1-Percentile)");
    double share = 0;
    size_t below = 0;
    while (figures->count) {
        size_t rank = rank_of(figures, share);
        int64_t value = figures->sorted[rank - 1];
        below = below > rank ? below : rank;
        while (below < figures->count && figures->sorted[below] == value)
            below++;
        if (below == figures->count)
            break;
        sim_text_printf(out, "%12.3f %2.12f %10zu %14.2f\n", ms((double)value), share, below,
                        1 / (1 - share));
        double halves = floor(log2(1 / (1 - share))) + 1;
        share += 1 / (TICKS_PER_HALF * exp2(halves));
    }
    int64_t most = load_figures_at(figures, 1);
    if (figures->count)
        sim_text_printf(out, "%12.3f %2.12f %10zu\n", ms((double)most), 1.0, figures->count);
    sim_text_printf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", ms(figures->mean_ns),
                    ms(figures->deviation_ns));
    sim_text_printf(out, "#[Max     = %12.3f, Total count    = %12zu]\n", ms((double)most),
                    figures->count);
    sim_text_printf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", 1, 1);
}
