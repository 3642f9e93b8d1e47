/* A feed that another source, or by another counter, has read so far, or none. Rows may be stored
 * that are younger than all that this source has read; deletions must be younger still. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "source/dataverse_own.h"
#include "source/feed_names.h"

enum { STRANGER_WAIT_MS = 10 * 60 * 1000 };

/* The feed is new, and its collection is not: was another one renamed? Then what was deleted in
 * between would stay, because a sweep deletes documents of its own feed alone. */
static int look_for_strangers(struct sl_dv_feed *feed, struct sl_err *err)
{
    const struct sl_dataverse_env *env = &feed->dataverse->env;
    const char *collection = feed->config->entities[0].collection;
    const char **known = sl_feed_names_of(env->config, collection);
    char name[SL_NAME_MAX], text[SL_ERR_TEXT_BYTES + SL_NAME_MAX];
    int rc = env->state->type->stranger_find(env->state, collection, known,
                                             sl_deadline_in(STRANGER_WAIT_MS), name, err);
    free(known);
    if (rc == SL_NOTFOUND)
        return SL_OK;
    if (rc != SL_OK)
        return rc;
    snprintf(text, sizeof text,
             "collection '%s' holds documents of a feed '%s' that the configuration does not name: "
             "those of rows that are gone stay; if feed '%s' was called so, say "
             "\"formerly\": \"%s\" and have it read in full",
             collection, name, feed->config->name, name);
    sl_log(SL_WARN, text, SL_T("feed", feed->config->name));
    env->alerter->raise(SL_ALERT_NOTICE, feed->config->name,
                        "documents of a feed that is not there", text);
    return SL_OK;
}

/* Rows of a feed that is not known may carry names of full reads (the state was lost): those to
 * come must have others. */
static int look_at_stored(struct sl_dv_feed *feed, struct sl_checkpoint *at, int64_t *ret_stored,
                          struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    const char *collection = feed->config->entities[0].collection;
    int rc = state->type->version_max(state, collection, ret_stored, err);
    if (rc != SL_OK)
        return rc;
    if (*ret_stored / 2 >= SL_DV_NUMBER_END)
        return sl_err_set(err, SL_CONFIG,
                          "collection '%s' holds versions that are not of Dataverse (up to %lld): "
                          "its rows would never be newer; empty it, or choose another one",
                          collection, (long long)*ret_stored);
    if (*ret_stored && !at->source[0])
        rc = look_for_strangers(feed, err);
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
        rc = sl_dv_rise_above(feed->counter, at->source, stored, err);
    if (rc == SL_OK && !ours)
        sl_dataverse_sign(sl_dv_counter_name(feed->counter), feed->config->name, at);
    return rc;
}
