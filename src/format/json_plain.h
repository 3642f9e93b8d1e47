/* The bytes of a JSON text that stand for themselves. */
#ifndef SL_FORMAT_JSON_PLAIN_H
#define SL_FORMAT_JSON_PLAIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SL_JSON_TOPS 0x8080808080808080u /* in *seen: some byte was not ASCII */

/* Top bits of the bytes that are not plain: the first one is true, those behind it may be borrowed
 * from it. */
static inline uint64_t sl_json_hits(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    return (((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
            ((slash - ones) & ~slash)) &
           SL_JSON_TOPS;
}

#ifdef __SSE2__
/* Sixteen bytes: which are not plain, a bit each. *seen tells when one
 * before the first of them, or any when there is none, is not ASCII. */
static inline unsigned sl_json_hits16(const char *at, uint64_t *seen)
{
    __m128i in = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(in, _mm_set1_epi8('"')),
                                 _mm_cmpeq_epi8(in, _mm_set1_epi8('\\')));
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(in, _mm_set1_epi8(0x1f)), in);
    unsigned hits = (unsigned)_mm_movemask_epi8(_mm_or_si128(marks, low));
    unsigned tops = (unsigned)_mm_movemask_epi8(in), before = hits ? (hits & -hits) - 1 : 0xffff;
    if (tops & before)
        *seen = SL_JSON_TOPS;
    return hits;
}
#endif

/* How many bytes from at on are plain (no control character, quote or backslash): sixteen or eight
 * at a time where possible, the last of them twice rather than one by one. Their bits are gathered
 * in *seen, which tells whether all were ASCII. On the path of every text. */
static inline size_t sl_json_plain_run(const char *at, size_t length, uint64_t *seen)
{
    size_t run = 0;
    uint64_t word;
#ifdef __SSE2__
    for (unsigned hits; length - run >= 16; run += 16)
        if ((hits = sl_json_hits16(at + run, seen)))
            return run + (unsigned)__builtin_ctz(hits);
    if (run && !sl_json_hits16(at + length - 16, seen))
        return length;
#endif
    for (; length - run >= 8; run += 8) {
        memcpy(&word, at + run, sizeof word);
        if (sl_json_hits(word))
            break;
        *seen |= word;
    }
    if (run < length && length - run < 8 && length >= 8) {
        memcpy(&word, at + length - 8, sizeof word);
        if (!sl_json_hits(word)) {
            *seen |= word;
            return length;
        }
    }
    for (; run < length; run++) {
        unsigned char c = (unsigned char)at[run];
        if (c < 0x20 || c == '"' || c == '\\')
            break;
        *seen |= c;
    }
    return run;
}

#endif
