/* Keeps the memory of this process, where the secrets are, to itself. */
#ifndef SL_BASE_HIDE_H
#define SL_BASE_HIDE_H

#include "base/err.h"

/* From now on no core is dumped, no debugger of the same user may attach, and what /proc tells of
 * the inside of this process (mem, environ, fd) is root's. Call it before a secret is read. Fails
 * with SL_CONFIG. Built with SLUICE_DUMPABLE, for those who debug sluice, it does nothing. */
int sl_hide(struct sl_err *err);

#endif
