/* sluice's own parser, fed as its unzip does: by copies of up to 64 KiB. */
#include <stdio.h>
#include <string.h>

#include "drive.h"
#include "format/csv.h"

enum { MAX_ROW_BYTES = 4 * 1024 * 1024 };

static enum sl_csv_result take_rows(struct sl_csv *csv, struct tally *tally)
{
    struct sl_csv_row row;
    enum sl_csv_result result;
    while ((result = sl_csv_next(csv, &row)) == SL_CSV_ROW) {
        for (uint32_t i = 0; i < row.count; i++)
            tally_cell(tally, row.cells[i].at, row.cells[i].length);
        tally_row(tally);
    }
    return result;
}

bool drive_parse(const char *data, size_t size, const char *way, struct tally *tally)
{
    (void)way;
    struct sl_csv *csv = sl_csv_new(',', MAX_ROW_BYTES);
    enum sl_csv_result result = SL_CSV_MORE;
    for (size_t at = 0; at < size && result == SL_CSV_MORE;) {
        size_t space;
        char *to = sl_csv_space(csv, &space);
        if (space > SL_CSV_SPACE_BYTES)
            space = SL_CSV_SPACE_BYTES;
        if (space > size - at)
            space = size - at;
        memcpy(to, data + at, space);
        sl_csv_filled(csv, space);
        at += space;
        result = take_rows(csv, tally);
    }
    sl_csv_finish(csv);
    if (result == SL_CSV_MORE)
        result = take_rows(csv, tally);
    sl_csv_free(csv);
    if (result != SL_CSV_END)
        fprintf(stderr, "bench-csv-sluice: the file is not one of plain CSV (%d)\n", result);
    return result == SL_CSV_END;
}
