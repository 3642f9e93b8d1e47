/* Deliveries of RabbitMQ that wait to be taken, the oldest first. Private to source/amqp.c. */
#ifndef SL_SOURCE_AMQP_HELD_H
#define SL_SOURCE_AMQP_HELD_H

#include "broker/amqp.h"

struct sl_held {
    struct sl_held *next;
    uint64_t tag;
    uint64_t give_up_ms; /* loop clock: it must be given back by then */
    int64_t arrived_us;  /* wall clock */
    char *content_type, *message_id;
    char *body; /* NULL: too large to be read */
    size_t size;
};

/* Zeroed = empty and ready for use. */
struct sl_held_list {
    struct sl_held *first, *last;
};

/* Adds the delivery at the end: takes its body, copies the rest. */
void sl_held_add(struct sl_held_list *list, const struct sl_amqp_delivery *delivery,
                 uint64_t give_up_ms);

/* Gives the first one (sl_held_free), or NULL. */
struct sl_held *sl_held_take(struct sl_held_list *list);

void sl_held_free(struct sl_held *held);
void sl_held_clear(struct sl_held_list *list);

#endif
