/* Inside of ingest_rows, shared by its parts:
 *
 *   rows.c   what a feed's rows look like, which form a body has
 *   shape.c  a document into a row: key, version, deletion
 *   json.c   JSON and NDJSON into documents
 *   csv.c    CSV into documents */
#ifndef SL_INGEST_ROWS_OWN_H
#define SL_INGEST_ROWS_OWN_H

#include "base/arena.h"
#include "base/size.h"
#include "format/columns.h"
#include "format/key.h"
#include "ingest/rows.h"

enum {
    SL_INGEST_PIECE_BYTES = SL_SIZE(16 * 1024, 128), /* read without a pause: half a millisecond */
    SL_INGEST_SPELLINGS_MAX = 1024,                  /* of typed columns, learnt from posts */
};

/* The column, not stored, of which a true value makes the row a deletion. */
#define SL_INGEST_DELETE "_delete"

struct sl_ingest_plan {
    const struct sl_entity_config *entity;
    const char *version; /* NULL: order of arrival */
    size_t max_row_bytes;
    struct sl_columns columns; /* those with a type, as the configuration spells them, … */
    uint32_t spelling_count;   /* … and as posts did */
    struct sl_key_part parts[SL_CONFIG_KEY_COLUMNS_MAX];
};

/* One reading of a body. */
struct sl_ingest_reading {
    struct sl_ingest_plan *plan;
    struct sl_str body;
    const struct sl_ingest_reader *reader;
    struct sl_ingest_fault *fault;
    struct sl_arena arena; /* of the current row */
    uint64_t rows;         /* handed on */
};

/* The type that the configuration gives to the column, whatever its case; string without one. */
enum sl_type sl_ingest_type_of(const struct sl_ingest_plan *plan, struct sl_str column,
                               bool *ret_found);

/* Notes what is wrong, and fails with SL_REJECTED. column may be "". */
int sl_ingest_refuse(struct sl_ingest_reading *reading, uint64_t row, uint32_t line,
                     struct sl_str column, const char *reason, struct sl_err *err);

/* A row's document, its _delete column included: finds its key and version and hands it on. */
int sl_ingest_shape(struct sl_ingest_reading *reading, struct sl_str doc, uint64_t row,
                    uint32_t line, struct sl_err *err);

/* Hand on the rows of the body, JSON (lines: one row a line) or CSV. */
int sl_ingest_read_json(struct sl_ingest_reading *reading, bool lines, struct sl_err *err);
int sl_ingest_read_csv(struct sl_ingest_reading *reading, struct sl_err *err);

#endif
