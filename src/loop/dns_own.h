/* The resolver that dns.c and dns_records.c share. */
#ifndef SL_LOOP_DNS_OWN_H
#define SL_LOOP_DNS_OWN_H

#include <stdbool.h>
#include <stdint.h>

#include <ares.h>

struct sl_fiber;

/* What was asked; first in what also holds the answer. Heap: the answer may come when nobody waits
 * any more. */
struct sl_dns_question {
    struct sl_fiber *fiber; /* NULL: nobody waits any more */
    bool done;
    int status; /* of c-ares */
};

/* c-ares, watched by the loop; started when it is needed first. NULL when it does not start. */
ares_channel *sl_dns_channel(void);

/* Suspends until it is answered. SL_OK; else SL_TIMEOUT or SL_CANCELED, and whoever answers it
 * frees it. */
int sl_dns_await(struct sl_dns_question *question, uint64_t deadline_ms);

/* In c-ares' callback: notes the status and wakes who waits. False: nobody does, and the caller
 * frees it. */
bool sl_dns_answered(struct sl_dns_question *question, int status);

#endif
