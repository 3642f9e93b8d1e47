/* A cell's text as a typed BSON field. */
#ifndef SL_FORMAT_TYPED_H
#define SL_FORMAT_TYPED_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "format/bson_writer.h"

enum sl_type {
    SL_TYPE_STRING,  /* UTF-8 as it is; "" stays "" */
    SL_TYPE_INT,     /* int64 */
    SL_TYPE_DECIMAL, /* Decimal128, exact: over 34 digits is refused, not rounded */
    SL_TYPE_DOUBLE,
    SL_TYPE_BOOL, /* Yes/No, true/false, 1/0 in any case */
    SL_TYPE_DATE, /* ISO 8601, a blank may stand for the T, no zone is UTC */
};

/* "string", "int", "decimal", "double", "bool", "date": the names of the configuration. */
const char *sl_type_name(enum sl_type type);
bool sl_type_parse(const char *name, enum sl_type *ret);

/* All names, ended by NULL, in the order of enum sl_type. */
extern const char *const sl_type_names[];

/* Appends cell as a field. An empty cell of a type other than string adds nothing; blanks around
 * such a cell do not count. Fails with SL_REJECTED: *ret_code (may be NULL) becomes the dead
 * letter's code, "untypable" or "bad_utf8", and the message names column, type and the value,
 * clipped and without control characters. Nothing is appended then. */
int sl_typed_append(struct sl_bson_writer *writer, struct sl_bson_key key, enum sl_type type,
                    struct sl_str cell, const char **ret_code, struct sl_err *err);

#endif
