#include "loop/fiber.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/asan.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/stack.h"
#include "loop/switch.h"

#ifdef SL_ASAN
#include <sanitizer/common_interface_defs.h>
#define SWITCH_START(save, base, size) __sanitizer_start_switch_fiber(save, base, size)
#define SWITCH_FINISH(fake, base, size) __sanitizer_finish_switch_fiber(fake, base, size)
#else
#define SWITCH_START(save, base, size) ((void)0)
#define SWITCH_FINISH(fake, base, size) ((void)0)
#endif

struct sl_fiber {
    struct sl_context context;
    struct sl_stack stack;
    const char *name;
    void (*fn)(void *);
    void *arg;
    uv_timer_t timer;      /* for deadlines; its closing frees the fiber */
    struct sl_fiber *next; /* in the ready queue */
    struct sl_fiber *joiner;
    unsigned shields;
    bool joinable, done, cancelled;
    bool ready;     /* in the ready queue */
    bool parked;    /* waits for a wake */
    bool woken;     /* a wake came */
    bool timed_out; /* the deadline came */
    void *fake;     /* ASAN's fake stack while switched away */
};

struct queue {
    struct sl_fiber *first, *last;
};

static struct {
    uv_loop_t uv;
    uv_check_t check; /* runs the ready fibers, once a turn, after I/O */
    uv_idle_t idle;   /* keeps the loop from sleeping while fibers are ready */
    struct sl_context context;
    struct sl_fiber *self;
    struct queue ready;   /* for this turn */
    struct queue yielded; /* for the next one */
    struct sl_turn_end *ends;
    unsigned count;
    bool started;
    bool late; /* this turn had more to do than it had time for */
    void *fake;
    const void *stack_base;
    size_t stack_size;
} loop;

/* --- the loop --- */

static void on_turn(uv_check_t *check);
static void run_ready(void);

static void ignore_idle(uv_idle_t *idle)
{
    (void)idle;
}

uv_loop_t *sl_loop(void)
{
    if (!loop.started) {
        uv_replace_allocator(sl_alloc, sl_realloc, sl_calloc,
                             free); /* it would end without a word */
        /* libuv 1.45 to 1.48 would have the kernel start a thread. */
        setenv("UV_USE_IO_URING", "0", 1);
        int rc = uv_loop_init(&loop.uv);
        if (rc) {
            fprintf(stderr, "sluice: cannot make the event loop: %s\n", uv_strerror(rc));
            abort();
        }
        uv_check_init(&loop.uv, &loop.check);
        uv_check_start(&loop.check, on_turn);
        uv_idle_init(&loop.uv, &loop.idle);
        loop.started = true;
    }
    return &loop.uv;
}

void sl_loop_run(void)
{
    sl_loop();
    while (loop.count) {
        uv_run(&loop.uv, UV_RUN_ONCE);
        if (loop.ready.first && !loop.late) /* woken by timers, which come last in a turn */
            run_ready();
    }
}

int sl_loop_close(void)
{
    if (!loop.started)
        return 0;
    if (!uv_is_closing((uv_handle_t *)&loop.check)) { /* else: a second try after UV_EBUSY */
        uv_close((uv_handle_t *)&loop.check, NULL);
        uv_close((uv_handle_t *)&loop.idle, NULL);
    }
    for (int i = 0; i < 1000 && uv_run(&loop.uv, UV_RUN_NOWAIT); i++)
        ;
    sl_stack_drop_all();
    int rc = uv_loop_close(&loop.uv);
    loop.started = rc != 0;
    return rc;
}

uint64_t sl_loop_now_ms(void)
{
    uv_update_time(sl_loop());
    return uv_now(&loop.uv);
}

uint64_t sl_deadline_in(uint64_t delay_ms)
{
    uint64_t now = sl_loop_now_ms();
    return delay_ms >= SL_FOREVER - now ? SL_FOREVER : now + delay_ms;
}

/* --- switching --- */

static void reap(uv_handle_t *timer)
{
    free(timer->data);
}

static void free_fiber(struct sl_fiber *fiber)
{
    fiber->timer.data = fiber;
    uv_close((uv_handle_t *)&fiber->timer, reap);
}

static void entry(void)
{
    struct sl_fiber *fiber = loop.self;
    SWITCH_FINISH(NULL, &loop.stack_base, &loop.stack_size);
    fiber->fn(fiber->arg);
    fiber->done = true;
    SWITCH_START(NULL, loop.stack_base, loop.stack_size);
    sl_context_switch(&fiber->context, &loop.context);
    abort(); /* a done fiber is never resumed */
}

/* From the loop into the fiber, until it parks or ends. */
static void resume(struct sl_fiber *fiber)
{
    loop.self = fiber;
    SWITCH_START(&loop.fake, fiber->stack.base, fiber->stack.size);
    sl_context_switch(&loop.context, &fiber->context);
    SWITCH_FINISH(loop.fake, NULL, NULL);
    loop.self = NULL;

    if (!fiber->done)
        return;
    sl_stack_give(fiber->stack);
    loop.count--;
    if (!fiber->joinable)
        free_fiber(fiber);
    else if (fiber->joiner)
        sl_fiber_wake(fiber->joiner);
}

/* From the running fiber back to the loop; errno is the fiber's own. */
static void leave(struct sl_fiber *fiber)
{
    int saved = errno;
    SWITCH_START(&fiber->fake, loop.stack_base, loop.stack_size);
    sl_context_switch(&fiber->context, &loop.context);
    SWITCH_FINISH(fiber->fake, &loop.stack_base, &loop.stack_size);
    errno = saved;
}

static void append(struct queue *queue, struct sl_fiber *fiber)
{
    if (fiber->ready)
        return;
    fiber->ready = true;
    fiber->next = NULL;
    if (queue->last)
        queue->last->next = fiber;
    else
        queue->first = fiber;
    queue->last = fiber;
    uv_idle_start(&loop.idle, ignore_idle);
}

static void make_ready(struct sl_fiber *fiber)
{
    append(&loop.ready, fiber);
}

static struct sl_fiber *take_first(void)
{
    struct sl_fiber *fiber = loop.ready.first;
    loop.ready.first = fiber->next;
    if (!loop.ready.first)
        loop.ready.last = NULL;
    fiber->ready = false;
    return fiber;
}

/* Those that are ready now, in order, or as many of them as there is time for: the first at least.
 */
static void run_generation(uint64_t end_ns)
{
    bool was_last = false;
    struct sl_fiber *last = loop.ready.last;
    while (loop.ready.first && !was_last) {
        was_last = loop.ready.first == last;
        resume(take_first());
        if (sl_now_ns() >= end_ns)
            break;
    }
}

static void run_ends(void)
{
    struct sl_turn_end *end;
    while ((end = loop.ends)) {
        loop.ends = end->next;
        end->queued = false;
        end->fn(end->ctx);
    }
}

/* Fibers that wake each other go on in one turn, up to a bound, so that I/O and timers get their
 * share: no turn takes much longer than the longest slice of one fiber. */
static void run_ready(void)
{
    enum { GENERATIONS_MAX = 4, TURN_NS = 300 * 1000 };
    uint64_t end_ns = sl_now_ns() + TURN_NS;
    loop.late = false;
    for (int i = 0; i < GENERATIONS_MAX && !loop.late && (loop.ready.first || loop.ends); i++) {
        run_generation(end_ns);
        run_ends();
        loop.late = sl_now_ns() >= end_ns;
    }
    if (!loop.ready.first && !loop.yielded.first && !loop.ends)
        uv_idle_stop(&loop.idle);
}

/* The kernel was asked since they yielded: now it is their turn again. */
static void admit_yielded(void)
{
    if (!loop.yielded.first)
        return;
    if (loop.ready.last)
        loop.ready.last->next = loop.yielded.first;
    else
        loop.ready.first = loop.yielded.first;
    loop.ready.last = loop.yielded.last;
    loop.yielded = (struct queue){0};
}

static void on_turn(uv_check_t *check)
{
    (void)check;
    admit_yielded();
    run_ready();
}

void sl_turn_end_add(struct sl_turn_end *end)
{
    if (end->queued)
        return;
    end->queued = true;
    end->next = loop.ends;
    loop.ends = end;
    uv_idle_start(&loop.idle, ignore_idle);
}

void sl_turn_end_drop(struct sl_turn_end *end)
{
    if (!end->queued)
        return;
    end->queued = false;
    struct sl_turn_end **at = &loop.ends;
    while (*at != end)
        at = &(*at)->next;
    *at = end->next;
}

/* --- fibers --- */

static struct sl_fiber *make(const char *name, void (*fn)(void *), void *arg, bool joinable)
{
    sl_loop();
    struct sl_fiber *fiber = SL_NEW(struct sl_fiber);
    fiber->name = name;
    fiber->fn = fn;
    fiber->arg = arg;
    fiber->joinable = joinable;
    fiber->stack = sl_stack_take();
    uv_timer_init(&loop.uv, &fiber->timer);
    fiber->timer.data = fiber;

    sl_context_init(&fiber->context, fiber->stack, entry);
    loop.count++;
    return fiber;
}

static struct sl_fiber *spawn(const char *name, void (*fn)(void *), void *arg, bool joinable)
{
    struct sl_fiber *fiber = make(name, fn, arg, joinable);
    make_ready(fiber);
    return fiber;
}

struct sl_fiber *sl_fiber_spawn(const char *name, void (*fn)(void *), void *arg)
{
    return spawn(name, fn, arg, false);
}

struct sl_fiber *sl_fiber_spawn_joinable(const char *name, void (*fn)(void *), void *arg)
{
    return spawn(name, fn, arg, true);
}

struct sl_fiber *sl_fiber_run(const char *name, void (*fn)(void *), void *arg)
{
    struct sl_fiber *fiber = make(name, fn, arg, false);
    resume(fiber);
    return fiber->done ? NULL : fiber; /* its memory goes in a later turn */
}

struct sl_fiber *sl_fiber_self(void)
{
    return loop.self;
}

unsigned sl_fiber_count(void)
{
    return loop.count;
}

static bool is_cancelled(const struct sl_fiber *fiber)
{
    return fiber->cancelled && !fiber->shields;
}

static void on_timer(uv_timer_t *timer)
{
    struct sl_fiber *fiber = timer->data;
    fiber->timed_out = true;
    make_ready(fiber);
}

int sl_fiber_park(uint64_t deadline_ms)
{
    struct sl_fiber *fiber = loop.self;
    if (is_cancelled(fiber))
        return SL_CANCELED;
    if (fiber->woken) {
        fiber->woken = false;
        return SL_OK;
    }
    if (deadline_ms != SL_FOREVER) {
        uint64_t now = sl_loop_now_ms();
        uv_timer_start(&fiber->timer, on_timer, deadline_ms > now ? deadline_ms - now : 0, 0);
    }
    fiber->timed_out = false;
    fiber->parked = true;
    leave(fiber);
    fiber->parked = false;
    uv_timer_stop(&fiber->timer);

    if (is_cancelled(fiber))
        return SL_CANCELED;
    if (fiber->woken) {
        fiber->woken = false;
        return SL_OK;
    }
    return SL_TIMEOUT;
}

void sl_fiber_wake(struct sl_fiber *fiber)
{
    if (fiber->done)
        return;
    fiber->woken = true;
    if (fiber->parked)
        make_ready(fiber);
}

int sl_fiber_yield(void)
{
    struct sl_fiber *fiber = loop.self;
    if (is_cancelled(fiber))
        return SL_CANCELED;
    append(&loop.yielded, fiber);
    leave(fiber);
    return is_cancelled(fiber) ? SL_CANCELED : SL_OK;
}

void sl_fiber_cancel(struct sl_fiber *fiber)
{
    fiber->cancelled = true;
    if (fiber->parked && !fiber->shields)
        make_ready(fiber);
}

bool sl_fiber_cancelled(void)
{
    return loop.self && is_cancelled(loop.self);
}

void sl_fiber_shield(bool on)
{
    if (on)
        loop.self->shields++;
    else
        loop.self->shields--;
}

void sl_fiber_join(struct sl_fiber *fiber)
{
    fiber->joiner = loop.self;
    sl_fiber_shield(true);
    while (!fiber->done)
        sl_fiber_park(SL_FOREVER);
    sl_fiber_shield(false);
    free_fiber(fiber);
}

void sl_fiber_end(struct sl_fiber **fiber)
{
    if (!*fiber)
        return;
    sl_fiber_cancel(*fiber);
    sl_fiber_join(*fiber);
    *fiber = NULL;
}

void sl_handle_free(uv_handle_t *handle)
{
    free(handle);
}
