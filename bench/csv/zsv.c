/* zsv, where a built copy of it was pointed at; way is fast or compat. The fast engine hands out
 * most cells as they stand in the file, so what is missing to an unquoted cell is done here, in
 * place. */
#include <stdio.h>
#include <string.h>

#include <zsv.h>

#include "drive.h"

enum { FAST = 3, COMPAT = 255, BUFFER_BYTES = 256 * 1024 };

struct reading {
    zsv_parser parser;
    struct tally *tally;
    const char *data;
    size_t left;
};

static bool is_raw(const struct zsv_cell *cell)
{
    return cell->len >= 2 && cell->str[0] == '"' && !(cell->quoted & ZSV_PARSER_QUOTE_CLOSED);
}

static void unquote(struct zsv_cell *cell)
{
    unsigned char *to = ++cell->str, *from, *quote, *end = to + cell->len - 2;
    for (from = to; (quote = memchr(from, '"', (size_t)(end - from))); from = quote + 2) {
        size_t length = (size_t)(quote + 1 - from); /* the first of two quotes stays */
        memmove(to, from, length);
        to += length;
    }
    memmove(to, from, (size_t)(end - from));
    cell->len = (size_t)(to + (end - from) - cell->str);
}

static void on_row(void *arg)
{
    struct reading *reading = arg;
    size_t count = zsv_cell_count(reading->parser);
    for (size_t i = 0; i < count; i++) {
        struct zsv_cell cell = zsv_get_cell(reading->parser, i);
        if (is_raw(&cell))
            unquote(&cell);
        tally_cell(reading->tally, cell.str, cell.len);
    }
    tally_row(reading->tally);
}

/* As fread. */
static size_t read_some(void *to, size_t size, size_t count, void *arg)
{
    struct reading *reading = arg;
    size_t bytes = size * count < reading->left ? size * count : reading->left;
    memcpy(to, reading->data, bytes);
    reading->data += bytes;
    reading->left -= bytes;
    return bytes / size;
}

bool drive_parse(const char *data, size_t size, const char *way, struct tally *tally)
{
    struct reading reading = {.tally = tally, .data = data, .left = size};
    struct zsv_opts opts = {
        .row_handler = on_row,
        .ctx = &reading,
        .read = read_some,
        .stream = &reading,
        .buffsize = BUFFER_BYTES,
        .keep_empty_header_rows = 1,
        .scan_engine = way && strcmp(way, "compat") == 0 ? COMPAT : FAST,
    };
    enum zsv_status status;
    reading.parser = zsv_new(&opts);
    while ((status = zsv_parse_more(reading.parser)) == zsv_status_ok)
        ;
    if (status == zsv_status_no_more_input)
        status = zsv_finish(reading.parser);
    if (status != zsv_status_ok && status != zsv_status_no_more_input)
        fprintf(stderr, "bench-csv-zsv: %s\n", (const char *)zsv_parse_status_desc(status));
    zsv_delete(reading.parser);
    return status == zsv_status_ok || status == zsv_status_no_more_input;
}
