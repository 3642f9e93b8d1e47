/* A package that turns out to be broken when rows of it have left: a file's CRC comes last. Those
 * rows may be wrong, and what the next download brings must win over them. Keys that only the
 * broken one had stay until a refresh. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "source/dmf_own.h"

void sl_dmf_spoil(struct sl_dmf *dmf)
{
    char text[SL_ERR_TEXT_BYTES];
    bool news = !dmf->spoilt;
    dmf->spoilt = dmf->to_outdo = true;
    if (!news)
        return;
    snprintf(text, sizeof text,
             "a package of run %s turned out to be broken when rows of it were published already; "
             "it is read again, but documents may be left over whose keys only the broken one had: "
             "sluice refresh %s finds them",
             dmf->run.id, dmf->feed->name);
    dmf->env.alerter->raise(SL_ALERT_NOTICE, dmf->feed->name, "rows of a broken package", text);
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

/* In the order in which they were taken, which is that of the feed. SL_NOTFOUND: another run into
 * one of the collections has taken a counter since. Its snapshot is newer, and must stay so. */
static int renew_counters(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    for (size_t i = 0; i < dmf->feed->entity_count; i++) {
        const struct sl_entity_config *config = &dmf->feed->entities[i];
        struct sl_run_entity *entity = sl_dmf_entity(dmf, config);
        if (!entity)
            continue;
        int rc = state->type->counter_renew(
            state, config->collection, counter_in(dmf, config->collection), &entity->counter, err);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

static int suspect(struct sl_dmf *dmf, struct sl_err *err)
{
    static const char reason[] = "rows of a broken package may have stayed";
    struct sl_state *state = dmf->env.state;
    int rc = state->type->suspect_set(state, dmf->feed->name, reason, dmf->epoch, err);
    if (rc != SL_OK)
        return sl_dmf_refused(dmf, rc);
    snprintf(dmf->run.error, sizeof dmf->run.error, "%s", reason);
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
    int rc = renew_counters(dmf, err);
    if (rc == SL_NOTFOUND)
        rc = suspect(dmf, err);
    if (rc == SL_OK)
        rc = sl_dmf_enter(dmf, SL_RUN_STREAMING, err);
    if (rc == SL_OK)
        dmf->to_outdo = false;
    return rc;
}
