/* Credit: how many bytes may be in flight. A source takes credit before it reads, and the batch
 * gives it back when it is freed: this is the whole of backpressure. The ingest side has a pool,
 * and so has each queue of the apply side, so that none can starve another. */
#ifndef SL_FLOW_CREDIT_H
#define SL_FLOW_CREDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/fiber.h"

struct sl_credit_request;

struct sl_credit {
    const char *name;
    size_t total_bytes;
    size_t used_bytes; /* may pass total when one batch alone is larger than all */
    struct sl_credit_request *first, *last; /* private: who waits, in order */
    struct sl_waitlist
        *shortage; /* woken when somebody begins to wait; NULL: nobody wants to know */
    struct sl_metric *used_metric;
};

void sl_credit_init(struct sl_credit *credit, const char *name, size_t total_bytes);

/* Takes bytes; suspends while they are not there. A request larger than the whole pool waits until
 * it is alone. First come, first served. Fails with SL_TIMEOUT or SL_CANCELED. */
int sl_credit_take(struct sl_credit *credit, size_t bytes, uint64_t deadline_ms);

/* Takes bytes if that needs no waiting and nobody else waits. */
bool sl_credit_try(struct sl_credit *credit, size_t bytes);

/* Takes without waiting, past the total if need be: for bytes that are already in memory. */
void sl_credit_force(struct sl_credit *credit, size_t bytes);

/* Gives back what was taken, and wakes who waits for it. Does not suspend. */
void sl_credit_give(struct sl_credit *credit, size_t bytes);

#endif
