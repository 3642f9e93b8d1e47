/* Until when a feed knows all changes of its source: for whoever watches that it does not stand
 * still. */
#ifndef SL_SOURCE_FRESHNESS_H
#define SL_SOURCE_FRESHNESS_H

#include <stdint.h>

#include "base/metric.h"

/* All changes made before at_ms (wall clock) were read. *series is kept between the calls, NULL
 * before the first one: only a process that has read the feed, or owned it, has its series. Does
 * not suspend. */
void sl_fresh_until(struct sl_metric **series, const char *feed, int64_t at_ms);

#endif
