#include "loop/delay.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "loop/fiber.h"

enum { IDLE_FACTOR = 10 }; /* so much less often while nothing happens: each time wakes us */

static uv_timer_t *timer; /* NULL: not measuring */
static uv_check_t *check; /* sees each turn of the loop, before the fibers run */
static uint64_t due_ns;
static uint64_t interval_ms;
static bool idle; /* the timer is a long one */
static bool busy; /* it is not, and there was more work since it was armed */
static struct sl_metric *delay;

static void on_timer(uv_timer_t *t);

static void arm(bool is_idle)
{
    uint64_t ms = is_idle ? interval_ms * IDLE_FACTOR : interval_ms;
    idle = is_idle;
    busy = false;
    uv_update_time(sl_loop());
    due_ns = sl_now_ns() + ms * 1000000u;
    uv_timer_start(timer, on_timer, ms, 0);
}

/* A timer of our own would be rounded to the loop's milliseconds and hide half of each; so it is
 * armed again each time, and lateness counts from the instant it was due. */
static void on_timer(uv_timer_t *t)
{
    uint64_t now_ns = sl_now_ns();
    (void)t;
    sl_histogram_add(delay->histogram, now_ns > due_ns ? (now_ns - due_ns) / 1000 : 0, 1);
    arm(!busy);
}

/* Whatever woke the loop, what follows is measured; unless it is our own timer that is due. */
static void on_turn(uv_check_t *c)
{
    (void)c;
    if (uv_timer_get_due_in(timer) <= 1)
        return;
    if (idle)
        arm(false);
    else
        busy = true;
}

static void close_all(void)
{
    if (!timer)
        return;
    /* Closing ends in a later turn: the next handles need memory of their own. */
    uv_close((uv_handle_t *)timer, sl_handle_free);
    uv_close((uv_handle_t *)check, sl_handle_free);
    timer = NULL;
    check = NULL;
}

void sl_loop_delay_watch(uint64_t every_ms)
{
    close_all();
    if (!every_ms)
        return;
    delay = sl_histogram_metric("loop_delay_seconds", "How late the event loop ran a timer.", "");
    interval_ms = every_ms;
    timer = SL_NEW(uv_timer_t);
    check = SL_NEW(uv_check_t);
    uv_timer_init(sl_loop(), timer);
    uv_check_init(sl_loop(), check);
    uv_check_start(check, on_turn); /* the one started last runs first */
    uv_unref((uv_handle_t *)timer);
    uv_unref((uv_handle_t *)check);
    arm(false);
}
