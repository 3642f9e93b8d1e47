/* Versions in the order of arrival: what arrives later, at whichever process, has a greater one.
 *
 * A version is the wall clock in milliseconds << 11, plus a sequence, as long as it may be; it
 * never falls, not over a crash with the clock set back either. Ranges of versions are reserved in
 * the state. A process that is alone reserves ahead, in the background; while several are at work,
 * each reserves when something has arrived. docs/adr/0014-arrival-order.md has the argument. */
#ifndef SL_SOURCE_ARRIVAL_H
#define SL_SOURCE_ARRIVAL_H

#include "flow/state.h"

enum { SL_ARRIVAL_SEQUENCE_BITS = 11 };

struct sl_arrival;

/* The clock of this process on that state, shared by all who join. From then on a fiber reserves,
 * whether there are arrivals or not. Does not suspend. state outlives it. */
struct sl_arrival *sl_arrival_join(struct sl_state *state);

/* The last one ends it, and tells the state so if that answers. Suspends. NULL is fine. */
void sl_arrival_leave(struct sl_arrival *arrival);

/* Versions *ret_first up to *ret_first + count - 1, for what has arrived before the call. count is
 * at least 1. Rarely suspends when the process is alone, else for a round trip to the state. Fails
 * with SL_TIMEOUT, saying why the state gave none, with SL_CONFIG when this machine's clock cannot
 * be right, or with SL_CANCELED. */
int sl_arrival_take(struct sl_arrival *arrival, uint32_t count, uint64_t deadline_ms,
                    int64_t *ret_first, struct sl_err *err);

/* NULL when versions can be had, else why not, for /readyz. Valid until the fiber suspends. */
const char *sl_arrival_trouble(const struct sl_arrival *arrival);

#endif
