/* The service protection limits, kept as the service documents them: for each application user the
 * requests and the execution time of the last window, and how many run at once. Source: "Service
 * protection API limits". The simulator's lock is held for all calls. */
#ifndef SIM_DATAVERSE_LIMIT_H
#define SIM_DATAVERSE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/text.h"

enum dv_limit { DV_LIMIT_NONE, DV_LIMIT_REQUESTS, DV_LIMIT_TIME, DV_LIMIT_CONCURRENCY, DV_LIMITS };

/* What happened within the window, oldest first, in a ring. */
struct dv_window {
    struct dv_mark {
        int64_t at_ms;
        int64_t weight;
    } * marks;
    size_t first;
    size_t count;
    size_t capacity;
    int64_t sum;
};

struct dv_user {
    struct dv_window requests; /* a mark for each start, weight 1 */
    struct dv_window time;     /* a mark for each end, its execution in microseconds */
    uint32_t running;
    int64_t retry_at_ms; /* the last throttled answer asked to wait until then; 0: none */

    uint64_t request_count;
    uint64_t throttled[DV_LIMITS];
    uint64_t too_early; /* requests that came before Retry-After was over */
    int64_t most_requests;
    int64_t most_time_us;
    uint32_t most_running;
};

struct dv_limits {
    int64_t requests;
    int64_t execution_ms;
    int64_t window_ms;
    int64_t concurrency;
};

/* Lets a request in, or tells which limit forbids it and after how many seconds to try again. */
enum dv_limit dv_user_begin(struct dv_user *user, const struct dv_limits *limits, int64_t now_ms,
                            int64_t *ret_retry_after_s);

/* A request that was let in has ended after so many microseconds. */
void dv_user_end(struct dv_user *user, const struct dv_limits *limits, int64_t now_ms,
                 int64_t execution_us);

/* Counts a request that is throttled because of a switch. */
void dv_user_throttled(struct dv_user *user, enum dv_limit which, int64_t now_ms,
                       int64_t retry_after_s);

/* The error code of a limit and its message. */
const char *dv_limit_code(enum dv_limit which);
const char *dv_limit_text(enum dv_limit which);

/* Adds {"requests":…,"throttled":{…},…}. */
void dv_user_describe(const struct dv_user *user, struct sim_text *out);

void dv_user_clear(struct dv_user *user);

#endif
