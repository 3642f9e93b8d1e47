/* Writes rows as the text of a data file. */
#include "sim/csv_out.h"

#include <ctype.h>

#define PIECE_BYTES ((size_t)256 << 10)

const char *const sim_encoding_names[] = {"utf8", "utf8-bom", "utf16le", "utf16le-nobom", NULL};
const char *const sim_newline_names[] = {"crlf", "lf", "cr", NULL};

static const char *const newlines[] = {"\r\n", "\n", "\r"};

static void add_unit(struct sim_text *out, uint32_t unit)
{
    char bytes[2] = {(char)(unit & 0xff), (char)(unit >> 8)};
    sim_text_add(out, bytes, 2);
}

void sim_utf16_add(struct sim_text *out, const char *utf8, size_t len)
{
    const unsigned char *at = (const unsigned char *)utf8;
    const unsigned char *end = at + len;
    sim_text_reserve(out, len * 2);
    while (at < end) {
        uint32_t c = *at++;
        if (c < 0x80) {
            add_unit(out, c);
            continue;
        }
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        c &= 0x3fu >> more;
        for (; more > 0 && at < end; more--)
            c = c << 6 | (*at++ & 0x3fu);
        if (c < 0x10000) {
            add_unit(out, c);
        } else {
            c -= 0x10000;
            add_unit(out, 0xd800 | c >> 10);
            add_unit(out, 0xdc00 | (c & 0x3ff));
        }
    }
}

void sim_csv_header_name(const struct sim_format *format, const char *name, char *out, size_t size)
{
    sim_copy(out, size, name);
    if (format->header_upper)
        for (char *c = out; *c; c++)
            *c = (char)toupper((unsigned char)*c);
}

static bool needs_quotes(const struct sim_csv *csv, const char *cell, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = cell[i];
        if (c == '"' || c == '\n' || c == '\r' || c == csv->format.delimiter)
            return true;
    }
    return false;
}

static void add_cell(struct sim_csv *csv, const char *cell, size_t len)
{
    struct sim_text *out = &csv->raw;
    if (csv->unquoted || !(csv->format.quote_all || needs_quotes(csv, cell, len))) {
        sim_text_add(out, cell, len);
        return;
    }
    sim_text_char(out, '"');
    for (const char *end = cell + len; cell < end;) {
        const char *quote = memchr(cell, '"', (size_t)(end - cell));
        const char *stop = quote ? quote + 1 : end;
        sim_text_add(out, cell, (size_t)(stop - cell));
        if (quote)
            sim_text_char(out, '"');
        cell = stop;
    }
    sim_text_char(out, '"');
}

static int give(struct sim_csv *csv)
{
    const struct sim_text *piece = &csv->raw;
    if (csv->format.encoding >= ENCODING_UTF16LE) {
        sim_text_clear(&csv->coded);
        sim_utf16_add(&csv->coded, csv->raw.data, csv->raw.len);
        piece = &csv->coded;
    }
    int rc = csv->sink(csv->arg, piece->data, piece->len);
    sim_text_clear(&csv->raw);
    return rc;
}

void sim_csv_begin(struct sim_csv *csv, const struct sim_entity *entity)
{
    if (csv->format.encoding == ENCODING_UTF8_BOM || csv->format.encoding == ENCODING_UTF16LE)
        sim_text_puts(&csv->raw, "\xef\xbb\xbf");
    for (unsigned i = 0; i < entity->column_count; i++) {
        char name[128];
        sim_csv_header_name(&csv->format, entity->columns[i].name, name, sizeof(name));
        if (i)
            sim_text_char(&csv->raw, csv->format.delimiter);
        add_cell(csv, name, strlen(name));
    }
    sim_text_puts(&csv->raw, newlines[csv->format.newline]);
}

int sim_csv_row(struct sim_csv *csv, const struct sim_row *row, enum sim_fault fault)
{
    unsigned count = row->count;
    bool one_more = fault == FAULT_WRONG_COLUMNS && row->bytes.len % 2 == 0;
    if (fault == FAULT_WRONG_COLUMNS && !one_more)
        count--;
    for (unsigned i = 0; i < count; i++) {
        size_t len;
        const char *cell = sim_row_cell(row, i, &len);
        if (i)
            sim_text_char(&csv->raw, csv->format.delimiter);
        add_cell(csv, cell, len);
    }
    if (one_more) {
        sim_text_char(&csv->raw, csv->format.delimiter);
        sim_text_puts(&csv->raw, "surplus");
    }
    sim_text_puts(&csv->raw, newlines[csv->format.newline]);
    return csv->raw.len >= PIECE_BYTES ? give(csv) : 0;
}

int sim_csv_end(struct sim_csv *csv)
{
    return csv->raw.len ? give(csv) : 0;
}

void sim_csv_done(struct sim_csv *csv)
{
    sim_text_done(&csv->raw);
    sim_text_done(&csv->coded);
}
