/* Until when a feed knows all changes of its source. */
#include "source/freshness.h"

void sl_fresh_until(struct sl_metric **series, const char *feed, int64_t at_ms)
{
    if (!*series)
        *series = sl_gauge("feed_fresh_timestamp_seconds",
                           "All changes before that moment were read, in seconds since 1970.",
                           "feed=\"%s\"", feed);
    sl_metric_set(*series, at_ms / 1000);
}
