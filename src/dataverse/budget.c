/* Who waits stands in one queue for each urgency. Whoever comes, gives back or wakes lets pass as
 * many as the gate allows; the first that stays of each queue sleeps until the gate is worth asking
 * again: there is no timer but that fiber's own. */
#include "dataverse/budget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "dataverse/budget_gate.h"
#include "loop/fiber.h"

enum {
    RETRY_AFTER_MS = 30 * 1000,
    PLAN_EVERY_MS = 1000,
    CODE_BYTES = 32,
    FEW_PAGES = 8, /* in the recent window: a small table, or what a table is like, asked again */
};

struct waiter {
    struct sl_waitlist wait;
    bool passed;
    uint64_t until_ms; /* sleeps so long */
    struct waiter *next;
};

struct sl_budget {
    char *name;
    struct sl_budget_gate gate;
    struct waiter *first[SL_URGENCIES], *last[SL_URGENCIES];
    uint64_t again_ms[SL_URGENCIES]; /* when it is worth asking the gate again for the first */
    unsigned waiting;

    struct sl_budget_pace pace;
    struct sl_budget_window polls; /* of members, over the gate's recent window */
    uint64_t plan_ms;              /* when to plan again; 0: now */

    uint64_t held_until_ms; /* 0: never throttled */
    char code[CODE_BYTES];  /* why */
    char trouble[160];
    struct sl_metric *requests, *execution, *waiters;
    struct sl_metric *of_day; /* NULL: not counted */
};

struct sl_budget *sl_budget_new(const char *name, const struct sl_budget_settings *limits)
{
    struct sl_budget *budget = SL_NEW(struct sl_budget);
    budget->name = sl_strdup(name);
    sl_gate_init(&budget->gate, limits);
    sl_window_init(&budget->polls, budget->gate.recent.window_ms);
    budget->requests =
        sl_gauge("budget_requests", "Requests in the service's window.", "source=\"%s\"", name);
    budget->execution =
        sl_gauge("budget_execution_ms", "Execution time in the service's window, in milliseconds.",
                 "source=\"%s\"", name);
    budget->waiters =
        sl_gauge("budget_waiting", "Requests that wait for the budget.", "source=\"%s\"", name);
    if (limits->requests_per_day)
        budget->of_day = sl_gauge("budget_day_requests", "Requests in the last 24 hours.",
                                  "source=\"%s\"", name);
    return budget;
}

void sl_budget_free(struct sl_budget *budget)
{
    if (!budget)
        return;
    free(budget->name);
    free(budget);
}

/* --- waiting --- */

static void enqueue(struct sl_budget *budget, enum sl_urgency urgency, struct waiter *waiter)
{
    if (budget->last[urgency])
        budget->last[urgency]->next = waiter;
    else
        budget->first[urgency] = waiter;
    budget->last[urgency] = waiter;
    budget->waiting++;
}

static void dequeue(struct sl_budget *budget, enum sl_urgency urgency, struct waiter *waiter)
{
    struct waiter *before = NULL, *at = budget->first[urgency];
    while (at != waiter) {
        before = at;
        at = at->next;
    }
    if (before)
        before->next = waiter->next;
    else
        budget->first[urgency] = waiter->next;
    if (budget->last[urgency] == waiter)
        budget->last[urgency] = before;
    budget->waiting--;
}

static void show(struct sl_budget *budget)
{
    const struct sl_budget_use *use = &budget->gate.used.total;
    sl_metric_set(budget->requests, (int64_t)sl_use_requests(use));
    sl_metric_set(budget->execution, (int64_t)sl_use_execution_ms(use));
    sl_metric_set(budget->waiters, budget->waiting);
    if (budget->of_day)
        sl_metric_set(budget->of_day, (int64_t)sl_use_requests(&budget->gate.day.total));
}

/* Lets pass whoever may of one urgency, and wakes the first that stays when it would sleep too
 * long. */
static void let_pass_of(struct sl_budget *budget, enum sl_urgency urgency, uint64_t now_ms)
{
    struct waiter *waiter;
    while ((waiter = budget->first[urgency])) {
        uint64_t again_ms = sl_gate_try(&budget->gate, urgency, now_ms);
        if (again_ms) {
            budget->again_ms[urgency] = again_ms;
            if (again_ms < waiter->until_ms)
                sl_wake_all(&waiter->wait);
            return;
        }
        dequeue(budget, urgency, waiter);
        waiter->passed = true;
        sl_wake_all(&waiter->wait);
    }
}

/* The urgent first; but what holds only them must not hold the others. */
static void let_pass(struct sl_budget *budget)
{
    uint64_t now_ms = sl_loop_now_ms();
    for (unsigned i = 0; i < SL_URGENCIES; i++)
        let_pass_of(budget, (enum sl_urgency)i, now_ms);
    show(budget);
}

int sl_budget_take(struct sl_budget *budget, enum sl_urgency urgency, struct sl_err *err)
{
    struct waiter waiter = {0};
    enqueue(budget, urgency, &waiter);
    for (;;) {
        let_pass(budget);
        if (waiter.passed)
            return SL_OK;
        /* Who is not the first is woken when it has become that. */
        bool first = budget->first[urgency] == &waiter;
        waiter.until_ms = first ? budget->again_ms[urgency] : SL_FOREVER;
        if (sl_wait(&waiter.wait, waiter.until_ms) != SL_CANCELED)
            continue;
        if (waiter.passed)
            return SL_OK; /* what it does next fails, and gives back */
        dequeue(budget, urgency, &waiter);
        let_pass(budget);
        return sl_err_set(err, SL_CANCELED, "stopped waiting for the budget of '%s'", budget->name);
    }
}

void sl_budget_spent(struct sl_budget *budget, enum sl_urgency urgency, uint64_t execution_ms)
{
    sl_gate_executed(&budget->gate, urgency, execution_ms, sl_loop_now_ms());
}

void sl_budget_give(struct sl_budget *budget)
{
    sl_gate_ended(&budget->gate);
    let_pass(budget);
}

void sl_budget_refused(struct sl_budget *budget, const char *code)
{
    sl_metric_add(sl_counter("throttled_total", "Requests that the service refused as too many.",
                             "source=\"%s\",code=\"%s\"", budget->name, code),
                  1);
}

void sl_budget_throttled(struct sl_budget *budget, uint64_t retry_after_ms, const char *code)
{
    uint64_t now_ms = sl_loop_now_ms();
    enum sl_throttle why = SL_THROTTLE_RATE;
    if (!strcmp(code, "0x80072326"))
        why = SL_THROTTLE_CONCURRENCY;
    else if (!strcmp(code, "503"))
        why = SL_THROTTLE_BUSY;
    if (!retry_after_ms)
        retry_after_ms = RETRY_AFTER_MS;

    sl_budget_refused(budget, code);
    if (now_ms >= budget->held_until_ms)
        sl_log(SL_WARN, "throttled by the service", SL_T("source", budget->name),
               SL_T("code", code), SL_N("wait_ms", retry_after_ms),
               SL_N("requests", sl_use_requests(&budget->gate.used.total)),
               SL_N("in_flight", budget->gate.in_flight));
    if (now_ms + retry_after_ms > budget->held_until_ms)
        budget->held_until_ms = now_ms + retry_after_ms;
    snprintf(budget->code, sizeof budget->code, "%s", code);
    sl_gate_throttled(&budget->gate, retry_after_ms, why, now_ms);
    budget->plan_ms = 0;
}

/* --- members --- */

void sl_budget_join(struct sl_budget *budget, struct sl_budget_member *member)
{
    sl_pace_join(&budget->pace, member);
    budget->plan_ms = 0;
}

void sl_budget_leave(struct sl_budget *budget, struct sl_budget_member *member)
{
    sl_pace_leave(&budget->pace, member);
    budget->plan_ms = 0;
}

void sl_budget_polled(struct sl_budget *budget, struct sl_budget_member *member, bool rung,
                      uint64_t rows, uint64_t now_ms)
{
    sl_window_add(&budget->polls, SL_STEADY, 1, 0, now_ms);
    if (sl_pace_polled(&budget->pace, member, rung, rows, now_ms))
        budget->plan_ms = 0;
}

/* Polls that nobody was promised are the first to be left out: while a table is read in full, and
 * for a whole window after the service has refused something. */
static bool may_hasten(const struct sl_budget *budget, uint64_t now_ms)
{
    uint64_t calm_ms = budget->gate.used.window_ms;
    bool reads =
        budget->first[SL_PATIENT] || budget->gate.recent.total.requests[SL_PATIENT] > FEW_PAGES;
    return !reads && (!budget->held_until_ms || now_ms >= budget->held_until_ms + calm_ms);
}

static void plan(struct sl_budget *budget, uint64_t now_ms)
{
    struct sl_budget_gate *gate = &budget->gate;
    sl_window_slide(&budget->polls, now_ms);
    sl_window_slide(&gate->recent, now_ms);
    uint64_t polls = sl_use_requests(&budget->polls.total);
    bool patient_waits = budget->first[SL_PATIENT] || gate->recent.total.requests[SL_PATIENT];
    sl_pace_plan(&budget->pace, sl_gate_poll_rate(gate, polls, patient_waits, now_ms),
                 may_hasten(budget, now_ms), now_ms);
    budget->plan_ms = now_ms + PLAN_EVERY_MS;
}

uint64_t sl_budget_interval_ms(struct sl_budget *budget, const struct sl_budget_member *member)
{
    uint64_t now_ms = sl_loop_now_ms();
    if (now_ms >= budget->plan_ms)
        plan(budget, now_ms);
    return sl_pace_interval_ms(member);
}

/* --- for people --- */

static uint64_t held_ms(const struct sl_budget *budget)
{
    uint64_t now_ms = sl_loop_now_ms();
    return budget->held_until_ms > now_ms ? budget->held_until_ms - now_ms : 0;
}

const char *sl_budget_trouble(struct sl_budget *budget)
{
    uint64_t left_ms = held_ms(budget);
    if (!left_ms)
        return NULL;
    snprintf(budget->trouble, sizeof budget->trouble,
             "the service of source '%s' asked to wait (%s): %llu s left", budget->name,
             budget->code, (unsigned long long)(left_ms + 999) / 1000);
    return budget->trouble;
}

bool sl_budget_is_used_up(struct sl_budget *budget, char ret_why[SL_ERR_TEXT_BYTES])
{
    struct sl_budget_gate *gate = &budget->gate;
    const struct sl_budget_use *use = &gate->used.total;
    uint64_t now_ms = sl_loop_now_ms();
    const char *held = sl_budget_trouble(budget);
    sl_gate_slide(gate, now_ms);
    show(budget);
    if (held)
        snprintf(ret_why, SL_ERR_TEXT_BYTES, "%s", held);
    else if (sl_gate_is_near(gate, now_ms) && sl_pace_is_short(&budget->pace))
        snprintf(ret_why, SL_ERR_TEXT_BYTES,
                 "%llu of %llu requests and %llu of %llu s of execution are used up in the "
                 "service's window: tables are polled less often than half of what they should be",
                 (unsigned long long)sl_use_requests(use),
                 (unsigned long long)sl_gate_requests_limit(gate, now_ms),
                 (unsigned long long)sl_use_execution_ms(use) / 1000,
                 (unsigned long long)sl_gate_execution_limit_ms(gate, now_ms) / 1000);
    else
        return false;
    return true;
}

void sl_budget_status(struct sl_budget *budget, struct sl_buf *json)
{
    uint64_t now_ms = sl_loop_now_ms();
    const struct sl_budget_use *use = &budget->gate.used.total;
    sl_gate_slide(&budget->gate, now_ms);
    show(budget);
    sl_buf_printf(json,
                  "{\"requests\":%llu,\"requests_limit\":%llu,\"execution_ms\":%llu,"
                  "\"execution_limit_ms\":%llu,\"in_flight\":%u,\"waiting\":%u,\"tables\":%u,"
                  "\"hot_tables\":%u,\"held_ms\":%llu",
                  (unsigned long long)sl_use_requests(use),
                  (unsigned long long)sl_gate_requests_limit(&budget->gate, now_ms),
                  (unsigned long long)sl_use_execution_ms(use),
                  (unsigned long long)sl_gate_execution_limit_ms(&budget->gate, now_ms),
                  budget->gate.in_flight, budget->waiting, budget->pace.count,
                  budget->pace.hot_count, (unsigned long long)held_ms(budget));
    if (budget->of_day)
        sl_buf_printf(json, ",\"day_requests\":%llu,\"day_requests_limit\":%lld",
                      (unsigned long long)sl_use_requests(&budget->gate.day.total),
                      (long long)budget->gate.limits.requests_per_day);
    sl_buf_add_char(json, '}');
}
