/* The resolver that dns.c and dns_records.c share. */
#ifndef SL_LOOP_DNS_OWN_H
#define SL_LOOP_DNS_OWN_H

#include <ares.h>

/* c-ares, watched by the loop; started when it is needed first. NULL when it does not start. */
ares_channel *sl_dns_channel(void);

/* After each question: when c-ares wants to be called again. */
void sl_dns_arm(void);

#endif
