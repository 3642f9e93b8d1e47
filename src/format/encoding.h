/* How the text of a data file is encoded, told from its first bytes. */
#ifndef SL_FORMAT_ENCODING_H
#define SL_FORMAT_ENCODING_H

#include <stddef.h>

enum sl_encoding { SL_ENCODING_UTF8, SL_ENCODING_UTF16LE };

enum { SL_ENCODING_SNIFF_BYTES = 64 };

/* Give the first SL_ENCODING_SNIFF_BYTES, or all when there are fewer. FF FE is UTF-16LE, EF BB BF
 * UTF-8; without a mark, NUL in the second byte of most pairs, and in more than in the first, is
 * UTF-16LE, all else UTF-8. Pairs count to the end of the first line, as a rule of ASCII: behind it
 * each byte of UTF-16 may be NUL, as the low one of U+4E00 is. */
enum sl_encoding sl_encoding_sniff(const void *bytes, size_t size);

#endif
