/* The feed that a command line names. */
#ifndef SL_CLI_FEED_NAMED_H
#define SL_CLI_FEED_NAMED_H

#include "config/config.h"

/* NULL with SL_CONFIG in err: the configuration has none of that name; the message tells what may
 * be meant. */
const struct sl_feed_config *sl_feed_named(const struct sl_config *config, const char *name,
                                           struct sl_err *err);

#endif
