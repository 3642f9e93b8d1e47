/* When the next run of a feed is due, and what it is: an increment, or a full export because the
 * feed is suspect (an increment was lost). Also the order of runs into one collection. */
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/fiber.h"
#include "source/dmf_feed.h"

enum { AGAIN_MIN_MS = 1000, AGAIN_MAX_MS = 5 * 60 * 1000, LEASE_RETRY_MS = 200 };

/* After failed runs the next one does not wait for the schedule, but longer each time. */
static int64_t due_after_failure(const struct sl_dmf *dmf)
{
    unsigned doublings = dmf->failures > 1 ? dmf->failures - 1 : 0;
    int64_t pause_ms = doublings > 16 ? AGAIN_MAX_MS : (int64_t)AGAIN_MIN_MS << doublings;
    return sl_wall_ms() + (pause_ms < AGAIN_MAX_MS ? pause_ms : AGAIN_MAX_MS);
}

static int64_t due(const struct sl_dmf *dmf, bool heal)
{
    const struct sl_schedule *schedule = &dmf->feed->schedule;
    if (dmf->run.number && dmf->run.state == SL_RUN_FAILED)
        return due_after_failure(dmf);
    if (heal)
        return sl_wall_ms();
    if (dmf->run.number)
        return sl_schedule_next(schedule, dmf->run.created_ms);
    return schedule->every_ms ? sl_wall_ms() : sl_schedule_next(schedule, sl_wall_ms());
}

static int wait_until(struct sl_dmf *dmf, int64_t due_ms, struct sl_err *err)
{
    dmf->next_run_ms = due_ms;
    for (;;) {
        int64_t left_ms = dmf->next_run_ms - sl_wall_ms();
        if (left_ms <= 0)
            break;
        /* In pieces, since the wall clock may be set meanwhile. */
        if (sl_fiber_sleep(left_ms < 60000 ? (uint64_t)left_ms : 60000) != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        if (!dmf->lease.held)
            return sl_err_set(err, SL_THROTTLED, "the feed has another owner now");
    }
    dmf->next_run_ms = 0;
    return SL_OK;
}

/* Unique for ever, even when the journal was lost: an execution id is never used twice. */
static void name_execution(const struct sl_dmf *dmf, struct sl_run *run)
{
    unsigned char noise[6] = {0};
    RAND_bytes(noise, sizeof noise);
    snprintf(run->execution_id, sizeof run->execution_id,
             "sluice-%.60s-%06" PRId64 "-%02x%02x%02x%02x%02x%02x", dmf->feed->name, run->number,
             noise[0], noise[1], noise[2], noise[3], noise[4], noise[5]);
    snprintf(run->returned_execution_id, sizeof run->returned_execution_id, "%s",
             run->execution_id);
}

static void name_entities(const struct sl_dmf *dmf, struct sl_run *run)
{
    for (size_t i = 0; i < dmf->feed->entity_count && i < SL_RUN_ENTITIES_MAX; i++) {
        struct sl_run_entity *entity = &run->entities[run->entity_count++];
        snprintf(entity->name, sizeof entity->name, "%s", dmf->feed->entities[i].route);
    }
}

int sl_dmf_plan(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    char reason[240];
    int suspect = state->type->suspect_get(state, dmf->feed->name, reason, err);
    if (suspect != SL_OK && suspect != SL_NOTFOUND)
        return suspect;
    bool heal = suspect == SL_OK && dmf->settings->full_definition_group;
    int rc = wait_until(dmf, due(dmf, heal), err);
    if (rc != SL_OK)
        return rc;

    struct sl_run run = {.number = dmf->run.number + 1, .created_ms = sl_wall_ms()};
    snprintf(run.id, sizeof run.id, "%s-%06" PRId64, dmf->feed->name, run.number);
    snprintf(run.feed, sizeof run.feed, "%s", dmf->feed->name);
    run.full = heal;
    name_execution(dmf, &run);
    name_entities(dmf, &run);
    run.state = SL_RUN_PLANNED;
    run.state_ms = run.created_ms;
    rc = state->type->run_save(state, &run, dmf->lease.epoch, err);
    if (rc != SL_OK)
        return rc;
    dmf->run = run;
    dmf->broken = 0;
    sl_log(SL_INFO, "run planned", SL_T("feed", dmf->feed->name), SL_T("run", run.id),
           SL_T("execution", run.execution_id), SL_T("kind", run.full ? "full" : "increment"));
    return SL_OK;
}

int sl_dmf_take_collections(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    for (size_t i = 0; i < dmf->exclusive_count;) {
        int rc = state->type->lease_hold(state, &dmf->exclusive[i], SL_LEASE_TTL_MS, err);
        if (rc == SL_OK)
            i++;
        else if (rc != SL_THROTTLED)
            return rc;
        else if (sl_fiber_sleep(LEASE_RETRY_MS) != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled");
    }
    return SL_OK;
}

void sl_dmf_drop_collections(struct sl_dmf *dmf)
{
    struct sl_state *state = dmf->env.state;
    for (size_t i = 0; i < dmf->exclusive_count; i++)
        if (dmf->exclusive[i].held)
            state->type->lease_drop(state, &dmf->exclusive[i]);
}
