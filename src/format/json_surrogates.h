/* Halves of surrogate pairs that JSON writes with \u, told apart before yajl decodes them.
 *
 * yajl 2.1 joins a first half (\ud83d) with any \u that follows, and makes '?' of one that none
 * follows: valid UTF-8, in which nobody sees any more that a character is another one. Here such a
 * half becomes a second half. That yajl turns into bytes that are no UTF-8, so that whoever looks
 * at texts refuses it. No length changes, so offsets and places hold. */
#ifndef SL_FORMAT_JSON_SURROGATES_H
#define SL_FORMAT_JSON_SURROGATES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum { SL_JSON_SURROGATES_BYTES = 10 }; /* of a pair that tell that it is one: \ud83d\ude */

/* Begins as zeros; its fields are private. */
struct sl_json_surrogates {
    char held[SL_JSON_SURROGATES_BYTES]; /* a backslash sequence that was cut by the chunk's end */
    size_t held_bytes;
};

/* Takes the next piece for yajl off the front of bytes: a view, until the next call. False: there
 * is none before more bytes come. */
bool sl_json_surrogates_next(struct sl_json_surrogates *surrogates, struct sl_str *bytes,
                             struct sl_str *ret_piece);

/* No more bytes will come: the last piece, which may be empty. */
struct sl_str sl_json_surrogates_rest(const struct sl_json_surrogates *surrogates);

#endif
