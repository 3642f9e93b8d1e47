#include "loop/fiber.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "base/mem.h"
#include "loop/stack.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define SWITCH_START(save, base, size) __sanitizer_start_switch_fiber(save, base, size)
#define SWITCH_FINISH(fake, base, size) __sanitizer_finish_switch_fiber(fake, base, size)
#else
#define SWITCH_START(save, base, size) ((void)0)
#define SWITCH_FINISH(fake, base, size) ((void)0)
#endif

struct sl_fiber {
    ucontext_t context;
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

static struct {
    uv_loop_t uv;
    uv_check_t check; /* runs the ready fibers, once a turn, after I/O */
    uv_idle_t idle;   /* keeps the loop from sleeping while fibers are ready */
    ucontext_t context;
    struct sl_fiber *self;
    struct sl_fiber *first, *last; /* ready */
    unsigned count;
    bool started;
    void *fake;
    const void *stack_base;
    size_t stack_size;
} loop;

/* --- the loop --- */

static void run_ready(uv_check_t *check);

static void ignore_idle(uv_idle_t *idle)
{
    (void)idle;
}

uv_loop_t *sl_loop(void)
{
    if (!loop.started) {
        uv_loop_init(&loop.uv);
        uv_check_init(&loop.uv, &loop.check);
        uv_check_start(&loop.check, run_ready);
        uv_idle_init(&loop.uv, &loop.idle);
        loop.started = true;
    }
    return &loop.uv;
}

void sl_loop_run(void)
{
    sl_loop();
    while (loop.count)
        uv_run(&loop.uv, UV_RUN_ONCE);
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

static void entry(unsigned low, unsigned high)
{
    struct sl_fiber *fiber = (struct sl_fiber *)((uintptr_t)high << 32 | low);
    SWITCH_FINISH(NULL, &loop.stack_base, &loop.stack_size);
    fiber->fn(fiber->arg);
    fiber->done = true;
    SWITCH_START(NULL, loop.stack_base, loop.stack_size);
    swapcontext(&fiber->context, &loop.context);
    abort(); /* a done fiber is never resumed */
}

/* From the loop into the fiber, until it parks or ends. */
static void resume(struct sl_fiber *fiber)
{
    loop.self = fiber;
    SWITCH_START(&loop.fake, fiber->stack.base, fiber->stack.size);
    swapcontext(&loop.context, &fiber->context);
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
    swapcontext(&fiber->context, &loop.context);
    SWITCH_FINISH(fiber->fake, &loop.stack_base, &loop.stack_size);
    errno = saved;
}

static void make_ready(struct sl_fiber *fiber)
{
    if (fiber->ready)
        return;
    fiber->ready = true;
    fiber->next = NULL;
    if (loop.last)
        loop.last->next = fiber;
    else
        loop.first = fiber;
    loop.last = fiber;
    uv_idle_start(&loop.idle, ignore_idle);
}

/* One generation: fibers made ready meanwhile run in the next turn, so that I/O gets its share. */
static void run_ready(uv_check_t *check)
{
    (void)check;
    struct sl_fiber *fiber = loop.first;
    loop.first = loop.last = NULL;
    while (fiber) {
        struct sl_fiber *next = fiber->next;
        fiber->ready = false;
        resume(fiber);
        fiber = next;
    }
    if (!loop.first)
        uv_idle_stop(&loop.idle);
}

/* --- fibers --- */

static struct sl_fiber *spawn(const char *name, void (*fn)(void *), void *arg, bool joinable)
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

    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack.base;
    fiber->context.uc_stack.ss_size = fiber->stack.size;
    fiber->context.uc_link = NULL;
    /* makecontext passes ints: the pointer goes in halves. */
    makecontext(&fiber->context, (void (*)(void))(void *)entry, 2, (unsigned)(uintptr_t)fiber,
                (unsigned)((uintptr_t)fiber >> 32));
    loop.count++;
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
    make_ready(fiber);
    leave(fiber);
    return is_cancelled(fiber) ? SL_CANCELED : SL_OK;
}

int sl_fiber_sleep(uint64_t ms)
{
    uint64_t deadline_ms = sl_deadline_in(ms);
    for (;;) {
        int rc = sl_fiber_park(deadline_ms);
        if (rc != SL_OK)
            return rc == SL_TIMEOUT ? SL_OK : rc;
    }
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

void sl_handle_free(uv_handle_t *handle)
{
    free(handle);
}
