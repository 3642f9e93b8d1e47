/* Documents of a feed that the configuration does not name: of one that has another name now, as a
 * rule. A sweep leaves them alone, so that what was deleted in between would stay. */
#ifndef SL_SOURCE_STRANGERS_H
#define SL_SOURCE_STRANGERS_H

#include "base/alert_kind.h"
#include "config/config.h"
#include "flow/state.h"

/* Tells log and operator when the feed's collection holds such. Suspends: minutes, when it is
 * large. */
int sl_strangers_tell(struct sl_state *state, const struct sl_config *config,
                      const struct sl_feed_config *feed, const char *collection,
                      const struct sl_alerter *alerter, struct sl_err *err);

#endif
