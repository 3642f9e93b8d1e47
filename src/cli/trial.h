/* What a configuration needs beyond its text, tried before it is used: so `sluice check` tells it,
 * and a reload that cannot work leaves the gateway alone that does. */
#ifndef SL_CLI_TRIAL_H
#define SL_CLI_TRIAL_H

#include "config/config.h"

/* The registry's shape for whoever is about to use a configuration, or to say whether it can be:
 * its check also notes which addresses of servers, and which files of certificates, keys and
 * tokens, cannot be used. It reads the files, and contacts nobody. *role: instead of the file's;
 * -1: the file's. role outlives the shape. */
struct sl_config_shape sl_trial_shape(const int *role);

/* Whether the addresses that next listens at, and running does not, are free. Listens there for a
 * moment. Does not suspend. SL_CONFIG, naming the one that is taken. */
int sl_trial_addresses(const struct sl_config *running, const struct sl_config *next,
                       struct sl_err *err);

#endif
