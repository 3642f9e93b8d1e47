/* Entities that the configuration names and a package lacks. As a rule that means that nothing of
 * them had changed; but it may also be a name that is spelled otherwise, or a data project that
 * does not have them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dmf/dmf_own.h"
#include "loop/fiber.h"
#include "source/feed_names.h"

enum { STRANGER_WAIT_MS = 60 * 1000 };

/* NULL: all that the run asked for are there. */
static const struct sl_entity_config *first_absent(struct sl_dmf *dmf, const bool *present)
{
    for (size_t i = 0; i < dmf->feed->entity_count; i++)
        if (!present[i] && sl_dmf_entity(dmf, &dmf->feed->entities[i]))
            return &dmf->feed->entities[i];
    return NULL;
}

/* The run goes on: the others have rows in it. */
static void tell_absent(struct sl_dmf *dmf, const char *absent, const char *stranger)
{
    char text[SL_ERR_TEXT_BYTES];
    snprintf(text, sizeof text,
             "the package of run %s has nothing of entity '%s', but '%s', which the configuration "
             "does not "
             "name: if it is called so now, correct the name under entities, start again, and "
             "refresh the feed, since changes of it were passed over",
             dmf->run.id, absent, stranger);
    sl_log(SL_WARN, "an entity is not in the package", SL_T("feed", dmf->feed->name),
           SL_T("run", dmf->run.id), SL_T("entity", absent), SL_T("found", stranger));
    dmf->env.alerter->raise(SL_ALERT_NOTICE, dmf->feed->name, "an entity is not in the package",
                            text);
}

int sl_dmf_check_names(struct sl_dmf *dmf, const bool *present, bool listed, const char *stranger,
                       struct sl_err *err)
{
    const struct sl_entity_config *absent = stranger[0] ? first_absent(dmf, present) : NULL;
    bool was_told = dmf->absent_told;
    dmf->absent_told = false;
    if (!absent)
        return SL_OK;
    if (dmf->run.number == 1) { /* the first package has whatever has rows */
        sl_err_set(
            err, SL_CONFIG,
            "there is nothing of entity '%s' in it, but '%s', which the configuration does not "
            "name: if that is it, correct the name under entities; if '%s' has no rows so "
            "far, leave it out until it has; then start again: this package is read again",
            absent->name, stranger, absent->name);
        if (err)
            err->retry_after_ms = SL_DMF_MISFIT_PAUSE_MS;
        return SL_CONFIG;
    }
    dmf->absent_told = listed; /* else it may just have no changes */
    if (listed && !was_told)
        tell_absent(dmf, absent->name, stranger);
    return SL_OK;
}

/* Another feed fills the collection, too: SL_OK. What this one brought under names that it had
 * before is its own. SL_NOTFOUND: none does. */
static int find_other(const struct sl_dmf *dmf, const char *collection, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    char other[SL_NAME_MAX];
    size_t count = 0;
    while (sl_feed_name(dmf->feed, count))
        count++;
    const char **known = sl_calloc(count + 1, sizeof *known);
    for (size_t i = 0; i < count; i++)
        known[i] = sl_feed_name(dmf->feed, i);
    int rc = state->type->stranger_find(state, collection, known, sl_deadline_in(STRANGER_WAIT_MS),
                                        other, err);
    free(known);
    return rc;
}

/* Versions of a counter that is taken so late are too great when another feed has exported since. A
 * collection that takes too long to look through is left: a full export brings the rows, too. That
 * of the first run is small as a rule, and it is MongoDB that is slow. */
static int adopt(struct sl_dmf *dmf, const struct sl_entity_config *config, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    int rc = find_other(dmf, config->collection, err);
    if (rc == SL_TIMEOUT && dmf->run.number != 1)
        return SL_OK;
    if (rc != SL_NOTFOUND)
        return rc;
    struct sl_run_entity *entity = &dmf->run.entities[dmf->run.entity_count];
    *entity = (struct sl_run_entity){0};
    snprintf(entity->name, sizeof entity->name, "%s", config->route);
    rc = state->type->counter_take(state, config->collection, 0, &entity->counter, err);
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
    for (size_t i = 0; rc == SL_OK && i < dmf->feed->entity_count; i++)
        if (!sl_dmf_entity(dmf, &dmf->feed->entities[i]) &&
            dmf->run.entity_count < SL_RUN_ENTITIES_MAX)
            rc = adopt(dmf, &dmf->feed->entities[i], err);
    return rc;
}

void sl_dmf_note_missed(struct sl_dmf *dmf, const struct sl_entity_config *entity)
{
    char told[800];
    snprintf(dmf->run.error, sizeof dmf->run.error,
             "its file of entity '%s' was passed over: the entity was configured after the export "
             "had begun, and another feed may fill '%s', too",
             entity->name, entity->collection);
    sl_log(SL_ERROR, "rows of an entity were passed over", SL_T("feed", dmf->feed->name),
           SL_T("run", dmf->run.id), SL_T("error", dmf->run.error),
           SL_T("next", sl_dmf_after_loss(dmf)));
    snprintf(told, sizeof told, "Run %s of feed %s: %s; %s.", dmf->run.id, dmf->feed->name,
             dmf->run.error, sl_dmf_after_loss(dmf));
    dmf->env.alerter->raise(SL_ALERT_RUN_FAILED, dmf->feed->name,
                            "rows of an entity were passed over", told);
}

/* What is stored of it cannot be told from the other one's documents. */
static bool shares_its_collection(struct sl_dmf *dmf, const struct sl_entity_config *config)
{
    for (size_t i = 0; i < dmf->feed->entity_count; i++) {
        const struct sl_entity_config *other = &dmf->feed->entities[i];
        const struct sl_run_entity *entity = sl_dmf_entity(dmf, other);
        if (other != config && entity && entity->finished &&
            !strcmp(other->collection, config->collection))
            return true;
    }
    return false;
}

bool sl_dmf_brings_changes_only(const struct sl_dmf *dmf)
{
    for (unsigned i = 0; i < dmf->run.entity_count; i++)
        if (dmf->run.entities[i].changes_only)
            return true;
    return false;
}

/* Documents that live, also those under names that the feed had before. */
static int count_stored(const struct sl_dmf *dmf, const char *collection, uint64_t *ret,
                        struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    const char *name;
    int rc = SL_OK;
    *ret = 0;
    for (size_t i = 0; rc == SL_OK && (name = sl_feed_name(dmf->feed, i)); i++) {
        const struct sl_unseen of = {.collection = collection, .feed = name, .seen = dmf->run.id};
        uint64_t unseen, live = 0;
        rc = state->type->unseen_count(state, &of, &unseen, &live, err);
        *ret += live;
    }
    return rc;
}

int sl_dmf_doubt_full(struct sl_dmf *dmf, char ret_why[SL_ERR_TEXT_BYTES], struct sl_err *err)
{
    ret_why[0] = 0;
    if (sl_dmf_brings_changes_only(dmf)) {
        snprintf(ret_why, SL_ERR_TEXT_BYTES,
                 "by its manifest the full export brought changes only: set the entities of %s to "
                 "'Full push only'",
                 dmf->settings->full_definition_group);
        return SL_OK;
    }
    for (size_t i = 0; i < dmf->feed->entity_count; i++) {
        const struct sl_entity_config *config = &dmf->feed->entities[i];
        const struct sl_run_entity *entity = sl_dmf_entity(dmf, config);
        uint64_t live;
        if (!entity || entity->finished || shares_its_collection(dmf, config))
            continue;
        int rc = count_stored(dmf, config->collection, &live, err);
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
