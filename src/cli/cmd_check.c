/* sluice check: is the configuration good? */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/registry.h"
#include "config/config.h"

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
    struct sl_err err;
    struct sl_config *config = NULL;
    const char *path = sl_options_config(options, &err);
    if (!path) {
        fprintf(stderr, "sluice: %s\n", err.message);
        return SL_EXIT_FAILED;
    }
    struct sl_problems problems;
    sl_problems_init(&problems);
    int rc = sl_config_load(path, &sl_registry_shape, &config, &problems);
    sl_problems_print(&problems, stderr);
    if (rc == SL_OK)
        print_summary(config, problems.file);
    sl_config_free(config);
    sl_problems_done(&problems);
    return rc == SL_OK ? SL_EXIT_OK : SL_EXIT_FAILED;
}
