/* What a configuration may hold. The owners of the settings (broker, mongo, sources …) declare
 * their tables, cli/registry collects them in one shape, and reader, help and schema walk it. */
#ifndef SL_CONFIG_SHAPE_H
#define SL_CONFIG_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/setting.h"

/* A member of the file's top level, like "broker". */
struct sl_config_section {
    const char *name;
    const char *help; /* one sentence */
    const struct sl_setting *table;
    size_t offset; /* of its struct inside the settings struct */
    bool required;
};

/* A kind of source: what its "sources" entry and the feeds that use it may say. */
struct sl_config_type {
    const char *name; /* "dmf" */
    const char *summary;
    const struct sl_setting *source_table;
    size_t source_bytes;
    const struct sl_setting *feed_table;
    size_t feed_bytes;
    bool entities_required; /* its feeds list "entities"; else they may not */
    bool schedule_required; /* its feeds say "every" or "cron"; else they may not */

    /* What is wrong with two feeds of one source, going on from their names ("export …"), or NULL.
     * Gets their settings, of which texts may be NULL. Optional. */
    const char *(*conflict)(const void *feed_settings, const void *other_feed_settings);
};

struct sl_config_shape {
    const struct sl_config_section *sections;  /* ended by a NULL name */
    const struct sl_config_type *const *types; /* ended by NULL */
    size_t settings_bytes;                     /* of the struct that the sections fill */
};

/* Prints every setting with its default and its sentence, for a person. */
void sl_config_help(const struct sl_config_shape *shape, FILE *out);

/* Prints the JSON Schema (draft 7, the one editors know) that describes the file. */
void sl_config_schema(const struct sl_config_shape *shape, FILE *out);

#endif
