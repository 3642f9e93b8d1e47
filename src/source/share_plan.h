/* Who of several processes should work on what: a fair share for each, with as few moves as can be.
 * A pure function of what all of them see, so that they agree without talking to each other. */
#ifndef SL_SOURCE_SHARE_PLAN_H
#define SL_SOURCE_SHARE_PLAN_H

#include "flow/members.h"

struct sl_share_plan {
    size_t count;
    struct sl_share_planned {
        const char *lease;  /* the member's own text */
        const char *holder; /* the living process that has it; NULL: none */
        const char *wanted; /* the process that shall have it; never NULL */
    } * items;              /* in the order of the leases' names; heap */
};

/* Plans everything that the members want. members outlives the plan.
 *
 * Each gets its fair share: all leases divided by all members, where those that hold most have the
 * greater part of what does not divide. Who holds more than its share keeps as many as that; what
 * is left goes to those below theirs, each lease to the one whose name fits it best (rendezvous
 * hashing). Nobody gets what it does not want. A member younger than settle_ms gets nothing that
 * somebody has. */
struct sl_share_plan sl_share_plan(const struct sl_members *members, int64_t settle_ms);

void sl_share_plan_done(struct sl_share_plan *plan);

/* The item of that lease; NULL: nobody wants it. */
const struct sl_share_planned *sl_share_plan_find(const struct sl_share_plan *plan,
                                                  const char *lease);

#endif
