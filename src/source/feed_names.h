/* The names under which the documents of a feed may be stored: its own, and those that it had
 * before ("formerly"). */
#ifndef SL_SOURCE_FEED_NAMES_H
#define SL_SOURCE_FEED_NAMES_H

#include <stddef.h>

#include "config/config.h"

/* Its names, today's first; NULL behind the last one. Lives as long as the configuration. */
const char *sl_feed_name(const struct sl_feed_config *feed, size_t at);

/* A feed that is there has its documents for itself, and two that take the same ones for their own
 * would delete each other's. */
void sl_feed_check_formerly(const struct sl_config *config, const struct sl_feed_config *feed,
                            struct sl_problems *problems);

/* The names of all feeds that fill the collection, ended by NULL: free() the array alone. */
const char **sl_feed_names_of(const struct sl_config *config, const char *collection);

#endif
