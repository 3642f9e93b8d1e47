/* sluice schema: the JSON Schema of the configuration. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/registry.h"

int sl_cmd_schema(const struct sl_options *options)
{
    (void)options;
    sl_config_schema(&sl_registry_shape, stdout);
    return SL_EXIT_OK;
}
