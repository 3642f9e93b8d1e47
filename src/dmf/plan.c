/* When the next run of a feed is due, and what it is: an increment, or a full export because the
 * feed is suspect (an increment was lost) or a refresh was asked for. While full exports heal
 * nothing, increments go on at their times. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "dmf/dmf_own.h"
#include "loop/fiber.h"

enum { AGAIN_MIN_MS = 1000, AGAIN_MAX_MS = 5 * 60 * 1000, PIECE_MS = 10 * 1000 };

/* After failed runs the next one does not wait for the schedule, but longer each time. */
static int64_t due_after_failure(const struct sl_dmf *dmf)
{
    return sl_wall_ms() + (int64_t)sl_backoff_after(dmf->failures, AGAIN_MIN_MS, AGAIN_MAX_MS);
}

/* A moment that was journaled before the clock was set back must not be waited for. */
static int64_t past(int64_t wall_ms)
{
    int64_t now_ms = sl_wall_ms();
    return wall_ms < now_ms ? wall_ms : now_ms;
}

/* From the run that has ended: what the next ones are counted from. A sweep belongs to its full
 * export. One that was in vain is no turn of the schedule: increments go on between such. */
static void note_end(struct sl_dmf *dmf)
{
    const struct sl_run *run = &dmf->run;
    if (run->full)
        dmf->full_ms = run->state_ms;
    if (!run->full || (run->state == SL_RUN_DONE && !run->error[0]))
        dmf->turn_ms = run->sweeps[0] && run->fresh_ms ? run->fresh_ms : run->created_ms;
    else if (!dmf->turn_ms)
        dmf->turn_ms = run->fresh_ms;
    dmf->full_ms = past(dmf->full_ms);
    dmf->turn_ms = past(dmf->turn_ms);
}

static int64_t increment_due(const struct sl_dmf *dmf, bool heal)
{
    const struct sl_schedule *schedule = &dmf->feed->schedule;
    if (dmf->run.number && dmf->run.state == SL_RUN_FAILED && !(heal && dmf->run.full))
        return due_after_failure(dmf);
    if (dmf->turn_ms) /* else it is the feed's first */
        return sl_schedule_next(schedule, dmf->turn_ms);
    return schedule->every_ms ? sl_wall_ms() : sl_schedule_next(schedule, past(dmf->since_ms));
}

/* Of a feed that is suspect: soon, and after those in vain longer each time. */
static int64_t full_due(const struct sl_dmf *dmf)
{
    if (!dmf->healings)
        return dmf->run.state == SL_RUN_FAILED ? due_after_failure(dmf) : sl_wall_ms();
    return dmf->full_ms + (int64_t)sl_backoff_after(dmf->healings, AGAIN_MIN_MS, AGAIN_MAX_MS);
}

/* The one that is due earlier: neither keeps the other waiting for ever. */
static int64_t due(const struct sl_dmf *dmf, bool heal, bool *ret_full)
{
    int64_t full_ms = full_due(dmf), increment_ms = increment_due(dmf, heal);
    *ret_full = heal && (!dmf->healings || full_ms <= increment_ms);
    return *ret_full ? full_ms : increment_ms;
}

/* In pieces, since the wall clock may be set meanwhile. They end for all feeds in the same turn of
 * the loop: hundreds of idle ones wake the process once. */
static uint64_t next_look_ms(uint64_t left_ms)
{
    uint64_t due_ms = sl_deadline_in(left_ms), beat_ms = sl_next_beat(PIECE_MS);
    return due_ms < beat_ms ? due_ms : beat_ms;
}

/* SL_END: there is something to do before it is due, or it is due at another time, since the clock
 * was set back. */
static int wait_until(struct sl_dmf *dmf, int64_t due_ms, struct sl_err *err)
{
    int64_t begun_ms = sl_wall_ms();
    dmf->next_run_ms = due_ms;
    for (;;) {
        int64_t left_ms = dmf->next_run_ms - sl_wall_ms();
        if (left_ms <= 0)
            break;
        if (sl_wait(&dmf->wake, next_look_ms((uint64_t)left_ms)) == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        if (!sl_dmf_owns(dmf))
            return sl_err_set(err, SL_THROTTLED, "the feed has another owner now");
        if (dmf->refresh_told || sl_dmf_must_give(dmf) || sl_wall_ms() < begun_ms)
            return SL_END;
    }
    dmf->next_run_ms = 0;
    return SL_OK;
}

/* Unique for ever, even when the journal was lost: an execution id is never used twice. */
static void name_execution(const struct sl_dmf *dmf, struct sl_run *run)
{
    unsigned char noise[6];
    arc4random_buf(noise, sizeof noise);
    snprintf(run->execution_id, sizeof run->execution_id,
             "sluice-%.60s-%06" PRId64 "-%02x%02x%02x%02x%02x%02x", dmf->feed->name, run->number,
             noise[0], noise[1], noise[2], noise[3], noise[4], noise[5]);
    snprintf(run->returned_execution_id, sizeof run->returned_execution_id, "%s",
             run->execution_id);
}

/* Above all before, also when the journal was lost. */
int64_t sl_dmf_next_number(const struct sl_dmf *dmf)
{
    int64_t before = dmf->run.number;
    return (before > dmf->overtaken ? before : dmf->overtaken) + 1;
}

struct sl_run sl_dmf_next_run(const struct sl_dmf *dmf)
{
    struct sl_run run = {.number = sl_dmf_next_number(dmf),
                         .created_ms = sl_wall_ms(),
                         .fresh_ms = dmf->run.fresh_ms};
    snprintf(run.id, sizeof run.id, "%s-%06" PRId64, dmf->feed->name, run.number);
    snprintf(run.feed, sizeof run.feed, "%s", dmf->feed->name);
    sl_dmf_name_entities(dmf, &run);
    run.state = SL_RUN_PLANNED;
    run.state_ms = run.created_ms;
    return run;
}

/* Those before it carry nothing that is not in it, but for what is unsettled. What fails here is
 * done with the next run. */
static void forget_older(struct sl_dmf *dmf)
{
    struct sl_state *state = dmf->env.state;
    struct sl_err err = {0};
    if (state->type->runs_expire(state, dmf->feed->name, dmf->run.number, &err) != SL_OK)
        sl_log(SL_DEBUG, "older runs were not marked to be forgotten",
               SL_T("feed", dmf->feed->name), SL_T("error", err.message));
}

int sl_dmf_begin_run(struct sl_dmf *dmf, const struct sl_run *run, struct sl_err *err)
{
    int rc = sl_dmf_confirm_owner(dmf, err);
    if (rc == SL_OK)
        rc = sl_dmf_refused(dmf,
                            dmf->env.state->type->run_save(dmf->env.state, run, dmf->epoch, err));
    if (rc != SL_OK)
        return rc;
    dmf->run = *run;
    sl_dmf_forget_troubles(dmf);
    forget_older(dmf);
    return SL_OK;
}

/* Without full exports the feed stays suspect until somebody acts. */
static void remind(const struct sl_dmf *dmf, const char *reason)
{
    char told[800];
    if (dmf->settings->full_definition_group)
        return;
    snprintf(told, sizeof told, "Feed %s: %s; %s.", dmf->feed->name, reason,
             sl_dmf_after_loss(dmf));
    dmf->env.alerter->remind(SL_ALERT_RUN_FAILED, dmf->feed->name, "changes may be missing", told);
}

int sl_dmf_plan(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    char reason[SL_ERR_TEXT_BYTES];
    bool refresh, moved, full, lost = false;
    if (sl_dmf_must_give(dmf))
        return sl_dmf_give_away(dmf, err);
    int rc = sl_dmf_refresh(dmf, &refresh, &moved, err);
    if (rc != SL_OK || moved)
        return rc;
    int suspect = state->type->suspect_get(state, dmf->feed->name, reason, err);
    if (suspect != SL_OK && suspect != SL_NOTFOUND)
        return suspect;
    if (suspect == SL_OK)
        remind(dmf, reason);
    else if (dmf->run.state == SL_RUN_DONE && !dmf->run.error[0])
        dmf->env.alerter->clear(SL_ALERT_RUN_FAILED, dmf->feed->name);
    if (suspect == SL_NOTFOUND)
        dmf->healings = 0;
    note_end(dmf);
    int64_t due_ms = due(dmf, suspect == SL_OK && dmf->settings->full_definition_group, &full);
    if (!refresh)
        rc = wait_until(dmf, due_ms, err);
    if (rc == SL_END) /* something else comes first */
        return SL_OK;
    if (rc == SL_OK)
        rc = sl_dmf_settle(dmf, &lost, err);
    if (rc != SL_OK)
        return rc;

    struct sl_run run = sl_dmf_next_run(dmf);
    run.full = full || refresh || (lost && dmf->settings->full_definition_group);
    name_execution(dmf, &run);
    rc = sl_dmf_begin_run(dmf, &run, err);
    if (rc == SL_OK && run.full)
        dmf->healings++;
    if (rc == SL_OK)
        sl_log(SL_INFO, "run planned", SL_T("feed", dmf->feed->name), SL_T("run", run.id),
               SL_T("execution", run.execution_id), SL_T("kind", run.full ? "full" : "increment"));
    if (rc == SL_OK && run.number == 1 && !run.full)
        sl_log(SL_INFO,
               "no earlier run is known: what the data project has exported before, into another "
               "database say, does not come again; if there is such, ask for sluice refresh",
               SL_T("feed", dmf->feed->name), SL_T("project", dmf->settings->definition_group));
    return rc;
}
