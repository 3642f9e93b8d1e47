/* sluice check: is the configuration good? */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/trial.h"

static void print_count(const char *before, size_t count, const char *one, const char *many)
{
    printf("%s%zu %s", before, count, count == 1 ? one : many);
}

static void print_summary(const struct sl_config *config, const char *file)
{
    printf("%s: ok:", file);
    print_count(" ", config->source_count, "source", "sources");
    print_count(", ", config->feed_count, "feed", "feeds");
    print_count(", ", sl_config_entity_count(config), "entity", "entities");
    putchar('\n');
}

int sl_cmd_check(const struct sl_options *options)
{
    const char *path;
    const struct sl_config_shape shape = sl_trial_shape(&options->role);
    struct sl_config *config = sl_load_named(options, &shape, &path);
    if (!config)
        return SL_EXIT_FAILED;
    print_summary(config, sl_config_shown_path(path));
    sl_config_free(config);
    return SL_EXIT_OK;
}
