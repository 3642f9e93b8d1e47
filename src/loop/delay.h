/* The loop's delay: how late a timer fires, measured all the time, as a histogram metric
 * (loop_delay_seconds). It is the proof that no slice of work is too long. */
#ifndef SL_LOOP_DELAY_H
#define SL_LOOP_DELAY_H

#include <stdint.h>

/* Starts measuring every interval_ms, and once a second while the loop has little to do; 0 stops.
 * Does not keep the loop alive. */
void sl_loop_delay_watch(uint64_t interval_ms);

#endif
