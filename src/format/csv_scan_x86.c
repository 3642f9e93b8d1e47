/* The scan with the vector registers of x86: each of the four structural bytes is compared with
 * many bytes at once, and one instruction gathers the results into a mask. Chosen at run time, so
 * that one program runs on every processor. */
#include "format/csv_scan.h"

#if defined(__x86_64__)

#include <immintrin.h>

static inline uint64_t sse2_mask(const char *bytes, __m128i delimiters)
{
    __m128i in = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    __m128i parts =
        _mm_or_si128(_mm_cmpeq_epi8(in, delimiters), _mm_cmpeq_epi8(in, _mm_set1_epi8('"')));
    __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(in, _mm_set1_epi8('\n')),
                                _mm_cmpeq_epi8(in, _mm_set1_epi8('\r')));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(parts, ends));
}

static void scan_sse2(const char *bytes, size_t blocks, char delimiter, uint64_t *masks)
{
    const __m128i delimiters = _mm_set1_epi8(delimiter);
    for (size_t b = 0; b < blocks; b++, bytes += 64)
        masks[b] = sse2_mask(bytes, delimiters) | sse2_mask(bytes + 16, delimiters) << 16 |
                   sse2_mask(bytes + 32, delimiters) << 32 |
                   sse2_mask(bytes + 48, delimiters) << 48;
}

__attribute__((target("avx2"))) static inline uint64_t avx2_mask(const char *bytes,
                                                                 __m256i delimiters)
{
    __m256i in = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
    __m256i parts = _mm256_or_si256(_mm256_cmpeq_epi8(in, delimiters),
                                    _mm256_cmpeq_epi8(in, _mm256_set1_epi8('"')));
    __m256i ends = _mm256_or_si256(_mm256_cmpeq_epi8(in, _mm256_set1_epi8('\n')),
                                   _mm256_cmpeq_epi8(in, _mm256_set1_epi8('\r')));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(parts, ends));
}

__attribute__((target("avx2"))) static void scan_avx2(const char *bytes, size_t blocks,
                                                      char delimiter, uint64_t *masks)
{
    const __m256i delimiters = _mm256_set1_epi8(delimiter);
    for (size_t b = 0; b < blocks; b++, bytes += 64)
        masks[b] = avx2_mask(bytes, delimiters) | avx2_mask(bytes + 32, delimiters) << 32;
}

sl_csv_scan_fn sl_csv_scan_sse2(void)
{
    return scan_sse2; /* part of x86-64 */
}

sl_csv_scan_fn sl_csv_scan_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? scan_avx2 : NULL;
}

#else

sl_csv_scan_fn sl_csv_scan_sse2(void)
{
    return NULL;
}

sl_csv_scan_fn sl_csv_scan_avx2(void)
{
    return NULL;
}

#endif
