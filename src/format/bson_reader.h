/* Reads BSON that may be broken or hostile: every length is compared with what is left, nothing is
 * copied. Layout: bsonspec.org, version 1.1. */
#ifndef SL_FORMAT_BSON_READER_H
#define SL_FORMAT_BSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "format/bson_writer.h"

/* What is left of one document. All in the bytes it was opened on. */
struct sl_bson_reader {
    const char *at, *end;
};

struct sl_bson_element {
    uint8_t type;        /* enum sl_bson_type, no other */
    struct sl_str key;   /* followed by NUL */
    struct sl_str value; /* its bytes as stored: of the size its type has */
};

/* A document of exactly those bytes. Fails with SL_REJECTED. */
int sl_bson_open(struct sl_bson_reader *ret, struct sl_str doc, struct sl_err *err);

/* The next field; SL_END after the last; SL_REJECTED when it is malformed or of a type that sluice
 * does not carry. UTF-8 and the inside of embedded documents are not looked at. */
int sl_bson_next(struct sl_bson_reader *reader, struct sl_bson_element *ret, struct sl_err *err);

/* Checks the whole document: lengths, types, UTF-8 of keys and texts, at most SL_BSON_DEPTH_MAX
 * levels. Fails with SL_REJECTED. */
int sl_bson_check(struct sl_str doc, struct sl_err *err);

/* The same of a row's document; *ret_own tells whether one of its outermost fields has a name of
 * sluice's own (format/own_name.h). */
int sl_bson_check_row(struct sl_str doc, bool *ret_own, struct sl_err *err);

/* The text of a SL_BSON_UTF8 element, followed by NUL. */
static inline struct sl_str sl_bson_text(const struct sl_bson_element *element)
{
    return (struct sl_str){element->value.at + 4, element->value.length - 5};
}

/* The number of a SL_BSON_INT64 or SL_BSON_DATE element, or its 8 bytes anyhow. */
static inline int64_t sl_bson_int64(const struct sl_bson_element *element)
{
    int64_t value;
    memcpy(&value, element->value.at, sizeof value);
    return value;
}

static inline int32_t sl_bson_int32(const struct sl_bson_element *element)
{
    int32_t value;
    memcpy(&value, element->value.at, sizeof value);
    return value;
}

static inline double sl_bson_double(const struct sl_bson_element *element)
{
    double value;
    memcpy(&value, element->value.at, sizeof value);
    return value;
}

#endif
