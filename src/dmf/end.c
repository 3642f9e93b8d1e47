/* How a run ends: failed, or done because the ledger has closed. */
#include <stdio.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "dmf/dmf_own.h"
#include "loop/fiber.h"

enum {
    LEDGER_POLL_MIN_MS = 50,
    LEDGER_POLL_MAX_MS = 2000,
    HELD_MAX_MS = 24 * 3600 * 1000, /* that a ledger is waited for because nobody applies */
    DOUBLINGS_MAX = 5,              /* of the deadline, for a cause that does not go away */
};

static void count_end(const struct sl_dmf *dmf, const char *how, int64_t runs)
{
    sl_metric_add(sl_counter("runs_total", "Runs by how they ended.", "feed=\"%s\",end=\"%s\"",
                             dmf->feed->name, how),
                  runs);
}

void sl_dmf_count_from_zero(const struct sl_dmf *dmf)
{
    count_end(dmf, "done", 0);
    count_end(dmf, "failed", 0);
}

const char *sl_dmf_after_loss(const struct sl_dmf *dmf)
{
    return dmf->settings->full_definition_group
               ? "a full export follows"
               : "changes may be missing: configure full_definition_group, so that a full export "
                 "can follow";
}

int sl_dmf_lose(struct sl_dmf *dmf, const struct sl_run *run, const char *reason,
                struct sl_err *err)
{
    int rc = sl_dmf_mark(dmf, reason, err);
    if (rc != SL_OK)
        return rc;
    sl_log(SL_ERROR, "an export may be lost", SL_T("feed", dmf->feed->name), SL_T("run", run->id),
           SL_T("error", reason), SL_T("next", sl_dmf_after_loss(dmf)));
    dmf->env.alerter->raise(SL_ALERT_RUN_FAILED, dmf->feed->name, "an export may be lost", reason);
    return SL_OK;
}

/* What follows the failed run, for a person. A full export of a feed that is not suspect was for a
 * refresh, which ends with it. */
static int find_next(struct sl_dmf *dmf, bool marked, const char **ret_next, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    char reason[SL_ERR_TEXT_BYTES];
    int suspect = SL_OK;
    if (dmf->run.full && !marked)
        suspect = state->type->suspect_get(state, dmf->feed->name, reason, err);
    if (suspect != SL_OK && suspect != SL_NOTFOUND)
        return suspect;
    if (suspect == SL_NOTFOUND || dmf->run.sweeps[0])
        *ret_next = "refresh the feed again";
    else
        *ret_next = marked || dmf->run.full ? sl_dmf_after_loss(dmf) : "it will be started anew";
    return SL_OK;
}

int sl_dmf_fail(struct sl_dmf *dmf, enum sl_dmf_loss loss, const char *why, struct sl_err *err)
{
    char text[SL_ERR_TEXT_BYTES];
    const char *next;
    snprintf(text, sizeof text, "%s", why); /* why may lie in err */
    bool marks =
        loss != SL_DMF_LOST_NOTHING && (!dmf->run.full || dmf->spoilt || dmf->run.error[0]);
    int rc = marks ? sl_dmf_mark(dmf, text, err) : SL_OK;
    if (rc == SL_OK)
        rc = find_next(dmf, marks, &next, err);
    if (rc != SL_OK)
        return rc;
    rc = loss == SL_DMF_GIVEN_UP && !dmf->run.full /* which would move no watermark */
             ? sl_dmf_enter_unsettled(dmf, SL_RUN_FAILED, text, err)
             : sl_dmf_enter_with(dmf, SL_RUN_FAILED, text, err);
    if (rc != SL_OK)
        return rc;
    sl_dmf_drop_collections(dmf);
    sl_dmf_tell_end(dmf);

    dmf->failures++;
    count_end(dmf, "failed", 1);
    sl_log(SL_ERROR, "run failed", SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id),
           SL_T("error", text), SL_T("next", next));
    char told[800];
    snprintf(told, sizeof told, "Run %s of feed %s failed: %s; %s.", dmf->run.id, dmf->feed->name,
             text, next);
    dmf->env.alerter->raise(SL_ALERT_RUN_FAILED, dmf->feed->name, "run failed", told);
    return SL_OK;
}

/* --- done --- */

int sl_dmf_read_ledger(struct sl_dmf *dmf, struct sl_ledger_sum *ret, bool *ret_closed,
                       struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    *ret = (struct sl_ledger_sum){0};
    *ret_closed = true;
    for (unsigned i = 0; i < dmf->run.entity_count; i++) {
        const struct sl_run_entity *entity = &dmf->run.entities[i];
        struct sl_ledger_sum sum = {0};
        int rc = SL_OK;
        if (entity->batches)
            rc = state->type->ledger_sum(state, dmf->run.id, dmf->run.attempt, entity->name, &sum,
                                         err);
        if (rc != SL_OK)
            return rc;
        uint64_t accounted = sum.applied + sum.stale + sum.dead + entity->superseded + entity->dead;
        if (sum.batches != entity->batches || accounted != entity->read)
            *ret_closed = false;
        ret->batches += sum.batches;
        ret->rows += sum.rows;
        ret->applied += sum.applied;
        ret->stale += sum.stale;
        ret->dead += sum.dead;
    }
    return SL_OK;
}

static void log_done(const struct sl_dmf *dmf, const struct sl_ledger_sum *sum)
{
    uint64_t read = 0, dead = sum->dead, superseded = 0;
    for (unsigned i = 0; i < dmf->run.entity_count; i++) {
        read += dmf->run.entities[i].read;
        dead += dmf->run.entities[i].dead;
        superseded += dmf->run.entities[i].superseded;
    }
    count_end(dmf, "done", 1);
    sl_log(SL_INFO, "run done", SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id),
           SL_N("attempt", dmf->run.attempt), SL_N("read", read), SL_N("applied", sum->applied),
           SL_N("stale", sum->stale), SL_N("superseded", superseded), SL_N("dead", dead),
           SL_N("ms", sl_wall_ms() - dmf->run.created_ms));
}

/* A full export that brought all brings what was lost, too. */
static int heal(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    char reason[SL_ERR_TEXT_BYTES], why[SL_ERR_TEXT_BYTES];
    int rc = state->type->suspect_get(state, dmf->feed->name, reason, err);
    if (rc != SL_OK)
        return rc == SL_NOTFOUND ? SL_OK : rc;
    rc = sl_dmf_doubt_full(dmf, why, err);
    if (rc != SL_OK)
        return rc;
    if (!why[0])
        return sl_dmf_mark(dmf, NULL, err);
    snprintf(dmf->run.error, sizeof dmf->run.error, "%s", why);
    sl_log(SL_ERROR, "full export heals nothing", SL_T("feed", dmf->feed->name),
           SL_T("run", dmf->run.id), SL_T("error", why));
    dmf->env.alerter->raise(SL_ALERT_NOTICE, dmf->feed->name, "full export heals nothing", why);
    return SL_OK;
}

static int finish(struct sl_dmf *dmf, const struct sl_ledger_sum *sum, struct sl_err *err)
{
    int rc = SL_OK;
    if (dmf->run.error[0]) /* whose writer may have got no further */
        rc = sl_dmf_mark(dmf, dmf->run.error, err);
    else if (dmf->run.full)
        rc = heal(dmf, err);
    if (rc != SL_OK)
        return rc;
    bool in_vain = dmf->run.full && dmf->run.error[0];
    if (!in_vain && !dmf->run.sweeps[0])
        dmf->run.fresh_ms = dmf->run.created_ms;
    rc = sl_dmf_enter(dmf, SL_RUN_DONE, err);
    if (rc != SL_OK)
        return rc;
    dmf->failures = in_vain ? dmf->failures + 1 : 0;
    sl_dmf_tell_end(dmf);
    sl_dmf_tell_fresh(dmf);
    log_done(dmf, sum);
    return SL_OK;
}

static int publish_again(struct sl_dmf *dmf, uint32_t batches, struct sl_err *err)
{
    char told[800];
    sl_log(SL_WARN, "ledger does not close, publishing again", SL_T("feed", dmf->feed->name),
           SL_T("run", dmf->run.id), SL_N("batches", batches));
    if (dmf->unclosed++) {
        snprintf(
            told, sizeof told,
            "The rows of run %s of feed %s are published and not applied, again and again: are "
            "its messages set aside as unreadable, or do appliers not know the feed?",
            dmf->run.id, dmf->feed->name);
        dmf->env.alerter->raise(SL_ALERT_RUN_FAILED, dmf->feed->name, "ledger does not close",
                                told);
    }
    return sl_dmf_enter(dmf, SL_RUN_STREAMING, err);
}

static uint64_t deadline_ms(const struct sl_dmf *dmf)
{
    unsigned doublings = dmf->unclosed < DOUBLINGS_MAX ? dmf->unclosed : DOUBLINGS_MAX;
    return dmf->settings->ledger_deadline_ms << doublings;
}

static int close_ledger(struct sl_dmf *dmf, struct sl_err *err)
{
    uint64_t pause_ms = LEDGER_POLL_MIN_MS, moved_ms = sl_loop_now_ms(), begun_ms = moved_ms;
    uint32_t seen = 0;
    for (;;) {
        struct sl_ledger_sum sum;
        bool closed;
        int rc = sl_dmf_read_ledger(dmf, &sum, &closed, err);
        if (rc != SL_OK)
            return rc;
        if (closed)
            return finish(dmf, &sum, err);
        if (sum.batches != seen) {
            seen = sum.batches;
            moved_ms = sl_loop_now_ms();
            dmf->unapplied_ms = 0;
        }
        bool late = sl_loop_now_ms() - moved_ms >= deadline_ms(dmf);
        if (late && sl_loop_now_ms() - begun_ms < HELD_MAX_MS &&
            sl_sink_stands(dmf->env.sink, dmf->feed->name, !dmf->unapplied_ms)) {
            if (!dmf->unapplied_ms)
                dmf->unapplied_ms = moved_ms;
            moved_ms = sl_loop_now_ms(); /* its batches are safe there */
        } else if (late) {
            return publish_again(dmf, sum.batches, err);
        }
        if (sl_fiber_sleep(pause_ms) != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        pause_ms = sl_backoff_next(pause_ms, LEDGER_POLL_MAX_MS);
    }
}

int sl_dmf_close_ledger(struct sl_dmf *dmf, struct sl_err *err)
{
    int rc = close_ledger(dmf, err);
    dmf->unapplied_ms = 0;
    return rc;
}
