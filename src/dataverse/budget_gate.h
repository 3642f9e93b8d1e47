/* Whether a request may be sent now: the rules of the budget, without anybody who waits.
 *
 * Never more than the configured share of requests and of execution time in a window, nor more than
 * the configured concurrency at once. Urgent requests pass as they come until a quarter is used;
 * from then on as fast as can be kept up, and a little is never theirs: bells beyond number must
 * neither be silent for the rest of a window nor silence the polls. Steady ones leave the urgent
 * some room among those under way; patient ones take at most half of what the others leave. Near
 * the limit requests are spaced out, so that what is used up comes back evenly, too.
 *
 * Where requests of a day are limited as well, polls spread what urgent requests leave of seven
 * eighths of them evenly; the last eighth is for the urgent, which pass as they come until less
 * than a tenth is left. From then on neither they nor polls wait longer than 25 requests of an even
 * day take.
 *
 * When the service throttles all the same (others may use the same user), nobody passes before its
 * Retry-After; then requests come back one by one, and sluice takes less for a while.
 *
 * Limits: "Service protection API limits" of Microsoft's Dataverse documentation. Pure: the caller
 * tells the time. */
#ifndef SL_DATAVERSE_BUDGET_GATE_H
#define SL_DATAVERSE_BUDGET_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataverse/budget_window.h"
#include "dataverse/settings.h"

/* Why the service throttled. */
enum sl_throttle {
    SL_THROTTLE_RATE,        /* too many requests, or too much execution time, in the window */
    SL_THROTTLE_CONCURRENCY, /* too many at once */
    SL_THROTTLE_BUSY,        /* it is not our doing (503) */
};

struct sl_budget_gate {
    struct sl_budget_window used;   /* over the service's window */
    struct sl_budget_window recent; /* over a fifth of it: what goes on lately */
    struct sl_budget_window day;    /* over 24 hours, if requests_per_day is set; else zeroed */
    unsigned in_flight;             /* read-only: passed and not ended */

    /* private */
    struct sl_budget_settings limits;
    unsigned running[SL_URGENCIES];  /* passed, their execution time not known yet */
    double average_ms[SL_URGENCIES]; /* execution time of a request */
    uint64_t hold_until_ms;          /* nobody passes before */
    uint64_t calm_until_ms;          /* all are spaced out until then */
    double next_ms;                  /* spaced out: the next one passes then */
    double urgent_ms;                /* … the next urgent one */
    double day_ms;                   /* … the next one that is not, for the sake of the day */
    double day_poll_ms;              /* a poll passes then, however much of the day is used */
    int64_t share_percent, slots;    /* what sluice allows itself, as of ... */
    uint64_t share_ms, slots_ms;     /* ... then; it grows back with time */
};

void sl_gate_init(struct sl_budget_gate *gate, const struct sl_budget_settings *limits);

/* Lets a request pass and counts it: returns 0. Else returns when it is worth asking again;
 * UINT64_MAX: when a request under way has ended. */
uint64_t sl_gate_try(struct sl_budget_gate *gate, enum sl_urgency urgency, uint64_t now_ms);

/* One that passed took so much of the service's time. Due once for each. */
void sl_gate_executed(struct sl_budget_gate *gate, enum sl_urgency urgency, uint64_t execution_ms,
                      uint64_t now_ms);

/* One that passed is not under way any more. Due once for each. */
void sl_gate_ended(struct sl_budget_gate *gate);

/* The service refused one that passed. Nothing passes for so long, and afterwards less, by why; of
 * several that were under way the first one tells. */
void sl_gate_throttled(struct sl_budget_gate *gate, uint64_t retry_after_ms, enum sl_throttle why,
                       uint64_t now_ms);

/* Limits as they are now. */
uint64_t sl_gate_requests_limit(const struct sl_budget_gate *gate, uint64_t now_ms);
uint64_t sl_gate_execution_limit_ms(const struct sl_budget_gate *gate, uint64_t now_ms);
unsigned sl_gate_slots(const struct sl_budget_gate *gate, uint64_t now_ms);

/* How many polls a millisecond can be kept up for ever, beside the polls_recent that were made in
 * the recent window and all else that goes on lately. patient_waits: somebody reads a table in
 * full, or waits to; then a part is kept for him. */
double sl_gate_poll_rate(struct sl_budget_gate *gate, uint64_t polls_recent, bool patient_waits,
                         uint64_t now_ms);

/* Drops what has left the windows of the limits. */
void sl_gate_slide(struct sl_budget_gate *gate, uint64_t now_ms);

/* Whether the service's limits are all but used up, so that even urgent requests soon wait. The
 * windows must have slid. */
bool sl_gate_is_near(const struct sl_budget_gate *gate, uint64_t now_ms);

#endif
