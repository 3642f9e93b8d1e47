/* "sources" and "feeds": who is asked, and what for, and when. */
#include "config/reader.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "config/names.h"
#include "config/nearest.h"
#include "config/settings.h"

/* Notes a bad name at its place. */
static void check_name(const struct sl_json *member, const char *what, struct sl_problems *problems)
{
    const char *wrong = sl_name_wrong(member->key);
    if (wrong)
        sl_problem_error(problems, member->key_at.line, member->key_at.column,
                         "the %s \"%.60s\" %s", what, member->key.at, wrong);
}

/* Notes that a map names nothing. */
static bool expect_members(const struct sl_json *map, const struct sl_path *where,
                           struct sl_problems *problems)
{
    char path[SL_PATH_BYTES];
    if (!sl_fill_expect_map(map, where, problems))
        return false;
    if (!map->count)
        sl_problem_error(problems, map->at.line, map->at.column, "%s must not be empty",
                         sl_path_text(where, path));
    return map->count;
}

/* The text of a key that names something else in the file; NULL after a complaint. */
static const char *read_reference(const struct sl_json *object, const struct sl_path *where,
                                  const char *key, struct sl_problems *problems)
{
    const struct sl_json *node = sl_json_get(object, key);
    if (!node) {
        sl_fill_missing(object, where, key, problems);
        return NULL;
    }
    const char *text = sl_json_text(node);
    if (!text) {
        char path[SL_PATH_BYTES];
        sl_problem_error(problems, node->at.line, node->at.column, "%s.%s needs a text, not %s",
                         sl_path_text(where, path), key, sl_json_kind_name(node->kind));
    }
    return text;
}

static const struct sl_config_type *find_type(const struct sl_config_shape *shape,
                                              const struct sl_json *node, const char *name,
                                              struct sl_problems *problems)
{
    char all[200] = "";
    size_t used = 0;
    for (const struct sl_config_type *const *row = shape->types; *row; row++) {
        const struct sl_config_type *type = *row;
        if (sl_str_is(node->text, type->name))
            return type;
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s\"%s\"", used ? ", " : "",
                                     type->name);
    }
    sl_problem_error(problems, node->at.line, node->at.column,
                     "there is no source type \"%.60s\"; there is %s", name, all);
    return NULL;
}

static void read_source(struct sl_config *config, struct sl_source_config *source,
                        const struct sl_json *member, const struct sl_path *parent,
                        struct sl_problems *problems)
{
    static const char *const others[] = {"type", NULL};
    struct sl_path where = {parent, member->key.at};
    check_name(member, "source", problems);
    source->name = sl_strdup(member->key.at);
    source->line = member->key_at.line;
    source->column = member->key_at.column;
    source->json = member;
    if (!sl_fill_expect_map(member, &where, problems))
        return;
    const char *type = read_reference(member, &where, "type", problems);
    if (!type)
        return;
    source->type = find_type(config->shape, sl_json_get(member, "type"), type, problems);
    if (!source->type)
        return;
    source->settings = sl_calloc(1, source->type->source_bytes);
    struct sl_part parts[] = {
        {source->type->source_table, source->settings},
        {NULL,                       NULL            }
    };
    sl_fill(member, &where, parts, others, problems);
}

void sl_config_read_sources(struct sl_config *config, const struct sl_json *map,
                            struct sl_problems *problems)
{
    static const struct sl_path where = {NULL, "sources"};
    if (!expect_members(map, &where, problems))
        return;
    config->sources = sl_calloc(map->count, sizeof config->sources[0]);
    for (const struct sl_json *member = map->first; member; member = member->next)
        read_source(config, &config->sources[config->source_count++], member, &where, problems);
}

static const struct sl_source_config *find_source(const struct sl_config *config,
                                                  const struct sl_json *node, const char *name,
                                                  const struct sl_path *where,
                                                  struct sl_problems *problems)
{
    char hint[160], path[SL_PATH_BYTES];
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, name);
    for (size_t i = 0; i < config->source_count; i++) {
        if (sl_str_is(node->text, config->sources[i].name))
            return &config->sources[i];
        sl_nearest_offer(&nearest, config->sources[i].name);
    }
    sl_problem_error(problems, node->at.line, node->at.column,
                     "%s names the source \"%.60s\", which does not exist%s",
                     sl_path_text(where, path), name, sl_nearest_hint(&nearest, hint, sizeof hint));
    return NULL;
}

/* "every" and "cron" exclude each other, and one is needed. */
static void read_schedule(struct sl_feed_config *feed, const struct sl_feed_schedule *said,
                          const struct sl_json *member, const struct sl_path *where,
                          struct sl_problems *problems)
{
    char path[SL_PATH_BYTES];
    struct sl_err err;
    const struct sl_json *every = sl_json_get(member, "every"), *cron = sl_json_get(member, "cron");
    if (every && cron)
        sl_problem_error(problems, cron->key_at.line, cron->key_at.column,
                         "%s says both \"every\" and \"cron\": keep one",
                         sl_path_text(where, path));
    else if (!every && !cron)
        sl_problem_error(problems, member->at.line, member->at.column,
                         "%s does not say when it runs: add \"every\" (like \"5m\") or \"cron\" "
                         "(like \"0 3 * * *\")",
                         sl_path_text(where, path));
    else if (cron && said->cron &&
             sl_schedule_parse_cron(said->cron, &feed->schedule, &err) != SL_OK)
        sl_problem_error(problems, cron->at.line, cron->at.column, "%s.cron: %s",
                         sl_path_text(where, path), err.message);
    if (every)
        feed->schedule.every_ms = said->every_ms;
}

/* All that the object of a feed says, its source apart. */
static void read_members(struct sl_feed_config *feed, const struct sl_config_type *type,
                         const struct sl_json *member, const struct sl_path *where,
                         struct sl_problems *problems)
{
    bool one = type->entities == SL_ENTITIES_ONE, keyed = one && type->keyed;
    struct sl_feed_schedule said = {0};
    const char *others[] = {"source", keyed ? "types" : one ? NULL : "entities", NULL};
    struct sl_part parts[5] = {0}, *part = parts;
    feed->settings = sl_calloc(1, type->feed_bytes);
    *part++ = (struct sl_part){type->feed_table, feed->settings};
    if (type->schedule_required)
        *part++ = (struct sl_part){sl_config_schedule_table, &said};
    if (one)
        *part++ = (struct sl_part){sl_config_collection_table, sl_config_make_entity(feed)};
    if (keyed)
        *part++ = (struct sl_part){sl_config_key_table, &feed->entities[0]};
    sl_fill(member, where, parts, others, problems);
    if (type->schedule_required)
        read_schedule(feed, &said, member, where, problems);
    sl_settings_done(sl_config_schedule_table, &said);

    const struct sl_json *entities = sl_json_get(member, "entities");
    if (one)
        sl_config_check_entity(feed, member, where, problems);
    else if (entities)
        sl_config_read_entities(feed, entities, where, problems);
    else
        sl_fill_missing(member, where, "entities", problems);
}

static void read_feed(struct sl_config *config, struct sl_feed_config *feed,
                      const struct sl_json *member, const struct sl_path *parent,
                      struct sl_problems *problems)
{
    struct sl_path where = {parent, member->key.at};
    check_name(member, "feed", problems);
    feed->name = sl_strdup(member->key.at);
    feed->line = member->key_at.line;
    feed->column = member->key_at.column;
    feed->json = member;
    if (!sl_fill_expect_map(member, &where, problems))
        return;
    const char *source = read_reference(member, &where, "source", problems);
    if (source)
        feed->source = find_source(config, sl_json_get(member, "source"), source, &where, problems);
    const struct sl_config_type *type = feed->source ? feed->source->type : NULL;
    if (!type) /* without it no other key can be judged */
        return;

    read_members(feed, type, member, &where, problems);
}

void sl_config_read_feeds(struct sl_config *config, const struct sl_json *map,
                          struct sl_problems *problems)
{
    static const struct sl_path where = {NULL, "feeds"};
    if (!expect_members(map, &where, problems))
        return;
    config->feeds = sl_calloc(map->count, sizeof config->feeds[0]);
    for (const struct sl_json *member = map->first; member; member = member->next)
        read_feed(config, &config->feeds[config->feed_count++], member, &where, problems);
}

void sl_config_free_source(struct sl_source_config *source)
{
    if (source->settings)
        sl_settings_done(source->type->source_table, source->settings);
    free(source->settings);
    free(source->name);
}

void sl_config_free_feed(struct sl_feed_config *feed)
{
    if (feed->settings)
        sl_settings_done(feed->source->type->feed_table, feed->settings);
    for (size_t i = 0; i < feed->entity_count; i++)
        sl_config_free_entity(&feed->entities[i]);
    free(feed->entities);
    free(feed->settings);
    free(feed->name);
}
