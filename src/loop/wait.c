/* Waiting for a condition, and for file descriptors; both are parks with a reason. */
#include "loop/fiber.h"

struct sl_waiter {
    struct sl_waiter *previous, *next;
    struct sl_fiber *fiber;
    bool listed;
};

static void unlink_waiter(struct sl_waitlist *list, struct sl_waiter *waiter)
{
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        list->first = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    else
        list->last = waiter->previous;
    waiter->listed = false;
}

int sl_wait(struct sl_waitlist *list, uint64_t deadline_ms)
{
    struct sl_waiter waiter = {.previous = list->last, .fiber = sl_fiber_self(), .listed = true};
    /* It leaves the list before this function ends. */
    if (list->last)
        list->last->next = &waiter;
    else
        list->first = &waiter; // cppcheck-suppress autoVariables
    list->last = &waiter;      // cppcheck-suppress autoVariables

    int rc = sl_fiber_park(deadline_ms);
    if (waiter.listed)
        unlink_waiter(list, &waiter);
    else if (rc == SL_CANCELED)
        sl_wake_one(list); /* the wake was for somebody who still cares */
    else
        rc = SL_OK;
    return rc;
}

void sl_wake_one(struct sl_waitlist *list)
{
    struct sl_waiter *waiter = list->first;
    if (!waiter)
        return;
    unlink_waiter(list, waiter);
    sl_fiber_wake(waiter->fiber);
}

void sl_wake_all(struct sl_waitlist *list)
{
    while (list->first)
        sl_wake_one(list);
}

struct fired {
    struct sl_fiber *fiber;
    bool yes;
    int events;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct fired *fired = poll->data;
    uv_poll_stop(poll);
    fired->yes = true;
    /* After an error, the read or write itself will tell what is wrong. */
    fired->events |= status < 0 ? UV_READABLE | UV_WRITABLE : events;
    sl_fiber_wake(fired->fiber);
}

static int poll_all(struct sl_pollset *set, unsigned count, uint64_t deadline_ms, bool any_wake,
                    int *ret_events)
{
    struct fired fired = {.fiber = sl_fiber_self()};
    for (unsigned i = 0; i < count; i++) {
        set[i].poll->data = &fired;
        uv_poll_start(set[i].poll, set[i].events, on_poll);
    }
    int rc;
    do
        rc = sl_fiber_park(deadline_ms);
    while (!fired.yes && !any_wake && rc == SL_OK);
    for (unsigned i = 0; i < count; i++)
        uv_poll_stop(set[i].poll);
    if (rc == SL_TIMEOUT && fired.yes)
        rc = SL_OK;
    if (ret_events)
        *ret_events = fired.events;
    return rc;
}

int sl_fiber_poll(uv_poll_t *poll, int events, uint64_t deadline_ms, int *ret_events)
{
    struct sl_pollset one = {poll, events};
    return poll_all(&one, 1, deadline_ms, false, ret_events);
}

int sl_fiber_poll_any(struct sl_pollset *set, unsigned count, uint64_t deadline_ms)
{
    return poll_all(set, count, deadline_ms, true, NULL);
}
