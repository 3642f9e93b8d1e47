/* What the tests of the budget share: the service's own limits, and a table. */
#ifndef SL_TEST_BUDGET_H
#define SL_TEST_BUDGET_H

#include "dataverse/budget_pace.h"
#include "dataverse/settings.h"

#define MINUTE UINT64_C(60000)
#define HOUR (60 * MINUTE)

static const struct sl_budget_settings DEFAULTS = {
    .requests = 6000,
    .execution_ms = 20 * MINUTE,
    .window_ms = 5 * MINUTE,
    .concurrency = 52,
    .use_percent = 80,
};

static inline struct sl_budget_member member(uint64_t every_ms, uint64_t max_ms, int priority)
{
    return (struct sl_budget_member){.every_ms = every_ms,
                                     .min_interval_ms = every_ms,
                                     .max_interval_ms = max_ms,
                                     .priority = priority};
}

#endif
