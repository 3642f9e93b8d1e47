/* Looks in the state for refreshes that were asked for, and tells the feeds here: whoever owns such
 * a feed takes it up. One question every two seconds, however many feeds there are. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/gateway_own.h"

enum { LOOK_EVERY_MS = 2000 };

static void tell(const struct sl_feed *feed)
{
    if (feed->kind->refresh)
        feed->kind->refresh(feed->source);
}

static void look_for_refreshes(void *arg)
{
    struct sl_gateway *gateway = arg;
    size_t count = gateway->feed_count;
    const char **names = sl_calloc(count, sizeof *names);
    bool *open = sl_calloc(count, sizeof *open);
    for (size_t i = 0; i < count; i++)
        names[i] = gateway->feeds[i].config->name;
    do {
        struct sl_err err = {0};
        int rc = gateway->state->type->refreshes_open(gateway->state, names, count, open, &err);
        if (rc != SL_OK && rc != SL_CANCELED)
            sl_log(SL_DEBUG, "cannot look for refreshes", SL_T("error", err.message));
        for (size_t i = 0; rc == SL_OK && i < count; i++)
            if (open[i])
                tell(&gateway->feeds[i]);
    } while (sl_fiber_sleep_beat(LOOK_EVERY_MS) == SL_OK);
    free(names);
    free(open);
}

void sl_refresher_start(struct sl_gateway *gateway)
{
    if (gateway->feed_count)
        gateway->refresher = sl_fiber_spawn_joinable("refresh", look_for_refreshes, gateway);
}

void sl_refresher_stop(struct sl_gateway *gateway)
{
    if (!gateway->refresher)
        return;
    sl_fiber_cancel(gateway->refresher);
    sl_fiber_join(gateway->refresher);
    gateway->refresher = NULL;
}
