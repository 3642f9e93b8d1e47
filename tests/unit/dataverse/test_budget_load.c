/* Three hundred tables against a service that counts exactly, by simulated time. */
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
#include "source/books.h"

#include <cmocka.h>

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
    unsigned count;
    uint64_t sent[SENT_MAX], now_ms, step_ms;
    unsigned sent_count, window_first, most_in_window, in_flight, most_in_flight;
    uint64_t paused_until_ms, judged_from_ms;
    unsigned bells, bell_longest_ms, bell_gap_ms;
    uint64_t bell_due_ms, bell_every_ms, bell_last_ms;
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
    sl_pace_plan(&w->pace, rate, true, w->now_ms);
}

static void table_ends(struct world *w, struct table *t)
{
    w->in_flight--;
    t->ends_ms = 0;
    sl_gate_executed(&w->gate, SL_STEADY, ANSWER_MS, w->now_ms);
    sl_gate_ended(&w->gate);
    sl_window_add(&w->polls, SL_STEADY, 1, 0, w->now_ms);
    sl_pace_polled(&w->pace, &t->member, false, t->hot, w->now_ms);
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
    for (unsigned i = 0; i < w->count; i++) {
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
    if (w->bell_last_ms && w->now_ms - w->bell_last_ms > w->bell_gap_ms)
        w->bell_gap_ms = (unsigned)(w->now_ms - w->bell_last_ms);
    w->bell_last_ms = w->now_ms;
    service_counts(w);
    w->in_flight--;
    sl_gate_executed(&w->gate, SL_URGENT, ANSWER_MS, w->now_ms);
    sl_gate_ended(&w->gate);
    uint64_t waited_ms = w->now_ms - w->bell_due_ms;
    if (waited_ms > w->bell_longest_ms && w->now_ms > w->judged_from_ms)
        w->bell_longest_ms = (unsigned)waited_ms;
    w->bells++;
    w->bell_due_ms += w->bell_every_ms;
}

/* When something happens next, in whole steps. Tables that are refused ask again at again_ms. */
static uint64_t next_ms(const struct world *w, uint64_t again_ms)
{
    uint64_t next = w->now_ms - w->now_ms % 1000 + 1000, soonest = w->now_ms + w->step_ms;
    if (w->bell_due_ms)
        sl_books_sooner(&next, w->bell_due_ms);
    for (unsigned i = 0; i < w->count && next > soonest; i++) {
        const struct table *t = &w->tables[i];
        bool refused = !t->ends_ms && t->due_ms <= w->now_ms;
        sl_books_sooner(&next, refused ? again_ms : t->ends_ms ? t->ends_ms : t->due_ms);
    }
    if (next <= soonest)
        return soonest;
    return w->now_ms + (next - w->now_ms + w->step_ms - 1) / w->step_ms * w->step_ms;
}

static void run_until(struct world *w, uint64_t end_ms)
{
    uint64_t again_ms = 0;
    for (; w->now_ms < end_ms; w->now_ms = next_ms(w, again_ms)) {
        struct table *t;
        if (w->now_ms % 1000 == 0)
            plan(w);
        for (unsigned i = 0; i < w->count; i++)
            if (w->tables[i].ends_ms && w->tables[i].ends_ms <= w->now_ms)
                table_ends(w, &w->tables[i]);
        if (w->now_ms < w->paused_until_ms)
            continue;
        bell(w);
        again_ms = 0;
        while ((t = next_due(w)) && !(again_ms = sl_gate_try(&w->gate, SL_STEADY, w->now_ms)))
            table_begins(w, t);
    }
}

static struct world *world_of(unsigned count, uint64_t every_ms, uint64_t min_ms)
{
    struct world *w = calloc(1, sizeof *w);
    sl_gate_init(&w->gate, &DEFAULTS);
    sl_window_init(&w->polls, w->gate.recent.window_ms);
    w->now_ms = 1000;
    w->step_ms = 1;
    w->bell_every_ms = 1000;
    w->count = count;
    for (unsigned i = 0; i < w->count; i++) {
        struct table *t = &w->tables[i];
        t->hot = i < HOT;
        t->member = member(every_ms, 5 * MINUTE, SL_DATAVERSE_PRIORITY_NORMAL);
        t->member.min_interval_ms = min_ms;
        sl_pace_join(&w->pace, &t->member);
        t->due_ms = w->now_ms; /* all at once: the worst of starts */
    }
    return w;
}

static struct world *world_new(uint64_t every_ms)
{
    return world_of(TABLES, every_ms, 1000);
}

static void judge(const struct world *w, uint64_t *ret_hot_ms, uint64_t *ret_idle_longest_ms)
{
    uint64_t sum_ms = 0, polls = 0;
    *ret_idle_longest_ms = 0;
    for (unsigned i = 0; i < w->count; i++) {
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
    assert_true(sl_gate_is_near(&w->gate, w->now_ms)); /* all of it is used, ... */
    assert_false(sl_pace_is_short(&w->pace));          /* ... and that is how it should be */
    free(w);
}

/* Where there is room, busy tables are polled sooner; much is left for bells and full reads. */
static void thirty_tables_leave_room_for_what_comes(void **state)
{
    enum { BUSY = 6 };
    struct world *w = world_of(30, 3000, 1000);
    uint64_t busy_ms = 0, idle_longest_ms = 0;
    (void)state;
    for (unsigned i = 0; i < w->count; i++)
        w->tables[i].hot = i < BUSY;
    w->judged_from_ms = MINUTE;
    w->bell_due_ms = 2 * MINUTE;
    run_until(w, 20 * MINUTE);
    for (unsigned i = 0; i < w->count; i++) {
        const struct table *t = &w->tables[i];
        if (i < BUSY)
            busy_ms += t->gap_sum_ms / t->polls / BUSY;
        else if (t->longest_ms > idle_longest_ms)
            idle_longest_ms = t->longest_ms;
    }
    print_message(
        "busy every %u ms, idle within %u ms; at most %u in a window, a bell waited %u ms\n",
        (unsigned)busy_ms, (unsigned)idle_longest_ms, w->most_in_window, w->bell_longest_ms);
    assert_in_range(busy_ms, 1000, 1700); /* (16 - 10 - 1) / 2 a second for them: 1.37 s */
    assert_true(idle_longest_ms <= 3100);
    assert_true(w->most_in_window <= 4200);
    assert_true(w->bell_longest_ms <= 10);
    free(w);
}

/* Three times as many are busy: now somebody has to be told. */
static void too_many_hot_tables_are_short(void **state)
{
    struct world *w = world_new(3000);
    (void)state;
    for (unsigned i = 0; i < 3 * HOT; i++)
        w->tables[i].hot = true;
    run_until(w, 10 * MINUTE);
    assert_true(sl_gate_is_near(&w->gate, w->now_ms));
    assert_true(sl_pace_is_short(&w->pace));
    for (unsigned i = 0; i < 3 * HOT; i++)
        w->tables[i].hot = false;
    run_until(w, 20 * MINUTE);
    assert_false(sl_pace_is_short(&w->pace));
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

/* A hundred a second, for half an hour: they are spread over the window, and the tables are still
 * polled. */
static void bells_beyond_number_silence_nobody(void **state)
{
    struct world *w = world_new(3000);
    uint64_t hot_ms, idle_ms;
    (void)state;
    w->judged_from_ms = 10 * MINUTE;
    w->bell_due_ms = 2 * MINUTE;
    w->bell_every_ms = 10;
    run_until(w, 30 * MINUTE);
    judge(w, &hot_ms, &idle_ms);
    print_message("%u bells, at most %u ms apart; hot every %u ms, idle within %u s\n", w->bells,
                  w->bell_gap_ms, (unsigned)hot_ms, (unsigned)(idle_ms / 1000));
    assert_true(w->most_in_window <= 4800);
    assert_true(w->bells > 28 * 60 * 6);
    assert_true(w->bell_gap_ms <= 2000);
    assert_true(hot_ms <= 60 * 1000);
    free(w);
}

/* Fifteen a second without any table: all that the window grants, and none waits. */
static void as_many_bells_as_there_is_room_for_never_wait(void **state)
{
    struct world *w = world_new(3000);
    (void)state;
    for (unsigned i = 0; i < TABLES; i++)
        w->tables[i].due_ms = UINT64_MAX;
    w->bell_due_ms = MINUTE;
    w->bell_every_ms = 66;
    run_until(w, 30 * MINUTE);
    print_message("%u bells, the longest waited %u ms\n", w->bells, w->bell_longest_ms);
    assert_true(w->most_in_window <= 4800);
    assert_true(w->bells >= 29 * 60 * 15);
    assert_true(w->bell_longest_ms <= 5);
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
    for (unsigned i = 0; i < w->count; i++)
        assert_true(w->now_ms - w->tables[i].last_ms < 5 * MINUTE);
    free(w);
}

static unsigned most_in_a_day(const struct world *w)
{
    unsigned most = 0;
    for (unsigned first = 0, last = 0; last < w->sent_count; last++) {
        while (w->sent[first] + 24 * HOUR < w->sent[last])
            first++;
        if (last - first + 1 > most)
            most = last - first + 1;
    }
    return most;
}

static uint64_t longest_gap_ms(struct world *w)
{
    uint64_t longest_ms = 0;
    for (unsigned i = 0; i < w->count; i++) {
        if (w->tables[i].longest_ms > longest_ms)
            longest_ms = w->tables[i].longest_ms;
        w->tables[i].longest_ms = 0;
    }
    return longest_ms;
}

/* Ten tables would like 288,000 requests a day and get 20,000, evenly, from the first hour to the
 * third day; bells among them wait for nothing, even when many come at once. */
static void a_day_has_its_limit_too(void **state)
{
    enum { A_DAY = 20000, POLLED = 10, BUSY = 3, BURST = 700 };
    struct world *w = world_of(POLLED, 3000, 1000);
    struct sl_budget_settings limits = DEFAULTS;
    uint64_t busy_ms = 0;
    (void)state;
    limits.requests_per_day = A_DAY;
    sl_gate_init(&w->gate, &limits);
    for (unsigned i = 0; i < w->count; i++)
        w->tables[i].hot = i < BUSY;
    w->step_ms = 200;
    w->bell_due_ms = 2 * MINUTE;
    w->bell_every_ms = MINUTE;
    w->judged_from_ms = 10 * MINUTE;
    run_until(w, 24 * HOUR);
    unsigned of_first = w->sent_count;
    run_until(w, 30 * HOUR);
    for (unsigned i = 0; i < BUSY; i++)
        busy_ms += w->tables[i].gap_sum_ms / w->tables[i].polls / BUSY;
    uint64_t longest_ms = longest_gap_ms(w);
    w->bell_every_ms = w->step_ms;
    run_until(w, 30 * HOUR + BURST * w->step_ms);
    w->bell_every_ms = MINUTE;
    run_until(w, 60 * HOUR);
    print_message("%u on the first day, at most %u in any; busy every %u s, a table within %u s; a "
                  "bell within %u ms\n",
                  of_first, most_in_a_day(w), (unsigned)(busy_ms / 1000),
                  (unsigned)(longest_ms / 1000), w->bell_longest_ms);
    assert_in_range(of_first, A_DAY * 8 / 10, A_DAY);
    assert_in_range(most_in_a_day(w), of_first + BURST * 9 / 10, A_DAY);
    assert_true(busy_ms <= 20 * 1000);
    assert_true(longest_ms <= 5 * MINUTE + 15000); /* max_interval, and its turn */
    assert_in_range(w->bells, 60 * 60 + BURST - 30, 60 * 60 + BURST);
    assert_true(w->bell_longest_ms <= 1000);
    assert_false(sl_gate_is_near(&w->gate, w->now_ms)); /* the service would grant more */
    free(w);
}

/* Five bells a second use the day up, however slow the polls become; then both go on slowly. */
static void bells_that_use_up_the_day_silence_nobody(void **state)
{
    enum { A_DAY = 20000, POLLED = 10 };
    struct world *w = world_of(POLLED, 3000, 1000);
    struct sl_budget_settings limits = DEFAULTS;
    (void)state;
    limits.requests_per_day = A_DAY;
    sl_gate_init(&w->gate, &limits);
    w->step_ms = 200;
    run_until(w, 26 * HOUR);
    w->bell_due_ms = w->now_ms;
    w->bell_every_ms = w->step_ms;
    w->judged_from_ms = w->now_ms + HOUR;
    run_until(w, 28 * HOUR);
    unsigned bells = w->bells;
    longest_gap_ms(w);
    run_until(w, 60 * HOUR);
    uint64_t longest_ms = longest_gap_ms(w);
    bells = (w->bells - bells) / 32; /* an hour */
    print_message(
        "%u bells an hour, at most %u s apart; at most %u requests in a day, a table within "
        "%u min\n",
        bells, w->bell_gap_ms / 1000, most_in_a_day(w), (unsigned)(longest_ms / MINUTE));
    assert_in_range(most_in_a_day(w), A_DAY * 9 / 10, A_DAY);
    assert_in_range(bells, A_DAY / 24 / 2, A_DAY / 24);
    assert_true(w->bell_gap_ms <= 10 * MINUTE);
    assert_true(longest_ms <= HOUR);
    free(w);
}

/* One table or one stream of bells, which asks the gate again only when it was told to. */
struct asker {
    enum sl_urgency urgency;
    uint64_t every_ms, due_ms, ask_ms, longest_ms; /* longest: how long it waited */
};

static void ask(struct sl_budget_gate *gate, struct asker *asker, uint64_t now_ms)
{
    if (now_ms < asker->ask_ms)
        return;
    uint64_t again_ms = sl_gate_try(gate, asker->urgency, now_ms);
    if (again_ms) {
        asker->ask_ms = again_ms;
        return;
    }
    sl_gate_executed(gate, asker->urgency, ANSWER_MS, now_ms);
    sl_gate_ended(gate);
    if (now_ms - asker->due_ms > asker->longest_ms)
        asker->longest_ms = now_ms - asker->due_ms;
    asker->due_ms += asker->every_ms;
    if (asker->due_ms < now_ms)
        asker->due_ms = now_ms;
    asker->ask_ms = asker->due_ms > now_ms ? asker->due_ms : now_ms + 1;
}

/* From now_ms until end_ms, from one time that somebody asks to the next. */
static void ask_until(struct sl_budget_gate *gate, struct asker *poll, struct asker *bell,
                      uint64_t now_ms, uint64_t end_ms)
{
    while (now_ms < end_ms) {
        ask(gate, bell, now_ms);
        ask(gate, poll, now_ms);
        now_ms = poll->ask_ms < bell->ask_ms ? poll->ask_ms : bell->ask_ms;
    }
}

/* Bells use up more than polls may count on, and are silent then: nobody comes by whom a poll could
 * follow. */
static void polls_pass_on_a_day_that_bells_have_used_up(void **state)
{
    enum { A_DAY = 20000, RANG = A_DAY * 9 / 10 };
    struct sl_budget_gate *gate = malloc(sizeof *gate);
    struct sl_budget_settings limits = DEFAULTS;
    struct asker poll = {SL_STEADY, 43000, 0, 0, 0};
    struct asker bell = {SL_URGENT, 200, 1, 1, 0};
    (void)state;
    limits.requests_per_day = A_DAY;
    sl_gate_init(gate, &limits);
    while (sl_use_requests(&gate->day.total) < RANG)
        ask(gate, &bell, bell.ask_ms);
    assert_true(bell.ask_ms < 2 * HOUR);
    poll.due_ms = poll.ask_ms = bell.ask_ms;
    bell.ask_ms = UINT64_MAX;
    ask_until(gate, &poll, &bell, bell.due_ms, 48 * HOUR);
    assert_true(poll.longest_ms <= 25 * 24 * HOUR / A_DAY);
    free(gate);
}

/* However many bells ring, from the first hour on or on a day that polls have begun: neither they
 * nor polls wait longer than for 25 requests of the day. */
static void bells_of_a_day_silence_nobody_at_any_rate(void **state)
{
    enum { A_DAY = 20000 };
    static const struct {
        uint64_t poll_ms, bell_ms, from_ms;
    } rows[] = {
        {43000,  200,  1       },
        {43000,  1000, 1       },
        {43000,  4000, 1       },
        {43000,  1000, 6 * HOUR},
        {3000,   200,  6 * HOUR},
        {300000, 200,  6 * HOUR}, /* the table leaves most of what polls could
  have */
    };
    struct sl_budget_gate *gate = malloc(sizeof *gate);
    struct sl_budget_settings limits = DEFAULTS;
    (void)state;
    limits.requests_per_day = A_DAY;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct asker poll = {SL_STEADY, rows[i].poll_ms, 1, 1, 0};
        struct asker bell = {SL_URGENT, rows[i].bell_ms, rows[i].from_ms, rows[i].from_ms, 0};
        sl_gate_init(gate, &limits);
        ask_until(gate, &poll, &bell, 1, 54 * HOUR);
        print_message("a bell every %u ms: it waited %u s, a poll %u s\n",
                      (unsigned)rows[i].bell_ms, (unsigned)(bell.longest_ms / 1000),
                      (unsigned)(poll.longest_ms / 1000));
        assert_true(poll.longest_ms <= 25 * 24 * HOUR / A_DAY + 10000);
        assert_true(bell.longest_ms <= 25 * 24 * HOUR / A_DAY + 10000);
    }
    free(gate);
}

/* Pages of full reads take half of what the others leave, and leave bells their own. */
static void a_full_read_leaves_the_day_to_others(void **state)
{
    enum { A_DAY = 1000 };
    struct sl_budget_gate *gate = malloc(sizeof *gate);
    struct sl_budget_settings limits = DEFAULTS;
    unsigned passed[SL_URGENCIES] = {0};
    uint64_t now_ms = 1;
    (void)state;
    limits.requests_per_day = A_DAY;
    sl_gate_init(gate, &limits);
    for (int urgency = SL_PATIENT; urgency >= SL_URGENT; urgency--)
        for (uint64_t end_ms = now_ms + HOUR; now_ms < end_ms; now_ms += 100)
            if (!sl_gate_try(gate, (enum sl_urgency)urgency, now_ms)) {
                passed[urgency]++;
                sl_gate_executed(gate, (enum sl_urgency)urgency, 5, now_ms);
                sl_gate_ended(gate);
            }
    assert_int_equal(passed[SL_PATIENT], A_DAY * 7 / 8 / 2);
    assert_in_range(passed[SL_PATIENT] + passed[SL_STEADY], A_DAY * 8 / 10, A_DAY * 9 / 10);
    assert_in_range(passed[SL_URGENT], A_DAY / 30, A_DAY / 8);
    free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_hundred_tables_keep_within_the_budget),
        cmocka_unit_test(thirty_tables_leave_room_for_what_comes),
        cmocka_unit_test(too_many_hot_tables_are_short),
        cmocka_unit_test(bells_go_first),
        cmocka_unit_test(bells_beyond_number_silence_nobody),
        cmocka_unit_test(as_many_bells_as_there_is_room_for_never_wait),
        cmocka_unit_test(a_burst_after_a_pause_stays_within_it_too),
        cmocka_unit_test(a_day_has_its_limit_too),
        cmocka_unit_test(bells_that_use_up_the_day_silence_nobody),
        cmocka_unit_test(polls_pass_on_a_day_that_bells_have_used_up),
        cmocka_unit_test(bells_of_a_day_silence_nobody_at_any_rate),
        cmocka_unit_test(a_full_read_leaves_the_day_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
