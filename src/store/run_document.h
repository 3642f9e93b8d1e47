/* A run as a document of the collection `runs`, and back. */
#ifndef SL_STORE_RUN_DOCUMENT_H
#define SL_STORE_RUN_DOCUMENT_H

#include <bson/bson.h>

#include "flow/state.h"

/* Fills the initialised document. */
void sl_run_to_document(const struct sl_run *run, int64_t epoch, bson_t *document);

/* Fields that are missing read as empty. SL_REJECTED when it cannot be a run: an unknown state,
 * more entities than sl_run can hold. */
int sl_run_from_document(const bson_t *document, struct sl_run *ret, struct sl_err *err);

#endif
