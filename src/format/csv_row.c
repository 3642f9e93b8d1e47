/* Rows and cells: what a structural byte means.
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
 * A CR ends a row at once; an LF right after it is swallowed when it comes. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/csv_own.h"

static void grow_cells(struct sl_csv *csv)
{
    csv->room *= 2;
    csv->cells = sl_realloc(csv->cells, csv->room * sizeof *csv->cells);
    csv->copies = sl_realloc(csv->copies, csv->room * sizeof *csv->copies);
}

void sl_csv_give_up_row(struct sl_csv *csv)
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
            sl_csv_give_up_row(csv);
            return;
        }
        grow_cells(csv);
    }
    struct sl_str *cell = &csv->cells[csv->count];
    if (csv->state == SL_CSV_PLAIN) {
        *cell = (struct sl_str){csv->buf + csv->cell, (size_t)(at - csv->cell)};
        csv->count++;
        return;
    }
    bool tail = csv->quote + 1 != at;
    int64_t end = tail ? at : csv->quote;
    *cell = (struct sl_str){csv->buf + csv->cell + 1, (size_t)(end - csv->cell - 1)};
    if (tail || csv->escaped)
        csv->copies[csv->copy_count++] = csv->count;
    csv->count++;
}

/* Copies a quoted cell (from after its opening quote) without its quotes: of two one stays, a
 * single one closes, and what follows it is kept as it is: *ret_tail tells that there is such. */
static size_t unquote(char *out, const char *at, const char *end, bool *ret_tail)
{
    char *begin = out;
    *ret_tail = false;
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
        *ret_tail = true;
        run = (size_t)(end - (quote + 1));
        memcpy(out, quote + 1, run);
        out += run;
        break;
    }
    return (size_t)(out - begin);
}

/* Returns what the row's tail is. */
static uint32_t copy_cells(struct sl_csv *csv, size_t row_bytes)
{
    uint32_t first = 0;
    if (csv->scratch_size < row_bytes) {
        free(csv->scratch);
        csv->scratch_size = row_bytes < 4096 ? 4096 : row_bytes;
        csv->scratch = sl_alloc(csv->scratch_size);
    }
    char *out = csv->scratch;
    for (uint32_t i = 0; i < csv->copy_count; i++) {
        struct sl_str *cell = &csv->cells[csv->copies[i]];
        bool tail;
        size_t size = unquote(out, cell->at, cell->at + cell->length, &tail);
        *cell = (struct sl_str){out, size};
        out += size;
        if (tail && !first)
            first = csv->copies[i] + 1;
    }
    return first;
}

/* The row ends at position at; next is where the following one begins. */
static enum sl_csv_result end_row(struct sl_csv *csv, int64_t at, int64_t next,
                                  struct sl_csv_row *ret)
{
    enum sl_csv_result result = SL_CSV_ROW;
    if (!csv->oversize && (uint64_t)(at - csv->row) > csv->max_row)
        sl_csv_give_up_row(csv);
    if (csv->oversize) {
        *ret = (struct sl_csv_row){
            NULL, 0, csv->row_line, 0, {csv->excerpt, csv->excerpt_size}
        };
        result = SL_CSV_OVERSIZE;
    } else {
        size_t size = (size_t)(at - csv->row);
        uint32_t tail = csv->copy_count ? copy_cells(csv, size) : 0;
        *ret = (struct sl_csv_row){
            csv->cells, csv->count, csv->row_line, tail, {csv->buf + csv->row, size}
        };
    }
    csv->oversize = csv->escaped = false;
    csv->count = csv->copy_count = 0;
    csv->state = SL_CSV_PLAIN;
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
        csv->state = SL_CSV_PLAIN;
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

bool sl_csv_step(struct sl_csv *csv, int64_t at, char c, struct sl_csv_row *ret,
                 enum sl_csv_result *ret_result)
{
    switch (csv->state) {
    case SL_CSV_PLAIN:
        if (c != '"')
            return part(csv, at, c, ret, ret_result);
        if (at == csv->cell)
            csv->state = SL_CSV_QUOTED;
        return false;
    case SL_CSV_QUOTED:
        if (c == '"') {
            csv->state = SL_CSV_CLOSED;
            csv->quote = at;
        } else if (c == '\r') {
            csv->line++;
            csv->cr = at;
        } else if (c == '\n' && csv->cr + 1 != at) {
            csv->line++;
        }
        return false;
    case SL_CSV_CLOSED:
        if (c == '"' && at == csv->quote + 1) {
            csv->state = SL_CSV_QUOTED;
            csv->escaped = true;
            return false;
        }
        if (c == '"') {
            csv->state = SL_CSV_TAIL;
            return false;
        }
        return part(csv, at, c, ret, ret_result);
    case SL_CSV_TAIL:
        return c != '"' && part(csv, at, c, ret, ret_result);
    }
    return false;
}

enum sl_csv_result sl_csv_last_row(struct sl_csv *csv, struct sl_csv_row *ret)
{
    int64_t end = (int64_t)csv->length;
    if (csv->row == end && !csv->oversize)
        return SL_CSV_END;
    if (csv->state == SL_CSV_QUOTED && !csv->oversize) {
        sl_csv_give_up_row(csv);
        end_row(csv, end, end, ret);
        return SL_CSV_UNCLOSED;
    }
    end_cell(csv, end);
    return end_row(csv, end, end, ret);
}
