/* Passing on: deliveries of a feed or an entity that this process does not know go back to the
 * queue, and the process takes none for a moment, so that another one gets them:
 *
 *   consuming ── sl_pass_on ──► tags wait ── consumer stopped ──► paused, tags given back ──┐
 *       ▲──────────────────────────────── PAUSE_MS ◄────────────────────────────────────────┘
 *
 * One batch of each kind is the witness: when it comes back again and again, nobody knows its feed
 * (docs/adr/0038-passed-on.md). Private to source/amqp.c. */
#ifndef SL_SOURCE_AMQP_PASS_H
#define SL_SOURCE_AMQP_PASS_H

#include "broker/amqp.h"
#include "flow/batch.h"

enum { SL_PASS_TAGS = 64, SL_PASS_KINDS = 64 };

/* What is known of an entity of a feed. */
struct sl_pass_kind {
    uint64_t name;              /* hash of both */
    uint64_t witness;           /* hash of what names the batch */
    uint64_t since_ms, seen_ms; /* the witness, first and last; loop clock, 0: never */
    unsigned times;             /* … came here */
    uint64_t nobodys_until_ms;
};

/* Zeroed = ready for use. */
struct sl_pass {
    struct sl_pass_kind kinds[SL_PASS_KINDS];
    uint64_t others_ms;          /* loop clock: others consumed then; 0: never */
    uint64_t tags[SL_PASS_TAGS]; /* wait for the consumer to have stopped */
    unsigned tag_count;
    bool paused;
    uint64_t resume_ms; /* loop clock, while paused */
};

/* Whether to pass the batch on once more; false: nobody seems to know its feed. */
bool sl_pass_wanted(struct sl_pass *pass, const struct sl_origin *origin, uint64_t now_ms);

/* Gives the delivery back, at once or with the next step. */
void sl_pass_on(struct sl_pass *pass, struct sl_channel *channel, uint64_t tag);

/* When there is something to do, on the loop's clock: 0 is now. */
uint64_t sl_pass_due_ms(const struct sl_pass *pass);

/* Does what is due: stops the channel's consumer and gives back what waits for that, or consumes
 * again. Suspends. Fails as sl_channel_consume does; then the channel is of no use any more. */
int sl_pass_step(struct sl_pass *pass, struct sl_channel *channel, const char *queue,
                 uint64_t deadline_ms, struct sl_err *err);

/* The channel is gone, and all tags with it. */
void sl_pass_reset(struct sl_pass *pass);

#endif
