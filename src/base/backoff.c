#include "base/backoff.h"

uint64_t sl_backoff_next(uint64_t pause_ms, uint64_t max_ms)
{
    return pause_ms < max_ms / 2 ? pause_ms * 2 : max_ms;
}

uint64_t sl_backoff_after(unsigned failures, uint64_t min_ms, uint64_t max_ms)
{
    uint64_t pause_ms = min_ms;
    for (; failures > 1 && pause_ms < max_ms; failures--)
        pause_ms = sl_backoff_next(pause_ms, max_ms);
    return pause_ms;
}
