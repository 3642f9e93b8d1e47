/* Runs a test's body as a fiber. cmocka's asserts jump, which a fiber's stack does not survive:
 * inside fibers use EXPECT, which counts; the test then asserts that nothing was counted. */
#ifndef SL_TEST_HTTP_HARNESS_H
#define SL_TEST_HTTP_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "loop/dns.h"
#include "loop/fiber.h"

#include <cmocka.h>

static int failed_expectations;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: expected: %s\n", __FILE__, __LINE__, #condition);              \
            failed_expectations++;                                                                 \
        }                                                                                          \
    } while (0)

#define EXPECT_TEXT(actual, wanted) expect_text(__FILE__, __LINE__, actual, wanted)
#define EXPECT_INT(actual, wanted) expect_int(__FILE__, __LINE__, (long long)(actual), wanted)

static inline void expect_text(const char *file, int line, const char *actual, const char *wanted)
{
    if (actual && !strcmp(actual, wanted))
        return;
    fprintf(stderr, "%s:%d: got '%s', expected '%s'\n", file, line, actual ? actual : "(null)",
            wanted);
    failed_expectations++;
}

static inline void expect_int(const char *file, int line, long long actual, long long wanted)
{
    if (actual == wanted)
        return;
    fprintf(stderr, "%s:%d: got %lld, expected %lld\n", file, line, actual, wanted);
    failed_expectations++;
}

static inline void run_to_the_end(void (*fn)(void *), void *arg)
{
    failed_expectations = 0;
    sl_fiber_spawn("test", fn, arg);
    sl_loop_run();
    sl_dns_close();
    assert_int_equal(sl_loop_close(), 0);
}

/* Runs fn as a fiber until no fiber is left, closes the loop and checks that nothing stayed open.
 */
static inline void run_fiber(void (*fn)(void *), void *arg)
{
    run_to_the_end(fn, arg);
    assert_int_equal(failed_expectations, 0);
}

struct watched {
    void (*fn)(void *);
    void *arg;
    bool over;
    uint64_t longest_ms; /* between two looks at the clock */
};

static inline void watch(void *arg)
{
    struct watched *watched = arg;
    for (uint64_t last_ms = sl_loop_now_ms(); !watched->over;) {
        sl_fiber_sleep(5);
        uint64_t now_ms = sl_loop_now_ms();
        if (now_ms - last_ms > watched->longest_ms)
            watched->longest_ms = now_ms - last_ms;
        last_ms = now_ms;
    }
}

static inline void run_watched(void *arg)
{
    struct watched *watched = arg;
    struct sl_fiber *watcher = sl_fiber_spawn_joinable("watch", watch, watched);
    watched->fn(watched->arg);
    watched->over = true;
    sl_fiber_join(watcher);
}

/* Like run_fiber, for what expects something of a moment. False: it did not hold, but the machine
 * stood still meanwhile, which makes it void: to be tried again. */
static inline bool run_undisturbed(void (*fn)(void *), void *arg)
{
    struct watched watched = {.fn = fn, .arg = arg};
    run_to_the_end(run_watched, &watched);
    if (failed_expectations && watched.longest_ms >= 50)
        return false;
    assert_int_equal(failed_expectations, 0);
    return true;
}

/* Suspends until condition(arg), at most 10 s. */
static inline bool wait_until(bool (*condition)(void *), void *arg)
{
    uint64_t deadline_ms = sl_deadline_in(10000);
    while (!condition(arg)) {
        if (sl_loop_now_ms() >= deadline_ms || sl_fiber_sleep(2) != SL_OK)
            return false;
    }
    return true;
}

#endif
