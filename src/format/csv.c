/* The CSV parser's buffer, and its walk along the structural bytes that the scan found. */
#include "format/csv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/csv_own.h"

enum { BLOCK = 64, MAX_ROW = 1 << 30, CAPACITY_FIRST = 4 * SL_CSV_SPACE_BYTES, CELLS_FIRST = 64 };

struct sl_csv *sl_csv_new(char delimiter, size_t max_row_bytes)
{
    struct sl_csv *csv = SL_NEW(struct sl_csv);
    csv->delimiter = delimiter;
    csv->max_row = max_row_bytes < MAX_ROW ? max_row_bytes : MAX_ROW;
    csv->scan = sl_csv_scan_choose();
    csv->capacity = CAPACITY_FIRST;
    csv->buf = sl_alloc(csv->capacity + BLOCK);
    csv->masks = sl_alloc(csv->capacity / BLOCK * sizeof *csv->masks);
    csv->room = CELLS_FIRST;
    csv->cells = sl_alloc(csv->room * sizeof *csv->cells);
    csv->copies = sl_alloc(csv->room * sizeof *csv->copies);
    csv->line = csv->row_line = 1;
    csv->cr = csv->quote = -2;
    return csv;
}

void sl_csv_free(struct sl_csv *csv)
{
    if (!csv)
        return;
    free(csv->buf);
    free(csv->masks);
    free(csv->cells);
    free(csv->copies);
    free(csv->scratch);
    free(csv);
}

/* Throws away what has been walked and is not needed: whole blocks before the row. */
static void compact(struct sl_csv *csv)
{
    size_t keep = csv->oversize ? csv->length : (size_t)csv->row;
    size_t blocks = keep / BLOCK, shift = blocks * BLOCK;
    if (!shift)
        return;
    size_t words = (csv->scanned + BLOCK - 1) / BLOCK;
    memmove(csv->buf, csv->buf + shift, csv->length - shift);
    if (words > blocks)
        memmove(csv->masks, csv->masks + blocks, (words - blocks) * sizeof *csv->masks);
    csv->length -= shift;
    csv->scanned -= shift;
    csv->word -= blocks;
    csv->row -= (int64_t)shift;
    csv->cell -= (int64_t)shift;
    csv->quote -= (int64_t)shift;
    csv->cr -= (int64_t)shift;
}

char *sl_csv_space(struct sl_csv *csv, size_t *ret_size)
{
    uintptr_t row = (uintptr_t)csv->buf + (uintptr_t)csv->row;
    if (csv->capacity - csv->length < CAPACITY_FIRST / 2)
        compact(csv);
    if (csv->capacity - csv->length < SL_CSV_SPACE_BYTES) {
        /* An unfinished row is at most max_row long here: that and some space is all it takes. */
        size_t most = (csv->max_row / BLOCK + 2) * BLOCK + (size_t)2 * SL_CSV_SPACE_BYTES;
        bool enough = most >= csv->length + SL_CSV_SPACE_BYTES && most < csv->capacity * 2;
        csv->capacity = enough ? most : csv->capacity * 2;
        csv->buf = sl_realloc(csv->buf, csv->capacity + BLOCK);
        csv->masks = sl_realloc(csv->masks, csv->capacity / BLOCK * sizeof *csv->masks);
    }
    ptrdiff_t moved = (ptrdiff_t)((uintptr_t)csv->buf + (uintptr_t)csv->row - row);
    for (uint32_t i = 0; moved && i < csv->count; i++)
        csv->cells[i].at += moved;
    *ret_size = csv->capacity - csv->length;
    return csv->buf + csv->length;
}

void sl_csv_filled(struct sl_csv *csv, size_t size)
{
    csv->length += size;
}

void sl_csv_finish(struct sl_csv *csv)
{
    csv->finished = true;
}

/* Drops a byte order mark; false while the first bytes do not tell yet. */
static bool start(struct sl_csv *csv)
{
    static const char mark[3] = "\xef\xbb\xbf";
    size_t size = csv->length < sizeof mark ? csv->length : sizeof mark;
    if (memcmp(csv->buf, mark, size) == 0) {
        if (size < sizeof mark && !csv->finished)
            return false;
        if (size == sizeof mark)
            csv->row = csv->cell = sizeof mark;
    }
    csv->started = true;
    return true;
}

/* Runs the scan over the bytes that have come. The last block is scanned again when it fills up:
 * what the walk has passed in it stays passed. */
static void scan(struct sl_csv *csv)
{
    if (csv->scanned == csv->length)
        return;
    size_t first = csv->scanned / BLOCK, last = (csv->length + BLOCK - 1) / BLOCK;
    csv->scan(csv->buf + first * BLOCK, last - first, csv->delimiter, csv->masks + first);
    if (csv->length % BLOCK)
        csv->masks[last - 1] &= (1ull << csv->length % BLOCK) - 1;
    if (csv->word == first)
        csv->todo |= csv->masks[first] & (~0ull << csv->scanned % BLOCK);
    csv->scanned = csv->length;
}

/* --- the walk --- */

/* A place among the structural bytes. */
struct place {
    const uint64_t *masks;
    size_t word, words;
    uint64_t todo;
};

/* Goes to the next structural byte: below 0 when none is left. It is passed by pass(). */
static inline int64_t look(struct place *place)
{
    while (!place->todo) {
        if (place->word + 1 >= place->words)
            return -1;
        place->todo = place->masks[++place->word];
    }
    return (int64_t)(place->word * BLOCK) + __builtin_ctzll(place->todo);
}

static inline void pass(struct place *place)
{
    place->todo &= place->todo - 1;
}

/* From the opening quote at place to the delimiter behind the closing one. Below 0: it is no such
 * plain cell, has line ends in it, or is not all there. */
static inline int64_t pass_quoted(const struct sl_csv *csv, struct place *place)
{
    int64_t quote, end;
    pass(place);
    while ((quote = look(place)) >= 0 && csv->buf[quote] == csv->delimiter)
        pass(place);
    if (quote < 0 || csv->buf[quote] != '"')
        return -1;
    pass(place);
    end = look(place);
    if (end != quote + 1 || csv->buf[end] != csv->delimiter)
        return -1;
    pass(place);
    return end;
}

/* Passes as many cells as are simple, which most are: with nothing but a delimiter behind them, or
 * quoted as a whole. Says the same as sl_csv_step() would, in a tight loop. */
static void walk_simple(struct sl_csv *csv, struct place *place)
{
    const char *buf = csv->buf, delimiter = csv->delimiter;
    struct sl_str *cells = csv->cells;
    const uint32_t room = csv->room;
    int64_t at, cell = csv->cell;
    uint32_t count = csv->count;
    while (count < room && (at = look(place)) >= 0) {
        if (buf[at] == delimiter) {
            cells[count++] = (struct sl_str){buf + cell, (size_t)(at - cell)};
            pass(place);
            cell = at + 1;
            continue;
        }
        if (buf[at] != '"')
            break;
        if (at != cell) { /* inside of a cell it says nothing */
            pass(place);
            continue;
        }
        struct place ahead = *place;
        int64_t end = pass_quoted(csv, &ahead);
        if (end < 0)
            break;
        cells[count++] = (struct sl_str){buf + cell + 1, (size_t)(end - cell - 2)};
        *place = ahead;
        cell = end + 1;
    }
    csv->cell = cell;
    csv->count = count;
}

enum sl_csv_result sl_csv_next(struct sl_csv *csv, struct sl_csv_row *ret)
{
    enum sl_csv_result result;
    if (!csv->started && !start(csv))
        return SL_CSV_MORE;
    scan(csv);

    struct place place = {csv->masks, csv->word, (csv->scanned + BLOCK - 1) / BLOCK, csv->todo};
    bool out = false;
    while (!out) {
        if (csv->state == SL_CSV_PLAIN && !csv->oversize)
            walk_simple(csv, &place);
        int64_t at = look(&place);
        if (at < 0)
            break;
        pass(&place);
        out = sl_csv_step(csv, at, csv->buf[at], ret, &result);
    }
    csv->word = place.word;
    csv->todo = place.todo;
    if (out)
        return result;
    if (!csv->oversize && csv->length - (size_t)csv->row > csv->max_row)
        sl_csv_give_up_row(csv);
    return csv->finished ? sl_csv_last_row(csv, ret) : SL_CSV_MORE;
}
