/* A record is one change of one row; BSON is its one representation inside. */
#ifndef SL_FLOW_RECORD_H
#define SL_FLOW_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/size.h"
#include "base/str.h"

enum sl_op { SL_UPSERT, SL_DELETE };

/* A version of a row from a file is counter << SL_VERSION_ROW_BITS | row number: the counter
 * belongs to the collection, rises with each run, and goes by time. */
enum { SL_VERSION_ROW_BITS = 24 };

enum { SL_ID_BYTES_MAX = SL_SIZE(1024 * 1024, 150) }; /* of a key: messages carry no longer one */

/* The dead letter that a row was before, when it is replayed: should it fail again, it becomes that
 * letter again. */
struct sl_letter_ref {
    const char *run;     /* the letter's; with the entity and the row it names the letter */
    uint64_t row_number; /* 0: the record's key stands for it */
    int64_t read_at_ms;  /* wall clock, when the source read the row */
};

/* All views live in the batch's arena. */
struct sl_record {
    enum sl_op op;
    struct sl_str id;      /* the key: the document's _id, UTF-8 */
    int64_t version;       /* newest wins; below 2^53 */
    int64_t changed_at_ms; /* wall clock, when the source changed it; 0: not known */
    struct sl_str doc;     /* BSON document: the source's columns, no _id; empty for a deletion */
    bool sound;            /* doc is whole BSON without fields of sluice's own names: whoever made
                            * or checked it says so, and nobody needs to look again */
    uint32_t line;         /* where the row began in its file (header = 1); 0: not from a file */
    const struct sl_letter_ref *letter; /* NULL: it is no replay */
};

/* A row that cannot be delivered: it goes to the dead letters, alone. Views live in the batch's
 * arena; code is a constant of flow/dead_code.c. */
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
    bool row_cut;         /* row is only a part of it */
    struct sl_str header; /* of a raw row: its file's header line, as it came; empty: none */

    /* What a replay needs: the change as it would have been delivered. */
    bool versioned; /* the next three are known */
    enum sl_op op;
    int64_t version;
    int64_t changed_at_ms;
    const struct sl_letter_ref *letter; /* NULL: it was no letter before */
};

#endif
