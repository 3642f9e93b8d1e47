/* Stage 1 of the CSV parser: which bytes matter. Private to csv.c and its test.
 *
 * The contract of every version: bytes points to 64 * blocks readable
 * bytes; bit i of masks[b] becomes 1 when byte 64 * b + i is a quote, the delimiter, CR or LF, else
 * 0. No state is carried: what a structural byte means (it may be inside quotes) is stage 2's
 * business. */
#ifndef SL_FORMAT_CSV_SCAN_H
#define SL_FORMAT_CSV_SCAN_H

#include <stddef.h>
#include <stdint.h>

typedef void (*sl_csv_scan_fn)(const char *bytes, size_t blocks, char delimiter, uint64_t *masks);

/* Eight bytes at a time in an ordinary register: runs everywhere. */
void sl_csv_scan_portable(const char *bytes, size_t blocks, char delimiter, uint64_t *masks);

/* 16 and 32 bytes at a time; NULL where this processor cannot. */
sl_csv_scan_fn sl_csv_scan_sse2(void);
sl_csv_scan_fn sl_csv_scan_avx2(void);

/* The best scan for this processor. */
sl_csv_scan_fn sl_csv_scan_choose(void);

#endif
