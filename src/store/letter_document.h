/* A document of the collection `dead` as a letter. */
#ifndef SL_STORE_LETTER_DOCUMENT_H
#define SL_STORE_LETTER_DOCUMENT_H

#include <bson/bson.h>

#include "flow/letter.h"

/* Copies what it needs of the document into arena. Whatever is missing reads as empty: letters of
 * an older sluice have no version, for one. */
void sl_letter_from_document(const bson_t *document, struct sl_arena *arena, struct sl_letter *ret);

/* Appends {run, entity, row} under _id. */
void sl_letter_append_name(bson_t *query, const struct sl_letter_name *name);

#endif
