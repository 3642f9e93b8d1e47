/* The budget governor: its window, its gate and its pace by simulated time, its queue by fibers. */
#include "source/budget.h"

#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "format/json.h"
#include "loop/in_fiber.h"
#include "source/budget_gate.h"
#include "source/dataverse_settings.h"

#define MINUTE UINT64_C(60000)

static const struct sl_budget_settings DEFAULTS = {
    .requests = 6000,
    .execution_ms = 20 * MINUTE,
    .window_ms = 5 * MINUTE,
    .concurrency = 52,
    .use_percent = 80,
};

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
    struct sl_budget_settings limits = {1, 1, 1000, 1, 1};
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

static struct sl_budget_member member(uint64_t every_ms, uint64_t max_ms, int priority)
{
    return (struct sl_budget_member){
        .every_ms = every_ms, .max_interval_ms = max_ms, .priority = priority};
}

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
    sl_pace_plan(&pace, 0.1 / 1000, 0); /* any but the low one may be hot: 3.5/s */
    assert_int_equal(pace.hot_count, 4);
    assert_int_equal(idle.interval_ms, rare.interval_ms);
    assert_true(idle.interval_ms > 35000);
    assert_true(sl_pace_interval_ms(&idle) != sl_pace_interval_ms(&rare)); /* spread */
    assert_true(sl_pace_polled(&pace, &idle, 0, 0));
    assert_true(sl_pace_polled(&pace, &rare, 0, 0));
    assert_false(sl_pace_polled(&pace, &hot, 3, 0));
    assert_false(sl_pace_polled(&pace, &low, 3, 0));

    sl_pace_plan(&pace, 4.5 / 1000, 10); /* all fit */
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(all[i]->interval_ms, all[i]->every_ms);
    assert_false(sl_pace_polled(&pace, &hot, 1, 10)); /* is hot already */

    sl_pace_plan(&pace, 2.0 / 1000, 10); /* hot 1.5/s; 0.5/s for three: 0.2 capped, 0.15 each */
    assert_int_equal(hot.interval_ms, 1000);
    assert_int_equal(high.interval_ms, 2000);
    assert_int_equal(rare.interval_ms, 5000);
    assert_int_equal(idle.interval_ms, 6667);
    assert_int_equal(low.interval_ms, 6667);

    sl_pace_plan(&pace, 0.75 / 1000, 10); /* the hot ones do not fit */
    assert_int_equal(idle.interval_ms, 60000);
    assert_int_equal(rare.interval_ms, 5000);
    assert_in_range(hot.interval_ms, 2900, 2910); /* 1.5 / (0.75 - 0.2333) */
    assert_in_range(high.interval_ms, 5800, 5820);

    sl_pace_plan(&pace, 2.0 / 1000, 60010); /* no rows for a minute */
    assert_true(hot.interval_ms > 1000);
    sl_pace_leave(&pace, &idle);
    sl_pace_leave(&pace, &high);
    sl_pace_leave(&pace, &hot);
    assert_int_equal(pace.count, 2);
    sl_pace_plan(&pace, 2.0 / 1000, 60010);
    assert_int_equal(low.interval_ms, 1000);
}

/* --- a simulation of all of it --- */

enum { TABLES = 300, HOT = 50, ANSWER_MS = 20, SENT_MAX = 200000 };

/* A service that counts exactly, and the tables that poll it. */
struct world {
    struct sl_budget_gate gate;
    struct sl_budget_pace pace;
    struct sl_budget_window polls;
    struct table {
        struct sl_budget_member member;
        uint64_t due_ms, ends_ms; /* ends_ms 0: not under way */
        uint64_t last_ms, longest_ms, polls, gap_sum_ms;
        bool hot;
    } tables[TABLES];
    uint64_t sent[SENT_MAX], now_ms;
    unsigned sent_count, window_first, most_in_window, in_flight, most_in_flight;
    uint64_t paused_until_ms, judged_from_ms;
    unsigned bells, bell_wait_ms, bell_longest_ms;
    uint64_t bell_due_ms;
};

static void service_counts(struct world *w)
{
    w->sent[w->sent_count++] = w->now_ms;
    while (w->sent[w->window_first] + DEFAULTS.window_ms < w->now_ms)
        w->window_first++;
    if (w->sent_count - w->window_first > w->most_in_window)
        w->most_in_window = w->sent_count - w->window_first;
    if (++w->in_flight > w->most_in_flight)
        w->most_in_flight = w->in_flight;
}

static void plan(struct world *w)
{
    sl_window_slide(&w->polls, w->now_ms);
    double rate = sl_gate_poll_rate(&w->gate, sl_use_requests(&w->polls.total), false, w->now_ms);
    sl_pace_plan(&w->pace, rate, w->now_ms);
}

static void table_ends(struct world *w, struct table *t)
{
    w->in_flight--;
    t->ends_ms = 0;
    sl_gate_executed(&w->gate, SL_STEADY, ANSWER_MS, w->now_ms);
    sl_gate_ended(&w->gate);
    sl_window_add(&w->polls, SL_STEADY, 1, 0, w->now_ms);
    sl_pace_polled(&w->pace, &t->member, t->hot, w->now_ms);
    t->due_ms += sl_pace_interval_ms(&t->member);
    if (t->due_ms < w->now_ms)
        t->due_ms = w->now_ms;
}

static void table_begins(struct world *w, struct table *t)
{
    service_counts(w);
    t->ends_ms = w->now_ms + ANSWER_MS;
    if (t->last_ms && w->now_ms >= w->judged_from_ms) {
        uint64_t gap_ms = w->now_ms - t->last_ms;
        t->gap_sum_ms += gap_ms;
        t->polls++;
        if (gap_ms > t->longest_ms)
            t->longest_ms = gap_ms;
    }
    t->last_ms = w->now_ms;
}

/* The one that has waited longest goes first, as in the queue. */
static struct table *next_due(struct world *w)
{
    struct table *first = NULL;
    for (unsigned i = 0; i < TABLES; i++) {
        struct table *t = &w->tables[i];
        if (!t->ends_ms && t->due_ms <= w->now_ms && (!first || t->due_ms < first->due_ms))
            first = t;
    }
    return first;
}

static void bell(struct world *w)
{
    if (!w->bell_due_ms || w->now_ms < w->bell_due_ms ||
        sl_gate_try(&w->gate, SL_URGENT, w->now_ms))
        return;
    service_counts(w);
    w->in_flight--;
    sl_gate_executed(&w->gate, SL_URGENT, ANSWER_MS, w->now_ms);
    sl_gate_ended(&w->gate);
    uint64_t waited_ms = w->now_ms - w->bell_due_ms;
    if (waited_ms > w->bell_longest_ms && w->now_ms > w->judged_from_ms)
        w->bell_longest_ms = (unsigned)waited_ms;
    w->bells++;
    w->bell_due_ms += 1000;
}

static void run_until(struct world *w, uint64_t end_ms)
{
    for (; w->now_ms < end_ms; w->now_ms++) {
        struct table *t;
        if (w->now_ms % 1000 == 0)
            plan(w);
        for (unsigned i = 0; i < TABLES; i++)
            if (w->tables[i].ends_ms && w->tables[i].ends_ms <= w->now_ms)
                table_ends(w, &w->tables[i]);
        if (w->now_ms < w->paused_until_ms)
            continue;
        bell(w);
        while ((t = next_due(w)) && !sl_gate_try(&w->gate, SL_STEADY, w->now_ms))
            table_begins(w, t);
    }
}

static struct world *world_new(uint64_t every_ms)
{
    struct world *w = calloc(1, sizeof *w);
    sl_gate_init(&w->gate, &DEFAULTS);
    sl_window_init(&w->polls, w->gate.recent.window_ms);
    w->now_ms = 1000;
    for (unsigned i = 0; i < TABLES; i++) {
        struct table *t = &w->tables[i];
        t->hot = i < HOT;
        t->member = member(every_ms, 5 * MINUTE, SL_DATAVERSE_PRIORITY_NORMAL);
        sl_pace_join(&w->pace, &t->member);
        t->due_ms = w->now_ms; /* all at once: the worst of starts */
    }
    return w;
}

static void judge(const struct world *w, uint64_t *ret_hot_ms, uint64_t *ret_idle_longest_ms)
{
    uint64_t sum_ms = 0, polls = 0;
    *ret_idle_longest_ms = 0;
    for (unsigned i = 0; i < TABLES; i++) {
        if (i < HOT) {
            sum_ms += w->tables[i].gap_sum_ms;
            polls += w->tables[i].polls;
        } else if (w->tables[i].longest_ms > *ret_idle_longest_ms) {
            *ret_idle_longest_ms = w->tables[i].longest_ms;
        }
    }
    *ret_hot_ms = polls ? (sum_ms + polls - 1) / polls : 0;
}

static void three_hundred_tables_keep_within_the_budget(void **state)
{
    struct world *w = world_new(3000);
    uint64_t hot_ms, idle_ms;
    (void)state;
    w->judged_from_ms = 10 * MINUTE;
    run_until(w, 40 * MINUTE);
    judge(w, &hot_ms, &idle_ms);
    print_message("at most %u in a window, %u at once; hot every %u ms, idle within %u s\n",
                  w->most_in_window, w->most_in_flight, (unsigned)hot_ms,
                  (unsigned)(idle_ms / 1000));
    assert_true(w->most_in_window <= 4800);
    assert_true(w->most_in_flight <= 52);
    assert_true(hot_ms <= 3320); /* (16 - 250/300) polls a second for 50 tables: 3.297 s at best */
    assert_true(idle_ms <= 5 * MINUTE + 5000);
    free(w);
}

/* Bells beside them: the tables make room, and no bell waits long. */
static void bells_go_first(void **state)
{
    struct world *w = world_new(3000);
    uint64_t hot_ms, idle_ms;
    (void)state;
    w->judged_from_ms = 10 * MINUTE;
    w->bell_due_ms = 2 * MINUTE;
    run_until(w, 30 * MINUTE);
    judge(w, &hot_ms, &idle_ms);
    print_message("%u bells, the longest waited %u ms; hot every %u ms\n", w->bells,
                  w->bell_longest_ms, (unsigned)hot_ms);
    assert_true(w->most_in_window <= 4800);
    assert_true(w->bells > 1600);
    assert_true(w->bell_longest_ms <= 100);
    assert_true(hot_ms <= 3600); /* 15 - 250/300 */
    free(w);
}

/* Nothing for seven minutes, then everything at once; and a throttle in between. */
static void a_burst_after_a_pause_stays_within_it_too(void **state)
{
    struct world *w = world_new(10000);
    (void)state;
    run_until(w, 6 * MINUTE);
    w->paused_until_ms = 13 * MINUTE;
    run_until(w, 16 * MINUTE);
    assert_true(w->most_in_window <= 4800);

    sl_gate_throttled(&w->gate, 30000, SL_THROTTLE_RATE, w->now_ms);
    unsigned before = w->sent_count;
    run_until(w, w->now_ms + 30000);
    assert_int_equal(w->sent_count, before);
    run_until(w, w->now_ms + 1000);
    assert_in_range(w->sent_count - before, 5, 25); /* no herd */
    run_until(w, w->now_ms + 10 * MINUTE);
    assert_true(w->most_in_window <= 4800);
    for (unsigned i = 0; i < TABLES; i++)
        assert_true(w->now_ms - w->tables[i].last_ms < 5 * MINUTE);
    free(w);
}

/* --- fibers --- */

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
    struct sl_budget_settings limits = {10, 100000, 200, 4, 100};
    struct sl_budget *budget = sl_budget_new("crm", &limits);
    struct sl_err err;
    uint64_t begin_ms = sl_loop_now_ms();
    (void)arg;
    for (unsigned i = 0; i < 15; i++) {
        EXPECT(sl_budget_take(budget, SL_URGENT, &err) == SL_OK);
        sl_budget_spent(budget, SL_URGENT, 0);
        sl_budget_give(budget);
        if (i == 9)
            EXPECT(sl_loop_now_ms() - begin_ms < 150);
    }
    EXPECT(sl_loop_now_ms() - begin_ms >= 200);
    sl_budget_free(budget);
}

static void a_full_window_is_waited_for(void **state)
{
    (void)state;
    run_in_fiber(a_full_window_is_waited_for_body, NULL);
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
    sl_budget_polled(budget, &table, 1, sl_loop_now_ms());
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
        cmocka_unit_test(three_hundred_tables_keep_within_the_budget),
        cmocka_unit_test(bells_go_first),
        cmocka_unit_test(a_burst_after_a_pause_stays_within_it_too),
        cmocka_unit_test(the_urgent_go_before_those_who_came_earlier),
        cmocka_unit_test(a_full_window_is_waited_for),
        cmocka_unit_test(a_throttle_holds_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
