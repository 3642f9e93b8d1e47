/* Builds the two commands that write rows, as BSON bytes, in one buffer: the guarded bulk upsert
 *
 *   {update: C, ordered: false, writeConcern: {…}, updates: [
 *      {q: {_id: id}, u: [{$replaceWith: {$cond: [
 *          {$gt: [v, {$floor: "$_sluice.v"}]}, {$literal: document}, "$$ROOT"]}}], upsert: true},
 * …]}
 *
 * $floor gives null for a missing version, which is below every number, leaves whole numbers as
 * they are, and fails for anything else: such a row is an error, not stale. In a full read the last
 * branch marks the stored document as seen, and an equal version is stored again unless this read,
 * or a later one, saw the document already: the read may carry other columns;
 *
 *   {insert: C, ordered: false, writeConcern: {…}, documents: [document, …]}
 *
 * is for rows that nobody has written yet. Who sends it adds maxTimeMS: what is left by then. */
#ifndef SL_SINK_MONGO_COMMAND_H
#define SL_SINK_MONGO_COMMAND_H

#include <bson/bson.h>

#include "flow/batch.h"

enum {
    SL_MONGO_COMMAND_BYTES = 2 * 1024 * 1024, /* a command closes at this size, one row at least */
    SL_MONGO_COMMAND_ROWS = 100000,           /* the server's own limit */
};

/* What all rows of a batch share, in BSON. */
struct sl_mongo_stamp {
    struct sl_buf document;  /* _sluice of a document, v first */
    struct sl_buf tombstone; /* _sluice of a tombstone, v first */
    struct sl_buf stored;    /* the element "1" of $gt: the version to exceed */
    struct sl_buf keep;      /* the element "2" of $cond: what becomes of a row that is not newer */
};

/* at_ms: wall clock. Tombstones expire tombstone_ttl_ms later. */
void sl_mongo_stamp_init(struct sl_mongo_stamp *stamp, const struct sl_origin *origin,
                         int64_t at_ms, uint64_t tombstone_ttl_ms);
void sl_mongo_stamp_done(struct sl_mongo_stamp *stamp);

/* Why a record cannot be written at all: a dead-letter code (a constant, with one sentence in
 * ret_reason), or NULL when it can. A row (of a batch read at read_at_ms, 0: not known, or of a
 * letter) must have been read after read_since_ms (wall clock): a deletion that it does not know of
 * may be forgotten otherwise. */
const char *sl_mongo_record_fault(const struct sl_record *record, int64_t read_at_ms,
                                  int64_t read_since_ms, const char **ret_reason);

/* Begins a command in out (cleared first). head holds everything but the rows, and says whether
 * they are to be inserted. */
void sl_mongo_command_begin(struct sl_buf *out, const bson_t *head, bool inserts);

/* Makes room in out for a command of count rows whose ids and documents have so many bytes, as far
 * as one command goes: it need not move while it grows. */
void sl_mongo_command_reserve(struct sl_buf *out, const struct sl_mongo_stamp *stamp, size_t bytes,
                              uint32_t count);

/* Appends record as update number index (from 0). insert: it makes the document when there is none.
 */
void sl_mongo_command_add(struct sl_buf *out, const struct sl_mongo_stamp *stamp,
                          const struct sl_record *record, bool insert, uint32_t index);

/* Appends an upsert's document, as number index, to a command that inserts. */
void sl_mongo_command_add_document(struct sl_buf *out, const struct sl_mongo_stamp *stamp,
                                   const struct sl_record *record, uint32_t index);

/* Ends the command: out holds one whole BSON document. */
void sl_mongo_command_end(struct sl_buf *out);

#endif
