/* One data file: its bytes, in whichever encoding, through the CSV parser into rows. UTF-8 is
 * unzipped to where the parser reads it; UTF-16 takes a step in between. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dmf/dmf_own.h"
#include "format/csv.h"
#include "format/encoding.h"
#include "format/utf16.h"
#include "loop/fiber.h"

enum { CHUNK_BYTES = 64 * 1024, SLICE_NS = 250 * 1000 };

/* Where the parsing of a file stands. */
struct reader {
    struct sl_dmf *dmf;
    struct sl_csv *csv;
    struct sl_rows *rows;
    struct sl_utf16 utf16;
    enum sl_encoding encoding;
    uint64_t slice_start_ns;
};

/* Work is cut into slices, so that the loop serves everybody else in between. */
static int breathe(struct reader *reader)
{
    uint64_t now_ns = sl_now_ns();
    if (now_ns - reader->slice_start_ns < SLICE_NS)
        return SL_OK;
    int rc = sl_fiber_yield();
    reader->slice_start_ns = sl_now_ns();
    return rc;
}

static int take_rows(struct reader *reader, struct sl_err *err)
{
    struct sl_csv_row row;
    for (unsigned i = 0;; i++) {
        enum sl_csv_result result = sl_csv_next(reader->csv, &row);
        if (result == SL_CSV_MORE || result == SL_CSV_END)
            return SL_OK;
        int rc = sl_rows_take(reader->rows, reader->dmf->batcher, result, &row, err);
        if (rc == SL_OK && i % 16 == 15)
            rc = breathe(reader);
        if (rc != SL_OK)
            return rc == SL_CANCELED ? sl_err_set(err, rc, "cancelled") : rc;
    }
}

/* Only for the first piece, which the parser has room for. */
static void feed_utf8(struct reader *reader, const char *bytes, size_t size)
{
    size_t room;
    memcpy(sl_csv_space(reader->csv, &room), bytes, size);
    sl_csv_filled(reader->csv, size);
}

static int feed_utf16(struct reader *reader, const char *bytes, size_t size, struct sl_err *err)
{
    while (size) {
        size_t room, used;
        char *space = sl_csv_space(reader->csv, &room);
        size_t out = sl_utf16_decode(&reader->utf16, bytes, size, &used, space, room);
        sl_csv_filled(reader->csv, out);
        bytes += used;
        size -= used;
        int rc = take_rows(reader, err);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

static void sniff(struct reader *reader, const char *bytes, size_t size)
{
    static const enum sl_encoding configured[] = {
        [SL_DMF_ENCODING_UTF8] = SL_ENCODING_UTF8,
        [SL_DMF_ENCODING_UTF16LE] = SL_ENCODING_UTF16LE,
    };
    int setting = reader->dmf->settings->file_encoding;
    reader->encoding =
        setting == SL_DMF_ENCODING_AUTO ? sl_encoding_sniff(bytes, size) : configured[setting];
}

static int finish_file(struct reader *reader, struct sl_err *err)
{
    if (reader->encoding == SL_ENCODING_UTF16LE) {
        size_t room;
        char *space = sl_csv_space(reader->csv, &room);
        sl_csv_filled(reader->csv, sl_utf16_finish(&reader->utf16, space));
    }
    sl_csv_finish(reader->csv);
    return take_rows(reader, err);
}

/* UTF-8 is unzipped to where the parser reads it. */
static int read_utf8(struct reader *reader, struct sl_unzip *unzip, struct sl_err *err)
{
    for (;;) {
        size_t room, size;
        char *space = sl_csv_space(reader->csv, &room);
        int rc = sl_unzip_read(unzip, space, room, &size, err);
        if (rc != SL_OK)
            return rc;
        sl_csv_filled(reader->csv, size);
        rc = take_rows(reader, err);
        if (rc != SL_OK)
            return rc;
    }
}

static int read_utf16(struct reader *reader, struct sl_unzip *unzip, char *chunk,
                      struct sl_err *err)
{
    for (;;) {
        size_t size;
        int rc = sl_unzip_read(unzip, chunk, CHUNK_BYTES, &size, err);
        if (rc == SL_OK)
            rc = feed_utf16(reader, chunk, size, err);
        if (rc != SL_OK)
            return rc;
    }
}

/* The first piece tells the encoding. It is small, so that it costs little to copy. */
static int read_all(struct reader *reader, struct sl_unzip *unzip, struct sl_err *err)
{
    char *chunk = sl_alloc(CHUNK_BYTES);
    size_t size = 0;
    int rc = sl_unzip_read(unzip, chunk, SL_ENCODING_SNIFF_BYTES, &size, err);
    if (rc == SL_OK) {
        sniff(reader, chunk, size);
        if (reader->encoding == SL_ENCODING_UTF16LE) {
            rc = feed_utf16(reader, chunk, size, err);
            if (rc == SL_OK)
                rc = read_utf16(reader, unzip, chunk, err);
        } else {
            feed_utf8(reader, chunk, size);
            rc = read_utf8(reader, unzip, err);
        }
    }
    free(chunk);
    return rc == SL_END ? finish_file(reader, err) : rc;
}

int sl_dmf_read_file(struct sl_dmf *dmf, struct sl_unzip *unzip, struct sl_rows *rows,
                     struct sl_err *err)
{
    struct reader reader = {.dmf = dmf, .rows = rows, .slice_start_ns = sl_now_ns()};
    reader.csv = sl_csv_new(sl_dmf_delimiter(dmf->settings), dmf->env.config->limits.max_row_bytes);
    int rc = read_all(&reader, unzip, err);
    sl_csv_free(reader.csv);
    return rc;
}
