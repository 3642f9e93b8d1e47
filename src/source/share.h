/* The feeds and sources of this process, shared with other processes of the same state. Leases
 * decide who works; this says for which of them to ask, and which to give away. */
#ifndef SL_SOURCE_SHARE_H
#define SL_SOURCE_SHARE_H

#include "base/str.h"
#include "flow/state.h"
#include "loop/fiber.h"

struct sl_share;

/* Starts the fiber that gives signs of life. Borrows state and the leases' names (count of them);
 * copies the list. Call it from a fiber. */
struct sl_share *sl_share_new(struct sl_state *state, const char *const *leases, size_t count);

/* Tells the others that this process ends, so that they take what it is about to give back.
 * Suspends. NULL is fine. */
void sl_share_leave(struct sl_share *share);

/* Nobody asks any more. NULL is fine. */
void sl_share_free(struct sl_share *share);

/* Waits until this process shall have the lease, at most some seconds: then it may ask for it all
 * the same, since who shall have it may be unable to. Sets how long it must have been vacant. share
 * may be NULL: there are no others. */
void sl_share_wait_turn(struct sl_share *share, struct sl_lease *lease);

/* Whether another process shall have the lease, which is held here: give it back at the next moment
 * at which that does no harm, and tell sl_share_gave. Does not suspend. share may be NULL. */
bool sl_share_must_give(const struct sl_share *share, const struct sl_lease *lease);
void sl_share_gave(struct sl_share *share, const struct sl_lease *lease);
/* Wakes wake whenever a look at the others finds that it must be given. Borrows both until wake is
 * NULL. share may be NULL. */
void sl_share_watch(struct sl_share *share, const struct sl_lease *lease, struct sl_waitlist *wake);

/* Adds who is there and who works on what, as a JSON object. */
void sl_share_status(const struct sl_share *share, struct sl_buf *buf);

#endif
