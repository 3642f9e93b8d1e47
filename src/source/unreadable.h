/* The messages that could not be read as batches, in RabbitMQ's queue of that name. They are taken
 * without an acknowledgement, and given back in their order by closing the channel, which is waited
 * for; only what is dropped or published again is acknowledged, and what came back often and is
 * made anew at the queue's end. Killed at any moment, nothing is lost. */
#ifndef SL_SOURCE_UNREADABLE_H
#define SL_SOURCE_UNREADABLE_H

#include "broker/settings.h"
#include "flow/batch.h"

enum { SL_UNREADABLE_MAX = 10000 }; /* looked at in one walk */

/* One message, for the time of the call. */
struct sl_unreadable {
    uint64_t hash;      /* of what it says: names it */
    struct sl_str body; /* empty when it is larger than broker.max_message */
    size_t size;
    const char *routing_key; /* as it was published first: "bulk.vendors.VendorsV3" */
    const char *content_type, *message_id;
    const struct sl_batch *batch; /* NULL: it is none */
    const char *why;              /* it is none; "" when it is one */
    const char *feed, *entity;    /* as far as they are known; "" else */
    int64_t published_at_ms;      /* 0: not known */
};

enum sl_unreadable_fate { SL_UNREADABLE_LEAVE, SL_UNREADABLE_DROP, SL_UNREADABLE_PUBLISH };

/* Says what is to become of it. Must not suspend. */
typedef enum sl_unreadable_fate sl_unreadable_fn(void *ctx, const struct sl_unreadable *message);

struct sl_unreadable_result {
    uint64_t looked_at;
    uint64_t left; /* not looked at: behind SL_UNREADABLE_MAX, or more than may be held at once */
    uint64_t dropped, published; /* that are surely gone from the queue; published again */
};

/* Walks through the queue as it is now. Meanwhile nobody else sees its messages. An empty
 * queue is no failure; a missing one is made. Suspends. Fails as sl_amqp_connect and
 * sl_channel_publish do. */
int sl_unreadable_walk(const struct sl_broker *broker, sl_unreadable_fn *visit, void *ctx,
                       struct sl_unreadable_result *ret, struct sl_err *err);

/* Whether it is too large to be looked at. */
static inline bool sl_unreadable_is_large(const struct sl_unreadable *message)
{
    return message->size > message->body.length;
}

/* Whether it can be published again: it is a batch that can be read, or an event. */
bool sl_unreadable_can_publish(const struct sl_broker *broker, const struct sl_unreadable *message);

#endif
