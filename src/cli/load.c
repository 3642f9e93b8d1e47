#include "cli/load.h"

#include <stdio.h>

struct sl_config *sl_load(const char *path, const struct sl_config_shape *shape)
{
    struct sl_config *config = NULL;
    struct sl_problems problems;
    sl_problems_init(&problems);
    sl_config_load(path, shape, &config, &problems);
    sl_problems_print(&problems, stderr);
    sl_problems_done(&problems);
    return config;
}

struct sl_config *sl_load_named(const struct sl_options *options,
                                const struct sl_config_shape *shape, const char **ret_path)
{
    struct sl_err err;
    const char *path = sl_options_config(options, &err);
    if (ret_path)
        *ret_path = path;
    if (path)
        return sl_load(path, shape);
    fprintf(stderr, "sluice: %s\n", err.message);
    return NULL;
}
