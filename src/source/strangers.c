#include "source/strangers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "loop/fiber.h"
#include "source/feed_names.h"

enum { WAIT_MS = 10 * 60 * 1000 };

int sl_strangers_tell(struct sl_state *state, const struct sl_config *config,
                      const struct sl_feed_config *feed, const char *collection,
                      const struct sl_alerter *alerter, struct sl_err *err)
{
    const char **known = sl_feed_names_of(config, collection);
    char name[SL_NAME_MAX], text[SL_ERR_TEXT_BYTES + SL_NAME_MAX];
    int rc =
        state->type->stranger_find(state, collection, known, sl_deadline_in(WAIT_MS), name, err);
    free(known);
    if (rc != SL_OK)
        return rc == SL_NOTFOUND ? SL_OK : rc;
    snprintf(text, sizeof text,
             "collection '%s' holds documents of a feed '%s' that the configuration does not name: "
             "those of rows that are gone stay; if feed '%s' was called so, say "
             "\"formerly\": \"%s\" and have it read in full",
             collection, name, feed->name, name);
    sl_log(SL_WARN, text, SL_T("feed", feed->name));
    alerter->raise(SL_ALERT_NOTICE, feed->name, "documents of a feed that is not there", text);
    return SL_OK;
}
