/* An environment of Dynamics 365, which two sources may name in two ways. */
#ifndef SL_SOURCE_ENVIRONMENT_H
#define SL_SOURCE_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/* Writes an environment's URL as scheme, host and port, so that two that are the same look the
 * same. Returns out. */
char *sl_environment_name(const char *url, char *out, size_t size);

/* Whether two URLs are of one environment. NULL is of none. */
bool sl_environment_is_same(const char *one, const char *other);

#endif
