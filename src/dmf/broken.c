/* A package that turns out to be broken when rows of it have left: a file's CRC comes last. Those
 * rows may be wrong, and what the next download brings must win over them. So it must over an
 * attempt that ended before a CRC could tell. Keys that only the broken one had stay until a
 * refresh. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "dmf/dmf_own.h"

static void tell(struct sl_dmf *dmf)
{
    char text[SL_ERR_TEXT_BYTES];
    snprintf(text, sizeof text,
             "a package of run %s turned out to be broken when rows of it were published already; "
             "it is read again, but documents may be left over whose keys only the broken one had: "
             "sluice refresh %s finds them",
             dmf->run.id, dmf->feed->name);
    dmf->env.alerter->raise(SL_ALERT_NOTICE, dmf->feed->name, "rows of a broken package", text);
}

void sl_dmf_spoil(struct sl_dmf *dmf, bool broken)
{
    if (broken && !dmf->spoilt)
        tell(dmf);
    dmf->spoilt |= broken;
    dmf->to_outdo |= broken ? SL_DMF_BROKEN : SL_DMF_UNENDED;
}

/* The newest one that the run has there. */
static int64_t counter_in(struct sl_dmf *dmf, const char *collection)
{
    int64_t newest = 0;
    for (size_t i = 0; i < dmf->feed->entity_count; i++) {
        const struct sl_entity_config *config = &dmf->feed->entities[i];
        const struct sl_run_entity *entity = sl_dmf_entity(dmf, config);
        if (entity && !strcmp(config->collection, collection) && entity->counter > newest)
            newest = entity->counter;
    }
    return newest;
}

/* In the order in which they were taken, which is that of the feed. !*ret_all: another run into one
 * of the collections has taken a counter since. Its snapshot is newer, and must stay so. */
static int renew_counters(struct sl_dmf *dmf, bool *ret_all, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    int64_t journaled[SL_CONFIG_ENTITIES_MAX] = {0};
    *ret_all = true;
    for (size_t i = 0; i < dmf->feed->entity_count; i++)
        journaled[i] = counter_in(dmf, dmf->feed->entities[i].collection);
    for (size_t i = 0; i < dmf->feed->entity_count; i++) {
        const struct sl_entity_config *config = &dmf->feed->entities[i];
        struct sl_run_entity *entity = sl_dmf_entity(dmf, config);
        if (!entity)
            continue;
        int rc = state->type->counter_renew(state, config->collection, journaled[i],
                                            &entity->counter, err);
        if (rc == SL_NOTFOUND)
            *ret_all = false;
        else if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

/* The run's error is journaled first: as long as it is there, the run heals nothing, and its end
 * makes the feed suspect again (end.c). */
static int suspect(struct sl_dmf *dmf, struct sl_err *err)
{
    static const char reason[] = "rows of a broken package may have stayed";
    int rc = sl_dmf_enter_with(dmf, SL_RUN_STREAMING, reason, err);
    if (rc == SL_OK)
        rc = sl_dmf_mark(dmf, reason, err);
    if (rc != SL_OK)
        return rc;
    const char *next = sl_dmf_after_loss(dmf);
    sl_log(SL_ERROR, reason, SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id),
           SL_T("next", next));
    dmf->env.alerter->raise(SL_ALERT_RUN_FAILED, dmf->feed->name, reason, next);
    return SL_OK;
}

int sl_dmf_outdo(struct sl_dmf *dmf, struct sl_err *err)
{
    if (!dmf->to_outdo)
        return SL_OK;
    struct sl_run before = dmf->run;
    bool all;
    int rc = renew_counters(dmf, &all, err);
    if (rc == SL_OK && !all && dmf->to_outdo & SL_DMF_BROKEN)
        rc = suspect(dmf, err);
    else if (rc == SL_OK)
        rc = sl_dmf_enter(dmf, SL_RUN_STREAMING, err);
    if (rc == SL_OK)
        dmf->to_outdo = 0;
    else
        dmf->run = before; /* those that are journaled are what the next try renews */
    return rc;
}
