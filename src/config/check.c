/* What no single object of the file can tell: who shares a collection, a source or an export. */
#include "config/reader.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "config/check.h"

enum { DOMAIN_BYTES = 320 };

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

/* What the versions of a feed's rows are. */
static const char *domain_of(const struct sl_feed_config *feed, char out[DOMAIN_BYTES])
{
    const struct sl_config_type *type = feed->source->type;
    if (type->domain && feed->settings && feed->source->settings)
        type->domain(feed->source->settings, feed->settings, out, DOMAIN_BYTES);
    else
        snprintf(out, DOMAIN_BYTES, "of type \"%s\"", type->name);
    return out;
}

/* Two entities of one collection must agree on what makes a document the same and on what makes it
 * newer. */
static void compare(struct use first, struct use second, struct sl_problems *problems)
{
    char ours[100], theirs[100];
    const struct sl_entity_config *entity = second.entity;
    char our_domain[DOMAIN_BYTES], their_domain[DOMAIN_BYTES];
    domain_of(second.feed, our_domain);
    domain_of(first.feed, their_domain);
    if (strcmp(our_domain, their_domain) != 0)
        sl_problem_error(problems, entity->line, entity->column,
                         "the collection \"%s\" is fed by \"%s\" (%s) and \"%s\" (%s): their "
                         "versions cannot be compared, use two collections",
                         entity->collection, first.feed->name, their_domain, second.feed->name,
                         our_domain);
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

static bool has_feed(const struct sl_config *config, const struct sl_source_config *source)
{
    for (size_t i = 0; i < config->feed_count; i++)
        if (config->feeds[i].source == source)
            return true;
    return false;
}

/* Whether a feed makes use of source, or another source does for a feed. */
static bool is_used(const struct sl_config *config, const struct sl_source_config *source)
{
    if (has_feed(config, source) || (source->type && source->type->feeds_optional))
        return true;
    for (size_t i = 0; i < config->source_count; i++) {
        const struct sl_source_config *other = &config->sources[i];
        if (other->settings && other->type && other->type->uses && has_feed(config, other) &&
            other->type->uses(other->settings, source->name))
            return true;
    }
    return false;
}

static void check_unused(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 0; i < config->source_count; i++) {
        const struct sl_source_config *source = &config->sources[i];
        if (config->feed_count && !is_used(config, source))
            sl_problem_warning(problems, source->line, source->column,
                               "no feed uses the source \"%.60s\"", source->name);
    }
}

/* Whether two feeds bring the same rows into one collection: then each would sweep what the other
 * one has written. Rows of listed entities differ by more than the entity: by company, say. */
static bool same_rows(const struct sl_feed_config *a, const struct sl_feed_config *b)
{
    const struct sl_config_type *type = a->source->type;
    const struct sl_entity_config *first = a->entities, *second = b->entities;
    char domain[DOMAIN_BYTES], other[DOMAIN_BYTES];
    if (type != b->source->type || type->entities != SL_ENTITIES_ONE || !type->entity_name ||
        !first->collection || !second->collection)
        return false;
    return *first->route && !strcasecmp(first->route, second->route) &&
           !strcmp(first->collection, second->collection) &&
           !strcmp(domain_of(a, domain), domain_of(b, other));
}

static void check_pair(const struct sl_feed_config *first, const struct sl_feed_config *second,
                       struct sl_problems *problems)
{
    if (first->settings && second->settings && same_rows(first, second))
        sl_problem_error(problems, second->line, second->column,
                         "feeds.%s and feeds.%s bring the same rows into one collection: keep one "
                         "of them",
                         first->name, second->name);
}

static void check_pairs(const struct sl_config *config, struct sl_problems *problems)
{
    for (size_t i = 1; i < config->feed_count; i++)
        for (size_t j = 0; j < i; j++)
            check_pair(&config->feeds[j], &config->feeds[i], problems);
}

void sl_config_check(const struct sl_config *config, struct sl_problems *problems)
{
    check_collections(config, problems);
    check_pairs(config, problems);
    for (const struct sl_config_type *const *type = config->shape->types; *type; type++)
        if ((*type)->check)
            (*type)->check(config, problems);
    if (config->shape->check)
        config->shape->check(config, problems);
    check_unused(config, problems);
    if (config->limits.batch_bytes > config->limits.ingest_credit_bytes) {
        bool said = sl_config_said(config->json, "limits.batch_bytes");
        struct sl_json_place at =
            sl_config_place(config->json, said ? "limits.batch_bytes" : "limits.ingest_credit", 0);
        sl_problem_error(problems, at.line, at.column,
                         "limits.batch_bytes is larger than limits.ingest_credit: no batch could "
                         "ever be complete");
    }
}
