/* Memory that runs out: a target is run in processes of its own, each of which fails another
 * allocation, of sluice's or of a library's. Whatever comes of it, the process ends by itself, or
 * with the message of base/mem.h; it never crashes. */
#ifndef SL_STARVE_H
#define SL_STARVE_H

#include <stddef.h>
#include <stdint.h>

/* Gives how many runs there were; ends the process with a report when one crashed. */
unsigned starve(const uint8_t *data, size_t size);

#endif
