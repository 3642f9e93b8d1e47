/* A feed that another source, or by another counter, has read so far, or none; that was of another
 * kind meanwhile; or that goes to another collection. Rows may be stored that are younger than all
 * that this source has read; deletions must be younger still. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dataverse/dataverse_own.h"
#include "source/strangers.h"

/* Rows of a feed that is not known may carry names of full reads (the state was lost): those to
 * come must have others. */
static int look_at_stored(struct sl_dv_feed *feed, struct sl_checkpoint *at, bool known,
                          int64_t *ret_stored, struct sl_err *err)
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
    if (*ret_stored && !known) /* the feed is new there, and the collection is not */
        rc = sl_strangers_tell(state, env->config, feed->config, collection, env->alerter, err);
    if (rc == SL_OK && *ret_stored && !at->full_number)
        at->full_number = sl_wall_ms() / 1000;
    return rc;
}

char *sl_dv_into(const struct sl_dv_feed *feed)
{
    struct sl_buf buf;
    sl_buf_init(&buf);
    sl_buf_printf(&buf, " into %s.%s", feed->dataverse->env.database,
                  feed->config->entities[0].collection);
    return sl_buf_take(&buf);
}

/* Its rows went by change tracking to where they go today: not so when they were read back, or when
 * the feed moves. */
static bool went_here(const struct sl_dv_feed *feed, const struct sl_checkpoint *at)
{
    char *into = sl_dv_into(feed);
    const char *query = at->query ? at->query : "";
    size_t length = strlen(query), end = strlen(into);
    bool here = length >= end && !strcmp(query + length - end, into);
    free(into);
    return here;
}

/* Since its newest full read began the feed was one of posts or packages, which leave checkpoints
 * alone: what they wrote is not known, nor do the links tell what became of it. */
static int was_another_kind(const struct sl_dv_feed *feed, const struct sl_checkpoint *at,
                            bool *ret, struct sl_err *err)
{
    struct sl_state *state = feed->dataverse->env.state;
    const char *name = feed->config->name;
    struct sl_run *run = SL_NEW(struct sl_run);
    int rc = state->type->run_latest(state, name, run, err);
    bool of_packages = run->execution_id[0] || run->sweeps[0];
    bool of_posts = sl_overtaken_run_number(run->id, name) == INT64_MAX;
    *ret = rc == SL_OK && (of_packages || of_posts) && run->created_ms >= at->full_at_ms;
    if (*ret)
        sl_log(SL_INFO, "feed was of another kind meanwhile", SL_T("feed", name),
               SL_T("run", run->id));
    free(run);
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

int sl_dv_claim(struct sl_dv_feed *feed, struct sl_checkpoint *at, struct sl_err *err)
{
    int64_t stored = 0;
    bool ours = !strcmp(at->source, sl_dv_counter_name(feed->counter)), another_kind;
    int rc = was_another_kind(feed, at, &another_kind, err);
    if (rc != SL_OK)
        return rc;
    bool known = went_here(feed, at) && !another_kind;
    if (ours && known)
        return SL_OK;
    rc = look_at_stored(feed, at, known, &stored, err);
    if (rc == SL_OK)
        rc = sl_dv_rise_above(feed->counter, ours ? "" : at->source, stored, &feed->elsewhere, err);
    if (rc == SL_OK && !ours)
        sl_dataverse_sign(sl_dv_counter_name(feed->counter), feed->config->name, at);
    feed->elsewhere |= another_kind;
    return rc;
}
