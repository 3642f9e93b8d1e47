#include "loop/delay.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "loop/fiber.h"

static uv_timer_t *timer; /* NULL: not measuring */
static uint64_t due_ns;
static uint64_t interval_ms;
static struct sl_metric *delay;

/* A timer of our own would be rounded to the loop's milliseconds and hide half of each; so it is
 * armed again each time, and lateness counts from the instant it was due. */
static void on_timer(uv_timer_t *t)
{
    uint64_t now_ns = sl_now_ns();
    sl_histogram_add(delay->histogram, now_ns > due_ns ? (now_ns - due_ns) / 1000 : 0, 1);
    uv_update_time(sl_loop());
    due_ns = sl_now_ns() + interval_ms * 1000000u;
    uv_timer_start(t, on_timer, interval_ms, 0);
}

void sl_loop_delay_watch(uint64_t every_ms)
{
    if (timer) /* closing ends in a later turn: the next timer needs memory of its own */
        uv_close((uv_handle_t *)timer, sl_handle_free);
    timer = NULL;
    if (!every_ms)
        return;
    delay = sl_histogram_metric("loop_delay_seconds", "How late the event loop ran a timer.", "");
    interval_ms = every_ms;
    timer = SL_NEW(uv_timer_t);
    uv_timer_init(sl_loop(), timer);
    uv_unref((uv_handle_t *)timer);
    uv_update_time(sl_loop());
    due_ns = sl_now_ns() + interval_ms * 1000000u;
    uv_timer_start(timer, on_timer, interval_ms, 0);
}
