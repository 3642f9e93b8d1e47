#include "dataverse/budget_gate.h"

#include <math.h>
#include <string.h>

#include "base/setting.h"

enum {
    RECENT_PARTS = 5,       /* the recent window is a fifth of the service's */
    CALM_PARTS = 10,        /* after a throttle all are spaced out for a tenth of it */
    NEAR_PERCENT = 95,      /* of the limit: from there on requests are spaced out */
    SHARE_MIN_PERCENT = 25, /* sluice never allows itself less of the configured share */
    SHARE_STEPS = 100,      /* a percent comes back in a hundredth of the window */
    SLOT_STEPS = 60,        /* a slot comes back in a sixtieth of it */
    PATIENT_KEPT_PARTS = 8, /* of the rate, kept for those who are patient, while there are any */
    HORIZON_PARTS = 20,     /* of the window: nearer than that nothing is planned */
    LEAST_PARTS = 10,       /* of the rate, for polls in any case */
    FREE_PERCENT = 25,      /* of the limit may be used before the urgent are spaced out */
    CREDIT_PARTS = 30,  /* of the window: what the urgent left unused so long may come at once */
    KEPT_PARTS = 25,    /* of the limit: never for the urgent, so that polls go on */
    DAY_KEPT_PARTS = 8, /* of the day's limit: for the urgent, who do not come evenly */
    AVERAGE_OF = 16,    /* about so many requests make the average */
};
static const double SPACING = 0.8; /* of the even distance: there must be room to catch up */

void sl_gate_init(struct sl_budget_gate *gate, const struct sl_budget_settings *limits)
{
    memset(gate, 0, sizeof *gate);
    gate->limits = *limits;
    gate->share_percent = 100;
    gate->slots = limits->concurrency;
    sl_window_init(&gate->used, limits->window_ms);
    sl_window_init(&gate->recent, limits->window_ms / RECENT_PARTS);
    if (limits->requests_per_day)
        sl_window_init(&gate->day, SL_DAY_MS);
}

static bool counts_days(const struct sl_budget_gate *gate)
{
    return gate->limits.requests_per_day > 0;
}

static uint64_t for_urgent(uint64_t limit)
{
    uint64_t kept = limit / KEPT_PARTS;
    return limit - (kept || limit == 1 ? kept : 1);
}

static uint64_t day_limit(const struct sl_budget_gate *gate, enum sl_urgency urgency)
{
    uint64_t limit = (uint64_t)gate->limits.requests_per_day;
    return urgency == SL_URGENT ? for_urgent(limit) : limit - limit / DAY_KEPT_PARTS;
}

/* The even distance of requests of a day. */
static double day_distance_ms(const struct sl_budget_gate *gate)
{
    return (double)SL_DAY_MS / (double)gate->limits.requests_per_day;
}

/* The distance of polls when the urgent use up all that is theirs; and that of the urgent at most:
 * when they begin to be spaced out, enough is left for a day of both. */
static double day_kept_distance_ms(const struct sl_budget_gate *gate)
{
    return KEPT_PARTS * day_distance_ms(gate);
}

void sl_gate_slide(struct sl_budget_gate *gate, uint64_t now_ms)
{
    sl_window_slide(&gate->used, now_ms);
    if (counts_days(gate))
        sl_window_slide(&gate->day, now_ms);
}

/* --- the limits --- */

static uint64_t step_ms(const struct sl_budget_gate *gate, unsigned steps)
{
    uint64_t ms = gate->limits.window_ms / steps;
    return ms ? ms : 1;
}

static uint64_t share_of(const struct sl_budget_gate *gate, uint64_t whole, uint64_t now_ms)
{
    uint64_t back = (now_ms - gate->share_ms) / step_ms(gate, SHARE_STEPS);
    uint64_t percent = (uint64_t)gate->share_percent + back;
    if (percent > 100)
        percent = 100;
    uint64_t limit = whole * (uint64_t)gate->limits.use_percent / 100 * percent / 100;
    return limit ? limit : 1;
}

uint64_t sl_gate_requests_limit(const struct sl_budget_gate *gate, uint64_t now_ms)
{
    return share_of(gate, (uint64_t)gate->limits.requests, now_ms);
}

uint64_t sl_gate_execution_limit_ms(const struct sl_budget_gate *gate, uint64_t now_ms)
{
    return share_of(gate, gate->limits.execution_ms, now_ms);
}

/* The service counts a request until its last byte has left, which it may notice after we did: a
 * sixteenth stays unused for that. */
unsigned sl_gate_slots(const struct sl_budget_gate *gate, uint64_t now_ms)
{
    uint64_t slots = (uint64_t)gate->slots + (now_ms - gate->slots_ms) / step_ms(gate, SLOT_STEPS);
    uint64_t most = (uint64_t)(gate->limits.concurrency - gate->limits.concurrency / 16);
    return (unsigned)(slots < most ? slots : most);
}

static unsigned slots_for(const struct sl_budget_gate *gate, enum sl_urgency urgency,
                          uint64_t now_ms)
{
    unsigned slots = sl_gate_slots(gate, now_ms);
    if (urgency == SL_STEADY)
        slots -= slots / 8;
    if (urgency == SL_PATIENT && slots > 1)
        slots /= 2;
    return slots;
}

/* --- passing --- */

/* What those under way will have taken when they end. */
static double expected_ms(const struct sl_budget_gate *gate, enum sl_urgency urgency)
{
    return gate->running[urgency] * gate->average_ms[urgency];
}

/* Is there one more request within what was used? */
static bool fits_count(const struct sl_budget_use *use, enum sl_urgency urgency, uint64_t limit)
{
    uint64_t used = sl_use_requests(use);
    if (urgency == SL_URGENT && use->requests[SL_URGENT] >= for_urgent(limit))
        return false;
    if (urgency != SL_PATIENT)
        return used < limit;
    uint64_t others = used - use->requests[SL_PATIENT];
    return others < limit && 2 * ((uint64_t)use->requests[SL_PATIENT] + 1) <= limit - others;
}

/* … and the time for it? */
static bool fits_time(const struct sl_budget_gate *gate, enum sl_urgency urgency, uint64_t limit_ms)
{
    const struct sl_budget_use *use = &gate->used.total;
    double left = (double)limit_ms, one_ms = gate->average_ms[urgency];
    bool patient = urgency == SL_PATIENT;

    for (unsigned i = 0; i < SL_URGENCIES; i++)
        if (!patient || i != SL_PATIENT)
            left -= (double)use->execution_ms[i] + expected_ms(gate, (enum sl_urgency)i);
    if (urgency == SL_URGENT && use->execution_ms[SL_URGENT] >= for_urgent(limit_ms))
        return false;
    if (!patient)
        return left >= one_ms;
    return (double)use->execution_ms[SL_PATIENT] + expected_ms(gate, SL_PATIENT) + one_ms <=
           left / 2;
}

static bool fits(const struct sl_budget_gate *gate, enum sl_urgency urgency, uint64_t now_ms)
{
    const struct sl_budget_use *use = &gate->used.total;
    if (!sl_use_requests(use) && !gate->in_flight)
        return true; /* however small the limits: one at a time */
    return fits_count(use, urgency, sl_gate_requests_limit(gate, now_ms)) &&
           fits_time(gate, urgency, sl_gate_execution_limit_ms(gate, now_ms));
}

/* Those who poll pass now and then, however much of the day is used. */
static bool is_day_poll_due(const struct sl_budget_gate *gate, enum sl_urgency urgency,
                            uint64_t now_ms)
{
    return urgency == SL_STEADY && (double)now_ms >= gate->day_poll_ms;
}

/* Of the urgent only their own requests are held against what is theirs: the polls that pass in any
 * case must not use that up. */
static bool fits_day(const struct sl_budget_gate *gate, enum sl_urgency urgency, uint64_t now_ms)
{
    const struct sl_budget_use *use = &gate->day.total;
    if (!counts_days(gate))
        return true;
    uint64_t limit = (uint64_t)gate->limits.requests_per_day;
    if (is_day_poll_due(gate, urgency, now_ms))
        return sl_use_requests(use) < limit;
    return fits_count(use, urgency, urgency == SL_URGENT ? limit : day_limit(gate, urgency));
}

/* The even distance of two requests: what the limits allow without ever waiting. */
static double distance_ms(const struct sl_budget_gate *gate, enum sl_urgency urgency,
                          uint64_t now_ms)
{
    double window = (double)gate->limits.window_ms;
    double by_count = window / (double)sl_gate_requests_limit(gate, now_ms);
    double by_time =
        window / (double)sl_gate_execution_limit_ms(gate, now_ms) * gate->average_ms[urgency];
    return by_count > by_time ? by_count : by_time;
}

static bool is_over(uint64_t used, uint64_t limit, unsigned percent)
{
    return used * 100 > limit * percent;
}

/* Is more than so many percent of either limit used? */
static bool is_used_to(const struct sl_budget_gate *gate, unsigned percent, uint64_t now_ms)
{
    const struct sl_budget_use *use = &gate->used.total;
    return is_over(sl_use_requests(use), sl_gate_requests_limit(gate, now_ms), percent) ||
           is_over(sl_use_execution_ms(use), sl_gate_execution_limit_ms(gate, now_ms), percent);
}

bool sl_gate_is_near(const struct sl_budget_gate *gate, uint64_t now_ms)
{
    return is_used_to(gate, NEAR_PERCENT, now_ms);
}

/* Has the day all but gone, for those who are as urgent? */
static bool is_day_near(const struct sl_budget_gate *gate, enum sl_urgency urgency)
{
    return counts_days(gate) &&
           is_over(sl_use_requests(&gate->day.total), day_limit(gate, urgency), NEAR_PERCENT);
}

/* When the next one may pass for the sake of an even flow; 0: it may now. */
static uint64_t spaced_until(const struct sl_budget_gate *gate, enum sl_urgency urgency,
                             uint64_t now_ms)
{
    bool urgent = urgency == SL_URGENT;
    bool spaced = now_ms < gate->calm_until_ms || (!urgent && sl_gate_is_near(gate, now_ms));
    double until_ms = spaced ? gate->next_ms : 0;
    if (urgent)
        until_ms = fmax(until_ms, gate->urgent_ms);
    else if (is_day_near(gate, urgency) && !is_day_poll_due(gate, urgency, now_ms))
        until_ms = fmax(until_ms, gate->day_ms);
    return (double)now_ms < until_ms ? (uint64_t)ceil(until_ms) : 0;
}

/* What can be kept up. The window must have slid. */
static struct sl_budget_rate lasting_rate(const struct sl_budget_gate *gate, uint64_t now_ms)
{
    return sl_window_rate(&gate->used, sl_gate_requests_limit(gate, now_ms),
                          sl_gate_execution_limit_ms(gate, now_ms), step_ms(gate, HORIZON_PARTS),
                          now_ms);
}

/* The same of requests by the day. */
static double day_rate(const struct sl_budget_gate *gate, enum sl_urgency urgency, uint64_t now_ms)
{
    uint64_t limit = day_limit(gate, urgency), horizon_ms = step_ms(gate, HORIZON_PARTS);
    return sl_window_rate(&gate->day, limit, UINT64_MAX, horizon_ms, now_ms).requests;
}

/* The distance of two urgent requests that can be kept up beside the polls of late. More bells than
 * that would use all up early in a window, and nobody could ask for the rest of it. */
static double urgent_distance_ms(struct sl_budget_gate *gate, uint64_t now_ms)
{
    struct sl_budget_rate rate = lasting_rate(gate, now_ms);
    sl_window_slide(&gate->recent, now_ms);
    const struct sl_budget_use *use = &gate->recent.total;
    double recent_ms = (double)gate->recent.window_ms, one_ms = gate->average_ms[SL_URGENT];
    double requests = fmax(rate.requests - use->requests[SL_STEADY] / recent_ms, rate.requests / 2);
    double time = fmax(rate.execution_ms - (double)use->execution_ms[SL_STEADY] / recent_ms,
                       rate.execution_ms / 2);
    if (one_ms > 0 && time / one_ms < requests)
        requests = time / one_ms;
    double most_ms =
        fmax((double)step_ms(gate, HORIZON_PARTS), distance_ms(gate, SL_URGENT, now_ms));
    if (is_day_near(gate, SL_URGENT)) {
        requests = fmin(requests, day_rate(gate, SL_URGENT, now_ms));
        most_ms = fmax(most_ms, day_kept_distance_ms(gate));
    }
    return requests * most_ms > 1 ? 1 / requests : most_ms;
}

static void space_urgent(struct sl_budget_gate *gate, uint64_t now_ms)
{
    double credit_ms = (double)step_ms(gate, CREDIT_PARTS);
    if (is_used_to(gate, FREE_PERCENT, now_ms) || is_day_near(gate, SL_URGENT))
        gate->urgent_ms =
            fmax(gate->urgent_ms, (double)now_ms - credit_ms) + urgent_distance_ms(gate, now_ms);
    else
        gate->urgent_ms = 0;
}

static void pass(struct sl_budget_gate *gate, enum sl_urgency urgency, uint64_t now_ms)
{
    double now = (double)now_ms, late = now - gate->next_ms;
    gate->next_ms = (late >= 0 && late < 1 ? gate->next_ms : now) /* keep fractions */ +
                    SPACING * distance_ms(gate, urgency, now_ms);
    gate->in_flight++;
    gate->running[urgency]++;
    sl_window_add(&gate->used, urgency, 1, 0, now_ms);
    sl_window_add(&gate->recent, urgency, 1, 0, now_ms);
    if (counts_days(gate)) {
        sl_window_add(&gate->day, urgency, 1, 0, now_ms);
        gate->day_ms = now + SPACING * day_distance_ms(gate);
        if (urgency == SL_STEADY)
            gate->day_poll_ms = now + day_kept_distance_ms(gate);
    }
    if (urgency == SL_URGENT)
        space_urgent(gate, now_ms);
}

/* When one that the day refused is worth asking again. */
static uint64_t day_next_ms(const struct sl_budget_gate *gate, enum sl_urgency urgency,
                            uint64_t now_ms)
{
    uint64_t next_ms = sl_window_next_ms(&gate->day), poll_ms = (uint64_t)ceil(gate->day_poll_ms);
    bool waits_for_poll = urgency == SL_STEADY && !is_day_poll_due(gate, urgency, now_ms);
    return waits_for_poll && poll_ms < next_ms ? poll_ms : next_ms;
}

static uint64_t later(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms > now_ms ? then_ms : now_ms + 1;
}

uint64_t sl_gate_try(struct sl_budget_gate *gate, enum sl_urgency urgency, uint64_t now_ms)
{
    sl_gate_slide(gate, now_ms);
    if (now_ms < gate->hold_until_ms)
        return gate->hold_until_ms;
    if (gate->in_flight >= slots_for(gate, urgency, now_ms))
        return UINT64_MAX;
    uint64_t later_ms = spaced_until(gate, urgency, now_ms);
    if (later_ms)
        return later_ms;
    if (!fits(gate, urgency, now_ms))
        return later(sl_window_next_ms(&gate->used), now_ms);
    if (!fits_day(gate, urgency, now_ms))
        return later(day_next_ms(gate, urgency, now_ms), now_ms);
    pass(gate, urgency, now_ms);
    return 0;
}

void sl_gate_executed(struct sl_budget_gate *gate, enum sl_urgency urgency, uint64_t execution_ms,
                      uint64_t now_ms)
{
    double *average = &gate->average_ms[urgency];
    gate->running[urgency]--;
    *average += ((double)execution_ms - *average) / AVERAGE_OF;
    sl_window_add(&gate->used, urgency, 0, execution_ms, now_ms);
    sl_window_add(&gate->recent, urgency, 0, execution_ms, now_ms);
}

void sl_gate_ended(struct sl_budget_gate *gate)
{
    gate->in_flight--;
}

/* --- throttled --- */

void sl_gate_throttled(struct sl_budget_gate *gate, uint64_t retry_after_ms, enum sl_throttle why,
                       uint64_t now_ms)
{
    bool first = now_ms >= gate->hold_until_ms; /* those that were under way say the same again */
    if (first && why == SL_THROTTLE_RATE) {
        int64_t percent =
            gate->share_percent + (int64_t)((now_ms - gate->share_ms) / step_ms(gate, SHARE_STEPS));
        percent = (percent < 100 ? percent : 100) * 3 / 4;
        gate->share_percent = percent > SHARE_MIN_PERCENT ? percent : SHARE_MIN_PERCENT;
        gate->share_ms = now_ms;
    } else if (first && why == SL_THROTTLE_CONCURRENCY) {
        unsigned slots = gate->in_flight * 3 / 4;
        gate->slots = slots ? slots : 1;
        gate->slots_ms = now_ms;
    }
    if (now_ms + retry_after_ms > gate->hold_until_ms)
        gate->hold_until_ms = now_ms + retry_after_ms;
    gate->calm_until_ms = gate->hold_until_ms + step_ms(gate, CALM_PARTS);
}

/* --- what can be kept up --- */

double sl_gate_poll_rate(struct sl_budget_gate *gate, uint64_t polls_recent, bool patient_waits,
                         uint64_t now_ms)
{
    sl_gate_slide(gate, now_ms);
    sl_window_slide(&gate->recent, now_ms);
    const struct sl_budget_use *use = &gate->recent.total;
    double recent_ms = (double)gate->recent.window_ms;
    struct sl_budget_rate rate = lasting_rate(gate, now_ms);
    if (counts_days(gate))
        rate.requests = fmin(rate.requests, day_rate(gate, SL_STEADY, now_ms));

    /* The patient take what is left: a full read that has just ended must not slow the polls. */
    uint64_t others = use->requests[SL_URGENT];
    polls_recent += gate->in_flight;             /* polls that have not ended */
    if (use->requests[SL_STEADY] > polls_recent) /* further pages of polls */
        others += use->requests[SL_STEADY] - polls_recent;

    double kept = patient_waits ? 1.0 / PATIENT_KEPT_PARTS : 0;
    double polls = rate.requests * (1 - kept) - (double)others / recent_ms;
    double time = rate.execution_ms * (1 - kept) - (double)use->execution_ms[SL_URGENT] / recent_ms;
    double one_ms = gate->average_ms[SL_STEADY];
    if (one_ms > 0 && time / one_ms < polls)
        polls = time / one_ms;
    /* Bells must not silence the polls that find what they missed. */
    double even = (double)sl_gate_requests_limit(gate, now_ms) / (double)gate->limits.window_ms;
    if (counts_days(gate))
        even = fmin(even, 1 / day_distance_ms(gate));
    return fmax(polls, even / LEAST_PARTS);
}
