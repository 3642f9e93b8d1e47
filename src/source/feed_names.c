#include "source/feed_names.h"

#include <string.h>

#include "base/mem.h"
#include "base/setting.h"
#include "config/check.h"

static const char FORMERLY[] = "formerly";

/* Ended by NULL; NULL: the kind has no such setting, or none are said. Only its place differs from
 * kind to kind. */
static char *const *former_names(const struct sl_feed_config *feed)
{
    char **names = NULL;
    if (!feed->settings)
        return NULL;
    for (const struct sl_setting *one = feed->source->type->feed_table; one->name; one++)
        if (!strcmp(one->name, FORMERLY))
            memcpy(&names, (const char *)feed->settings + one->offset, sizeof names);
    return names;
}

const char *sl_feed_name(const struct sl_feed_config *feed, size_t at)
{
    char *const *names = at ? former_names(feed) : NULL;
    if (!at)
        return feed->name;
    for (size_t i = 0; names && i + 1 < at; i++)
        if (!names[i])
            return NULL;
    return names ? names[at - 1] : NULL;
}

static bool was_called(const struct sl_feed_config *feed, const char *name)
{
    const char *one;
    for (size_t at = 1; (one = sl_feed_name(feed, at)); at++)
        if (!strcmp(one, name))
            return true;
    return false;
}

static void complain(const struct sl_feed_config *feed, size_t item, const char *wrong,
                     struct sl_problems *problems)
{
    struct sl_json_place at = sl_config_place(feed->json, FORMERLY, item);
    sl_problem_error(problems, at.line, at.column, "feeds.%s.%s names a feed that %s", feed->name,
                     FORMERLY, wrong);
}

void sl_feed_check_formerly(const struct sl_config *config, const struct sl_feed_config *feed,
                            struct sl_problems *problems)
{
    const char *name;
    for (size_t at = 1; (name = sl_feed_name(feed, at)); at++)
        for (size_t i = 0; i < config->feed_count; i++)
            if (!strcmp(config->feeds[i].name, name))
                complain(feed, at - 1, "is in the configuration", problems);
            else if (&config->feeds[i] != feed && was_called(&config->feeds[i], name))
                complain(feed, at - 1, "another one claims to have been", problems);
}

static bool fills(const struct sl_feed_config *feed, const char *collection)
{
    for (size_t i = 0; i < feed->entity_count; i++)
        if (!strcmp(feed->entities[i].collection, collection))
            return true;
    return false;
}

const char **sl_feed_names_of(const struct sl_config *config, const char *collection)
{
    const char **names = sl_calloc(1, sizeof *names), *name;
    size_t count = 0;
    for (size_t i = 0; i < config->feed_count; i++) {
        if (!fills(&config->feeds[i], collection))
            continue;
        for (size_t at = 0; (name = sl_feed_name(&config->feeds[i], at)); at++) {
            names = sl_realloc(names, (count + 2) * sizeof *names);
            names[count++] = name;
            names[count] = NULL;
        }
    }
    return names;
}
