/* A feed that another source, or by another counter, has read so far, or none. Rows may be stored
 * that are younger than all that this source has read; deletions must be younger still. */
#include <string.h>

#include "base/clock.h"
#include "source/dataverse_own.h"
#include "source/strangers.h"

/* Rows of a feed that is not known may carry names of full reads (the state was lost): those to
 * come must have others. */
static int look_at_stored(struct sl_dv_feed *feed, struct sl_checkpoint *at, int64_t *ret_stored,
                          struct sl_err *err)
{
    const struct sl_dataverse_env *env = &feed->dataverse->env;
    struct sl_state *state = env->state;
    const char *collection = feed->config->entities[0].collection;
    int rc = state->type->version_max(state, collection, ret_stored, err);
    if (rc != SL_OK)
        return rc;
    if (*ret_stored / 2 >= SL_DV_NUMBER_END)
        return sl_err_set(err, SL_CONFIG,
                          "collection '%s' holds versions that are not of Dataverse (up to %lld): "
                          "its rows would never be newer; empty it, or choose another one",
                          collection, (long long)*ret_stored);
    if (*ret_stored && !at->source[0]) /* the feed is new, and its collection is not */
        rc = sl_strangers_tell(state, env->config, feed->config, collection, env->alerter, err);
    if (rc == SL_OK && *ret_stored && !at->full_number)
        at->full_number = sl_wall_ms() / 1000;
    return rc;
}

/* Its rows were read back before it was followed. */
static bool was_asked_for(const struct sl_checkpoint *at)
{
    return at->query && !strncmp(at->query, SL_DATAVERSE_ASKED, strlen(SL_DATAVERSE_ASKED));
}

int sl_dv_claim(struct sl_dv_feed *feed, struct sl_checkpoint *at, struct sl_err *err)
{
    int64_t stored = 0;
    bool ours = !strcmp(at->source, sl_dv_counter_name(feed->counter));
    if (ours && !was_asked_for(at))
        return SL_OK;
    int rc = look_at_stored(feed, at, &stored, err);
    if (rc == SL_OK && !ours)
        rc = sl_dv_rise_above(feed->counter, at->source, stored, &feed->elsewhere, err);
    if (rc == SL_OK && !ours)
        sl_dataverse_sign(sl_dv_counter_name(feed->counter), feed->config->name, at);
    return rc;
}
