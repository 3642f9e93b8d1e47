/* The service protection limits. */
#include "sim/dataverse/limit.h"

#include <stdlib.h>

static const struct {
    const char *code;
    const char *name;
    const char *text;
} rows[DV_LIMITS] = {
    [DV_LIMIT_REQUESTS] = {"0x80072322", "requests",
                           "Number of requests exceeded the limit of the sliding window."},
    [DV_LIMIT_TIME] = {"0x80072321", "time",
                           "Combined execution time of incoming requests exceeded the limit of the "
                       "sliding window. Decrease number of concurrent requests or reduce the "
                       "duration of requests and try again later."                       },
    [DV_LIMIT_CONCURRENCY] = {"0x80072326", "concurrency",
                           "Number of concurrent requests exceeded the limit."           },
};

const char *dv_limit_code(enum dv_limit which)
{
    return rows[which].code;
}

const char *dv_limit_text(enum dv_limit which)
{
    return rows[which].text;
}

static void push(struct dv_window *window, int64_t at_ms, int64_t weight)
{
    if (window->count == window->capacity) {
        size_t capacity = window->capacity ? window->capacity * 2 : 256;
        struct dv_mark *marks = sim_alloc(capacity * sizeof(*marks));
        for (size_t i = 0; i < window->count; i++)
            marks[i] = window->marks[(window->first + i) % window->capacity];
        free(window->marks);
        window->marks = marks;
        window->first = 0;
        window->capacity = capacity;
    }
    window->marks[(window->first + window->count++) % window->capacity] =
        (struct dv_mark){at_ms, weight};
    window->sum += weight;
}

/* Forgets what has left the window. */
static void slide(struct dv_window *window, int64_t oldest_ms)
{
    while (window->count && window->marks[window->first].at_ms <= oldest_ms) {
        window->sum -= window->marks[window->first].weight;
        window->first = (window->first + 1) % window->capacity;
        window->count--;
    }
}

/* Milliseconds until the sum has fallen below limit. */
static int64_t until_below(const struct dv_window *window, int64_t limit, int64_t window_ms,
                           int64_t now_ms)
{
    int64_t sum = window->sum;
    for (size_t i = 0; i < window->count; i++) {
        const struct dv_mark *mark = &window->marks[(window->first + i) % window->capacity];
        sum -= mark->weight;
        if (sum < limit)
            return mark->at_ms + window_ms - now_ms + 1;
    }
    return window_ms;
}

void dv_user_throttled(struct dv_user *user, enum dv_limit which, int64_t now_ms,
                       int64_t retry_after_s)
{
    user->throttled[which]++;
    user->retry_at_ms = retry_after_s > 0 ? now_ms + retry_after_s * 1000 : 0;
}

enum dv_limit dv_user_begin(struct dv_user *user, const struct dv_limits *limits, int64_t now_ms,
                            int64_t *ret_retry_after_s)
{
    slide(&user->requests, now_ms - limits->window_ms);
    slide(&user->time, now_ms - limits->window_ms);
    if (now_ms < user->retry_at_ms)
        user->too_early++;

    enum dv_limit which = DV_LIMIT_NONE;
    int64_t wait_ms = 0;
    if (user->running >= limits->concurrency) {
        which = DV_LIMIT_CONCURRENCY;
        wait_ms = 1000;
    } else if (user->requests.sum >= limits->requests) {
        which = DV_LIMIT_REQUESTS;
        wait_ms = until_below(&user->requests, limits->requests, limits->window_ms, now_ms);
    } else if (user->time.sum >= limits->execution_ms * 1000) {
        which = DV_LIMIT_TIME;
        wait_ms = until_below(&user->time, limits->execution_ms * 1000, limits->window_ms, now_ms);
    }
    if (which != DV_LIMIT_NONE) {
        *ret_retry_after_s = wait_ms > 1000 ? (wait_ms + 999) / 1000 : 1;
        dv_user_throttled(user, which, now_ms, *ret_retry_after_s);
        return which;
    }
    push(&user->requests, now_ms, 1);
    user->request_count++;
    user->running++;
    if (user->running > user->most_running)
        user->most_running = user->running;
    if (user->requests.sum > user->most_requests)
        user->most_requests = user->requests.sum;
    return DV_LIMIT_NONE;
}

void dv_user_end(struct dv_user *user, const struct dv_limits *limits, int64_t now_ms,
                 int64_t execution_us)
{
    if (user->running > 0) /* a reset may have come between */
        user->running--;
    slide(&user->time, now_ms - limits->window_ms);
    push(&user->time, now_ms, execution_us);
    if (user->time.sum > user->most_time_us)
        user->most_time_us = user->time.sum;
}

void dv_user_describe(const struct dv_user *user, struct sim_text *out)
{
    sim_text_char(out, '{');
    sim_text_number(out, "requests", (int64_t)user->request_count);
    sim_text_number(out, "running", user->running);
    sim_text_name(out, "throttled");
    sim_text_char(out, '{');
    for (int which = DV_LIMIT_REQUESTS; which < DV_LIMITS; which++)
        sim_text_number(out, rows[which].code, (int64_t)user->throttled[which]);
    sim_text_char(out, '}');
    sim_text_number(out, "too_early", (int64_t)user->too_early);
    sim_text_number(out, "most_requests", user->most_requests);
    sim_text_number(out, "most_execution_ms", user->most_time_us / 1000);
    sim_text_number(out, "most_running", user->most_running);
    sim_text_char(out, '}');
}

void dv_user_clear(struct dv_user *user)
{
    free(user->requests.marks);
    free(user->time.marks);
    *user = (struct dv_user){0};
}
