/* The CSV parser's buffer, and its walk along the structural bytes that the scan found. */
#include "format/csv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/csv_own.h"

/* Where the compiler shall lay the straight way: worth a twentieth here. */
#define mostly(condition) __builtin_expect(condition, 1)
#define rarely(condition) __builtin_expect(condition, 0)

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

/* Throws away what has been walked and is not needed: whole blocks before the row, and not the one
 * where the walk is. */
static void compact(struct sl_csv *csv)
{
    size_t keep = csv->oversize ? csv->length : (size_t)csv->row;
    size_t blocks = keep / BLOCK;
    if (blocks > csv->word)
        blocks = csv->word;
    if (!blocks)
        return;
    size_t shift = blocks * BLOCK, words = (csv->scanned + BLOCK - 1) / BLOCK;
    memmove(csv->buf, csv->buf + shift, csv->length - shift);
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
    static const char mark[] = {'\xef', '\xbb', '\xbf'};
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
    const uint64_t *mask, *last; /* of the present block, and of the last one */
    const char *block;
    uint64_t todo;
};

/* Goes to the next structural byte: NULL when none is left. It is passed by pass(). */
static inline const char *look(struct place *place)
{
    while (!place->todo) {
        if (place->mask >= place->last)
            return NULL;
        place->todo = *++place->mask;
        place->block += BLOCK;
    }
    return place->block + __builtin_ctzll(place->todo);
}

static inline void pass(struct place *place)
{
    place->todo &= place->todo - 1;
}

/* A cell that is quoted as a whole. */
struct quoted {
    const char *close; /* its closing quote */
    uint32_t lines;    /* that end in it */
    bool escaped;      /* there are doubled quotes in it */
};

/* From the opening quote at place to behind the closing one, which is the next that is not the
 * first of two. False when it has not come, or not what follows it, before end. */
static inline bool pass_quoted(struct place *place, const char *end, char delimiter,
                               struct quoted *ret)
{
    const char *at;
    *ret = (struct quoted){0};
    pass(place);
    while ((at = look(place))) {
        pass(place);
        if (*at != '"') {
            if (rarely(*at != delimiter))
                ret->lines += *at == '\r' || at[-1] != '\r';
            continue;
        }
        if (at + 1 >= end)
            return false;
        ret->close = at;
        if (at[1] != '"')
            return true;
        ret->escaped = true;
        look(place);
        pass(place);
    }
    return false;
}

/* Passes as many cells as have a delimiter behind them, quoted as a whole or not at all, which most
 * are. Says the same as sl_csv_step() would, in a tight loop, and leaves the rest to it. */
static void walk_simple(struct sl_csv *csv, struct place *to)
{
    struct place place = *to;
    const char delimiter = csv->delimiter;
    const char *at, *cell = csv->buf + csv->cell, *end = csv->buf + csv->scanned;
    struct sl_str *out = csv->cells + csv->count, *const out_end = csv->cells + csv->room;
    while (out < out_end && (at = look(&place))) {
        if (mostly(*at == delimiter)) {
            *out++ = (struct sl_str){cell, (size_t)(at - cell)};
            pass(&place);
            cell = at + 1;
            continue;
        }
        if (*at != '"')
            break;
        if (at != cell) { /* inside of a cell it says nothing */
            pass(&place);
            continue;
        }
        struct place ahead = place;
        struct quoted quoted;
        if (!pass_quoted(&ahead, end, delimiter, &quoted))
            break;
        place = ahead;
        csv->line += quoted.lines;
        if (rarely(quoted.close[1] != delimiter)) {
            csv->state = SL_CSV_CLOSED;
            csv->quote = quoted.close - csv->buf;
            csv->escaped = quoted.escaped;
            break;
        }
        look(&place);
        pass(&place);
        if (rarely(quoted.escaped))
            csv->copies[csv->copy_count++] = (uint32_t)(out - csv->cells);
        *out++ = (struct sl_str){cell + 1, (size_t)(quoted.close - cell - 1)};
        cell = quoted.close + 2;
    }
    csv->cell = cell - csv->buf;
    csv->count = (uint32_t)(out - csv->cells);
    *to = place;
}

enum sl_csv_result sl_csv_next(struct sl_csv *csv, struct sl_csv_row *ret)
{
    enum sl_csv_result result;
    if (!csv->started && !start(csv))
        return SL_CSV_MORE;
    scan(csv);

    size_t last = csv->scanned ? (csv->scanned - 1) / BLOCK : 0;
    struct place place = {csv->masks + csv->word, csv->masks + last, csv->buf + csv->word * BLOCK,
                          csv->todo};
    bool out = false;
    while (!out) {
        if (csv->state == SL_CSV_PLAIN && !csv->oversize)
            walk_simple(csv, &place);
        const char *at = look(&place);
        if (!at)
            break;
        pass(&place);
        out = sl_csv_step(csv, at - csv->buf, *at, ret, &result);
    }
    csv->word = (size_t)(place.mask - csv->masks);
    csv->todo = place.todo;
    if (out)
        return result;
    if (!csv->oversize && csv->length - (size_t)csv->row > csv->max_row)
        sl_csv_give_up_row(csv);
    return csv->finished ? sl_csv_last_row(csv, ret) : SL_CSV_MORE;
}
