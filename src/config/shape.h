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

struct sl_config;
struct sl_problems;

/* What a feed carries. */
enum sl_config_entities {
    SL_ENTITIES_LISTED, /* several, under "entities" */
    SL_ENTITIES_ONE,    /* one: "collection" (and, when keyed, "key" and "types") are the feed's */
};

/* A kind of source: what its "sources" entry and the feeds that use it may say. */
struct sl_listen_settings;
struct sl_auth_settings;

struct sl_config_type {
    const char *name; /* "dmf" */
    const char *summary;
    const struct sl_setting *source_table;
    size_t source_bytes;
    const struct sl_setting *feed_table;
    size_t feed_bytes;
    enum sl_config_entities entities;
    bool keyed;             /* ONE: the configuration says the key; else the source knows it */
    bool schedule_required; /* its feeds say "every" or "cron"; else that is the type's affair */
    bool feeds_optional;    /* a source without feeds is of use, too */

    /* The hooks. All are optional and get settings that were read, of which texts may be NULL. */

    /* ONE: the entity's name (borrowed from the settings; NULL: not said). Without this hook it is
     * the feed's. */
    const char *(*entity_name)(const void *feed_settings);

    /* Writes what the versions of a feed's rows are, in a few words: two feeds may share a
     * collection when the words are the same. Without it they are the type's name. */
    void (*domain)(const void *source_settings, const void *feed_settings, char *out, size_t size);

    /* Where a source listens, and how it signs in (source/ knows what is in them). Without them it
     * does not. */
    const struct sl_listen_settings *(*listen)(const void *source_settings);
    const struct sl_auth_settings *(*auth)(const void *source_settings);

    /* Whether the source's feeds use another source, too, of that name. */
    bool (*uses)(const void *source_settings, const char *source_name);

    /* Notes what is wrong with all sources and feeds of this type (config/check.h). Settings are
     * NULL where they could not be read. */
    void (*check)(const struct sl_config *config, struct sl_problems *problems);
};

struct sl_config_shape {
    const struct sl_config_section *sections;  /* ended by a NULL name */
    const struct sl_config_type *const *types; /* ended by NULL */
    size_t settings_bytes;                     /* of the struct that the sections fill */
    const int *role;                           /* instead of the file's; NULL: the file's */
    /* Notes what no section and no type can see alone; NULL: nothing. As the check of a type. */
    void (*check)(const struct sl_config *config, struct sl_problems *problems);
};

/* Prints every setting with its default and its sentence, for a person. */
void sl_config_help(const struct sl_config_shape *shape, FILE *out);

/* Prints the JSON Schema (draft 7, the one editors know) that describes the file. */
void sl_config_schema(const struct sl_config_shape *shape, FILE *out);

#endif
