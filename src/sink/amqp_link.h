/* The publishing connection of the AMQP sink: opened by whoever needs it first, one at a time, and
 * kept away from for a while after a failure. Private to sink/amqp. */
#ifndef SL_SINK_AMQP_LINK_H
#define SL_SINK_AMQP_LINK_H

#include "base/metric.h"
#include "broker/topology.h"
#include "flow/batch.h"
#include "loop/fiber.h"

struct sl_amqp_link;

/* How full a lane's queue is, as far as we know. */
struct sl_backlog {
    struct sl_amqp_link *link;
    char queue[SL_QUEUE_NAME_MAX];
    uint64_t asked_ms;      /* loop clock; 0: never */
    uint32_t messages;      /* then */
    uint32_t consumers;     /* then */
    uint32_t published;     /* by us and maybe not among them */
    uint32_t unconfirmed;   /* of these, still on the way */
    bool asking, told;      /* told: the last answer was one */
    struct sl_fiber *asker; /* asks while others publish; NULL: nobody */
    struct sl_waitlist changed;
    struct sl_metric *gauge;
};

struct sl_amqp_link {
    const struct sl_broker *broker;
    struct sl_amqp *amqp;
    struct sl_channel *publish;
    struct sl_channel *watch; /* asks for backlogs */
    bool doubtful;            /* does not answer, or its queues are gone: open it anew */
    bool opening;
    unsigned openings; /* finished, whatever came of them */
    unsigned failures; /* in a row */
    uint64_t retry_ms; /* not before, loop clock */
    struct sl_err trouble;
    struct sl_waitlist changed;
    struct sl_backlog lanes[SL_LANES]; /* by enum sl_lane */
};

void sl_amqp_link_init(struct sl_amqp_link *link, const struct sl_broker *broker);

/* Closes in order. Suspends for a second at most. */
void sl_amqp_link_done(struct sl_amqp_link *link);

/* Whether it is open, so that a turn can be waited for. */
bool sl_amqp_link_ready(const struct sl_amqp_link *link);

/* Makes it ready. Suspends. Fails with what sl_amqp_connect and sl_topology_declare fail with. */
int sl_amqp_link_open(struct sl_amqp_link *link, uint64_t deadline_ms, struct sl_err *err);

/* Waits while the broker blocks publishing or the lane's queue is full; then the caller publishes
 * one message to it and says sl_amqp_link_end_turn. Suspends. Fails with SL_CLOSED when the link
 * was lost meanwhile, SL_THROTTLED when the queue is still full at deadline_ms, SL_CANCELED. */
int sl_amqp_link_wait_turn(struct sl_amqp_link *link, enum sl_lane lane, uint64_t deadline_ms,
                           struct sl_err *err);

/* The message is confirmed, or will not be. */
void sl_amqp_link_end_turn(struct sl_amqp_link *link, enum sl_lane lane);

/* Asks how much is in the lane's queue, and who takes it. Suspends. Fails with SL_CLOSED when that
 * cannot be told, SL_CANCELED. */
int sl_amqp_link_look(struct sl_amqp_link *link, enum sl_lane lane, struct sl_queue_state *ret,
                      struct sl_err *err);

#endif
