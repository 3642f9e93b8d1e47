/* http/oauth: renewal before the end, while the old token serves. */
#include "http/oauth.c" // NOLINT(bugprone-suspicious-include): tokens of an hour are made older

#include "http/token_endpoint.h"

static bool is_at_rest(void *arg)
{
    return !((struct setup *)arg)->oauth->asking;
}

static void renew_in_time(void *arg)
{
    struct setup *setup = arg;
    const char *token;
    struct sl_err err;
    expect_token(setup->oauth, "token-1"); /* lives 2 s: renewed from 1.6 s on */
    sl_fiber_sleep(1300);
    expect_token(setup->oauth, "token-1");
    EXPECT_INT(requests(setup), 1);
    sl_fiber_sleep(400);
    expect_token(setup->oauth, "token-1"); /* and the next one is asked for */
    EXPECT(wait_until(is_at_rest, setup));
    expect_token(setup->oauth, "token-2");
    EXPECT_INT(requests(setup), 2);

    answer_with(500, NULL, "oops");
    sl_fiber_sleep(1700);
    expect_token(setup->oauth, "token-2");
    EXPECT(wait_until(is_at_rest, setup));
    EXPECT_INT(requests(setup), 3);        /* not renewed, … */
    expect_token(setup->oauth, "token-2"); /* … still good, and the endpoint is left in peace */
    EXPECT_INT(requests(setup), 3);
    sl_fiber_sleep(400);
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_CLOSED);

    answer_with(200, NULL, NULL);
    sl_fiber_sleep(1000);
    EXPECT_INT(sl_oauth_token(setup->oauth, &token, &err), SL_OK);
    done(setup);
}

static void test_renewal(void **state)
{
    (void)state;
    with_endpoint(renew_in_time, 2, 0);
}

/* --- a renewal that takes its time --- */

static void hold_nobody_up(void *arg)
{
    struct setup *setup = arg;
    expect_token(setup->oauth, "token-1");
    atomic_store(&endpoint.delay_ms, 900);
    for (unsigned renewals = 1; renewals <= 2; renewals++) {
        uint64_t start_ms = sl_loop_now_ms();
        setup->oauth->renew_ms = start_ms;
        for (int i = 0; i < 5; i++)
            expect_token(setup->oauth, renewals == 1 ? "token-1" : "token-2");
        EXPECT(sl_loop_now_ms() - start_ms < 400);
        EXPECT(wait_until(is_at_rest, setup));
        EXPECT(sl_loop_now_ms() - start_ms >= 850);
        EXPECT_INT(requests(setup), 1 + renewals);
    }
    expect_token(setup->oauth, "token-3");
    done(setup);
}

static void test_slow_renewals(void **state)
{
    (void)state;
    with_endpoint(hold_nobody_up, 3599, 0);
}

static void expire_meanwhile(void *arg)
{
    struct setup *setup = arg;
    expect_token(setup->oauth, "token-1");
    atomic_store(&endpoint.delay_ms, 300);
    setup->oauth->renew_ms = sl_loop_now_ms();
    expect_token(setup->oauth, "token-1");
    EXPECT(sl_oauth_refused(setup->oauth, sl_oauth_number(setup->oauth)));
    expect_token(setup->oauth, "token-2"); /* the one that is under way */
    EXPECT_INT(requests(setup), 2);
    done(setup);
}

static void test_no_token_but_the_one_to_come(void **state)
{
    (void)state;
    with_endpoint(expire_meanwhile, 3599, 0);
}

static bool is_asked_again(void *arg)
{
    return requests(arg) == 2;
}

static void end_amid_a_renewal(void *arg)
{
    struct setup *setup = arg;
    expect_token(setup->oauth, "token-1");
    atomic_store(&endpoint.delay_ms, 900);
    setup->oauth->renew_ms = sl_loop_now_ms();
    expect_token(setup->oauth, "token-1");
    EXPECT(wait_until(is_asked_again, setup));
    uint64_t start_ms = sl_loop_now_ms();
    done(setup);
    EXPECT(sl_loop_now_ms() - start_ms < 400);
}

static void test_end_amid_a_renewal(void **state)
{
    (void)state;
    with_endpoint(end_amid_a_renewal, 3599, 0);
}

/* --- a renewal that fails --- */

/* Suspends. The token is to be renewed now, and that fails: how long it is left so. */
static uint64_t fail_to_renew(struct setup *setup)
{
    setup->oauth->renew_ms = sl_loop_now_ms();
    expect_token(setup->oauth, "token-1");
    EXPECT(wait_until(is_at_rest, setup));
    return setup->oauth->renew_ms - sl_loop_now_ms();
}

static void expect_pause(struct setup *setup, unsigned seconds)
{
    uint64_t pause_ms = fail_to_renew(setup);
    if (pause_ms > seconds * 1000 || pause_ms < seconds * 1000 - 200)
        EXPECT_INT(pause_ms, seconds * 1000);
}

static void renew_less_and_less_often(void *arg)
{
    static const unsigned seconds[] = {5, 5, 5, 8, 16, 32, 64, 128, 256, 300, 300};
    const size_t count = sizeof seconds / sizeof *seconds;
    struct setup *setup = arg;
    expect_token(setup->oauth, "token-1");
    answer_with(401, NULL, bad_secret);
    for (size_t i = 0; i < count; i++)
        expect_pause(setup, seconds[i]);
    answer_with(429, "Retry-After: 40\r\n", "slow down");
    expect_pause(setup, 40);
    answer_with(503, NULL, "oops");
    expect_pause(setup, 5);
    EXPECT_INT(requests(setup), 1 + count + 2);

    expect_token(setup->oauth, "token-1"); /* and nobody is asked meanwhile */
    EXPECT_INT(requests(setup), 1 + count + 2);
    done(setup);
}

static void test_refused_renewals(void **state)
{
    (void)state;
    with_endpoint(renew_less_and_less_often, 3599, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_slow_renewals),
        cmocka_unit_test(test_no_token_but_the_one_to_come),
        cmocka_unit_test(test_end_amid_a_renewal),
        cmocka_unit_test(test_refused_renewals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
