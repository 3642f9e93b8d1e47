/* Whether a key appears twice in a finished BSON document: readers differ in which one they take.
 */
#ifndef SL_FORMAT_BSON_TWICE_H
#define SL_FORMAT_BSON_TWICE_H

#include <stdbool.h>

#include "base/str.h"

/* True when an object of the document, at any depth, has a key twice: *ret_key is the key, in doc.
 * doc is well-formed (what sl_bson_writer made). */
bool sl_bson_twice(struct sl_str doc, struct sl_str *ret_key);

#endif
