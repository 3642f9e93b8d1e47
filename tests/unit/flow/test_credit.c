/* Credit: bytes in flight, first come first served, nobody starved, nothing lost by cancelling. */
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "flow/credit.h"
#include "loop/in_fiber.h"

struct wish {
    struct sl_credit *credit;
    size_t bytes;
    uint64_t deadline_ms;
    int rc;
    bool granted;
};

static void take(void *arg)
{
    struct wish *wish = arg;
    wish->rc = sl_credit_take(wish->credit, wish->bytes, wish->deadline_ms);
    wish->granted = wish->rc == SL_OK;
}

static struct sl_fiber *wish_for(struct wish *wish, struct sl_credit *credit, size_t bytes)
{
    *wish = (struct wish){credit, bytes, SL_FOREVER, -1, false};
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("wish", take, wish);
    EXPECT(sl_fiber_sleep(1) == SL_OK); /* it is in the queue */
    return fiber;
}

static void settle(void)
{
    EXPECT(sl_fiber_sleep(2) == SL_OK);
}

static void serve_in_order(void *arg)
{
    (void)arg;
    struct sl_credit credit;
    struct wish a, b, c;
    sl_credit_init(&credit, "order", 100);
    EXPECT(sl_credit_take(&credit, 60, SL_FOREVER) == SL_OK);
    EXPECT(sl_credit_take(&credit, 40, SL_FOREVER) == SL_OK);

    struct sl_fiber *fa = wish_for(&a, &credit, 80);
    struct sl_fiber *fb = wish_for(&b, &credit, 10);
    struct sl_fiber *fc = wish_for(&c, &credit, 10);
    sl_credit_give(&credit, 20); /* enough for b and c, but a was first */
    settle();
    EXPECT(!a.granted && !b.granted && !c.granted);
    sl_credit_give(&credit, 30);
    settle();
    EXPECT(!a.granted && !b.granted && !c.granted);
    sl_credit_give(&credit, 40);
    settle();
    EXPECT(a.granted && b.granted && !c.granted);
    EXPECT(credit.used_bytes == 100);
    sl_credit_give(&credit, 10);
    sl_fiber_join(fa);
    sl_fiber_join(fb);
    sl_fiber_join(fc);
    EXPECT(c.granted);
    EXPECT(sl_metric_sum("credit_used_bytes", "order") == (int64_t)credit.used_bytes);
    EXPECT(sl_metric_sum("credit_total_bytes", "order") == 100);
}

static void who_comes_first_is_served_first(void **state)
{
    (void)state;
    run_in_fiber(serve_in_order, NULL);
}

static void do_not_barge(void *arg)
{
    (void)arg;
    struct sl_credit credit;
    struct wish patient;
    sl_credit_init(&credit, "barge", 100);
    EXPECT(sl_credit_take(&credit, 100, SL_FOREVER) == SL_OK);
    struct sl_fiber *fiber = wish_for(&patient, &credit, 100);
    sl_credit_give(&credit, 100);
    /* The patient one has not run yet; this must not slip in before it. */
    EXPECT(sl_credit_take(&credit, 100, sl_deadline_in(5)) == SL_TIMEOUT);
    sl_fiber_join(fiber);
    EXPECT(patient.granted);
    EXPECT(credit.used_bytes == 100);
}

static void nobody_slips_in_before_the_woken_one(void **state)
{
    (void)state;
    run_in_fiber(do_not_barge, NULL);
}

static void take_too_much(void *arg)
{
    (void)arg;
    struct sl_credit credit;
    struct wish huge, small;
    sl_credit_init(&credit, "oversize", 100);
    EXPECT(sl_credit_take(&credit, 10, SL_FOREVER) == SL_OK);
    struct sl_fiber *fh = wish_for(&huge, &credit, 1000);
    struct sl_fiber *fs = wish_for(&small, &credit, 1);
    EXPECT(!huge.granted && !small.granted);
    sl_credit_give(&credit, 10);
    settle();
    EXPECT(huge.granted && !small.granted); /* alone */
    EXPECT(credit.used_bytes == 1000);
    sl_credit_give(&credit, 1000);
    sl_fiber_join(fh);
    sl_fiber_join(fs);
    EXPECT(small.granted);

    sl_credit_force(&credit, 500);
    EXPECT(credit.used_bytes == 501);
    EXPECT(sl_credit_take(&credit, 1, sl_deadline_in(3)) == SL_TIMEOUT);
    sl_credit_give(&credit, 501);
}

static void more_than_all_waits_until_it_is_alone(void **state)
{
    (void)state;
    run_in_fiber(take_too_much, NULL);
}

static void cancel_waiters(void *arg)
{
    (void)arg;
    struct sl_credit credit;
    struct wish big, small, last;
    sl_credit_init(&credit, "cancel", 100);
    EXPECT(sl_credit_take(&credit, 50, SL_FOREVER) == SL_OK);

    struct sl_fiber *fb = wish_for(&big, &credit, 80);
    struct sl_fiber *fs = wish_for(&small, &credit, 50);
    sl_fiber_cancel(fb); /* who stood in the way is gone: the next one fits */
    sl_fiber_join(fb);
    sl_fiber_join(fs);
    EXPECT(big.rc == SL_CANCELED && small.granted);
    EXPECT(credit.used_bytes == 100);

    fb = wish_for(&big, &credit, 70);
    struct sl_fiber *fl = wish_for(&last, &credit, 60);
    sl_credit_give(&credit, 70);
    sl_fiber_cancel(fb); /* already granted, not yet run: it goes back */
    sl_fiber_join(fb);
    EXPECT(big.rc == SL_CANCELED);
    sl_fiber_join(fl);
    EXPECT(last.granted);
    EXPECT(credit.used_bytes == 90);

    /* A deadline in the middle of the queue. */
    struct wish late = {&credit, 99, sl_deadline_in(5), -1, false};
    struct sl_fiber *f_late = sl_fiber_spawn_joinable("late", take, &late);
    EXPECT(sl_fiber_sleep(1) == SL_OK);
    fs = wish_for(&small, &credit, 10);
    sl_fiber_join(f_late);
    sl_fiber_join(fs);
    EXPECT(late.rc == SL_TIMEOUT && small.granted);
    EXPECT(credit.used_bytes == 100 && !credit.first && !credit.last);
}

static void who_leaves_the_queue_lets_the_next_one_pass(void **state)
{
    (void)state;
    run_in_fiber(cancel_waiters, NULL);
}

/* --- many, at random --- */

static struct sl_credit pool;
static unsigned taken, cancelled;

static void take_and_give(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        size_t bytes = (size_t)(1 + rand() % 60);
        uint64_t deadline_ms = rand() % 5 ? SL_FOREVER : sl_deadline_in((uint64_t)(rand() % 3));
        int rc = sl_credit_take(&pool, bytes, deadline_ms);
        if (rc == SL_CANCELED) {
            cancelled++;
            return;
        }
        if (rc != SL_OK)
            continue;
        taken++;
        EXPECT(pool.used_bytes <= pool.total_bytes);
        if (rand() % 3)
            sl_fiber_yield();
        sl_credit_give(&pool, bytes);
    }
}

static void take_at_random(void *arg)
{
    (void)arg;
    struct sl_fiber *fibers[40];
    srand(5);
    sl_credit_init(&pool, "random", 100);
    for (int i = 0; i < 40; i++)
        fibers[i] = sl_fiber_spawn_joinable("random", take_and_give, NULL);
    for (int i = 0; i < 10; i++) {
        EXPECT(sl_fiber_yield() == SL_OK);
        sl_fiber_cancel(fibers[i * 4]);
    }
    for (int i = 0; i < 40; i++)
        sl_fiber_join(fibers[i]);
    EXPECT(pool.used_bytes == 0);
    EXPECT(taken > 500 && cancelled > 0);
    EXPECT(!pool.first && !pool.last);
}

static void all_credit_comes_back(void **state)
{
    (void)state;
    run_in_fiber(take_at_random, NULL);
}

static int close_all(void **state)
{
    sl_metric_free_all();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_first_is_served_first),
        cmocka_unit_test(nobody_slips_in_before_the_woken_one),
        cmocka_unit_test(more_than_all_waits_until_it_is_alone),
        cmocka_unit_test(who_leaves_the_queue_lets_the_next_one_pass),
        cmocka_unit_test(all_credit_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
