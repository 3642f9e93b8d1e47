/* Tests inside of fibers. cmocka leaves a failed test by longjmp, which must not cross stacks: so
 * fibers note what failed with EXPECT, and run_in_fiber fails the test on the main stack. */
#ifndef SL_TESTS_LOOP_IN_FIBER_H
#define SL_TESTS_LOOP_IN_FIBER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "loop/fiber.h"

#include <cmocka.h>

static unsigned failed_expectations;

static inline bool expect_at(bool holds, const char *text, const char *file, int line)
{
    if (!holds) {
        failed_expectations++;
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
    }
    return holds;
}

/* In a fiber: notes the failure and goes on. REQUIRE leaves the function too. */
#define EXPECT(condition) expect_at(condition, #condition, __FILE__, __LINE__)
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!EXPECT(condition))                                                                    \
            return;                                                                                \
    } while (0)

/* In a fiber: waits until the condition holds, at most ten seconds. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uint64_t until_ms_ = sl_deadline_in(10000);                                                \
        while (!(condition) && sl_loop_now_ms() < until_ms_)                                       \
            sl_fiber_sleep(1);                                                                     \
        EXPECT(condition);                                                                         \
    } while (0)

/* Runs fn(arg) as a fiber, and the loop until no fiber is left. */
static inline void run_in_fiber(void (*fn)(void *), void *arg)
{
    failed_expectations = 0;
    sl_fiber_spawn("test", fn, arg);
    sl_loop_run();
    assert_int_equal(failed_expectations, 0);
    assert_int_equal(sl_fiber_count(), 0);
}

/* At the end of each program: no handle may be left. A teardown of the group. */
static inline int loop_closes(void **state)
{
    (void)state;
    int rc = sl_loop_close();
    if (rc)
        fprintf(stderr, "the loop still holds handles: %s\n", uv_err_name(rc));
    return rc;
}

#endif
