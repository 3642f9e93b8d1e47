/* A refresh of a feed that somebody asked for. A full export, then a run of its own that deletes
 * what the export did not bring; files never tell of deletions.
 *
 *     asked ──full run planned──► reading ──it is done──► sweeping ──sweep run done──► done
 *
 * Which document the export did not bring follows from versions alone: each row of it has a
 * counter that is greater than all before, so that what is not above the counter's first row was
 * not in it. An export that was not read whole proves nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dmf/dmf_own.h"
#include "source/strangers.h"
#include "source/sweep.h"

static int save(struct sl_dmf *dmf, struct sl_refresh *refresh, enum sl_refresh_state to,
                struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    refresh->state = to;
    int rc = state->type->refresh_save(state, refresh, dmf->epoch, err);
    return sl_dmf_refused(dmf, rc);
}

static int conclude(struct sl_dmf *dmf, struct sl_refresh *refresh, enum sl_refresh_state how,
                    const char *why, struct sl_err *err)
{
    snprintf(refresh->note, sizeof refresh->note, "%s", why);
    int rc = save(dmf, refresh, how, err);
    if (rc != SL_OK)
        return rc;
    sl_log(how == SL_REFRESH_DONE ? SL_INFO : SL_ERROR, "refresh ended",
           SL_T("feed", dmf->feed->name), SL_T("read", refresh->read),
           SL_T("how", sl_refresh_state_name(how)), SL_T("why", why));
    if (how == SL_REFRESH_REFUSED)
        dmf->env.alerter->raise(SL_ALERT_SWEEP_REFUSED, dmf->feed->name, "sweep refused", why);
    else if (how == SL_REFRESH_DONE && !refresh->dry_run)
        dmf->env.alerter->clear(SL_ALERT_SWEEP_REFUSED, dmf->feed->name);
    return SL_OK;
}

/* Its documents are there as long as no sweep was allowed since. */
static void remind(const struct sl_dmf *dmf, const struct sl_refresh *refresh)
{
    if (refresh->state == SL_REFRESH_REFUSED)
        dmf->env.alerter->remind(SL_ALERT_SWEEP_REFUSED, dmf->feed->name, "sweep refused",
                                 refresh->note);
}

/* --- the collections of the feed --- */

static struct sl_refresh_part *part_of(struct sl_refresh *refresh, const char *collection)
{
    for (unsigned i = 0; i < refresh->part_count; i++)
        if (!strcmp(refresh->parts[i].collection, collection))
            return &refresh->parts[i];
    return NULL;
}

static void name_parts(const struct sl_dmf *dmf, struct sl_refresh *refresh)
{
    _Static_assert((int)SL_CONFIG_ENTITIES_MAX <= (int)SL_REFRESH_PARTS_MAX, "it names them all");
    refresh->part_count = 0;
    snprintf(refresh->database, sizeof refresh->database, "%s", dmf->env.state->database);
    for (size_t i = 0; i < dmf->feed->entity_count; i++) {
        const char *collection = dmf->feed->entities[i].collection;
        if (part_of(refresh, collection))
            continue;
        struct sl_refresh_part *part = &refresh->parts[refresh->part_count++];
        *part = (struct sl_refresh_part){0};
        snprintf(part->collection, sizeof part->collection, "%s", collection);
    }
}

/* Whether that is where the export's rows went. */
static bool is_there(const struct sl_dmf *dmf, const struct sl_refresh *refresh)
{
    return !refresh->database[0] || !strcmp(refresh->database, dmf->env.state->database);
}

/* Any entity whose rows go there; NULL: none any more. */
static const struct sl_entity_config *entity_into(const struct sl_dmf *dmf, const char *collection)
{
    for (size_t i = 0; i < dmf->feed->entity_count; i++)
        if (!strcmp(dmf->feed->entities[i].collection, collection))
            return &dmf->feed->entities[i];
    return NULL;
}

/* --- what may be deleted --- */

/* Whether what the export did not bring may be alive: nobody has said by --force that it is not. */
static bool is_partial(const struct sl_dmf *dmf, const struct sl_refresh *refresh)
{
    bool forced = refresh->force && !refresh->dry_run;
    return sl_dmf_brings_changes_only(dmf) && !forced;
}

/* Whether every entity was in the package, and goes where it went when the export was planned.
 * Gives each collection the version below the export's rows. */
static bool find_floors(struct sl_dmf *dmf, struct sl_refresh *refresh, char *why, size_t size)
{
    if (!is_there(dmf, refresh)) {
        snprintf(why, size,
                 "%s: another mongo.database was configured after the export had begun, so that "
                 "its rows are in '%s'; refresh again",
                 dmf->run.id, refresh->database);
        return false;
    }
    for (unsigned i = 0; i < refresh->part_count; i++) {
        refresh->parts[i].floor = INT64_MAX;
        refresh->parts[i].partial = is_partial(dmf, refresh);
    }
    for (size_t i = 0; i < dmf->feed->entity_count; i++) {
        const struct sl_entity_config *config = &dmf->feed->entities[i];
        const struct sl_run_entity *entity = sl_dmf_entity(dmf, config);
        struct sl_refresh_part *part = part_of(refresh, config->collection);
        if (!part || !entity) {
            snprintf(why, size,
                     "%s: entity '%s' or its collection was configured after the export had "
                     "begun; refresh again",
                     dmf->run.id, config->name);
            return false;
        }
        if (!entity->finished) {
            snprintf(why, size,
                     "%s: the package has no file of entity '%s' with rows in it, so all of its "
                     "documents would look deleted; is the entity in %s?",
                     dmf->run.id, config->name, dmf->settings->full_definition_group);
            return false;
        }
        int64_t floor = entity->counter << SL_VERSION_ROW_BITS; /* rows count from 1 */
        if (floor < part->floor)
            part->floor = floor;
    }
    for (unsigned i = 0; i < refresh->part_count; i++)
        if (refresh->parts[i].floor == INT64_MAX) {
            snprintf(why, size, "%s: nothing goes to '%s' any more; refresh again", dmf->run.id,
                     refresh->parts[i].collection);
            return false;
        }
    return true;
}

static int look_for_dead(struct sl_dmf *dmf, bool *ret, struct sl_err *err)
{
    struct sl_ledger_sum sum;
    bool closed;
    int rc = sl_dmf_read_ledger(dmf, &sum, &closed, err);
    *ret = sum.dead;
    for (unsigned i = 0; i < dmf->run.entity_count; i++)
        *ret |= dmf->run.entities[i].dead != 0;
    return rc;
}

static struct sl_sweep sweep_of(const struct sl_dmf *dmf, const struct sl_refresh *refresh)
{
    return (struct sl_sweep){
        .state = dmf->env.state,
        .feed = dmf->feed,
        .read = refresh->read,
        .limit_percent = dmf->settings->sweep_limit_percent,
        .force = refresh->force,
        .doubt = sl_dmf_brings_changes_only(dmf) ? "by its manifest the export brought changes only"
                                                 : NULL,
    };
}

/* Counts all parts. *ret_unseen: documents that would be deleted; why: not to be deleted, "" when
 * they may. */
static int count_parts(struct sl_dmf *dmf, struct sl_refresh *refresh, uint64_t *ret_unseen,
                       char why[SL_ERR_TEXT_BYTES], struct sl_err *err)
{
    struct sl_sweep sweep = sweep_of(dmf, refresh);
    *ret_unseen = 0;
    why[0] = '\0';
    int rc = look_for_dead(dmf, &sweep.dead, err);
    for (unsigned i = 0; i < refresh->part_count && rc == SL_OK; i++) {
        struct sl_refresh_part *part = &refresh->parts[i];
        rc = sl_sweep_count(&sweep, part, err);
        *ret_unseen += part->unseen;
        if (rc == SL_OK && !why[0])
            sl_sweep_is_allowed(&sweep, part, why);
    }
    return rc;
}

/* The run that deletes, after the full one. */
static int begin_sweep(struct sl_dmf *dmf, struct sl_refresh *refresh, uint64_t unseen,
                       struct sl_err *err)
{
    struct sl_run run = sl_dmf_next_run(dmf);
    snprintf(run.sweeps, sizeof run.sweeps, "%s", refresh->read);
    run.state = SL_RUN_STREAMING;
    int rc = save(dmf, refresh, SL_REFRESH_SWEEPING, err);
    if (rc == SL_OK)
        rc = sl_dmf_begin_run(dmf, &run, err);
    if (rc == SL_OK)
        sl_log(SL_INFO, "sweep begins", SL_T("feed", dmf->feed->name), SL_T("run", run.id),
               SL_T("read", refresh->read), SL_N("documents", unseen));
    return rc;
}

/* What comes late from before the export shall not make documents that the sweep cannot see: those
 * that it made until now are counted once more. */
static int overtake(struct sl_dmf *dmf, struct sl_refresh *refresh, uint64_t *ret_unseen,
                    char why[SL_ERR_TEXT_BYTES], struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    struct sl_overtake by = {.run = dmf->run.number - 1};
    bool dead = false;
    snprintf(by.feed, sizeof by.feed, "%s", dmf->feed->name);
    int rc = look_for_dead(dmf, &dead, err);
    /* Not brought or not stored whole: an older row may be the only one there is. */
    if (rc != SL_OK || dead || is_partial(dmf, refresh))
        return rc;
    rc = sl_overtaken_tell(state, &by, state->write_ms, err);
    return rc == SL_OK ? count_parts(dmf, refresh, ret_unseen, why, err) : rc;
}

/* What took too long to look through is left: the refresh must not wait for it for ever. */
static void tell_strangers(struct sl_dmf *dmf, const struct sl_refresh *refresh)
{
    for (unsigned i = 0; i < refresh->part_count; i++) {
        const char *collection = refresh->parts[i].collection;
        struct sl_err err = {0};
        int rc = sl_strangers_tell(dmf->env.state, dmf->env.config, dmf->feed, collection,
                                   dmf->env.alerter, &err);
        if (rc != SL_OK && rc != SL_CANCELED)
            sl_log(SL_WARN, "not looked for documents of other feeds",
                   SL_T("feed", dmf->feed->name), SL_T("collection", collection),
                   SL_T("error", err.message));
    }
}

/* The full export is done. */
static int after_export(struct sl_dmf *dmf, struct sl_refresh *refresh, struct sl_err *err)
{
    char why[SL_ERR_TEXT_BYTES];
    uint64_t unseen = 0;
    if (dmf->run.state == SL_RUN_FAILED || dmf->run.error[0])
        return conclude(dmf, refresh, SL_REFRESH_FAILED, dmf->run.error, err);
    if (!find_floors(dmf, refresh, why, sizeof why)) {
        refresh->part_count = 0;
        return conclude(dmf, refresh, SL_REFRESH_REFUSED, why, err);
    }
    int rc = count_parts(dmf, refresh, &unseen, why, err);
    if (rc != SL_OK)
        return rc;
    tell_strangers(dmf, refresh);
    if (refresh->dry_run)
        return conclude(dmf, refresh, SL_REFRESH_DONE, "", err);
    if (!why[0])
        rc = overtake(dmf, refresh, &unseen, why, err);
    if (rc != SL_OK)
        return rc;
    if (why[0])
        return conclude(dmf, refresh, SL_REFRESH_REFUSED, why, err);
    return unseen ? begin_sweep(dmf, refresh, unseen, err)
                  : conclude(dmf, refresh, SL_REFRESH_DONE, "", err);
}

/* --- between two runs --- */

static int plan_export(struct sl_dmf *dmf, struct sl_refresh *refresh, bool *ret_full,
                       struct sl_err *err)
{
    snprintf(refresh->read, sizeof refresh->read, "%s-%06" PRId64, dmf->feed->name,
             sl_dmf_next_number(dmf));
    name_parts(dmf, refresh);
    int rc = save(dmf, refresh, SL_REFRESH_READING, err);
    *ret_full = rc == SL_OK;
    return rc;
}

static int take_up(struct sl_dmf *dmf, struct sl_refresh *refresh, bool *ret_full, bool *ret_moved,
                   struct sl_err *err)
{
    bool begun = refresh->state != SL_REFRESH_ASKED && dmf->run.number;
    *ret_moved = true;
    if (begun && !strcmp(refresh->read, dmf->run.sweeps))
        return conclude(dmf, refresh,
                        dmf->run.state == SL_RUN_DONE ? SL_REFRESH_DONE : SL_REFRESH_FAILED,
                        dmf->run.error, err);
    /* The name alone proves nothing: an owner of old may have chosen it, and a newer one has given
     * it to an increment. */
    if (begun && dmf->run.full && !strcmp(refresh->read, dmf->run.id))
        return after_export(dmf, refresh, err);
    if (!dmf->settings->full_definition_group)
        return conclude(dmf, refresh, SL_REFRESH_FAILED,
                        "the feed has no full_definition_group, so that it cannot be read in full",
                        err);
    *ret_moved = false;
    return plan_export(dmf, refresh, ret_full, err);
}

int sl_dmf_refresh(struct sl_dmf *dmf, bool *ret_full, bool *ret_moved, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    struct sl_refresh *refresh = SL_NEW(struct sl_refresh);
    *ret_full = *ret_moved = false;
    dmf->refresh_told = false;
    int rc = state->type->refresh_get(state, dmf->feed->name, refresh, err);
    if (rc == SL_OK && sl_refresh_is_stranded(refresh, dmf->epoch, false))
        rc = sl_refresh_strand(state, refresh, err);
    else if (rc == SL_OK && sl_refresh_is_open(refresh))
        rc = take_up(dmf, refresh, ret_full, ret_moved, err);
    else if (rc == SL_OK)
        remind(dmf, refresh);
    free(refresh);
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

void sl_source_dmf_refresh(struct sl_source *source)
{
    struct sl_dmf *dmf = (struct sl_dmf *)source;
    dmf->refresh_told = true;
    sl_wake_all(&dmf->wake);
}

/* --- the run that deletes --- */

struct deleting {
    struct sl_dmf *dmf;
    int64_t floor;
};

static int delete_one(void *ctx, struct sl_str id, struct sl_err *err)
{
    struct deleting *deleting = ctx;
    struct sl_batcher *batcher = deleting->dmf->batcher;
    struct sl_batch *batch;
    if (deleting->dmf->released)
        return sl_err_set(err, SL_CLOSED, "a batch could not be delivered");
    int rc = sl_batcher_open(batcher, &batch, err);
    if (rc != SL_OK)
        return rc;
    const struct sl_record record = {
        .op = SL_DELETE, .id = sl_batch_keep(batch, id), .version = deleting->floor};
    return sl_batcher_add(batcher, &record, err);
}

static int sweep_part(struct sl_dmf *dmf, const struct sl_refresh *refresh,
                      const struct sl_refresh_part *part, struct sl_err *err)
{
    const struct sl_sweep sweep = sweep_of(dmf, refresh);
    const struct sl_entity_config *config = entity_into(dmf, part->collection);
    struct sl_run_entity *total = config ? sl_dmf_entity(dmf, config) : NULL;
    struct sl_batcher_totals totals;
    if (!total)
        return sl_err_set(err, SL_NOTFOUND, "nothing goes to '%s' any more", part->collection);
    const struct sl_origin origin = {
        .feed = dmf->feed->name,
        .entity = config->route,
        .run = dmf->run.id,
        .file = "",
        .attempt = dmf->run.attempt,
        .lane = SL_LANE_BULK,
    };
    struct deleting deleting = {dmf, part->floor};
    int rc = sl_batcher_begin(dmf->batcher, &origin, err);
    if (rc == SL_OK)
        rc = sl_sweep_walk(&sweep, part, delete_one, &deleting, err);
    if (rc == SL_OK)
        rc = sl_batcher_end(dmf->batcher, &totals, err);
    if (rc != SL_OK)
        return rc;
    total->read = totals.read;
    total->superseded = totals.superseded;
    total->batches = totals.batches;
    total->finished = true;
    return SL_OK;
}

/* The refresh that the run deletes for; nothing else may be deleted. */
static int find_refresh(struct sl_dmf *dmf, struct sl_refresh *ret, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    int rc = state->type->refresh_get(state, dmf->feed->name, ret, err);
    if (rc == SL_OK && strcmp(ret->read, dmf->run.sweeps) != 0)
        rc = SL_NOTFOUND;
    if (rc == SL_OK && !is_there(dmf, ret))
        return sl_err_set(err, SL_NOTFOUND, "its documents are in another database, '%s'",
                          ret->database);
    return rc == SL_NOTFOUND ? sl_err_set(err, rc, "the refresh that it is for is not known") : rc;
}

int sl_dmf_sweep(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_refresh *refresh = SL_NEW(struct sl_refresh);
    sl_dmf_forget_attempt(dmf);
    int rc = find_refresh(dmf, refresh, err);
    for (unsigned i = 0; rc == SL_OK && i < refresh->part_count; i++)
        if (refresh->parts[i].unseen)
            rc = sweep_part(dmf, refresh, &refresh->parts[i], err);
    if (rc == SL_OK)
        rc = sl_dmf_wait_committed(dmf, err);
    else
        sl_batcher_abandon(dmf->batcher);
    free(refresh);
    return rc == SL_OK ? rc : sl_err_wrap(err, "sweep of run %s", dmf->run.sweeps);
}
