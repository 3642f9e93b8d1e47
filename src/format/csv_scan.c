/* The portable scan. A byte equal to c is a zero byte in word ^ cccccccc; adding 0x7f to the low
 * seven bits of every byte leaves the top bit clear for zero bytes alone, without carries between
 * bytes. One multiplication then gathers the eight top bits into a byte. */
#include "format/csv_scan.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the gathering multiplication takes the first byte of a word for its lowest"
#endif

#define EVERY(byte) (0x0101010101010101u * (uint8_t)(byte))

/* Top bit of each byte that is not zero. */
static inline uint64_t nonzero(uint64_t word)
{
    return ((word & EVERY(0x7f)) + EVERY(0x7f)) | word;
}

static inline uint64_t gather(uint64_t top_bits)
{
    return (top_bits >> 7) * 0x0102040810204080u >> 56;
}

void sl_csv_scan_portable(const char *bytes, size_t blocks, char delimiter, uint64_t *masks)
{
    const uint64_t delimiters = EVERY(delimiter);
    for (size_t b = 0; b < blocks; b++, bytes += 64) {
        uint64_t mask = 0;
        for (size_t i = 0; i < 8; i++) {
            uint64_t word;
            memcpy(&word, bytes + 8 * i, 8);
            uint64_t other = nonzero(word ^ delimiters) & nonzero(word ^ EVERY('"')) &
                             nonzero(word ^ EVERY('\n')) & nonzero(word ^ EVERY('\r'));
            mask |= gather(~other & EVERY(0x80)) << (8 * i);
        }
        masks[b] = mask;
    }
}

sl_csv_scan_fn sl_csv_scan_choose(void)
{
    sl_csv_scan_fn scan = sl_csv_scan_avx2();
    if (!scan)
        scan = sl_csv_scan_sse2();
    return scan ? scan : sl_csv_scan_portable;
}
