#include "source/amqp_held.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

void sl_held_add(struct sl_held_list *list, const struct sl_amqp_delivery *delivery,
                 uint64_t give_up_ms)
{
    struct sl_held *held = SL_NEW(struct sl_held);
    held->tag = delivery->tag;
    held->give_up_ms = give_up_ms;
    held->arrived_us = sl_wall_us();
    held->content_type = sl_strndup(delivery->content_type.at, delivery->content_type.length);
    held->message_id = sl_strndup(delivery->message_id.at, delivery->message_id.length);
    held->body = delivery->body;
    held->size = delivery->size;
    if (list->last)
        list->last->next = held;
    else
        list->first = held;
    list->last = held;
}

struct sl_held *sl_held_take(struct sl_held_list *list)
{
    struct sl_held *held = list->first;
    if (!held)
        return NULL;
    list->first = held->next;
    if (!list->first)
        list->last = NULL;
    return held;
}

void sl_held_free(struct sl_held *held)
{
    free(held->content_type);
    free(held->message_id);
    free(held->body);
    free(held);
}

void sl_held_clear(struct sl_held_list *list)
{
    for (struct sl_held *held; (held = sl_held_take(list));)
        sl_held_free(held);
}
