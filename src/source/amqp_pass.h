/* Passing on: deliveries of an entity that this process does not know are kept for a moment and
 * given back to the queue, so that another process gets them, until it shows that nobody knows the
 * entity (docs/adr/0038-passed-on.md). Private to source/amqp.c. */
#ifndef SL_SOURCE_AMQP_PASS_H
#define SL_SOURCE_AMQP_PASS_H

#include "broker/amqp.h"
#include "flow/batch.h"

enum { SL_PASS_TAGS = 64, SL_PASS_KINDS = 256 };

/* What is known of an entity of a feed. Times are the loop clock's. */
struct sl_pass_kind {
    uint64_t name;              /* hash of both */
    uint64_t since_ms, seen_ms; /* its batches come since then, and came last; seen 0: unused */
    uint64_t witness;           /* hash of what names one batch, which may come back; 0: none */
    uint64_t witness_since_ms, witness_seen_ms;
    unsigned witness_times;
    uint64_t nobodys_until_ms;
};

struct sl_pass_tag {
    uint64_t tag, due_ms;
};

/* Zeroed = ready for use. */
struct sl_pass {
    struct sl_pass_kind kinds[SL_PASS_KINDS];
    uint64_t looked_ms;                    /* loop clock, for other consumers; 0: never */
    bool others;                           /* there were some, or that could not be told */
    struct sl_pass_tag tags[SL_PASS_TAGS]; /* deliveries that are kept, in the order of due_ms */
    unsigned tag_count;
};

/* For how long to keep a batch before it is given back; 0: nobody seems to know its entity. */
uint64_t sl_pass_keep_ms(struct sl_pass *pass, const struct sl_origin *origin, uint64_t now_ms);

/* Gives the delivery back at due_ms; while too many are kept, at once. */
void sl_pass_on(struct sl_pass *pass, struct sl_channel *channel, uint64_t tag, uint64_t due_ms);

/* When there is something to do, on the loop's clock. */
uint64_t sl_pass_due_ms(const struct sl_pass *pass);

/* Gives back what is due, and looks now and then whether others consume. Suspends. SL_OK or
 * SL_CANCELED; what else fails on the channel tells its handler. */
int sl_pass_step(struct sl_pass *pass, struct sl_channel *channel, const char *queue);

/* The channel is gone, and all tags with it. What was seen so far may be by its trouble. */
void sl_pass_reset(struct sl_pass *pass);

#endif
