/* Keeps the leases of many feeds: all that are held are renewed by one write, every third of the
 * time that a lease lasts. */
#ifndef SL_SOURCE_KEEPER_H
#define SL_SOURCE_KEEPER_H

#include "flow/state.h"
#include "loop/fiber.h"

struct sl_keeper;

/* Starts the fiber that renews. Borrows state. Call it from a fiber. */
struct sl_keeper *sl_keeper_new(struct sl_state *state);

/* Suspends. All leases were taken out before. NULL is fine. */
void sl_keeper_free(struct sl_keeper *keeper);

/* From now on lease is renewed while it is held. When the state says that somebody else has it, it
 * is not held any more, and lost (which may be NULL) is woken. Both live until the lease is taken
 * out. keeper may be NULL: nobody renews. */
void sl_keeper_add(struct sl_keeper *keeper, struct sl_lease *lease, struct sl_waitlist *lost);
/* A renewal under way may still be carried out, but only while this process is the owner: what was
 * given back it does not take again. */
void sl_keeper_take_out(struct sl_keeper *keeper, const struct sl_lease *lease);

#endif
