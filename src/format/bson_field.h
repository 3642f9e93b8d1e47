/* Questions to a finished BSON document: where a field is, what it says as text, whether a key
 * appears twice. */
#ifndef SL_FORMAT_BSON_FIELD_H
#define SL_FORMAT_BSON_FIELD_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "format/bson_reader.h"

/* Finds the top field of that name. SL_NOTFOUND (err is not set) when there is none; SL_REJECTED
 * when the document is malformed before it. */
int sl_bson_find(struct sl_str doc, struct sl_str name, struct sl_bson_element *ret,
                 struct sl_err *err);

/* Appends a value as the text that a key is made of: a text as it is, whole numbers in digits,
 * decimals as they are written ("1.50" and "1.5" differ), true and false, dates as
 * "2026-11-22T03:10:00.120Z". False for what has no such text: doubles (their digits depend on who
 * writes them), null, objects, arrays, bytes, dates outside the years 1 to 9999. */
bool sl_bson_field_text(struct sl_buf *out, const struct sl_bson_element *element);

/* True when an object of the document, at any depth, has a key twice: *ret_key is the key, in doc.
 * doc is well-formed (what sl_bson_writer made). */
bool sl_bson_twice(struct sl_str doc, struct sl_str *ret_key);

#endif
