#include "source/feed_names.h"

#include <string.h>

#include "base/mem.h"
#include "source/dataverse_settings.h"

const char *sl_feed_name(const struct sl_feed_config *feed, size_t at)
{
    const struct sl_dataverse_feed_settings *settings = feed->settings;
    if (!at)
        return feed->name;
    if (feed->source->type != &sl_dataverse_config_type || !settings->formerly)
        return NULL;
    for (size_t i = 0; i + 1 < at; i++)
        if (!settings->formerly[i])
            return NULL;
    return settings->formerly[at - 1];
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
