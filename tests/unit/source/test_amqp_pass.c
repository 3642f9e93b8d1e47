/* How often a batch of an unknown feed is passed on. */
#include "source/amqp_pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PAUSE_MS = 250, ENOUGH_MS = 9000, TOO_LONG_MS = 15 * 1000 };

static struct sl_origin batch_of(const char *feed, uint32_t number)
{
    return (struct sl_origin){.feed = feed,
                              .entity = "VendorsV3",
                              .run = "vendors-000001",
                              .attempt = 1,
                              .number = number};
}

/* For how long a batch that comes back after each pause is passed on. */
static uint64_t passed_for_ms(struct sl_pass *pass, const struct sl_origin *batch, uint64_t *now_ms)
{
    uint64_t begun_ms = *now_ms;
    for (; sl_pass_wanted(pass, batch, *now_ms); *now_ms += PAUSE_MS)
        assert_true(*now_ms - begun_ms < TOO_LONG_MS);
    return *now_ms - begun_ms;
}

static void a_batch_that_always_comes_back_is_nobodys(void **state)
{
    (void)state;
    struct sl_pass pass = {0};
    uint64_t now_ms = 1000;
    struct sl_origin first = batch_of("vendors", 0);
    assert_in_range(passed_for_ms(&pass, &first, &now_ms), ENOUGH_MS, TOO_LONG_MS);
    /* The next ones of its feed need not wait as long, those of others do. */
    struct sl_origin next = batch_of("vendors", 1), other = batch_of("customers", 1);
    assert_int_equal(passed_for_ms(&pass, &next, &now_ms), 0);
    assert_in_range(passed_for_ms(&pass, &other, &now_ms), ENOUGH_MS, TOO_LONG_MS);
    /* After some minutes somebody may know it. */
    now_ms += 10 * 60 * 1000;
    assert_in_range(passed_for_ms(&pass, &next, &now_ms), ENOUGH_MS, TOO_LONG_MS);
}

/* Two processes with different configurations, for ever: each batch is here now and then. */
static void batches_that_others_take_are_passed_on_for_ever(void **state)
{
    (void)state;
    struct sl_pass pass = {0};
    uint64_t now_ms = 1000;
    for (uint32_t number = 0; number < 2000; number++, now_ms += PAUSE_MS) {
        struct sl_origin batch = batch_of("vendors", number);
        for (unsigned time = 0; time < 1 + number % 8; time++)
            assert_true(sl_pass_wanted(&pass, &batch, now_ms));
    }
    struct sl_origin again = batch_of("vendors", 1999);
    for (unsigned day = 0; day < 100; day++)
        assert_true(sl_pass_wanted(&pass, &again, now_ms += 24 * 3600 * 1000));
}

/* As many as a consumer holds come back together. */
static void a_full_prefetch_is_told_apart(void **state)
{
    (void)state;
    struct sl_pass pass = {0};
    uint64_t now_ms = 1000;
    unsigned times = 0;
    for (bool wanted = true; wanted; times++, now_ms += PAUSE_MS)
        for (uint32_t number = 0; number < SL_PASS_SEEN && wanted; number++) {
            struct sl_origin batch = batch_of("vendors", number);
            wanted = sl_pass_wanted(&pass, &batch, now_ms);
            assert_true(times * PAUSE_MS < TOO_LONG_MS);
        }
    assert_true(times * PAUSE_MS > ENOUGH_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_that_always_comes_back_is_nobodys),
        cmocka_unit_test(batches_that_others_take_are_passed_on_for_ever),
        cmocka_unit_test(a_full_prefetch_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
