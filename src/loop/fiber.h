/* Fibers: many jobs on one thread, each written as if its waits were blocking.
 *
 * A fiber runs until it waits; then the loop goes on. All waiting is built on one thing: park until
 * woken, timed out or cancelled. A cancelled fiber's waits all fail at once with SL_CANCELED, which
 * is how shutdown and timeouts work. Nothing here may be called from another thread. */
#ifndef SL_LOOP_FIBER_H
#define SL_LOOP_FIBER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

struct sl_fiber;

#define SL_FOREVER UINT64_MAX /* a deadline that never comes */

/* The one loop. Created at the first call. */
uv_loop_t *sl_loop(void);

/* Runs the loop until no fiber is left. */
void sl_loop_run(void);

/* Closes what the loop still holds; for the end of the program and of a test. Returns 0, or
 * UV_EBUSY when handles are still open. */
int sl_loop_close(void);

/* Loop clock in milliseconds, brought up to date: what deadlines are measured against. */
uint64_t sl_loop_now_ms(void);
/* now + delay, without overflow. */
uint64_t sl_deadline_in(uint64_t delay_ms);

/* Starts fn(arg) as a fiber at the loop's next turn. name must outlive it (for a debugger). The
 * pointer is valid until the fiber ends, or, when joinable, until sl_fiber_join. */
struct sl_fiber *sl_fiber_spawn(const char *name, void (*fn)(void *), void *arg);
/* Likewise, but runs it at once until it first waits; only on the loop, not in a fiber. NULL when
 * it has ended by then. */
struct sl_fiber *sl_fiber_run(const char *name, void (*fn)(void *), void *arg);
struct sl_fiber *sl_fiber_spawn_joinable(const char *name, void (*fn)(void *), void *arg);

/* The running fiber, or NULL on the loop itself. */
struct sl_fiber *sl_fiber_self(void);

/* Suspends until sl_fiber_wake, at most until deadline_ms (loop clock). A wake before the park is
 * remembered. Returns SL_OK, SL_TIMEOUT or SL_CANCELED. */
int sl_fiber_park(uint64_t deadline_ms);
void sl_fiber_wake(struct sl_fiber *fiber);

/* Lets everything else run once, then goes on. Returns SL_OK or SL_CANCELED. */
int sl_fiber_yield(void);
/* SL_OK after the time, SL_CANCELED when cancelled. */
int sl_fiber_sleep(uint64_t ms);
/* Loop clock of the next beat, of which there is one every so many milliseconds: who looks around
 * regularly so does it in one turn with the others, and an idle process sleeps longer. Not 0. */
uint64_t sl_next_beat(uint64_t every_ms);
/* The same as sl_fiber_sleep, until the next beat. */
int sl_fiber_sleep_beat(uint64_t every_ms);

/* Makes every present and later wait of the fiber fail with SL_CANCELED. */
void sl_fiber_cancel(struct sl_fiber *fiber);
bool sl_fiber_cancelled(void);
/* While shielded, the running fiber's waits ignore cancelling: for the last words of a shutdown
 * (a final write), always with a deadline. Nests. */
void sl_fiber_shield(bool on);

/* Suspends until the fiber has ended, and frees it. Not interrupted by cancelling. */
void sl_fiber_join(struct sl_fiber *fiber);
/* Cancels a joinable fiber, joins it and makes *fiber NULL; NULL already is fine. Suspends. */
void sl_fiber_end(struct sl_fiber **fiber);

/* How many have not ended. */
unsigned sl_fiber_count(void);

/* Something to do when the fibers of this turn of the loop have run, before it asks the kernel
 * again: sending what they wrote, say. fn and ctx are the owner's to set, the rest is private. fn
 * runs on the loop, once for each time it was added; it may wake, and must not suspend. */
struct sl_turn_end {
    void (*fn)(void *ctx);
    void *ctx;
    struct sl_turn_end *next;
    bool queued;
};
void sl_turn_end_add(struct sl_turn_end *end);
void sl_turn_end_drop(struct sl_turn_end *end);

/* A list of fibers that wait for one condition. Zeroed = ready for use; no end needed.
 * Use: while (!condition) { rc = sl_wait(&list, deadline); if (rc != SL_OK) … } */
struct sl_waitlist {
    struct sl_waiter *first, *last; /* private */
};

/* Parks on the list. Returns SL_OK, SL_TIMEOUT or SL_CANCELED. Waking never suspends. */
int sl_wait(struct sl_waitlist *list, uint64_t deadline_ms);
void sl_wake_one(struct sl_waitlist *list);
void sl_wake_all(struct sl_waitlist *list);

/* What one fiber has at a time. Zeroed = free; no end needed. */
struct sl_mutex {
    bool held;
    struct sl_waitlist waiting; /* private */
};

/* Suspends while another fiber has it. SL_TIMEOUT, SL_CANCELED. */
int sl_mutex_lock(struct sl_mutex *mutex, uint64_t deadline_ms, struct sl_err *err);
/* False, at once, while another one has it. */
bool sl_mutex_try(struct sl_mutex *mutex);
void sl_mutex_unlock(struct sl_mutex *mutex);

/* A file descriptor that fibers wait for, one at a time. */
struct sl_watch {
    uv_poll_t poll;             /* first: its closing frees the whole */
    int armed;                  /* the events that the kernel looks for */
    struct sl_polling *polling; /* NULL: nobody waits */
};

/* fd stays the caller's, and open until sl_watch_free. NULL with a libuv status when the loop
 * cannot watch it. NULL may be freed. */
struct sl_watch *sl_watch_new(int fd, int *ret_status);
void sl_watch_free(struct sl_watch *watch);

/* Waits until it is ready for events (UV_READABLE, UV_WRITABLE, …). *ret_events may be NULL. */
int sl_fiber_poll(struct sl_watch *watch, int events, uint64_t deadline_ms, int *ret_events);

/* Several at once, also none: SL_OK when at least one fired, or sl_fiber_wake was called. */
struct sl_pollset {
    struct sl_watch *watch;
    int events;
};
int sl_fiber_poll_any(struct sl_pollset *set, unsigned count, uint64_t deadline_ms);

/* Frees a heap-allocated handle after uv_close: uv_close(h, sl_handle_free). */
void sl_handle_free(uv_handle_t *handle);

#endif
