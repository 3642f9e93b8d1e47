/* Writes rows as the text of a data file: quoting, line ends, header, encoding. */
#ifndef SIM_CSV_OUT_H
#define SIM_CSV_OUT_H

#include "sim/row.h"
#include "sim/text.h"

enum sim_encoding { ENCODING_UTF8, ENCODING_UTF8_BOM, ENCODING_UTF16LE, ENCODING_UTF16LE_NOBOM };
enum sim_newline { NEWLINE_CRLF, NEWLINE_LF, NEWLINE_CR };

/* A project's source data format. */
struct sim_format {
    enum sim_encoding encoding;
    enum sim_newline newline;
    bool header_upper; /* column names in upper case */
    bool quote_all;    /* quotes around every cell, not only where needed */
    char delimiter;
};

/* The names that a project's definition uses for encodings and newlines, in the enum's order,
 * ending with NULL. */
extern const char *const sim_encoding_names[];
extern const char *const sim_newline_names[];

typedef int (*sim_csv_sink)(void *arg, const char *bytes, size_t len);

struct sim_csv {
    struct sim_format format;
    bool unquoted;     /* the text qualifier is off: every cell stands as it is */
    sim_csv_sink sink; /* returns 0, or -1 to end it all */
    void *arg;
    struct sim_text raw;
    struct sim_text coded;
};

/* Begins a file: byte order mark and header. Format, unquoted, sink and arg are set by the caller,
 * the rest is zero. sim_csv_done frees in any case. */
void sim_csv_begin(struct sim_csv *csv, const struct sim_entity *entity);

/* Adds a row. Gives full pieces to the sink and returns what it returned, else 0. */
int sim_csv_row(struct sim_csv *csv, const struct sim_row *row, enum sim_fault fault);

/* Gives the rest to the sink. */
int sim_csv_end(struct sim_csv *csv);
void sim_csv_done(struct sim_csv *csv);

/* Adds valid UTF-8 to out as UTF-16LE. */
void sim_utf16_add(struct sim_text *out, const char *utf8, size_t len);

/* A column's name as the file's header spells it. out has size bytes. */
void sim_csv_header_name(const struct sim_format *format, const char *name, char *out, size_t size);

#endif
