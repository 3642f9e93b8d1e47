#include "dataverse/budget_window.h"

#include <stdbool.h>
#include <string.h>

enum { RING = SL_WINDOW_BUCKETS + 2 };

uint64_t sl_use_requests(const struct sl_budget_use *use)
{
    return (uint64_t)use->requests[SL_URGENT] + use->requests[SL_STEADY] +
           use->requests[SL_PATIENT];
}

uint64_t sl_use_execution_ms(const struct sl_budget_use *use)
{
    return use->execution_ms[SL_URGENT] + use->execution_ms[SL_STEADY] +
           use->execution_ms[SL_PATIENT];
}

static bool is_empty(const struct sl_budget_use *use)
{
    return !sl_use_requests(use) && !sl_use_execution_ms(use);
}

void sl_window_init(struct sl_budget_window *window, uint64_t window_ms)
{
    memset(window, 0, sizeof *window);
    window->window_ms = window_ms;
    window->bucket_ms = (window_ms + SL_WINDOW_BUCKETS - 1) / SL_WINDOW_BUCKETS;
    if (!window->bucket_ms)
        window->bucket_ms = 1;
}

/* From when on nothing of that bucket is in the window. */
static uint64_t end_ms(const struct sl_budget_window *window, uint64_t number)
{
    return (number + 1) * window->bucket_ms + window->window_ms;
}

static void drop_oldest(struct sl_budget_window *window)
{
    struct sl_budget_use *use = &window->ring[window->oldest++ % RING];
    for (unsigned i = 0; i < SL_URGENCIES; i++) {
        window->total.requests[i] -= use->requests[i];
        window->total.execution_ms[i] -= use->execution_ms[i];
    }
    memset(use, 0, sizeof *use);
}

void sl_window_slide(struct sl_budget_window *window, uint64_t now_ms)
{
    uint64_t number = now_ms / window->bucket_ms;
    while (window->oldest < window->newest && (end_ms(window, window->oldest) <= now_ms ||
                                               is_empty(&window->ring[window->oldest % RING])))
        drop_oldest(window);
    if (window->oldest == window->newest && end_ms(window, window->oldest) <= now_ms)
        drop_oldest(window);
    if (is_empty(&window->total))
        window->oldest = number > window->oldest ? number : window->oldest;
    if (number > window->newest)
        window->newest = number;
    if (window->newest < window->oldest)
        window->newest = window->oldest;
}

void sl_window_add(struct sl_budget_window *window, enum sl_urgency urgency, uint32_t requests,
                   uint64_t execution_ms, uint64_t now_ms)
{
    sl_window_slide(window, now_ms);
    struct sl_budget_use *use = &window->ring[window->newest % RING];
    use->requests[urgency] += requests;
    use->execution_ms[urgency] += execution_ms;
    window->total.requests[urgency] += requests;
    window->total.execution_ms[urgency] += execution_ms;
}

uint64_t sl_window_next_ms(const struct sl_budget_window *window)
{
    for (uint64_t number = window->oldest; number <= window->newest; number++)
        if (!is_empty(&window->ring[number % RING]))
            return end_ms(window, number);
    return UINT64_MAX;
}

static void at_most(double *rate, double limit)
{
    if (limit < *rate)
        *rate = limit > 0 ? limit : 0;
}

struct sl_budget_rate sl_window_rate(const struct sl_budget_window *window, uint64_t requests_limit,
                                     uint64_t execution_limit_ms, uint64_t horizon_ms,
                                     uint64_t now_ms)
{
    double whole_ms = (double)(window->window_ms + window->bucket_ms);
    struct sl_budget_rate rate = {(double)requests_limit / whole_ms,
                                  (double)execution_limit_ms / whole_ms};
    double requests_left = (double)requests_limit - (double)sl_use_requests(&window->total);
    double ms_left = (double)execution_limit_ms - (double)sl_use_execution_ms(&window->total);

    /* Until a bucket leaves, all that comes must fit beside it and the younger ones. */
    for (uint64_t number = window->oldest; number <= window->newest; number++) {
        const struct sl_budget_use *use = &window->ring[number % RING];
        uint64_t leaves_ms = end_ms(window, number);
        if (is_empty(use))
            continue;
        if (leaves_ms >= now_ms + horizon_ms) {
            at_most(&rate.requests, requests_left / (double)(leaves_ms - now_ms));
            at_most(&rate.execution_ms, ms_left / (double)(leaves_ms - now_ms));
        }
        requests_left += (double)sl_use_requests(use);
        ms_left += (double)sl_use_execution_ms(use);
    }
    return rate;
}
