/* Entities that the configuration names and a package lacks. As a rule that means that nothing of
 * them had changed; but it may also be a name that is spelled otherwise, or a data project that
 * does not have them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "loop/fiber.h"
#include "source/dmf_own.h"

enum { STRANGER_WAIT_MS = 60 * 1000 };

int sl_dmf_check_names(struct sl_dmf *dmf, const bool *present, const char *stranger,
                       struct sl_err *err)
{
    const struct sl_feed_config *feed = dmf->feed;
    if (dmf->run.number != 1 || !stranger[0]) /* the first package has whatever has rows */
        return SL_OK;
    for (size_t i = 0; i < feed->entity_count; i++) {
        if (present[i] || !sl_dmf_entity(dmf, &feed->entities[i]))
            continue;
        sl_err_set(err, SL_CONFIG,
                   "there is no entity '%s' in it, but '%s', which the configuration does not "
                   "name: if that is it, correct the name under entities; if '%s' has no rows so "
                   "far, leave it out until it has; then start again: this package is read again",
                   feed->entities[i].name, stranger, feed->entities[i].name);
        if (err)
            err->retry_after_ms = SL_DMF_MISFIT_PAUSE_MS;
        return SL_CONFIG;
    }
    return SL_OK;
}

/* Versions of a counter that is taken so late are too great when another feed fills the collection,
 * too, and has exported since. */
static int adopt(struct sl_dmf *dmf, const struct sl_entity_config *config, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    const char *known[] = {dmf->feed->name, NULL};
    char other[SL_NAME_MAX];
    int rc = state->type->stranger_find(state, config->collection, known,
                                        sl_deadline_in(STRANGER_WAIT_MS), other, err);
    if (rc != SL_NOTFOUND)
        return rc;
    struct sl_run_entity *entity = &dmf->run.entities[dmf->run.entity_count];
    *entity = (struct sl_run_entity){0};
    snprintf(entity->name, sizeof entity->name, "%s", config->route);
    rc = state->type->counter_take(state, config->collection, &entity->counter, err);
    if (rc != SL_OK)
        return rc;
    dmf->run.entity_count++;
    sl_log(SL_INFO, "entity configured since the export", SL_T("feed", dmf->feed->name),
           SL_T("run", dmf->run.id), SL_T("entity", config->name));
    return SL_OK;
}

int sl_dmf_adopt_entities(struct sl_dmf *dmf, struct sl_err *err)
{
    int rc = SL_OK;
    if (dmf->run.number != 1)
        return SL_OK;
    for (size_t i = 0; rc == SL_OK && i < dmf->feed->entity_count; i++)
        if (!sl_dmf_entity(dmf, &dmf->feed->entities[i]) &&
            dmf->run.entity_count < SL_RUN_ENTITIES_MAX)
            rc = adopt(dmf, &dmf->feed->entities[i], err);
    return rc;
}

int sl_dmf_find_absent(struct sl_dmf *dmf, char ret_why[SL_ERR_TEXT_BYTES], struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    ret_why[0] = 0;
    for (size_t i = 0; i < dmf->feed->entity_count; i++) {
        const struct sl_entity_config *config = &dmf->feed->entities[i];
        const struct sl_run_entity *entity = sl_dmf_entity(dmf, config);
        uint64_t unseen, live;
        if (!entity || entity->finished)
            continue;
        int rc = state->type->unseen_count(state, config->collection, dmf->feed->name, dmf->run.id,
                                           0, &unseen, &live, err);
        if (rc != SL_OK)
            return rc;
        if (!live)
            continue;
        snprintf(ret_why, SL_ERR_TEXT_BYTES,
                 "the full export has no rows of entity '%s', of which %" PRIu64
                 " documents are stored: is the entity in %s?",
                 config->name, live, dmf->settings->full_definition_group);
        return SL_OK;
    }
    return SL_OK;
}
