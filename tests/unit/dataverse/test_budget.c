/* The budget governor: its window, its gate and its pace, by simulated time. */
#include "dataverse/budget_gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataverse/budget_limits.h"
#include "dataverse/budget_pace.h"
#include "dataverse/budget_window.h"

#include <cmocka.h>

/* --- the window --- */

static void a_use_counts_until_its_bucket_has_left(void **state)
{
    struct sl_budget_window *window = malloc(sizeof *window);
    (void)state;
    sl_window_init(window, 300000); /* buckets of 250 ms */
    assert_true(sl_window_next_ms(window) == UINT64_MAX);
    sl_window_add(window, SL_URGENT, 3, 70, 1000);
    sl_window_add(window, SL_PATIENT, 1, 30, 1249);
    sl_window_add(window, SL_STEADY, 2, 0, 200000);
    assert_int_equal(sl_use_requests(&window->total), 6);
    assert_int_equal(sl_use_execution_ms(&window->total), 100);
    assert_int_equal(sl_window_next_ms(window), 301250);

    sl_window_slide(window, 301249);
    assert_int_equal(sl_use_requests(&window->total), 6);
    sl_window_slide(window, 301250);
    assert_int_equal(sl_use_requests(&window->total), 2);
    assert_int_equal(sl_use_execution_ms(&window->total), 0);
    assert_int_equal(sl_window_next_ms(window), 500250);
    sl_window_slide(window, 100 * 300000);
    assert_int_equal(sl_use_requests(&window->total), 0);
    sl_window_add(window, SL_STEADY, 1, 5, 100 * 300000 + 7);
    assert_int_equal(sl_use_requests(&window->total), 1);
    free(window);
}

/* Against a plain list of all uses. */
static void the_window_never_counts_less_than_there_was(void **state)
{
    enum { USES = 20000, WINDOW = 6000 };
    static uint64_t times[USES];
    struct sl_budget_window *window = malloc(sizeof *window);
    uint64_t now = 123456;
    unsigned first = 0;
    (void)state;
    srand(7);
    sl_window_init(window, WINDOW);
    for (unsigned i = 0; i < USES; i++) {
        now += (uint64_t)(rand() % (rand() % 50 ? 6 : 4000));
        times[i] = now;
        sl_window_add(window, (enum sl_urgency)(i % 3), 1, 0, now);
        while (times[first] + WINDOW < now)
            first++;
        uint64_t counted = sl_use_requests(&window->total), exact = i + 1 - first;
        assert_true(counted >= exact);
        unsigned loose = first; /* at most one bucket more */
        while (loose && times[loose - 1] + WINDOW + 5 >= now)
            loose--;
        assert_true(counted <= i + 1 - loose);
    }
    free(window);
}

static void what_was_used_lately_lowers_the_rate(void **state)
{
    struct sl_budget_window *window = malloc(sizeof *window);
    struct sl_budget_rate rate;
    (void)state;
    sl_window_init(window, 300000);
    rate = sl_window_rate(window, 4800, 960000, 15000, 0);
    assert_true(rate.requests * 300250 > 4799 && rate.requests * 300250 < 4801);
    assert_true(rate.execution_ms * 300250 > 959999 && rate.execution_ms * 300250 < 960001);

    sl_window_add(window, SL_PATIENT, 2400, 100, 0); /* leaves at 300,250 */
    sl_window_add(window, SL_PATIENT, 0, 660000, 60000);
    rate = sl_window_rate(window, 4800, 960000, 15000, 100250);
    assert_true(rate.requests * 200000 > 2399 && rate.requests * 200000 < 2401);
    assert_true(rate.execution_ms * 260000 > 299899 && rate.execution_ms * 260000 < 300001);
    rate = sl_window_rate(window, 4800, 960000, 15000, 290000); /* within the horizon */
    assert_true(rate.requests * 300250 > 4799);
    free(window);
}

/* --- the gate --- */

static void the_patient_take_half_of_what_is_left(void **state)
{
    struct sl_budget_gate *gate = malloc(sizeof *gate);
    struct sl_budget_settings limits = DEFAULTS;
    unsigned patient = 0, steady = 0, urgent = 0;
    (void)state;
    limits.requests = 1000;
    sl_gate_init(gate, &limits);
    for (uint64_t now = 1; now < 4 * MINUTE; now += 10) {
        if (!sl_gate_try(gate, SL_PATIENT, now)) {
            patient++;
            sl_gate_executed(gate, SL_PATIENT, 5, now);
            sl_gate_ended(gate);
        }
    }
    assert_int_equal(patient, 400);
    for (uint64_t now = 4 * MINUTE; now < 5 * MINUTE; now += 1) {
        bool is_urgent = now >= 4 * MINUTE + MINUTE / 2;
        if (sl_gate_try(gate, is_urgent ? SL_URGENT : SL_STEADY, now))
            continue;
        *(is_urgent ? &urgent : &steady) += 1;
        sl_gate_executed(gate, SL_STEADY, 0, now);
        gate->running[SL_STEADY] = 0;
        sl_gate_ended(gate);
        assert_int_not_equal(sl_gate_try(gate, SL_PATIENT, now), 0);
    }
    assert_int_equal(steady + urgent, 400);
    free(gate);
}

static void slots_are_kept_for_the_urgent(void **state)
{
    struct sl_budget_gate *gate = malloc(sizeof *gate);
    unsigned count[SL_URGENCIES] = {0};
    (void)state;
    sl_gate_init(gate, &DEFAULTS);
    static const enum sl_urgency order[] = {SL_PATIENT, SL_STEADY, SL_URGENT};
    for (unsigned i = 0; i < 3; i++)
        while (!sl_gate_try(gate, order[i], 1))
            count[order[i]]++;
    assert_int_equal(count[SL_PATIENT], 24);
    assert_int_equal(count[SL_PATIENT] + count[SL_STEADY], 43);
    assert_int_equal(gate->in_flight, 49);
    assert_true(sl_gate_try(gate, SL_URGENT, 1) == UINT64_MAX);
    sl_gate_ended(gate);
    assert_int_equal(sl_gate_try(gate, SL_URGENT, 1), 0);
    free(gate);
}

static void execution_time_is_a_limit_too(void **state)
{
    struct sl_budget_gate *gate = malloc(sizeof *gate);
    uint64_t spent_ms = 0;
    (void)state;
    sl_gate_init(gate, &DEFAULTS); /* 960 s of it */
    for (uint64_t now = 1; now < 5 * MINUTE; now += 50) {
        if (sl_gate_try(gate, SL_STEADY, now))
            continue;
        sl_gate_executed(gate, SL_STEADY, 1000, now);
        sl_gate_ended(gate);
        spent_ms += 1000;
    }
    assert_true(spent_ms > 900000);
    assert_true(spent_ms <= 960000);
    assert_true(sl_gate_poll_rate(gate, 3000, false, 5 * MINUTE) * 300000 < 965);
    free(gate);
}

/* A tiny budget still lets one at a time pass. */
static void however_small_the_limits(void **state)
{
    struct sl_budget_gate *gate = malloc(sizeof *gate);
    struct sl_budget_settings limits = {1, 1, 1000, 1, 1, 0};
    unsigned passed = 0;
    (void)state;
    sl_gate_init(gate, &limits);
    for (uint64_t now = 1; now <= 10000; now++) {
        if (sl_gate_try(gate, SL_PATIENT, now))
            continue;
        sl_gate_executed(gate, SL_PATIENT, 500, now);
        sl_gate_ended(gate);
        passed++;
    }
    assert_in_range(passed, 9, 10);
    free(gate);
}

static void after_a_throttle_they_come_back_one_by_one(void **state)
{
    struct sl_budget_gate *gate = malloc(sizeof *gate);
    uint64_t now = 10000, last = 0;
    unsigned passed = 0;
    (void)state;
    sl_gate_init(gate, &DEFAULTS);
    assert_int_equal(sl_gate_try(gate, SL_STEADY, now), 0);
    sl_gate_throttled(gate, 20000, SL_THROTTLE_RATE, now);
    sl_gate_throttled(gate, 17000, SL_THROTTLE_RATE, now + 1); /* the same event */
    assert_int_equal(sl_gate_requests_limit(gate, now + 1), 3600);
    assert_int_equal(sl_gate_try(gate, SL_URGENT, now + 1), 30000);
    sl_gate_ended(gate);
    for (now = 30000; now < 60000; now++) {
        if (sl_gate_try(gate, SL_URGENT, now))
            continue;
        sl_gate_ended(gate);
        passed++;
        assert_true(!last || now - last >= 45);
        last = now;
    }
    assert_in_range(passed, 300, 600);
    assert_int_equal(sl_gate_requests_limit(gate, now + 5 * MINUTE), 4800);
    free(gate);
}

static void a_concurrency_throttle_lowers_it_for_a_while(void **state)
{
    struct sl_budget_gate *gate = malloc(sizeof *gate);
    (void)state;
    sl_gate_init(gate, &DEFAULTS);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(sl_gate_try(gate, SL_URGENT, 10), 0);
    sl_gate_throttled(gate, 1000, SL_THROTTLE_CONCURRENCY, 20);
    assert_int_equal(sl_gate_slots(gate, 20), 30);
    assert_int_equal(sl_gate_requests_limit(gate, 20), 4800);
    assert_int_equal(sl_gate_slots(gate, 20 + 5000), 31);
    assert_int_equal(sl_gate_slots(gate, 20 + 5 * MINUTE), 49);
    sl_gate_throttled(gate, 1000, SL_THROTTLE_BUSY, 6 * MINUTE);
    assert_int_equal(sl_gate_slots(gate, 6 * MINUTE), 49);
    assert_int_equal(sl_gate_requests_limit(gate, 6 * MINUTE), 4800);
    free(gate);
}

/* --- the pace --- */

static void intervals_follow_the_rate(void **state)
{
    enum { LOW = SL_DATAVERSE_PRIORITY_LOW, NORMAL, HIGH };
    struct sl_budget_pace pace = {0};
    struct sl_budget_member hot = member(1000, 60000, NORMAL), idle = member(1000, 60000, NORMAL),
                            rare = member(1000, 5000, NORMAL), low = member(1000, 60000, LOW),
                            high = member(2000, 60000, HIGH);
    struct sl_budget_member *all[] = {&hot, &idle, &rare, &low, &high};
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        sl_pace_join(&pace, all[i]);
    sl_pace_plan(&pace, 0.1 / 1000, true, 0); /* any but the low one may be hot: 3.5/s */
    assert_int_equal(pace.hot_count, 4);
    assert_int_equal(idle.interval_ms, hot.interval_ms);
    assert_true(idle.interval_ms > 60000);
    assert_true(sl_pace_interval_ms(&idle) != sl_pace_interval_ms(&hot)); /* spread */
    assert_true(sl_pace_polled(&pace, &idle, false, 0, 0));
    assert_true(sl_pace_polled(&pace, &rare, false, 0, 0));
    assert_false(sl_pace_polled(&pace, &hot, false, 3, 0));
    assert_false(sl_pace_polled(&pace, &low, false, 3, 0));

    sl_pace_plan(&pace, 4.5 / 1000, true, 10); /* all fit */
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(all[i]->interval_ms, all[i]->every_ms);
    assert_false(sl_pace_polled(&pace, &hot, false, 1, 10)); /* is hot already */

    sl_pace_plan(&pace, 2.0 / 1000, true,
                 10); /* hot 1.5/s; 0.5/s for three: 0.2 capped, 0.15 each */
    assert_int_equal(hot.interval_ms, 1000);
    assert_int_equal(high.interval_ms, 2000);
    assert_int_equal(rare.interval_ms, 5000);
    assert_int_equal(idle.interval_ms, 6667);
    assert_int_equal(low.interval_ms, 6667);

    sl_pace_plan(&pace, 0.75 / 1000, true, 10); /* the hot ones do not fit */
    assert_int_equal(idle.interval_ms, 60000);
    assert_int_equal(rare.interval_ms, 5000);
    assert_int_equal(high.interval_ms, 2000);
    assert_int_equal(hot.interval_ms, 60000);

    high.priority = NORMAL;
    sl_pace_polled(&pace, &high, false, 1, 10);
    sl_pace_plan(&pace, 0.75 / 1000, true, 10);
    assert_in_range(hot.interval_ms, 2900, 2910); /* 1.5 / (0.75 - 0.2333) */
    assert_in_range(high.interval_ms, 5800, 5820);

    sl_pace_plan(&pace, 2.0 / 1000, true, 60010); /* no rows for a minute */
    assert_true(hot.interval_ms > 1000);
    sl_pace_leave(&pace, &idle);
    sl_pace_leave(&pace, &high);
    sl_pace_leave(&pace, &hot);
    assert_int_equal(pace.count, 2);
    sl_pace_plan(&pace, 2.0 / 1000, true, 60010);
    assert_int_equal(low.interval_ms, 1000);
}

/* All of them are busy. */
static void who_keeps_its_pace_when_the_rate_is_short(void **state)
{
    enum { LOW = SL_DATAVERSE_PRIORITY_LOW, NORMAL, HIGH };
    static const struct {
        int priorities[4];
        double rate;
        uint64_t wanted_ms[4];
    } rows[] = {
        {{NORMAL, NORMAL, NORMAL, NORMAL}, 2.0, {2000, 2000, 2000, 2000} },
        {{HIGH, NORMAL, NORMAL, NORMAL},   2.0, {1000, 3000, 3000, 3000} },
        {{HIGH, NORMAL, NORMAL, LOW},      2.1, {1000, 2000, 2000, 10000}},
        {{HIGH, HIGH, HIGH, HIGH},         2.0, {2000, 2000, 2000, 2000} },
        {{HIGH, HIGH, HIGH, NORMAL},       1.6, {2000, 2000, 2000, 10000}},
        {{LOW, LOW, LOW, NORMAL},          1.6, {5000, 5000, 5000, 1000} },
    };
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_budget_pace pace = {0};
        struct sl_budget_member tables[4];
        for (unsigned t = 0; t < 4; t++) {
            tables[t] = member(1000, 10000, rows[i].priorities[t]);
            sl_pace_join(&pace, &tables[t]);
            sl_pace_polled(&pace, &tables[t], false, 1, 0);
        }
        sl_pace_plan(&pace, rows[i].rate / 1000, true, 0);
        for (unsigned t = 0; t < 4; t++)
            assert_in_range(tables[t].interval_ms, rows[i].wanted_ms[t], rows[i].wanted_ms[t] + 1);
    }
}

static void busy_tables_are_polled_sooner_while_there_is_room(void **state)
{
    struct sl_budget_pace pace = {0};
    struct sl_budget_member busy = member(3000, 60000, SL_DATAVERSE_PRIORITY_NORMAL),
                            idle = member(3000, 60000, SL_DATAVERSE_PRIORITY_HIGH),
                            low = member(3000, 60000, SL_DATAVERSE_PRIORITY_LOW);
    struct sl_budget_member *all[] = {&busy, &idle, &low};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        all[i]->min_interval_ms = 1000;
        sl_pace_join(&pace, all[i]);
    }
    sl_pace_plan(&pace, 16.0 / 1000, true, 0);
    assert_int_equal(busy.interval_ms, 3000); /* not known yet to be busy */
    assert_true(sl_pace_polled(&pace, &busy, false, 5, 0));
    assert_false(sl_pace_polled(&pace, &idle, false, 0, 0));
    assert_false(sl_pace_polled(&pace, &low, false, 5, 0));
    sl_pace_plan(&pace, 16.0 / 1000, true, 0);
    assert_int_equal(sl_pace_interval_ms(&busy), 1000);
    assert_int_equal(sl_pace_interval_ms(&idle), 3000);
    assert_int_equal(sl_pace_interval_ms(&low), 3000);
    assert_false(sl_pace_polled(&pace, &busy, false, 1, 1000)); /* asks for that already */

    /* At three seconds they make one poll a second; two thirds more are asked for. */
    static const struct {
        double rate;
        bool may_hasten;
        uint64_t at_least_ms, at_most_ms;
    } rows[] = {
        {2.34, true,  1000, 1000}, /* just enough room: half of what is left */
        {1.5,  true,  1714, 1715}, /* room for a quarter */
        {1.0,  true,  3000, 3000}, /* all fit, and no more */
        {16.0, false, 3000, 3000},
        {0.9,  true,  3000, 3000}, /* it is hot: the low one yields */
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        sl_pace_plan(&pace, rows[i].rate / 1000, rows[i].may_hasten, 1000);
        assert_in_range(sl_pace_interval_ms(&busy), rows[i].at_least_ms, rows[i].at_most_ms);
        assert_int_equal(sl_pace_interval_ms(&idle), 3000);
        assert_true(sl_pace_interval_ms(&low) >= 3000);
    }

    /* Each poll without rows calms it. Bells neither calm nor hasten: they would ring again. */
    assert_true(sl_pace_polled(&pace, &busy, false, 0, 2000));
    sl_pace_plan(&pace, 16.0 / 1000, true, 2000);
    assert_int_equal(sl_pace_interval_ms(&busy), 2000);
    assert_false(sl_pace_polled(&pace, &busy, true, 9, 3000));
    assert_false(sl_pace_polled(&pace, &busy, true, 0, 3000));
    assert_true(sl_pace_polled(&pace, &busy, false, 0, 4000));
    sl_pace_plan(&pace, 16.0 / 1000, true, 4000);
    assert_int_equal(sl_pace_interval_ms(&busy), 3000);
    assert_false(sl_pace_polled(&pace, &busy, true, 9, 5000));
    assert_false(sl_pace_polled(&pace, &busy, false, 0, 7000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_use_counts_until_its_bucket_has_left),
        cmocka_unit_test(the_window_never_counts_less_than_there_was),
        cmocka_unit_test(what_was_used_lately_lowers_the_rate),
        cmocka_unit_test(the_patient_take_half_of_what_is_left),
        cmocka_unit_test(slots_are_kept_for_the_urgent),
        cmocka_unit_test(execution_time_is_a_limit_too),
        cmocka_unit_test(however_small_the_limits),
        cmocka_unit_test(after_a_throttle_they_come_back_one_by_one),
        cmocka_unit_test(a_concurrency_throttle_lowers_it_for_a_while),
        cmocka_unit_test(intervals_follow_the_rate),
        cmocka_unit_test(who_keeps_its_pace_when_the_rate_is_short),
        cmocka_unit_test(busy_tables_are_polled_sooner_while_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
