/* What an application user has used lately: requests and execution time in a sliding window, by
 * urgency. Counted in buckets, and conservative at their edges: a bucket counts until all of it has
 * left the window. Pure: the caller tells the time (milliseconds of a clock that never goes back).
 */
#ifndef SL_DATAVERSE_BUDGET_WINDOW_H
#define SL_DATAVERSE_BUDGET_WINDOW_H

#include <stdint.h>

/* Who goes first when the budget is short. */
enum sl_urgency {
    SL_URGENT,  /* a bell, a row that is read back */
    SL_STEADY,  /* a poll that is due */
    SL_PATIENT, /* a page of a full read */
    SL_URGENCIES
};

enum { SL_WINDOW_BUCKETS = 1200 }; /* of 250 ms in a window of 5 minutes */

struct sl_budget_use {
    uint32_t requests[SL_URGENCIES];
    uint64_t execution_ms[SL_URGENCIES];
};

struct sl_budget_window {
    struct sl_budget_use total; /* read-only: as of the last sl_window_slide */
    uint64_t window_ms;         /* private, as all that follows */
    uint64_t bucket_ms;         /* how long a bucket is */
    uint64_t oldest, newest;    /* numbers of buckets: time / bucket_ms */
    struct sl_budget_use ring[SL_WINDOW_BUCKETS + 2];
};

/* Prepares an empty window in the caller's storage. */
void sl_window_init(struct sl_budget_window *window, uint64_t window_ms);

/* Drops what has left the window. */
void sl_window_slide(struct sl_budget_window *window, uint64_t now_ms);

/* Counts a use at now_ms, and slides. */
void sl_window_add(struct sl_budget_window *window, enum sl_urgency urgency, uint32_t requests,
                   uint64_t execution_ms, uint64_t now_ms);

/* When the oldest use leaves the window; UINT64_MAX when it is empty. */
uint64_t sl_window_next_ms(const struct sl_budget_window *window);

/* What may be added in each millisecond from now on, evenly, so that the window never holds more
 * than the limits: less than the limits divided by the window while much of it is used up and far
 * from leaving. The next horizon_ms are not looked at: who waits for a moment evens them out. */
struct sl_budget_rate {
    double requests;
    double execution_ms;
};
struct sl_budget_rate sl_window_rate(const struct sl_budget_window *window, uint64_t requests_limit,
                                     uint64_t execution_limit_ms, uint64_t horizon_ms,
                                     uint64_t now_ms);

uint64_t sl_use_requests(const struct sl_budget_use *use);
uint64_t sl_use_execution_ms(const struct sl_budget_use *use);

#endif
