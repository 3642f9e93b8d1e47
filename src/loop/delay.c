#include "loop/delay.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "loop/fiber.h"

enum {
    QUIET_MS = 1000,  /* between two measurements while little happens: each of them wakes us */
    BUSY_TURNS = 500, /* of the loop in that time: from then on each interval counts */
    QUIET_TURNS = 3,  /* in one interval: as long as there are so few, little happens */
};

static uv_timer_t *timer;  /* NULL: not measuring */
static uv_check_t *check;  /* sees each turn of the loop, before the fibers run */
static uv_prepare_t *rest; /* … and its end, before the loop sleeps */
static uint64_t due_ns, turn_ns;
static uint64_t interval_ms;
static bool quiet;     /* the timer is a long one */
static unsigned turns; /* of the loop since it was armed */
static struct sl_metric *delay;

static void on_timer(uv_timer_t *t);

static void arm(bool is_quiet)
{
    quiet = is_quiet;
    turns = 0;
    uint64_t now_ms = sl_loop_now_ms();
    uint64_t ms = is_quiet ? sl_next_beat(QUIET_MS) - now_ms : interval_ms;
    due_ns = (now_ms + ms) * 1000000u; /* the loop's clock is the monotonic one, in milliseconds */
    if (!is_quiet)
        turn_ns = 0;
    else if (!turn_ns)
        turn_ns = sl_now_ns(); /* what is left of this turn counts too */
    uv_timer_start(timer, on_timer, ms, 0);
}

/* A stall also delays the timers that could not be armed meanwhile: as if they had been. */
static void note(uint64_t late_ns)
{
    uint64_t interval_ns = interval_ms * 1000000u;
    for (; late_ns > interval_ns; late_ns -= interval_ns)
        sl_histogram_add(delay->histogram, late_ns / 1000, 1);
    sl_histogram_add(delay->histogram, late_ns / 1000, 1);
}

/* It is armed again each time, and lateness counts from the instant it was due. */
static void on_timer(uv_timer_t *t)
{
    uint64_t now_ns = sl_now_ns();
    (void)t;
    note(now_ns > due_ns ? now_ns - due_ns : 0);
    turn_ns = 0; /* so far this turn has been told */
    arm(turns <= QUIET_TURNS || quiet);
}

static void on_turn(uv_check_t *c)
{
    (void)c;
    turns++;
    if (quiet && turns >= BUSY_TURNS)
        arm(false);
    turn_ns = quiet ? sl_now_ns() : 0;
}

/* While the timer is a long one, a long turn would pass unseen: it counts as for a short timer that
 * was armed when it began. */
static void on_rest(uv_prepare_t *p)
{
    (void)p;
    uint64_t least_ns = turn_ns + interval_ms * 1000000u, now_ns;
    if (turn_ns && (now_ns = sl_now_ns()) > least_ns)
        note(now_ns - least_ns);
    turn_ns = 0;
}

static void close_all(void)
{
    if (!timer)
        return;
    /* Closing ends in a later turn: the next handles need memory of their own. */
    uv_close((uv_handle_t *)timer, sl_handle_free);
    uv_close((uv_handle_t *)check, sl_handle_free);
    uv_close((uv_handle_t *)rest, sl_handle_free);
    timer = NULL;
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
    rest = SL_NEW(uv_prepare_t);
    uv_prepare_init(sl_loop(), rest);
    uv_prepare_start(rest, on_rest);
    turn_ns = 0;
    uv_unref((uv_handle_t *)timer);
    uv_unref((uv_handle_t *)check);
    uv_unref((uv_handle_t *)rest);
    arm(false);
}
