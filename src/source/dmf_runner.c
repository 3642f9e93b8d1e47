/* The journaled state machine of a run. Each state names what is known, and its function what is to
 * do about it; every change is durable before the next thing is done.
 *
 *   planned    the execution id is chosen; nothing was asked for
 *   requested  the export may have been asked for: only the environment knows
 *   executing  the environment knows the execution
 *   packaged   it has succeeded: the change-tracking watermark has moved, the package is all there
 * is streaming  attempt N of bringing the package to the broker published  every batch is
 * confirmed; the ledger must close done       read = applied + stale + superseded + dead failed it
 * will bring nothing; the feed is suspect if changes may be lost with it */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/fiber.h"
#include "source/dmf_feed.h"

enum { BROKEN_MAX = 3, LEDGER_POLL_MIN_MS = 50, LEDGER_POLL_MAX_MS = 2000 };

int sl_dmf_enter(struct sl_dmf *dmf, enum sl_run_state state, struct sl_err *err)
{
    struct sl_run next = dmf->run;
    next.state = state;
    next.state_ms = sl_wall_ms();
    int rc = dmf->env.state->type->run_save(dmf->env.state, &next, dmf->lease.epoch, err);
    if (rc == SL_REJECTED)
        dmf->lease.held = false;
    if (rc == SL_OK)
        dmf->run = next;
    return rc;
}

static uint64_t age_ms(const struct sl_dmf *dmf)
{
    int64_t age = sl_wall_ms() - dmf->run.state_ms;
    return age > 0 ? (uint64_t)age : 0;
}

/* Waits longer each time. */
static int pause_poll(const struct sl_dmf *dmf, uint64_t *pause_ms, struct sl_err *err)
{
    uint64_t most = dmf->env.remote->settings->poll_max_ms;
    if (sl_fiber_sleep(*pause_ms) != SL_OK)
        return sl_err_set(err, SL_CANCELED, "cancelled");
    *pause_ms = *pause_ms * 3 / 2 < most ? *pause_ms * 3 / 2 + 1 : most;
    return SL_OK;
}

/* --- the end of a run --- */

enum loss {
    LOST_NOTHING, /* it never ran: the next run brings its changes */
    LOST_CHANGES, /* it may have moved the watermark: the feed is suspect */
};

static int fail_run(struct sl_dmf *dmf, enum loss loss, const char *why, struct sl_err *err)
{
    char text[240];
    bool lost_changes = loss == LOST_CHANGES;
    struct sl_state *state = dmf->env.state;
    snprintf(text, sizeof text, "%s", why); /* why may lie in err */
    sl_dmf_drop_collections(dmf);
    if (lost_changes && !dmf->run.full) {
        int rc = state->type->suspect_set(state, dmf->feed->name, text, err);
        if (rc != SL_OK)
            return rc;
    }
    snprintf(dmf->run.error, sizeof dmf->run.error, "%s", text);
    int rc = sl_dmf_enter(dmf, SL_RUN_FAILED, err);
    if (rc != SL_OK)
        return rc;

    dmf->failures++;
    sl_metric_add(sl_counter("runs_total", "Runs by how they ended.", "feed=\"%s\",end=\"failed\"",
                             dmf->feed->name),
                  1);
    const char *next =
        !lost_changes ? "it will be started anew"
        : dmf->settings->full_definition_group
            ? "a full export follows"
            : "changes may be missing: configure full_definition_group, so that a full "
              "export can follow";
    sl_log(SL_ERROR, "run failed", SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id),
           SL_T("error", text), SL_T("next", next));
    char mail[600];
    snprintf(mail, sizeof mail, "Run %s of feed %s failed.\n\n%s\n\n%s.\n", dmf->run.id,
             dmf->feed->name, text, next);
    dmf->env.alert(dmf->feed->name, "run failed", mail);
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
    sl_metric_add(sl_counter("runs_total", "Runs by how they ended.", "feed=\"%s\",end=\"done\"",
                             dmf->feed->name),
                  1);
    sl_log(SL_INFO, "run done", SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id),
           SL_N("attempt", dmf->run.attempt), SL_N("read", read), SL_N("applied", sum->applied),
           SL_N("stale", sum->stale), SL_N("superseded", superseded), SL_N("dead", dead),
           SL_N("ms", sl_wall_ms() - dmf->run.created_ms));
}

/* --- planned --- */

static int take_counters(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    for (unsigned i = 0; i < dmf->run.entity_count; i++) {
        const char *collection = dmf->feed->entities[i].collection;
        int rc = state->type->counter_take(state, collection, &dmf->run.entities[i].counter, err);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

/* The environment's word on an export it did not accept: never started, unless it knows it. */
static int not_accepted(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_err why = *err;
    enum sl_dmf_status status;
    int rc = sl_dmf_status(dmf->env.remote, dmf->run.execution_id, &status, err);
    if (rc == SL_OK)
        return sl_dmf_enter(dmf, SL_RUN_EXECUTING, err);
    if (rc == SL_NOTFOUND)
        return fail_run(dmf, LOST_NOTHING, why.message, err);
    return rc;
}

static int request_export(struct sl_dmf *dmf, struct sl_err *err)
{
    const struct sl_dmf_feed_settings *settings = dmf->settings;
    const struct sl_dmf_export export = {
        .definition_group =
            dmf->run.full ? settings->full_definition_group : settings->definition_group,
        .package_name = settings->package_name ? settings->package_name : dmf->run.execution_id,
        .execution_id = dmf->run.execution_id,
        .legal_entity = settings->legal_entity,
    };
    int rc = sl_dmf_export(dmf->env.remote, &export, dmf->run.returned_execution_id, err);
    if (rc == SL_REJECTED)
        return not_accepted(dmf, err);
    if (rc != SL_OK)
        return rc;
    if (strcmp(dmf->run.returned_execution_id, dmf->run.execution_id))
        sl_log(SL_WARN, "the environment chose another execution id", SL_T("run", dmf->run.id),
               SL_T("execution", dmf->run.returned_execution_id));
    return sl_dmf_enter(dmf, SL_RUN_EXECUTING, err);
}

static int step_planned(struct sl_dmf *dmf, struct sl_err *err)
{
    int rc = sl_dmf_take_collections(dmf, err);
    if (rc == SL_OK)
        rc = take_counters(dmf, err);
    if (rc == SL_OK)
        rc = sl_dmf_enter(dmf, SL_RUN_REQUESTED, err);
    if (rc != SL_OK)
        return rc;
    rc = request_export(dmf, err);
    if (rc != SL_THROTTLED && rc != SL_CONFIG)
        return rc;
    /* Busy, or no valid login: nothing was started, and the same request may go out again. */
    struct sl_err why = *err;
    rc = sl_dmf_enter(dmf, SL_RUN_PLANNED, err);
    if (rc != SL_OK)
        return rc;
    *err = why;
    return why.code;
}

/* --- requested, executing --- */

/* After a crash or a lost answer: did the export start? If not, it is asked for again under the same
 * id, so that one which starts very late is found out instead of moving the watermark unseen. */
static int step_requested(struct sl_dmf *dmf, struct sl_err *err)
{
    uint64_t pause_ms = dmf->env.remote->settings->poll_interval_ms;
    for (;;) {
        enum sl_dmf_status status;
        int rc = sl_dmf_status(dmf->env.remote, dmf->run.execution_id, &status, err);
        if (rc == SL_OK)
            return sl_dmf_enter(dmf, SL_RUN_EXECUTING, err);
        if (rc != SL_NOTFOUND)
            return rc;
        if (age_ms(dmf) >= dmf->settings->start_grace_ms)
            return fail_run(dmf, LOST_NOTHING,
                            "the environment does not know the export: it never started", err);
        rc = pause_poll(dmf, &pause_ms, err);
        if (rc != SL_OK)
            return rc;
    }
}

static int failed_there(struct sl_dmf *dmf, const char *how, struct sl_err *err)
{
    char detail[160], why[240];
    sl_dmf_errors(dmf->env.remote, dmf->run.returned_execution_id, detail, sizeof detail);
    snprintf(why, sizeof why, "the export %s in the environment%s%s", how, detail[0] ? ": " : "",
             detail);
    return fail_run(dmf, LOST_CHANGES, why, err);
}

/* Rows are missing from the package: what it has is taken, and a full export follows. */
static int partly_succeeded(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    static const char reason[] = "the export was only partly successful: rows are missing";
    if (!dmf->run.full) {
        int rc = state->type->suspect_set(state, dmf->feed->name, reason, err);
        if (rc != SL_OK)
            return rc;
    }
    sl_log(SL_ERROR, "export only partly successful", SL_T("feed", dmf->feed->name),
           SL_T("run", dmf->run.id));
    dmf->env.alert(dmf->feed->name, "export only partly successful", reason);
    return sl_dmf_enter(dmf, SL_RUN_PACKAGED, err);
}

/* One look at the execution. SL_OK: the run has left the state. SL_END: not yet. */
static int look_at_execution(struct sl_dmf *dmf, struct sl_err *err)
{
    enum sl_dmf_status status;
    int rc = sl_dmf_status(dmf->env.remote, dmf->run.returned_execution_id, &status, err);
    if (rc == SL_NOTFOUND && age_ms(dmf) >= dmf->settings->start_grace_ms)
        return fail_run(dmf, LOST_CHANGES, "the environment has forgotten the export", err);
    if (rc == SL_NOTFOUND)
        return SL_END;
    if (rc != SL_OK)
        return rc;
    switch (status) {
    case SL_DMF_SUCCEEDED:
        return sl_dmf_enter(dmf, SL_RUN_PACKAGED, err);
    case SL_DMF_PARTIAL:
        return partly_succeeded(dmf, err);
    case SL_DMF_FAILED:
        return failed_there(dmf, "failed", err);
    case SL_DMF_CANCELED:
        return failed_there(dmf, "was cancelled", err);
    default:
        break;
    }
    if (age_ms(dmf) >= dmf->settings->execution_deadline_ms)
        return fail_run(dmf, LOST_CHANGES, "the export did not end within execution_deadline", err);
    return SL_END;
}

static int step_executing(struct sl_dmf *dmf, struct sl_err *err)
{
    uint64_t pause_ms = dmf->env.remote->settings->poll_interval_ms;
    for (;;) {
        int rc = look_at_execution(dmf, err);
        if (rc != SL_END)
            return rc;
        sl_dmf_trouble(dmf, "");
        rc = pause_poll(dmf, &pause_ms, err);
        if (rc != SL_OK)
            return rc;
    }
}

/* --- packaged, streaming --- */

/* Succeeded, but there is no package: nothing had changed. */
static int no_changes(struct sl_dmf *dmf, struct sl_err *err)
{
    sl_log(SL_INFO, "no package, so no changes", SL_T("feed", dmf->feed->name),
           SL_T("run", dmf->run.id));
    return sl_dmf_enter(dmf, SL_RUN_PUBLISHED, err);
}

/* The URL stays empty for a while after the success. The one seen here is not kept: the download
 * asks for its own, which is fresher. */
static int step_packaged(struct sl_dmf *dmf, struct sl_err *err)
{
    uint64_t pause_ms = dmf->env.remote->settings->poll_interval_ms;
    sl_dmf_drop_collections(dmf); /* the snapshot is taken: others may export */
    for (;;) {
        char *url = NULL;
        int rc = sl_dmf_package_url(dmf->env.remote, dmf->run.returned_execution_id, &url, err);
        if (rc == SL_NOTFOUND)
            return fail_run(dmf, LOST_CHANGES, "the environment has forgotten the export", err);
        if (rc != SL_OK)
            return rc;
        bool there = url[0] != 0;
        free(url);
        if (there)
            break;
        if (age_ms(dmf) >= dmf->settings->url_deadline_ms)
            return no_changes(dmf, err);
        rc = pause_poll(dmf, &pause_ms, err);
        if (rc != SL_OK)
            return rc;
    }
    return sl_dmf_enter(dmf, SL_RUN_STREAMING, err);
}

/* Every attempt has its number journaled before its first row is read. */
static int step_streaming(struct sl_dmf *dmf, struct sl_err *err)
{
    dmf->run.attempt++;
    int rc = sl_dmf_enter(dmf, SL_RUN_STREAMING, err);
    if (rc != SL_OK) {
        dmf->run.attempt--;
        return rc;
    }
    rc = sl_dmf_stream(dmf, err);
    if (rc == SL_NOTFOUND)
        return fail_run(dmf, LOST_CHANGES, "the package is gone before it was read", err);
    if (rc == SL_REJECTED) {
        sl_log(SL_WARN, "package unreadable", SL_T("feed", dmf->feed->name),
               SL_T("run", dmf->run.id), SL_T("error", err->message),
               SL_N("attempt", dmf->run.attempt));
        if (++dmf->broken >= BROKEN_MAX)
            return fail_run(dmf, LOST_CHANGES, err->message, err);
        err->code = SL_CLOSED; /* a new download may be whole */
        return SL_CLOSED;
    }
    return rc == SL_OK ? sl_dmf_enter(dmf, SL_RUN_PUBLISHED, err) : rc;
}

/* --- published --- */

/* What the ledger says of all entities together, and whether it is closed. */
static int read_ledger(struct sl_dmf *dmf, struct sl_ledger_sum *ret, bool *ret_closed,
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

static int finish(struct sl_dmf *dmf, const struct sl_ledger_sum *sum, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    if (dmf->run.full) {
        int rc = state->type->suspect_set(state, dmf->feed->name, NULL, err);
        if (rc != SL_OK)
            return rc;
    }
    int rc = sl_dmf_enter(dmf, SL_RUN_DONE, err);
    if (rc == SL_OK) {
        dmf->failures = 0;
        log_done(dmf, sum);
    }
    return rc;
}

/* Waits until the ledger closes. One that stands still for long heals itself: the package is
 * fetched and published again, which the guarded writes make harmless. */
static int step_published(struct sl_dmf *dmf, struct sl_err *err)
{
    uint64_t pause_ms = LEDGER_POLL_MIN_MS, moved_ms = sl_loop_now_ms();
    uint32_t seen = 0;
    for (;;) {
        struct sl_ledger_sum sum;
        bool closed;
        int rc = read_ledger(dmf, &sum, &closed, err);
        if (rc != SL_OK)
            return rc;
        if (closed)
            return finish(dmf, &sum, err);
        if (sum.batches != seen) {
            seen = sum.batches;
            moved_ms = sl_loop_now_ms();
        }
        if (sl_loop_now_ms() - moved_ms >= dmf->settings->ledger_deadline_ms) {
            sl_log(SL_WARN, "ledger does not close, publishing again",
                   SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id),
                   SL_N("batches", sum.batches));
            return sl_dmf_enter(dmf, SL_RUN_STREAMING, err);
        }
        if (sl_fiber_sleep(pause_ms) != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled");
        pause_ms = pause_ms * 2 < LEDGER_POLL_MAX_MS ? pause_ms * 2 : LEDGER_POLL_MAX_MS;
    }
}

int sl_dmf_step(struct sl_dmf *dmf, struct sl_err *err)
{
    switch (dmf->run.state) {
    case SL_RUN_PLANNED:
        return step_planned(dmf, err);
    case SL_RUN_REQUESTED:
        return step_requested(dmf, err);
    case SL_RUN_EXECUTING:
        return step_executing(dmf, err);
    case SL_RUN_PACKAGED:
        return step_packaged(dmf, err);
    case SL_RUN_STREAMING:
        return step_streaming(dmf, err);
    case SL_RUN_PUBLISHED:
        return step_published(dmf, err);
    case SL_RUN_DONE:
    case SL_RUN_FAILED:
        break;
    }
    return SL_OK;
}
