/* The budget governor: one for each application user, asked before each request that this user
 * makes, so that the service never has to refuse one. Fibers wait here for their turn; who goes
 * first and how much may be used stands in budget_gate.h, how often tables are polled in
 * budget_pace.h. */
#ifndef SL_DATAVERSE_BUDGET_H
#define SL_DATAVERSE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "dataverse/budget_pace.h"
#include "dataverse/budget_window.h"
#include "dataverse/settings.h"

struct sl_budget;

/* name is the source's, for metrics and messages; copies both. Never fails. */
struct sl_budget *sl_budget_new(const char *name, const struct sl_budget_settings *limits);

/* Nobody waits any more, every request has ended, every member has left. NULL is fine. */
void sl_budget_free(struct sl_budget *budget);

/* Suspends until a request may be sent: the urgent before the steady before the patient, as far as
 * each of them may pass, in order of their coming within each. SL_OK: the caller owes
 * sl_budget_spent and sl_budget_give. Else SL_CANCELED. */
int sl_budget_take(struct sl_budget *budget, enum sl_urgency urgency, struct sl_err *err);

/* The request took so much of the service's time: until its headers came. Due once, also when it
 * failed. Does not suspend. */
void sl_budget_spent(struct sl_budget *budget, enum sl_urgency urgency, uint64_t execution_ms);

/* The request has ended, its body read or broken off. Does not suspend. */
void sl_budget_give(struct sl_budget *budget);

/* The service refused a request: nobody sends one before retry_after_ms (0: 30 s) have passed, and
 * then they come back one by one. code is what it said: "0x80072322", "503". Call it before
 * sl_budget_give. Does not suspend. */
void sl_budget_throttled(struct sl_budget *budget, uint64_t retry_after_ms, const char *code);

/* The same of a refusal that need not hold the others: counts it. */
void sl_budget_refused(struct sl_budget *budget, const char *code);

/* A table that is polled with this budget. The caller fills its settings; it lives until it leaves.
 */
void sl_budget_join(struct sl_budget *budget, struct sl_budget_member *member);
void sl_budget_leave(struct sl_budget *budget, struct sl_budget_member *member);

/* A poll of the table, for which a bell rang or none, was sent at now_ms (loop clock) and brought
 * so many rows. */
void sl_budget_polled(struct sl_budget *budget, struct sl_budget_member *member, bool rung,
                      uint64_t rows, uint64_t now_ms);

/* How long after a poll was due the next one is. Counted from there, not from when it was sent or
 * ended, all tables together meet the budget exactly. Worth asking again after a while: a long
 * interval shortens when others calm down. */
uint64_t sl_budget_interval_ms(struct sl_budget *budget, const struct sl_budget_member *member);

/* Why nothing is sent at the moment, or NULL. Lives until the next call of anything here. */
const char *sl_budget_trouble(struct sl_budget *budget);

/* Whether nothing is sent, or far less than should be, because the service's limits are used up;
 * and why, for a person. Using all of it while the tables keep about their pace is what it is there
 * for, and a limit of a day is one's own wish. Brings the metrics up to date. Does not suspend. */
bool sl_budget_is_used_up(struct sl_budget *budget, char ret_why[SL_ERR_TEXT_BYTES]);

/* Adds a JSON object: {"requests":12,"requests_limit":4800,"execution_ms":340,
 * "execution_limit_ms":960000,"in_flight":1,"waiting":0,"tables":3,"hot_tables":1,"held_ms":0},
 * and "day_requests":812,"day_requests_limit":25000 where these are limited. Does not suspend. */
void sl_budget_status(struct sl_budget *budget, struct sl_buf *json);

#endif
