#include "cli/feed_named.h"

#include <string.h>

#include "config/nearest.h"

const struct sl_feed_config *sl_feed_named(const struct sl_config *config, const char *name,
                                           struct sl_err *err)
{
    char hint[64];
    struct sl_nearest nearest;
    sl_nearest_init(&nearest, name);
    for (size_t i = 0; i < config->feed_count; i++) {
        if (!strcmp(config->feeds[i].name, name))
            return &config->feeds[i];
        sl_nearest_offer(&nearest, config->feeds[i].name);
    }
    sl_err_set(err, SL_CONFIG, "the configuration has no feed \"%s\"%s", name,
               sl_nearest_hint(&nearest, hint, sizeof hint));
    return NULL;
}
