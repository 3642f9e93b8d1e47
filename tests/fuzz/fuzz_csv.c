/* The CSV parser: the rows do not depend on how the bytes were cut, and each scan that this
 * processor can do agrees with the portable one. */
#include "format/csv.h"
#include "format/csv_scan.h"

#include "fuzz.h"

static void add_row(struct sl_buf *out, enum sl_csv_result result, const struct sl_csv_row *row)
{
    sl_buf_printf(out, "%d@%u#%u~%u:", (int)result, row->line, row->count, row->tail);
    for (uint32_t i = 0; i < row->count; i++) {
        sl_buf_add(out, row->cells[i].at, row->cells[i].length);
        sl_buf_add_char(out, '\0');
    }
    sl_buf_add(out, row->raw.at, row->raw.length);
}

static void drain(struct sl_csv *csv, enum sl_csv_result until, size_t max_row, struct sl_buf *out)
{
    struct sl_csv_row row;
    enum sl_csv_result result;
    while ((result = sl_csv_next(csv, &row)) != until) {
        FUZZ_REQUIRE(result == SL_CSV_ROW || result == SL_CSV_OVERSIZE ||
                     result == SL_CSV_UNCLOSED);
        if (result == SL_CSV_ROW)
            FUZZ_REQUIRE(row.raw.length <= max_row && row.tail <= row.count);
        else
            FUZZ_REQUIRE(row.raw.length <= SL_CSV_EXCERPT_BYTES && row.count == 0 && !row.tail);
        add_row(out, result, &row);
    }
}

static void parse(struct fuzz_chunks chunks, char delimiter, size_t max_row, struct sl_buf *out)
{
    struct sl_csv *csv = sl_csv_new(delimiter, max_row);
    char *piece;
    size_t size, room;
    while (fuzz_chunk(&chunks, &piece, &size)) {
        for (size_t at = 0; at < size;) {
            char *space = sl_csv_space(csv, &room);
            size_t part = size - at < room ? size - at : room;
            memcpy(space, piece + at, part);
            sl_csv_filled(csv, part);
            at += part;
            drain(csv, SL_CSV_MORE, max_row, out);
        }
        free(piece);
    }
    sl_csv_finish(csv);
    drain(csv, SL_CSV_END, max_row, out);
    sl_csv_free(csv);
}

static void compare_scan(sl_csv_scan_fn scan, const char *text, size_t blocks, char delimiter,
                         const uint64_t *portable)
{
    if (!scan)
        return;
    uint64_t *masks = sl_calloc(blocks, 8);
    scan(text, blocks, delimiter, masks);
    FUZZ_REQUIRE(!memcmp(portable, masks, blocks * 8));
    free(masks);
}

static void compare_scans(const char *text, size_t size, char delimiter)
{
    size_t blocks = size / 64;
    if (!blocks)
        return;
    uint64_t *portable = sl_calloc(blocks, 8);
    sl_csv_scan_portable(text, blocks, delimiter, portable);
    compare_scan(sl_csv_scan_sse2(), text, blocks, delimiter, portable);
    compare_scan(sl_csv_scan_avx2(), text, blocks, delimiter, portable);
    free(portable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char delimiters[] = {',', ';', '\t', '|'};
    struct fuzz_input input = {data, size};
    char delimiter = delimiters[fuzz_byte(&input) % sizeof delimiters];
    uint8_t limit = fuzz_byte(&input);
    size_t max_row = limit % 4 == 0 ? 1 + limit : 1 << 20;
    uint32_t seed = 1u + fuzz_byte(&input);
    const char *text = (const char *)input.at;

    struct sl_buf whole, cut;
    sl_buf_init(&whole);
    sl_buf_init(&cut);
    parse((struct fuzz_chunks){text, input.left, 0}, delimiter, max_row, &whole);
    parse((struct fuzz_chunks){text, input.left, seed}, delimiter, max_row, &cut);
    fuzz_same(&whole, &cut);
    compare_scans(text, input.left, delimiter);
    sl_buf_done(&whole);
    sl_buf_done(&cut);
    return 0;
}
