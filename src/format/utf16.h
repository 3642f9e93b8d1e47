/* UTF-16LE to UTF-8, as a stream: a unit or a surrogate pair may be split anywhere. A surrogate
 * that stands alone becomes U+FFFD. A byte order mark is converted like any character (the CSV
 * parser drops it). */
#ifndef SL_FORMAT_UTF16_H
#define SL_FORMAT_UTF16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed = ready for use; no end needed. */
struct sl_utf16 {
    bool have_byte; /* private: the first half of a unit has come */
    uint8_t byte;   /* private */
    uint16_t high;  /* private: a high surrogate waits for its partner; 0: none */
};

enum { SL_UTF16_ROOM_BYTES = 8 }; /* decode makes progress with at least this much room */

/* Converts from in until it or the room in out is used up. Returns the bytes written to out and
 * sets *ret_used to the bytes taken from in. Three bytes out for two in is the most. */
size_t sl_utf16_decode(struct sl_utf16 *utf16, const void *in, size_t in_size, size_t *ret_used,
                       char *out, size_t out_size);

/* The input has ended: what waits for its other half becomes U+FFFD. Writes at most
 * SL_UTF16_ROOM_BYTES and returns how many. */
size_t sl_utf16_finish(struct sl_utf16 *utf16, char *out);

#endif
