/* The wrapped values of Extended JSON: which keys wrap, and what their texts mean. */
#ifndef SL_FORMAT_EXTJSON_VALUE_H
#define SL_FORMAT_EXTJSON_VALUE_H

#include <stddef.h>

#include "base/str.h"
#include "format/bson_writer.h"

/* The keys that wrap a value when they are the only one of an embedded object. */
enum sl_extjson_word {
    SL_EXTJSON_NO_WORD,
    SL_EXTJSON_DECIMAL, /* $numberDecimal */
    SL_EXTJSON_DATE,    /* $date */
    SL_EXTJSON_LONG,    /* $numberLong */
    SL_EXTJSON_DOUBLE,  /* $numberDouble */
    SL_EXTJSON_INT,     /* $numberInt */
    SL_EXTJSON_OID,     /* $oid */
    SL_EXTJSON_BINARY,  /* $binary */
};
enum sl_extjson_word sl_extjson_word_of(const char *key, size_t length);
const char *sl_extjson_word_key(enum sl_extjson_word word);

/* Appends the value that text means under that word (not SL_EXTJSON_BINARY, which has no text).
 * NULL when done, else what is wrong, to be said after the word's key. */
const char *sl_extjson_unwrap(struct sl_bson_writer *writer, struct sl_bson_key key,
                              enum sl_extjson_word word, struct sl_str text);

#endif
