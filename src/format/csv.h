/* A streaming CSV parser: chunks of any size in, rows of cells out, nothing allocated for a row.
 *
 * The dialect is RFC 4180, read with leniency:
 * - a row ends at LF, CRLF or a lone CR; the last one may end with the input;
 * - a cell that begins with a quote ends at the next quote that is not doubled, and may hold
 *   delimiters and line ends; a doubled quote in it stands for one;
 * - text between the closing quote and the delimiter is kept as it is ("5"x is 5x), and the row's
 *   tail says so: quotes in the cell were not doubled, or it was not meant to be quoted, and what
 *   it holds may be of other cells and rows;
 * - a quote inside a cell that did not begin with one is an ordinary character;
 * - a line without a single byte is skipped, also in a file of one column: an empty cell alone on
 *   its row has to be written "";
 * - a UTF-8 byte order mark at the beginning is dropped. Bytes are not checked otherwise.
 *
 * Use: sl_csv_space, fill, sl_csv_filled, then sl_csv_next until SL_CSV_MORE; again. */
#ifndef SL_FORMAT_CSV_H
#define SL_FORMAT_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/size.h"
#include "base/str.h"

enum {
    SL_CSV_SPACE_BYTES = SL_SIZE(64 * 1024, 128), /* sl_csv_space gives at least this much */
    SL_CSV_CELLS_MAX = 16384,                     /* a row of more cells is oversize */
    SL_CSV_EXCERPT_BYTES = SL_SIZE(4 * 1024, 64), /* how much of a bad row is shown */
};

enum sl_csv_result {
    SL_CSV_ROW,      /* a row: all fields are set */
    SL_CSV_MORE,     /* no whole row left: give bytes, or finish */
    SL_CSV_END,      /* finished, and all rows are out */
    SL_CSV_OVERSIZE, /* a row over max_row_bytes or SL_CSV_CELLS_MAX was skipped to its end; raw is
                        its beginning (at most SL_CSV_EXCERPT_BYTES), count is 0 */
    SL_CSV_UNCLOSED, /* the input ended inside quotes; raw is as above, count is 0 */
};

struct sl_csv_row {
    const struct sl_str *cells; /* unquoted */
    uint32_t count;
    uint32_t line;     /* physical line where the row begins; the first is 1 */
    uint32_t tail;     /* the first cell, from 1, with text behind its closing quote; 0: none */
    struct sl_str raw; /* the row's bytes as they came, without the line end */
};

struct sl_csv;

/* A parser for cells parted by delimiter (not a quote, CR or LF). Rows longer than max_row_bytes
 * are skipped and reported; memory stays below max_row_bytes plus a few hundred KiB. */
struct sl_csv *sl_csv_new(char delimiter, size_t max_row_bytes);
void sl_csv_free(struct sl_csv *csv);

/* Where the next bytes go, and how many may. Call it when sl_csv_next has answered SL_CSV_MORE. */
char *sl_csv_space(struct sl_csv *csv, size_t *ret_size);

/* size bytes were put there. */
void sl_csv_filled(struct sl_csv *csv, size_t size);

/* No more bytes will come: the last row may now be given. */
void sl_csv_finish(struct sl_csv *csv);

/* The next row. Views in *ret are valid until the next call of any function on csv. Never suspends.
 */
enum sl_csv_result sl_csv_next(struct sl_csv *csv, struct sl_csv_row *ret);

#endif
