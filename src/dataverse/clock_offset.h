/* How far a peer's clock is from ours, estimated from the Date headers of its answers, which know
 * whole seconds only: each says that the peer's clock stood within that second at some moment
 * between sending and receiving; what all of them allow together is narrow. Pure. */
#ifndef SL_DATAVERSE_CLOCK_OFFSET_H
#define SL_DATAVERSE_CLOCK_OFFSET_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed = nothing known. */
struct sl_clock_offset {
    bool known;
    int64_t low_ms, high_ms; /* private: the offset lies between, as of at_ms */
    int64_t at_ms;
};

/* An answer with that Date (0: none) to a request that was sent and answered at these times of our
 * wall clock. */
void sl_clock_offset_add(struct sl_clock_offset *offset, int64_t sent_ms, int64_t received_ms,
                         int64_t date_ms);

/* Peer's clock minus ours: 0 as long as the answers allow that, else the middle of what they allow.
 */
int64_t sl_clock_offset_ms(const struct sl_clock_offset *offset);

/* How far from that the truth may be; 0 while nothing is known. */
int64_t sl_clock_offset_doubt_ms(const struct sl_clock_offset *offset);

#endif
