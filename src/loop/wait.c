/* Waiting for a condition, for file descriptors, for a time: all are parks with a reason. */
#include <stdlib.h>

#include "base/mem.h"
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

int sl_mutex_lock(struct sl_mutex *mutex, uint64_t deadline_ms, struct sl_err *err)
{
    while (!sl_mutex_try(mutex)) {
        int rc = sl_wait(&mutex->waiting, deadline_ms);
        if (rc != SL_OK)
            return sl_err_set(err, rc,
                              rc == SL_TIMEOUT ? "another one takes too long" : "cancelled");
    }
    return SL_OK;
}

bool sl_mutex_try(struct sl_mutex *mutex)
{
    if (mutex->held)
        return false;
    return mutex->held = true;
}

void sl_mutex_unlock(struct sl_mutex *mutex)
{
    mutex->held = false;
    sl_wake_one(&mutex->waiting);
}

/* A wait that goes on. */
struct sl_polling {
    struct sl_fiber *fiber;
    bool fired;
    int events;
};

struct sl_watch *sl_watch_new(int fd, int *ret_status)
{
    struct sl_watch *watch = SL_NEW(struct sl_watch);
    *ret_status = uv_poll_init(sl_loop(), &watch->poll, fd);
    if (*ret_status == 0)
        return watch;
    free(watch);
    return NULL;
}

static void disarm(struct sl_watch *watch)
{
    if (watch->armed)
        uv_poll_stop(&watch->poll);
    watch->armed = 0;
}

void sl_watch_free(struct sl_watch *watch)
{
    if (!watch)
        return;
    disarm(watch);
    uv_close((uv_handle_t *)&watch->poll, sl_handle_free);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct sl_watch *watch = (struct sl_watch *)poll;
    struct sl_polling *polling = watch->polling;
    if (status < 0)
        watch->armed = 0; /* libuv has stopped it */
    if (!polling) {       /* nobody waits, and it would be told again and again */
        disarm(watch);
        return;
    }
    polling->fired = true;
    /* After an error, the read or write itself will tell what is wrong. */
    polling->events |= status < 0 ? UV_READABLE | UV_WRITABLE : events;
    sl_fiber_wake(polling->fiber);
}

/* Each change costs two system calls, so a watch stays armed from one wait to the next: mostly they
 * are for the same. */
static void arm(struct sl_watch *watch, int events)
{
    if (watch->armed == events)
        return;
    uv_poll_start(&watch->poll, events, on_poll);
    watch->armed = events;
}

static void leave(struct sl_watch *watch)
{
    watch->polling = NULL;
    if (watch->armed & UV_WRITABLE) /* that it is nearly always */
        disarm(watch);
}

static int poll_all(struct sl_pollset *set, unsigned count, uint64_t deadline_ms, bool any_wake,
                    int *ret_events)
{
    struct sl_polling polling = {.fiber = sl_fiber_self()};
    for (unsigned i = 0; i < count; i++) {
        set[i].watch->polling = &polling; // cppcheck-suppress autoVariables; left below
        arm(set[i].watch, set[i].events);
    }
    int rc;
    do
        rc = sl_fiber_park(deadline_ms);
    while (!polling.fired && !any_wake && rc == SL_OK);
    for (unsigned i = 0; i < count; i++)
        leave(set[i].watch);
    if (rc == SL_TIMEOUT && polling.fired)
        rc = SL_OK;
    if (ret_events)
        *ret_events = polling.events;
    return rc;
}

int sl_fiber_poll(struct sl_watch *watch, int events, uint64_t deadline_ms, int *ret_events)
{
    struct sl_pollset one = {watch, events};
    return poll_all(&one, 1, deadline_ms, false, ret_events);
}

int sl_fiber_poll_any(struct sl_pollset *set, unsigned count, uint64_t deadline_ms)
{
    return poll_all(set, count, deadline_ms, true, NULL);
}

/* --- for a time --- */

static int sleep_until(uint64_t deadline_ms)
{
    for (;;) {
        int rc = sl_fiber_park(deadline_ms);
        if (rc != SL_OK)
            return rc == SL_TIMEOUT ? SL_OK : rc;
    }
}

int sl_fiber_sleep(uint64_t ms)
{
    return sleep_until(sl_deadline_in(ms));
}

/* They are counted from the first one on: processes on one machine share a clock, and must not all
 * ask at the same moment. */
uint64_t sl_next_beat(uint64_t every_ms)
{
    static uint64_t origin_ms;
    uint64_t now_ms = sl_loop_now_ms();
    if (!origin_ms)
        origin_ms = now_ms;
    return now_ms + every_ms - (now_ms - origin_ms) % every_ms;
}

int sl_fiber_sleep_beat(uint64_t every_ms)
{
    return sleep_until(sl_next_beat(every_ms));
}
