/* Comparing secrets. */
#ifndef SL_BASE_SECRET_H
#define SL_BASE_SECRET_H

#include <stdbool.h>

/* True when what a peer gave is the secret. The time it takes tells nothing about how much of it
 * was right. A secret that is NULL or empty equals nothing, so that a forgotten one opens no door.
 */
bool sl_secret_equal(const char *given, const char *expected);

#endif
