/* What a feed carries, one entity or several: where the rows of each go, what their key is, which
 * columns have a type. */
#include "config/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "config/names.h"
#include "config/nearest.h"
#include "config/settings.h"

/* "Vendors V3" as it is written in messages and routing keys. */
static char *make_route(const char *name)
{
    char *route = sl_strdup(name), *to = route;
    for (const char *from = name; *from; from++)
        if (*from != ' ')
            *to++ = *from;
    *to = '\0';
    return route;
}

static void unknown_type(const struct sl_json *node, const char *name, const struct sl_path *where,
                         struct sl_problems *problems)
{
    char hint[64], path[SL_PATH_BYTES];
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, name);
    for (size_t i = 0; sl_type_names[i]; i++)
        sl_nearest_offer(&nearest, sl_type_names[i]);
    sl_nearest_hint(&nearest, hint, sizeof hint);
    sl_problem_error(problems, node->at.line, node->at.column, "%s: there is no type \"%.60s\"%s",
                     sl_path_text(where, path), name,
                     *hint ? hint : ": there are string, int, decimal, double, bool and date");
}

static bool has_type(const struct sl_entity_config *entity, const char *column)
{
    for (size_t i = 0; i < entity->column_count; i++)
        if (!strcasecmp(entity->columns[i].name, column))
            return true;
    return false;
}

static void read_type(struct sl_entity_config *entity, const struct sl_json *member,
                      const struct sl_path *parent, struct sl_problems *problems)
{
    char path[SL_PATH_BYTES];
    struct sl_path where = {parent, member->key.at};
    const char *name = sl_json_text(member);
    enum sl_type type;
    if (!member->key.length)
        sl_problem_error(problems, member->key_at.line, member->key_at.column,
                         "%s: a column without a name", sl_path_text(&where, path));
    else if (has_type(entity, member->key.at))
        sl_problem_error(problems, member->key_at.line, member->key_at.column,
                         "%s: the column has a type already (columns are matched without case)",
                         sl_path_text(&where, path));
    else if (!name)
        sl_problem_error(problems, member->at.line, member->at.column,
                         "%s needs the name of a type, not %s", sl_path_text(&where, path),
                         sl_json_kind_name(member->kind));
    else if (!sl_type_parse(name, &type))
        unknown_type(member, name, &where, problems);
    else
        entity->columns[entity->column_count++] =
            (struct sl_column_config){sl_strdup(member->key.at), type};
}

static void read_types(struct sl_entity_config *entity, const struct sl_json *map,
                       const struct sl_path *parent, struct sl_problems *problems)
{
    struct sl_path where = {parent, "types"};
    if (!sl_fill_expect_map(map, &where, problems) || !map->count)
        return;
    entity->columns = sl_calloc(map->count, sizeof entity->columns[0]);
    for (const struct sl_json *member = map->first; member; member = member->next)
        read_type(entity, member, &where, problems);
}

static void check_key(struct sl_entity_config *entity, const struct sl_json *node,
                      const struct sl_path *where, struct sl_problems *problems)
{
    char path[SL_PATH_BYTES];
    const char *wrong = NULL;
    size_t count = 0;
    for (; entity->key && entity->key[count]; count++) {
        if (!*entity->key[count])
            wrong = "names a column without a name";
        for (size_t i = 0; i < count; i++)
            if (!strcasecmp(entity->key[i], entity->key[count]))
                wrong = "names a column twice";
    }
    if (count > SL_CONFIG_KEY_COLUMNS_MAX)
        wrong = "names more than 16 columns";
    entity->key_count = count;
    if (wrong)
        sl_problem_error(problems, node->at.line, node->at.column, "%s.key %s",
                         sl_path_text(where, path), wrong);
}

/* What the tables cannot say of an entity's object, and its types. */
static void read_rest(struct sl_entity_config *entity, const struct sl_json *object,
                      const struct sl_path *where, bool keyed, struct sl_problems *problems)
{
    char path[SL_PATH_BYTES];
    const struct sl_json *collection = sl_json_get(object, "collection"),
                         *key = keyed ? sl_json_get(object, "key") : NULL,
                         *types = keyed ? sl_json_get(object, "types") : NULL;
    const char *wrong = entity->collection ? sl_collection_wrong(entity->collection) : NULL;
    if (wrong)
        sl_problem_error(problems, collection->at.line, collection->at.column, "%s.collection %s",
                         sl_path_text(where, path), wrong);
    if (key)
        check_key(entity, key, where, problems);
    if (types)
        read_types(entity, types, where, problems);
}

static void read_entity(struct sl_entity_config *entity, const struct sl_json *member,
                        const struct sl_path *parent, struct sl_problems *problems)
{
    static const char *const others[] = {"types", NULL};
    struct sl_path where = {parent, member->key.at};
    entity->name = sl_strdup(member->key.at);
    entity->route = make_route(member->key.at);
    entity->line = member->key_at.line;
    entity->column = member->key_at.column;
    const char *wrong = sl_entity_name_wrong(member->key);
    if (wrong)
        sl_problem_error(problems, member->key_at.line, member->key_at.column,
                         "the entity \"%.60s\" %s", member->key.at, wrong);
    if (!sl_fill_expect_map(member, &where, problems))
        return;
    struct sl_part parts[] = {
        {sl_config_collection_table, entity},
        {sl_config_key_table,        entity},
        {NULL,                       NULL  }
    };
    sl_fill(member, &where, parts, others, problems);
    read_rest(entity, member, &where, true, problems);
}

/* Both, and what is counted, make the id of a message. Source: a short string of AMQP 0-9-1 has 255
 * bytes. */
static void check_length(const struct sl_feed_config *feed, const struct sl_entity_config *entity,
                         struct sl_problems *problems)
{
    enum { COUNTED_BYTES = 35 };
    if (sl_str_of(feed->name).length + sl_str_of(entity->route).length > 255 - COUNTED_BYTES)
        sl_problem_error(problems, entity->line, entity->column,
                         "feed '%s': its name and \"%s\" are longer than %d bytes together",
                         feed->name, entity->name, 255 - COUNTED_BYTES);
}

struct sl_entity_config *sl_config_make_entity(struct sl_feed_config *feed)
{
    feed->entities = sl_calloc(1, sizeof feed->entities[0]);
    feed->entity_count = 1;
    feed->entities[0].line = feed->line;
    feed->entities[0].column = feed->column;
    return &feed->entities[0];
}

void sl_config_check_entity(struct sl_feed_config *feed, const struct sl_json *object,
                            const struct sl_path *where, struct sl_problems *problems)
{
    struct sl_entity_config *entity = &feed->entities[0];
    const struct sl_config_type *type = feed->source->type;
    const char *said = type->entity_name ? type->entity_name(feed->settings) : feed->name;
    const char *name = said ? said : "";
    const char *wrong = said ? sl_entity_name_wrong(sl_str_of(name)) : NULL;
    entity->name = sl_strdup(name);
    entity->route = make_route(name);
    if (wrong && type->entity_name) /* else it is the feed's name, which was judged */
        sl_problem_error(problems, feed->line, feed->column, "feeds.%s: the name \"%.60s\" %s",
                         feed->name, name, wrong);
    check_length(feed, entity, problems);
    read_rest(entity, object, where, type->keyed, problems);
}

/* Two entities of one feed must differ in what is left of their names in a routing key. */
static void check_routes(const struct sl_feed_config *feed, const struct sl_path *where,
                         struct sl_problems *problems)
{
    char path[SL_PATH_BYTES];
    for (size_t i = 1; i < feed->entity_count; i++)
        for (size_t j = 0; j < i; j++)
            if (!strcasecmp(feed->entities[i].route, feed->entities[j].route))
                sl_problem_error(problems, feed->entities[i].line, feed->entities[i].column,
                                 "%s: \"%s\" and \"%s\" are the same entity (blanks and case do "
                                 "not count)",
                                 sl_path_text(where, path), feed->entities[i].name,
                                 feed->entities[j].name);
}

void sl_config_read_entities(struct sl_feed_config *feed, const struct sl_json *map,
                             const struct sl_path *parent, struct sl_problems *problems)
{
    char path[SL_PATH_BYTES];
    struct sl_path where = {parent, "entities"};
    if (!sl_fill_expect_map(map, &where, problems))
        return;
    if (!map->count || map->count > SL_CONFIG_ENTITIES_MAX)
        sl_problem_error(problems, map->at.line, map->at.column, "%s must name 1 to %d entities",
                         sl_path_text(&where, path), SL_CONFIG_ENTITIES_MAX);
    if (!map->count)
        return;
    feed->entities = sl_calloc(map->count, sizeof feed->entities[0]);
    for (const struct sl_json *member = map->first; member; member = member->next)
        read_entity(&feed->entities[feed->entity_count++], member, &where, problems);
    for (size_t i = 0; i < feed->entity_count; i++)
        check_length(feed, &feed->entities[i], problems);
    check_routes(feed, &where, problems);
}

void sl_config_free_entity(struct sl_entity_config *entity)
{
    sl_settings_done(sl_config_collection_table, entity);
    sl_settings_done(sl_config_key_table, entity);
    for (size_t i = 0; i < entity->column_count; i++)
        free(entity->columns[i].name);
    free(entity->columns);
    free(entity->name);
    free(entity->route);
}
