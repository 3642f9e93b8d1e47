/* Who waits for the budget, and who goes first: fibers. */
#include "dataverse/budget.h"

#include <string.h>

#include "base/metric.h"
#include "dataverse/budget_limits.h"
#include "format/json.h"
#include "loop/in_fiber.h"

enum { ORDERED = 9 };

struct taking {
    struct sl_budget *budget;
    enum sl_urgency urgency;
    unsigned number, *order, *ended;
    int rc;
    struct sl_fiber *fiber;
};

static void take(void *arg)
{
    struct taking *taking = arg;
    struct sl_err err;
    taking->rc = sl_budget_take(taking->budget, taking->urgency, &err);
    if (taking->rc != SL_OK)
        return;
    taking->order[(*taking->ended)++] = taking->number;
    sl_fiber_sleep(1);
    sl_budget_spent(taking->budget, taking->urgency, 1);
    sl_budget_give(taking->budget);
}

static void the_urgent_go_before_those_who_came_earlier_body(void *arg)
{
    static const enum sl_urgency urgencies[ORDERED] = {SL_PATIENT, SL_STEADY, SL_URGENT,
                                                       SL_PATIENT, SL_STEADY, SL_URGENT,
                                                       SL_PATIENT, SL_STEADY, SL_URGENT};
    static const unsigned wanted[ORDERED - 1] = {2, 5, 8, 1, 7, 0, 3, 6}; /* 4 is cancelled */
    struct sl_budget_settings limits = DEFAULTS;
    struct taking takings[ORDERED];
    unsigned order[ORDERED] = {0}, ended = 0;
    struct sl_err err;
    (void)arg;
    limits.concurrency = 1;
    struct sl_budget *budget = sl_budget_new("crm", &limits);
    EXPECT(sl_budget_take(budget, SL_PATIENT, &err) == SL_OK);
    for (unsigned i = 0; i < ORDERED; i++) {
        takings[i] = (struct taking){budget, urgencies[i], i, order, &ended, -1, NULL};
        takings[i].fiber = sl_fiber_spawn_joinable("take", take, &takings[i]);
    }
    sl_fiber_sleep(5);
    EXPECT(ended == 0);
    EXPECT(sl_metric_sum("budget_waiting", "source=\"crm\"") == ORDERED);
    sl_fiber_cancel(takings[4].fiber);
    sl_budget_spent(budget, SL_PATIENT, 5);
    sl_budget_give(budget);
    for (unsigned i = 0; i < ORDERED; i++) {
        sl_fiber_join(takings[i].fiber);
        EXPECT(takings[i].rc == (i == 4 ? SL_CANCELED : SL_OK));
    }
    EXPECT(ended == ORDERED - 1);
    for (unsigned i = 0; i < ORDERED - 1; i++)
        EXPECT(order[i] == wanted[i]);
    sl_budget_free(budget);
}

static void the_urgent_go_before_those_who_came_earlier(void **state)
{
    (void)state;
    run_in_fiber(the_urgent_go_before_those_who_came_earlier_body, NULL);
    sl_metric_free_all();
}

/* A short window that is full: the next ones wait until it has moved on. */
static void a_full_window_is_waited_for_body(void *arg)
{
    struct sl_budget_settings limits = {10, 100000, 2000, 4, 100, 0};
    struct sl_budget *budget = sl_budget_new("crm", &limits);
    struct sl_err err;
    uint64_t begin_ms = sl_loop_now_ms();
    (void)arg;
    for (unsigned i = 0; i < 15; i++) {
        EXPECT(sl_budget_take(budget, SL_URGENT, &err) == SL_OK);
        sl_budget_spent(budget, SL_URGENT, 0);
        sl_budget_give(budget);
        if (i == 8) /* the tenth is not for the urgent */
            EXPECT(sl_loop_now_ms() - begin_ms < 1500);
    }
    EXPECT(sl_loop_now_ms() - begin_ms >= 2000);
    sl_budget_free(budget);
}

static void a_full_window_is_waited_for(void **state)
{
    (void)state;
    run_in_fiber(a_full_window_is_waited_for_body, NULL);
    sl_metric_free_all();
}

/* Bells have used up more of the day than polls may count on: one poll in 25 requests still passes,
 * also when nobody comes by who would wake it. */
static void a_poll_passes_on_a_used_up_day_body(void *arg)
{
    enum { A_DAY = 1728000, KEPT_MS = 1250 }; /* 50 ms apart */
    struct sl_budget_settings limits = {100000000, 100000000, 300000, 52, 100, A_DAY};
    struct sl_budget *budget = sl_budget_new("crm", &limits);
    struct sl_err err;
    (void)arg;
    for (unsigned i = 0; i < A_DAY / 8 * 7; i++) {
        EXPECT(sl_budget_take(budget, SL_URGENT, &err) == SL_OK);
        sl_budget_spent(budget, SL_URGENT, 0);
        sl_budget_give(budget);
    }
    struct taking takings[2];
    unsigned order[2], ended = 0;
    for (unsigned i = 0; i < 2; i++) {
        takings[i] = (struct taking){budget, SL_STEADY, i, order, &ended, -1, NULL};
        takings[i].fiber = sl_fiber_spawn_joinable("take", take, &takings[i]);
    }
    sl_fiber_sleep(KEPT_MS / 2);
    EXPECT(ended == 1);
    sl_fiber_sleep(KEPT_MS);
    EXPECT(ended == 2);
    for (unsigned i = 0; i < 2; i++)
        sl_fiber_end(&takings[i].fiber);
    sl_budget_free(budget);
}

static void a_poll_passes_on_a_used_up_day(void **state)
{
    (void)state;
    run_in_fiber(a_poll_passes_on_a_used_up_day_body, NULL);
    sl_metric_free_all();
}

struct ringing {
    struct sl_budget *budget;
    unsigned passed;
};

static void ring(void *arg)
{
    struct ringing *ringing = arg;
    for (; ringing->passed < 16; ringing->passed++) {
        EXPECT(sl_budget_take(ringing->budget, SL_URGENT, NULL) == SL_OK);
        sl_budget_spent(ringing->budget, SL_URGENT, 0);
        sl_budget_give(ringing->budget);
    }
}

/* The urgent ones have used a quarter and are spaced out: a poll does not stand behind them. */
static void a_poll_passes_urgent_ones_that_wait_body(void *arg)
{
    struct sl_budget_settings limits = {40, 100000, 4000, 4, 100, 0};
    struct ringing ringing = {.budget = sl_budget_new("crm", &limits)};
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("ring", ring, &ringing);
    (void)arg;
    sl_fiber_sleep(5);
    unsigned before = ringing.passed;
    EXPECT(before > 10 && before < 16);
    uint64_t begin_ms = sl_loop_now_ms();
    EXPECT(sl_budget_take(ringing.budget, SL_STEADY, NULL) == SL_OK);
    EXPECT(sl_loop_now_ms() - begin_ms < 20);
    EXPECT(ringing.passed == before);
    sl_budget_spent(ringing.budget, SL_STEADY, 0);
    sl_budget_give(ringing.budget);
    sl_fiber_join(fiber);
    EXPECT(ringing.passed == 16);
    sl_budget_free(ringing.budget);
}

static void a_poll_passes_urgent_ones_that_wait(void **state)
{
    (void)state;
    run_in_fiber(a_poll_passes_urgent_ones_that_wait_body, NULL);
    sl_metric_free_all();
}

static void a_throttle_holds_everybody_body(void *arg)
{
    struct sl_budget *budget = sl_budget_new("crm", &DEFAULTS);
    struct sl_budget_member table = member(3000, MINUTE, SL_DATAVERSE_PRIORITY_NORMAL);
    struct sl_err err;
    struct sl_buf json;
    (void)arg;
    sl_budget_join(budget, &table);
    EXPECT(sl_budget_interval_ms(budget, &table) == 3000);
    EXPECT(!sl_budget_trouble(budget));
    EXPECT(sl_budget_take(budget, SL_URGENT, &err) == SL_OK);
    sl_budget_spent(budget, SL_URGENT, 3);
    uint64_t begin_ms = sl_loop_now_ms();
    sl_budget_throttled(budget, 150, "0x80072322");
    sl_budget_give(budget);
    const char *trouble = sl_budget_trouble(budget);
    EXPECT(trouble && strstr(trouble, "'crm'") && strstr(trouble, "0x80072322"));

    sl_buf_init(&json);
    sl_budget_status(budget, &json);
    struct sl_json_doc *doc = NULL;
    EXPECT(sl_json_parse(json.data, json.length, NULL, &doc, &err) == SL_OK);
    int64_t number = 0;
    EXPECT(sl_json_int(sl_json_get(sl_json_root(doc), "requests"), &number) && number == 1);
    EXPECT(sl_json_int(sl_json_get(sl_json_root(doc), "requests_limit"), &number) &&
           number == 3600);
    EXPECT(sl_json_int(sl_json_get(sl_json_root(doc), "held_ms"), &number) && number > 0);
    EXPECT(sl_json_int(sl_json_get(sl_json_root(doc), "tables"), &number) && number == 1);
    sl_json_free(doc);
    sl_buf_done(&json);

    EXPECT(sl_budget_take(budget, SL_URGENT, &err) == SL_OK);
    EXPECT(sl_loop_now_ms() - begin_ms >= 150);
    EXPECT(!sl_budget_trouble(budget));
    sl_budget_spent(budget, SL_URGENT, 3);
    sl_budget_give(budget);
    EXPECT(sl_metric_sum("throttled_total", "code=\"0x80072322\"") == 1);
    table.min_interval_ms = 1000; /* no haste so soon after it */
    sl_budget_polled(budget, &table, false, 1, sl_loop_now_ms());
    EXPECT(sl_budget_interval_ms(budget, &table) == 3000);
    sl_budget_leave(budget, &table);
    sl_budget_free(budget);
}

static void a_throttle_holds_everybody(void **state)
{
    (void)state;
    run_in_fiber(a_throttle_holds_everybody_body, NULL);
    sl_metric_free_all();
}

/* A full read goes first; a page or two, or a table whose description is asked for again and again,
 * is none. */
static void a_full_read_leaves_no_room_for_haste_body(void *arg)
{
    struct sl_budget *budget = sl_budget_new("crm", &DEFAULTS);
    struct sl_budget_member busy = member(3000, MINUTE, SL_DATAVERSE_PRIORITY_NORMAL), other = busy;
    struct sl_err err;
    (void)arg;
    busy.min_interval_ms = 1000;
    sl_budget_join(budget, &busy);
    sl_budget_polled(budget, &busy, false, 1, sl_loop_now_ms());
    for (unsigned pages = 1; pages <= 9; pages++) {
        EXPECT(sl_budget_take(budget, SL_PATIENT, &err) == SL_OK);
        sl_budget_spent(budget, SL_PATIENT, 3);
        sl_budget_give(budget);
        sl_budget_join(budget, &other); /* plans anew */
        sl_budget_leave(budget, &other);
        EXPECT(sl_budget_interval_ms(budget, &busy) == (pages <= 8 ? 1000 : 3000));
    }
    sl_budget_leave(budget, &busy);
    sl_budget_free(budget);
}

static void a_full_read_leaves_no_room_for_haste(void **state)
{
    (void)state;
    run_in_fiber(a_full_read_leaves_no_room_for_haste_body, NULL);
    sl_metric_free_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_urgent_go_before_those_who_came_earlier),
        cmocka_unit_test(a_full_window_is_waited_for),
        cmocka_unit_test(a_poll_passes_on_a_used_up_day),
        cmocka_unit_test(a_poll_passes_urgent_ones_that_wait),
        cmocka_unit_test(a_throttle_holds_everybody),
        cmocka_unit_test(a_full_read_leaves_no_room_for_haste),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
