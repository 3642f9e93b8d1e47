/* A record is one change of one row; BSON is its one representation inside. */
#ifndef SL_FLOW_RECORD_H
#define SL_FLOW_RECORD_H

#include <stdint.h>

#include "base/str.h"

enum sl_op { SL_UPSERT, SL_DELETE };

/* A version of a row from a file is counter << SL_VERSION_ROW_BITS | row number: the counter
 * belongs to the collection and rises with each run. */
enum { SL_VERSION_ROW_BITS = 24 };

enum { SL_ID_BYTES_MAX = 1024 * 1024 }; /* of a key: messages carry no longer one */

/* All views live in the batch's arena. */
struct sl_record {
    enum sl_op op;
    struct sl_str id;      /* the key: the document's _id, UTF-8 */
    int64_t version;       /* newest wins; below 2^53 */
    int64_t changed_at_ms; /* wall clock, when the source changed it; 0: not known */
    struct sl_str doc;     /* BSON document: the source's columns, no _id; empty for a deletion */
    uint32_t line;         /* where the row began in its file (header = 1); 0: not from a file */
};

/* A row that cannot be delivered: it goes to the dead letters, alone. Views live in the batch's
 * arena; code is a constant from the table in docs/DEAD_LETTERS.md. */
struct sl_dead {
    const char *code;     /* "untypable", "wrong_columns", "empty_key", "refused", … */
    struct sl_str reason; /* one sentence for a person; no cell of a secret */
    struct sl_str id;     /* the key as far as it is known; may be empty */
    const char *file;     /* file inside the package; NULL when there is none */
    uint32_t line;        /* line where the row begins; 0: none */
    uint64_t row_number;  /* position in its file (1 = first row), part of the letter's id; 0: the
                           * record's key stands for it */
    struct sl_str row;    /* the row: raw text, or a BSON document when row_is_bson */
    bool row_is_bson;
};

#endif
