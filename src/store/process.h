/* Which process this is, told so that another one on the same machine can see when it has ended:
 * then its leases need not run out first. */
#ifndef SL_STORE_PROCESS_H
#define SL_STORE_PROCESS_H

#include <stdbool.h>

enum { SL_PROCESS_BYTES = 128 };

/* The mark of this process: "boot id/pid namespace/pid/start". Empty where /proc does not tell. */
void sl_process_mark(char ret_mark[SL_PROCESS_BYTES]);

/* True when the process of that mark has certainly ended: it ran since the same boot and in the
 * same pid namespace as this one, and its pid is free or belongs to a later process. Does not
 * block. */
bool sl_process_has_ended(const char *mark);

#endif
