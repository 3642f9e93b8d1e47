/* Guessing by the rules of the header. */
#include "format/encoding.h"

#include <string.h>

enum sl_encoding sl_encoding_sniff(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    if (size >= 2 && at[0] == 0xff && at[1] == 0xfe)
        return SL_ENCODING_UTF16LE;
    if (size >= 3 && !memcmp(at, "\xef\xbb\xbf", 3))
        return SL_ENCODING_UTF8;

    size_t pairs = (size < SL_ENCODING_SNIFF_BYTES ? size : SL_ENCODING_SNIFF_BYTES) / 2;
    size_t zeros = 0;
    for (size_t i = 0; i < pairs; i++) {
        if (!at[2 * i])
            return SL_ENCODING_UTF8;
        zeros += !at[2 * i + 1];
    }
    return zeros * 2 > pairs ? SL_ENCODING_UTF16LE : SL_ENCODING_UTF8;
}
