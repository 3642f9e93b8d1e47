/* Reads the configuration that a command works with. */
#ifndef SL_CLI_LOAD_H
#define SL_CLI_LOAD_H

#include "cli/options.h"
#include "config/config.h"

/* Reads path, and prints to stderr what is wrong with it or doubtful. The caller frees the result
 * with sl_config_free; NULL: it cannot be used. */
struct sl_config *sl_load(const char *path, const struct sl_config_shape *shape);

/* The same of the file that the options name, or that lies where it is looked for; *ret_path, if
 * not NULL, is that, and belongs to the options. */
struct sl_config *sl_load_named(const struct sl_options *options,
                                const struct sl_config_shape *shape, const char **ret_path);

#endif
