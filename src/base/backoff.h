/* Pauses between tries: each twice as long as the one before, up to a limit. */
#ifndef SL_BASE_BACKOFF_H
#define SL_BASE_BACKOFF_H

#include <stdint.h>

/* The pause after pause_ms. */
uint64_t sl_backoff_next(uint64_t pause_ms, uint64_t max_ms);

/* The pause after so many failures in a row: min_ms after the first (and when there was none). */
uint64_t sl_backoff_after(unsigned failures, uint64_t min_ms, uint64_t max_ms);

#endif
