/* sluice version: what a report of a problem should begin with. */
#include <stdio.h>

#include "cli/commands.h"

int sl_cmd_version(const struct sl_options *options)
{
    (void)options;
    printf("sluice %s\n", SLUICE_VERSION);
    return SL_EXIT_OK;
}
