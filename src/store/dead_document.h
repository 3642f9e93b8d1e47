/* A dead letter as a document of the collection `dead`. */
#ifndef SL_STORE_DEAD_DOCUMENT_H
#define SL_STORE_DEAD_DOCUMENT_H

#include <bson/bson.h>

#include "flow/batch.h"

enum { SL_DEAD_ROW_BYTES = 64 * 1024 }; /* a larger row is kept as an excerpt */

/* How the row is kept. */
enum sl_dead_form {
    SL_DEAD_PLAIN, /* a typed row as a document, a raw one as text under row.raw */
    SL_DEAD_BYTES, /* its bytes, under row.bytes: for what the server does not take as a document */
};

/* Appends {run, entity, row}: what makes a letter the same letter. row is the row's number in its
 * run, or its key where the number is not known (a row that MongoDB refused). */
void sl_dead_append_id(bson_t *document, const char *name, const struct sl_origin *origin,
                       const struct sl_dead *dead);

/* Fills the initialised document. at_ms: wall clock. ttl_ms: the server removes the letter when it
 * is older; 0: never. */
void sl_dead_to_document(const struct sl_origin *origin, const struct sl_dead *dead,
                         enum sl_dead_form form, int64_t at_ms, uint64_t ttl_ms, bson_t *document);

#endif
