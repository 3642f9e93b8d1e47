/* What every driver of a CSV parser shares: the file in memory, the clock, the sums.
 *
 *   bench-csv-NAME FILE PASSES [WAY]
 *
 * The parser must give the cells of each row unquoted. One pass more than PASSES, the first, is not
 * timed: it hashes every cell, so that it can be seen that all parsers found the same ones. */
#ifndef BENCH_CSV_DRIVE_H
#define BENCH_CSV_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tally {
    uint64_t rows, cells, bytes; /* bytes of all cells, unquoted */
    uint64_t hash;
    bool hashing;
};

/* FNV-1a, with an end of cell and an end of row. */
static inline void tally_hash(struct tally *tally, const void *data, size_t size, unsigned char end)
{
    const unsigned char *at = data;
    for (size_t i = 0; i < size; i++)
        tally->hash = (tally->hash ^ at[i]) * 0x100000001b3u;
    tally->hash = (tally->hash ^ end) * 0x100000001b3u;
}

static inline void tally_cell(struct tally *tally, const void *data, size_t size)
{
    tally->cells++;
    tally->bytes += size;
    if (tally->hashing)
        tally_hash(tally, data, size, 0x1f);
}

static inline void tally_row(struct tally *tally)
{
    tally->rows++;
    if (tally->hashing)
        tally_hash(tally, "", 0, 0x1e);
}

/* The driver's own: parses all of data and tallies it. way is NULL when none was named. False with
 * a message on stderr when it cannot. */
bool drive_parse(const char *data, size_t size, const char *way, struct tally *tally);

#endif
