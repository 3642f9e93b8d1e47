/* What no single object of the file can tell: who shares a collection, a source or an export. */
#include "config/reader.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

/* One use of a collection. */
struct use {
    const struct sl_feed_config *feed;
    const struct sl_entity_config *entity;
};

static bool same_key(const struct sl_entity_config *a, const struct sl_entity_config *b)
{
    if (a->key_count != b->key_count)
        return false;
    for (size_t i = 0; i < a->key_count; i++)
        if (strcasecmp(a->key[i], b->key[i]) != 0)
            return false;
    return true;
}

/* "dataAreaId|VendorAccountNumber" */
static void key_text(const struct sl_entity_config *entity, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < entity->key_count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "|" : "", entity->key[i]);
}

/* Two entities of one collection must agree on what makes a document the same. */
static void compare(struct use first, struct use second, struct sl_problems *problems)
{
    char ours[100], theirs[100];
    const struct sl_entity_config *entity = second.entity;
    const struct sl_config_type *type = second.feed->source->type,
                                *other = first.feed->source->type;
    if (type != other)
        sl_problem_error(problems, entity->line, entity->column,
                         "the collection \"%s\" is fed by a source of type \"%s\" here and of type "
                         "\"%s\" in line %u: their versions cannot be compared, use two "
                         "collections",
                         entity->collection, type->name, other->name, first.entity->line);
    if (!entity->key_count || !first.entity->key_count || same_key(entity, first.entity))
        return;
    key_text(entity, ours, sizeof ours);
    key_text(first.entity, theirs, sizeof theirs);
    sl_problem_error(problems, entity->line, entity->column,
                     "the collection \"%s\" has the key %s here and %s in line %u: a collection "
                     "needs one key",
                     entity->collection, ours, theirs, first.entity->line);
}

/* The first use of second's collection that comes before it. */
static struct use first_use(const struct sl_config *config, struct use second)
{
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i];
        for (size_t j = 0; j < feed->entity_count; j++) {
            const struct sl_entity_config *entity = &feed->entities[j];
            if (entity == second.entity)
                return second;
            if (entity->collection && !strcmp(entity->collection, second.entity->collection))
                return (struct use){feed, entity};
        }
    }
    return second;
}

static void check_collections(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i];
        for (size_t j = 0; j < feed->entity_count; j++) {
            struct use use = {feed, &feed->entities[j]};
            if (!use.entity->collection)
                continue;
            struct use first = first_use(config, use);
            if (first.entity != use.entity)
                compare(first, use, problems);
        }
    }
}

static void check_unused(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 0; i < config->source_count; i++) {
        const struct sl_source_config *source = &config->sources[i];
        bool used = false;
        for (size_t j = 0; j < config->feed_count; j++)
            used |= config->feeds[j].source == source;
        if (!used && config->feed_count)
            sl_problem_warning(problems, source->line, source->column,
                               "no feed uses the source \"%.60s\"", source->name);
    }
}

/* The source's own judgement of two feeds that share it. */
static void check_pairs(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 1; i < config->feed_count; i++) {
        const struct sl_feed_config *feed = &config->feeds[i];
        for (size_t j = 0; j < i; j++) {
            const struct sl_feed_config *other = &config->feeds[j];
            if (!feed->settings || !other->settings || feed->source != other->source ||
                !feed->source->type->conflict)
                continue;
            const char *wrong = feed->source->type->conflict(feed->settings, other->settings);
            if (wrong)
                sl_problem_error(problems, feed->line, feed->column, "feeds.%s and feeds.%s %s",
                                 other->name, feed->name, wrong);
        }
    }
}

void sl_config_check(const struct sl_config *config, struct sl_problems *problems)
{
    check_collections(config, problems);
    check_pairs(config, problems);
    check_unused(config, problems);
    if (config->limits.batch_bytes > config->limits.ingest_credit_bytes)
        sl_problem_error(problems, 0, 0,
                         "limits.batch_bytes is larger than limits.ingest_credit: no batch could "
                         "ever be complete");
}
