/* Inside of the CSV parser: csv.c has the buffer and walks it, csv_row.c makes cells and rows.
 *
 * Positions are offsets into the buffer; the views of an unfinished row's cells are moved when the
 * row is shifted to its front. It moves by whole blocks of 64 bytes, so that the masks of the scan
 * move with it. */
#ifndef SL_FORMAT_CSV_OWN_H
#define SL_FORMAT_CSV_OWN_H

#include <stdbool.h>

#include "format/csv.h"
#include "format/csv_scan.h"

enum sl_csv_state {
    SL_CSV_PLAIN,  /* at a cell's start, or in a cell without quotes */
    SL_CSV_QUOTED, /* between quotes */
    SL_CSV_CLOSED, /* after a quote that either closes or is the first of two */
    SL_CSV_TAIL,   /* in text after the closing quote */
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

    enum sl_csv_state state;
    int64_t row, cell; /* where they begin; below 0 when that has been thrown away */
    int64_t quote, cr; /* the last quote in SL_CSV_CLOSED, the last CR */
    uint32_t line, row_line;
    bool escaped; /* the present cell must be copied to lose its quotes */

    struct sl_str *cells;
    uint32_t *copies; /* which of them must be copied */
    uint32_t count, copy_count, room;
    char *scratch;
    size_t scratch_size;

    bool oversize; /* the present row is being skipped */
    char excerpt[SL_CSV_EXCERPT_BYTES];
    size_t excerpt_size;
};

/* The row is too large: from here on it is only walked, not kept. */
void sl_csv_give_up_row(struct sl_csv *csv);

/* One structural byte, c at position at. True when a row is out: ret and ret_result tell. */
bool sl_csv_step(struct sl_csv *csv, int64_t at, char c, struct sl_csv_row *ret,
                 enum sl_csv_result *ret_result);

/* What is left when the input has ended without a line end. */
enum sl_csv_result sl_csv_last_row(struct sl_csv *csv, struct sl_csv_row *ret);

#endif
