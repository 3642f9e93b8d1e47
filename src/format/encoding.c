/* Guessing by the rules of the header. */
#include "format/encoding.h"

#include <stdbool.h>
#include <string.h>

static bool is_line_end(unsigned char low, unsigned char high)
{
    return !high && (low == '\n' || low == '\r');
}

enum sl_encoding sl_encoding_sniff(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    if (size >= 2 && at[0] == 0xff && at[1] == 0xfe)
        return SL_ENCODING_UTF16LE;
    if (size >= 3 && !memcmp(at, "\xef\xbb\xbf", 3))
        return SL_ENCODING_UTF8;

    size_t pairs = (size < SL_ENCODING_SNIFF_BYTES ? size : SL_ENCODING_SNIFF_BYTES) / 2;
    size_t first = 0, second = 0, seen = 0; /* zeros in either half, pairs */
    for (const unsigned char *pair = at; seen < pairs; pair += 2) {
        first += !pair[0];
        second += !pair[1];
        seen++;
        if (is_line_end(pair[0], pair[1]) || is_line_end(pair[1], pair[0]))
            break;
    }
    return second * 2 > seen && second > first ? SL_ENCODING_UTF16LE : SL_ENCODING_UTF8;
}
