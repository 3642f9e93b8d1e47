/* Stage 2 of the CSV parser: walks the structural bytes that the scan found.
 *
 *                 delimiter, line end              quote doubled
 *                  ┌───────┐                          ┌────┐
 *                  ▼       │   quote at cell's start  ▼    │
 *     begin ───► PLAIN ────┴──────────────────────► QUOTED │
 *                  ▲                        quote │   ▲    │
 *                  │ delimiter, line end          ▼   │    │
 *                  ├────────────────────────── CLOSED ┴────┘
 *                  │ delimiter, line end          │ anything else
 *                  └─────────────────────────── TAIL
 *
 * Positions are offsets into the buffer; cells are kept relative to their row, because the buffer
 * moves when the unfinished row is shifted to its front. It moves by whole blocks of 64 bytes, so
 * that the masks move with it. A CR ends a row at once; an LF right after it is swallowed when it
 * comes. */
#include "format/csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/csv_scan.h"

enum { BLOCK = 64, CAPACITY_FIRST = 4 * SL_CSV_SPACE_BYTES, CELLS_FIRST = 64 };

enum state {
    PLAIN,  /* at a cell's start, or in a cell without quotes */
    QUOTED, /* between quotes */
    CLOSED, /* after a quote that either closes or is the first of two */
    TAIL,   /* in text after the closing quote */
};

struct mark {
    uint32_t start, end; /* of the content, relative to the row */
};

struct sl_csv {
    char delimiter;
    size_t max_row;
    sl_csv_scan_fn scan;

    char *buf; /* one block longer than capacity, for the scan */
    size_t capacity, length;
    uint64_t *masks;
    size_t word;    /* of masks: where the walk is */
    uint64_t todo;  /* structural bytes of that word still to be walked */
    size_t scanned; /* up to here masks are right */
    bool finished, started;

    enum state state;
    int64_t row, cell; /* where they begin; below 0 when that has been thrown away */
    int64_t quote, cr; /* the last quote in CLOSED, the last CR */
    uint32_t line, row_line;
    bool escaped; /* the present cell must be copied to lose its quotes */
    bool copies;  /* some cell of the row must */

    struct mark *marks; /* bit 31 of end: must be copied */
    struct sl_str *cells;
    uint32_t count, room;
    char *scratch;
    size_t scratch_size;

    bool oversize; /* the present row is being skipped */
    char excerpt[SL_CSV_EXCERPT_BYTES];
    size_t excerpt_size;
};

#define COPY 0x80000000u

struct sl_csv *sl_csv_new(char delimiter, size_t max_row_bytes)
{
    struct sl_csv *csv = SL_NEW(struct sl_csv);
    csv->delimiter = delimiter;
    csv->max_row = max_row_bytes < COPY / 2 ? max_row_bytes : COPY / 2;
    csv->scan = sl_csv_scan_choose();
    csv->capacity = CAPACITY_FIRST;
    csv->buf = sl_alloc(csv->capacity + BLOCK);
    csv->masks = sl_alloc(csv->capacity / BLOCK * sizeof *csv->masks);
    csv->room = CELLS_FIRST;
    csv->marks = sl_alloc(csv->room * sizeof *csv->marks);
    csv->cells = sl_alloc(csv->room * sizeof *csv->cells);
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
    free(csv->marks);
    free(csv->cells);
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

static void grow_cells(struct sl_csv *csv)
{
    csv->room *= 2;
    csv->marks = sl_realloc(csv->marks, csv->room * sizeof *csv->marks);
    csv->cells = sl_realloc(csv->cells, csv->room * sizeof *csv->cells);
}

/* The row is too large: from here on it is only walked, not kept. */
static void give_up_row(struct sl_csv *csv)
{
    size_t have = csv->length - (size_t)csv->row;
    csv->excerpt_size = have < sizeof csv->excerpt ? have : sizeof csv->excerpt;
    if (csv->excerpt_size > csv->max_row)
        csv->excerpt_size = csv->max_row;
    memcpy(csv->excerpt, csv->buf + csv->row, csv->excerpt_size);
    csv->oversize = true;
}

static inline void end_cell(struct sl_csv *csv, int64_t at)
{
    if (csv->oversize)
        return;
    if (csv->count == csv->room) {
        if (csv->count == SL_CSV_CELLS_MAX) {
            give_up_row(csv);
            return;
        }
        grow_cells(csv);
    }
    struct mark *mark = &csv->marks[csv->count++];
    if (csv->state == PLAIN) {
        *mark = (struct mark){(uint32_t)(csv->cell - csv->row), (uint32_t)(at - csv->row)};
        return;
    }
    bool tail = csv->quote + 1 != at;
    int64_t end = tail ? at : csv->quote;
    *mark = (struct mark){(uint32_t)(csv->cell + 1 - csv->row), (uint32_t)(end - csv->row)};
    if (tail || csv->escaped) {
        mark->end |= COPY;
        csv->copies = true;
    }
}

/* Copies a quoted cell (from after its opening quote) without its quotes: of two one stays, a
 * single one closes, and what follows it is kept as it is. */
static size_t unquote(char *out, const char *at, const char *end)
{
    char *begin = out;
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        size_t run = (size_t)((quote ? quote : end) - at);
        memcpy(out, at, run);
        out += run;
        if (!quote)
            break;
        if (quote + 1 < end && quote[1] == '"') {
            *out++ = '"';
            at = quote + 2;
            continue;
        }
        run = (size_t)(end - (quote + 1));
        memcpy(out, quote + 1, run);
        out += run;
        break;
    }
    return (size_t)(out - begin);
}

static void fill_cells(struct sl_csv *csv, size_t row_bytes)
{
    const char *row = csv->buf + csv->row;
    if (!csv->copies) {
        for (uint32_t i = 0; i < csv->count; i++) {
            struct mark mark = csv->marks[i];
            csv->cells[i] = (struct sl_str){row + mark.start, mark.end - mark.start};
        }
        return;
    }
    if (csv->scratch_size < row_bytes) {
        free(csv->scratch);
        csv->scratch_size = row_bytes < 4096 ? 4096 : row_bytes;
        csv->scratch = sl_alloc(csv->scratch_size);
    }
    char *out = csv->scratch;
    for (uint32_t i = 0; i < csv->count; i++) {
        struct mark mark = csv->marks[i];
        uint32_t end = mark.end & ~COPY;
        csv->cells[i] = (struct sl_str){row + mark.start, end - mark.start};
        if (mark.end & COPY) {
            size_t size = unquote(out, row + mark.start, row + end);
            csv->cells[i] = (struct sl_str){out, size};
            out += size;
        }
    }
}

/* The row ends at position at; next is where the following one begins. */
static enum sl_csv_result end_row(struct sl_csv *csv, int64_t at, int64_t next,
                                  struct sl_csv_row *ret)
{
    enum sl_csv_result result = SL_CSV_ROW;
    if (!csv->oversize && (uint64_t)(at - csv->row) > csv->max_row)
        give_up_row(csv);
    if (csv->oversize) {
        *ret = (struct sl_csv_row){
            NULL, 0, csv->row_line, {csv->excerpt, csv->excerpt_size}
        };
        result = SL_CSV_OVERSIZE;
    } else {
        size_t size = (size_t)(at - csv->row);
        fill_cells(csv, size);
        *ret = (struct sl_csv_row){
            csv->cells, csv->count, csv->row_line, {csv->buf + csv->row, size}
        };
    }
    csv->oversize = csv->escaped = csv->copies = false;
    csv->count = 0;
    csv->state = PLAIN;
    csv->row = csv->cell = next;
    csv->row_line = csv->line;
    return result;
}

/* A delimiter or a line end outside quotes. True when a row is out. */
static inline bool part(struct sl_csv *csv, int64_t at, char c, struct sl_csv_row *ret,
                        enum sl_csv_result *ret_result)
{
    if (c == csv->delimiter) {
        end_cell(csv, at);
        csv->cell = at + 1;
        csv->state = PLAIN;
        csv->escaped = false;
        return false;
    }
    if (at == csv->row) { /* nothing on this line: the LF of a CRLF, or a blank line */
        if (c == '\r' || csv->cr + 1 != at)
            csv->line++;
        csv->row_line = csv->line;
        csv->row = csv->cell = at + 1;
        if (c == '\r')
            csv->cr = at;
        return false;
    }
    if (c == '\r')
        csv->cr = at;
    csv->line++;
    end_cell(csv, at);
    *ret_result = end_row(csv, at, at + 1, ret);
    return true;
}

/* One structural byte. True when a row is out. */
static inline bool step(struct sl_csv *csv, int64_t at, char c, struct sl_csv_row *ret,
                        enum sl_csv_result *ret_result)
{
    switch (csv->state) {
    case PLAIN:
        if (c != '"')
            return part(csv, at, c, ret, ret_result);
        if (at == csv->cell)
            csv->state = QUOTED;
        return false;
    case QUOTED:
        if (c == '"') {
            csv->state = CLOSED;
            csv->quote = at;
        } else if (c == '\r') {
            csv->line++;
            csv->cr = at;
        } else if (c == '\n' && csv->cr + 1 != at) {
            csv->line++;
        }
        return false;
    case CLOSED:
        if (c == '"' && at == csv->quote + 1) {
            csv->state = QUOTED;
            csv->escaped = true;
            return false;
        }
        if (c == '"') {
            csv->state = TAIL;
            return false;
        }
        return part(csv, at, c, ret, ret_result);
    case TAIL:
        return c != '"' && part(csv, at, c, ret, ret_result);
    }
    return false;
}

/* What is left when the input has ended without a line end. */
static enum sl_csv_result last_row(struct sl_csv *csv, struct sl_csv_row *ret)
{
    int64_t end = (int64_t)csv->length;
    if (csv->row == end && !csv->oversize)
        return SL_CSV_END;
    if (csv->state == QUOTED && !csv->oversize) {
        give_up_row(csv);
        end_row(csv, end, end, ret);
        return SL_CSV_UNCLOSED;
    }
    end_cell(csv, end);
    return end_row(csv, end, end, ret);
}

enum sl_csv_result sl_csv_next(struct sl_csv *csv, struct sl_csv_row *ret)
{
    enum sl_csv_result result;
    if (!csv->started && !start(csv))
        return SL_CSV_MORE;
    scan(csv);

    size_t words = (csv->scanned + BLOCK - 1) / BLOCK;
    for (;;) {
        while (!csv->todo) {
            if (csv->word + 1 >= words)
                goto dry;
            csv->todo = csv->masks[++csv->word];
        }
        int64_t at = (int64_t)(csv->word * BLOCK) + __builtin_ctzll(csv->todo);
        csv->todo &= csv->todo - 1;
        if (step(csv, at, csv->buf[at], ret, &result))
            return result;
    }
dry:
    if (!csv->oversize && csv->length - (size_t)csv->row > csv->max_row)
        give_up_row(csv);
    return csv->finished ? last_row(csv, ret) : SL_CSV_MORE;
}
