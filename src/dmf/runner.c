/* The journaled state machine of a run. Each state names what is known, and its function what is to
 * do about it; every change is durable before the next thing is done.
 *
 *   planned     the execution id is chosen; nothing was asked for
 *   requested   the export may have been asked for: only the environment knows
 *   executing   the environment knows the execution
 *   packaged    it has succeeded: the watermark has moved, the package is all there is
 *   streaming   attempt N of bringing the package, or the deletions of a sweep, to the broker
 *   published   every batch is confirmed; the ledger must close
 *   done        read = applied + stale + superseded + dead
 *   failed      it will bring nothing; the feed is suspect if changes may be lost with it
 *
 * What a run leaves open that was given up, or had no package, settle.c asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dmf/dmf_own.h"
#include "loop/fiber.h"

enum {
    BROKEN_MAX = 3,
    PACKAGE_LIFE_MS = 8 * 24 * 3600 * 1000, /* the environment keeps it for 7 days */
};

/* Of the run's state. It begins anew when the clock was set back behind it; that the run is older
 * than its state must stay (sl_dmf_asked_before). */
static uint64_t age_ms(struct sl_dmf *dmf)
{
    int64_t ahead_ms = dmf->run.state_ms - sl_wall_ms();
    if (ahead_ms > 0) {
        dmf->run.state_ms -= ahead_ms;
        dmf->run.created_ms -= ahead_ms;
    }
    return (uint64_t)(sl_wall_ms() - dmf->run.state_ms);
}

/* That an execution is unknown proves nothing once the environment may have forgotten it. */
static bool may_be_forgotten(struct sl_dmf *dmf)
{
    return age_ms(dmf) >= SL_DMF_FORGETS_MS;
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

/* --- planned --- */

/* All or none: the run may turn out to have started, and needs those that it was started with. */
static int take_counters(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    struct sl_run next = dmf->run;
    sl_dmf_name_entities(dmf, &next); /* a restart may have brought another configuration */
    for (unsigned i = 0; i < next.entity_count; i++) {
        const char *collection = dmf->feed->entities[i].collection;
        int64_t *counter = &next.entities[i].counter;
        int rc = state->type->counter_take(state, collection, *counter, counter, err);
        if (rc != SL_OK)
            return rc;
    }
    dmf->run = next;
    return SL_OK;
}

/* The environment has the export. One that chooses ids itself may have run an earlier request, too,
 * which cannot be asked for: what that one exported does not come again with this one. */
static int accepted(struct sl_dmf *dmf, struct sl_err *err)
{
    static const char reason[] = "an export may have run under an id that was never told";
    bool renamed = strcmp(dmf->run.returned_execution_id, dmf->run.execution_id) != 0;
    if (renamed && dmf->unanswered && !dmf->run.full) {
        int rc = sl_dmf_lose(dmf, &dmf->run, reason, err);
        if (rc != SL_OK)
            return rc;
    }
    dmf->unanswered = false;
    return sl_dmf_enter(dmf, SL_RUN_EXECUTING, err);
}

/* The environment does not tell, and in no words that are known: after such a time the run waits no
 * longer, and changes may be lost. */
static bool is_refused_for_good(struct sl_dmf *dmf, int rc)
{
    return rc == SL_REJECTED && age_ms(dmf) >= dmf->settings->execution_deadline_ms;
}

static int give_up(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_err why = *err;
    return sl_dmf_fail(dmf, SL_DMF_GIVEN_UP, why.message, err);
}

static int forgotten(struct sl_dmf *dmf, enum sl_dmf_loss loss, struct sl_err *err)
{
    return sl_dmf_fail(dmf, loss, "the environment has forgotten the export", err);
}

/* Whether the export has started: SL_OK or SL_NOTFOUND. Of an id that it does not know an
 * environment may say that its status is Unknown; believed: taken for a start all the same. */
static int look_for_start(struct sl_dmf *dmf, bool believed, struct sl_err *err)
{
    enum sl_dmf_status status;
    int rc = sl_dmf_status(dmf->env.remote, dmf->run.returned_execution_id, &status, err);
    if (rc == SL_OK && status == SL_DMF_UNKNOWN && !believed)
        return sl_err_set(err, SL_NOTFOUND, "the status of the export is Unknown");
    return rc;
}

/* The answer was an error, which may have come after the start; and an id may be unknown for a
 * moment. It never started if it stays unknown for as long as one whose answer was lost: still
 * unknown when asked after that, since an answer may be old before a halted process reads it. One
 * whose status is Unknown then may have: it is not asked for again, so nobody would find out. */
static int not_accepted(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_err why = *err;
    uint64_t pause_ms = dmf->env.remote->settings->poll_interval_ms;
    uint64_t grace_end_ms = sl_deadline_in(dmf->settings->start_grace_ms);
    dmf->unanswered = true;
    for (;;) {
        bool last_look = sl_loop_now_ms() >= grace_end_ms;
        int rc = look_for_start(dmf, last_look, err);
        if (rc == SL_OK)
            return accepted(dmf, err);
        if (is_refused_for_good(dmf, rc))
            return give_up(dmf, err);
        if (rc != SL_NOTFOUND)
            return rc;
        if (last_look)
            return sl_dmf_fail(dmf, SL_DMF_LOST_NOTHING, why.message, err);
        sl_dmf_trouble(dmf, why.message);
        rc = pause_poll(dmf, &pause_ms, err);
        if (rc != SL_OK)
            return rc;
    }
}

/* Busy, or no valid login: it is asked for again later, and others need not wait so long. A 503 may
 * come from who stands in front, after the start. */
static int put_off(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_err why = *err;
    dmf->unanswered |= why.cause == 503;
    int rc = sl_dmf_enter(dmf, SL_RUN_PLANNED, err);
    if (rc != SL_OK)
        return rc;
    sl_dmf_drop_collections(dmf);
    *err = why;
    return why.code;
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
    if (rc == SL_THROTTLED || rc == SL_CONFIG)
        return put_off(dmf, err);
    if (rc != SL_OK) {
        dmf->unanswered = true;
        return rc;
    }
    if (strcmp(dmf->run.returned_execution_id, dmf->run.execution_id))
        sl_log(SL_WARN, "the environment chose another execution id", SL_T("run", dmf->run.id),
               SL_T("execution", dmf->run.returned_execution_id));
    return accepted(dmf, err);
}

/* A run that was put off, or seemed not to have started, may be under way after all. */
static int look_for_late_start(struct sl_dmf *dmf, bool *ret_started, struct sl_err *err)
{
    *ret_started = false;
    if (!sl_dmf_asked_before(dmf))
        return SL_OK;
    int rc = look_for_start(dmf, false, err);
    *ret_started = rc == SL_OK;
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

/* A process that stood still since it was confirmed may have lost the feed: what it asked for now
 * may move the watermark for nobody, since the new owner has looked for it, and gone on. */
static int confirm_anew_if_late(struct sl_dmf *dmf, uint64_t confirmed_ms, struct sl_err *err)
{
    while (sl_loop_now_ms() - confirmed_ms >= dmf->env.state->lease_ms) {
        confirmed_ms = sl_loop_now_ms();
        int rc = sl_dmf_confirm_owner(dmf, err);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

static int step_planned(struct sl_dmf *dmf, struct sl_err *err)
{
    bool started;
    int rc = look_for_late_start(dmf, &started, err);
    if (rc == SL_OK && started)
        return accepted(dmf, err);
    if (is_refused_for_good(dmf, rc))
        return give_up(dmf, err);
    if (rc == SL_OK && sl_dmf_asked_before(dmf) && may_be_forgotten(dmf))
        return forgotten(dmf, SL_DMF_LOST_CHANGES, err);
    if (rc == SL_OK)
        rc = sl_dmf_take_collections(dmf, err);
    if (rc == SL_OK)
        rc = take_counters(dmf, err);
    uint64_t confirmed_ms = sl_loop_now_ms();
    if (rc == SL_OK)
        rc = sl_dmf_confirm_owner(dmf, err);
    if (rc == SL_OK)
        rc = sl_dmf_enter(dmf, SL_RUN_REQUESTED, err);
    if (rc == SL_OK)
        rc = confirm_anew_if_late(dmf, confirmed_ms, err);
    return rc == SL_OK ? request_export(dmf, err) : rc;
}

/* --- requested, executing --- */

/* After a crash or a lost answer: did the export start? If not, it is asked for again under the
 * same id, so that one which starts very late is found out instead of moving the watermark unseen.
 */
static int step_requested(struct sl_dmf *dmf, struct sl_err *err)
{
    uint64_t pause_ms = dmf->env.remote->settings->poll_interval_ms;
    for (;;) {
        int rc = sl_dmf_take_collections(dmf, err); /* a restart, or a standstill, has lost them */
        if (rc != SL_OK)
            return rc;
        rc = look_for_start(dmf, false, err);
        if (rc == SL_OK)
            return accepted(dmf, err);
        if (is_refused_for_good(dmf, rc))
            return give_up(dmf, err);
        if (rc != SL_NOTFOUND)
            return rc;
        if (may_be_forgotten(dmf))
            return forgotten(dmf, SL_DMF_LOST_CHANGES, err);
        if (age_ms(dmf) >= dmf->settings->start_grace_ms) {
            sl_log(SL_WARN, "the export never started, asking for it again",
                   SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id));
            return sl_dmf_enter(dmf, SL_RUN_PLANNED, err);
        }
        rc = pause_poll(dmf, &pause_ms, err);
        if (rc != SL_OK)
            return rc;
    }
}

static int failed_there(struct sl_dmf *dmf, const char *how, struct sl_err *err)
{
    char why[SL_ERR_TEXT_BYTES];
    snprintf(why, sizeof why,
             "the export %s in the environment, whose job history tells why (execution %s)", how,
             dmf->run.returned_execution_id);
    return sl_dmf_fail(dmf, SL_DMF_LOST_CHANGES, why, err);
}

/* Rows are missing from the package: what it has is taken, and a full export follows. */
static int partly_succeeded(struct sl_dmf *dmf, struct sl_err *err)
{
    static const char reason[] = "the export was only partly successful: rows are missing";
    int rc = sl_dmf_mark(dmf, reason, err);
    if (rc != SL_OK)
        return rc;
    sl_log(SL_ERROR, "export only partly successful", SL_T("feed", dmf->feed->name),
           SL_T("run", dmf->run.id));
    dmf->env.alerter->raise(SL_ALERT_RUN_FAILED, dmf->feed->name, "export only partly successful",
                            reason);
    return sl_dmf_enter_with(dmf, SL_RUN_PACKAGED, reason, err);
}

/* One look at the execution. SL_OK: the run has left the state. SL_END: not yet. */
static int look_at_execution(struct sl_dmf *dmf, struct sl_err *err)
{
    enum sl_dmf_status status;
    uint64_t asked_ms = age_ms(dmf); /* the answer may be old before a halted process reads it */
    int rc = sl_dmf_status(dmf->env.remote, dmf->run.returned_execution_id, &status, err);
    if (rc == SL_NOTFOUND && asked_ms >= dmf->settings->start_grace_ms)
        return forgotten(dmf, SL_DMF_GIVEN_UP, err);
    if (rc == SL_NOTFOUND)
        return SL_END;
    if (is_refused_for_good(dmf, rc))
        return give_up(dmf, err);
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
    if (asked_ms >= dmf->settings->execution_deadline_ms)
        return sl_dmf_fail(dmf, SL_DMF_GIVEN_UP, "the export did not end within execution_deadline",
                           err);
    return SL_END;
}

static int step_executing(struct sl_dmf *dmf, struct sl_err *err)
{
    uint64_t pause_ms = dmf->env.remote->settings->poll_interval_ms;
    for (;;) {
        int rc = sl_dmf_take_collections(dmf, err); /* a restart, or a standstill, has lost them */
        if (rc == SL_OK)
            rc = look_at_execution(dmf, err);
        if (rc != SL_END)
            return rc;
        sl_dmf_trouble(dmf, "");
        rc = pause_poll(dmf, &pause_ms, err);
        if (rc != SL_OK)
            return rc;
    }
}

/* --- packaged, streaming --- */

/* Succeeded, but there is no package: nothing had changed, unless it is only late. A full export
 * always has one. */
static int no_changes(struct sl_dmf *dmf, struct sl_err *err)
{
    if (dmf->run.full)
        return sl_dmf_fail(dmf, SL_DMF_LOST_CHANGES, "the full export brought no package", err);
    sl_log(SL_INFO, "no package, so no changes", SL_T("feed", dmf->feed->name),
           SL_T("run", dmf->run.id));
    return sl_dmf_enter_unsettled(dmf, SL_RUN_PUBLISHED, dmf->run.error, err);
}

/* The URL stays empty for a while after the success. The one seen here is not kept: the download
 * asks for its own, which is fresher. */
static int step_packaged(struct sl_dmf *dmf, struct sl_err *err)
{
    uint64_t pause_ms = dmf->env.remote->settings->poll_interval_ms;
    /* Counted from the first look: while nobody looked, an address cannot be missed. The last look
     * is one after the deadline: an answer may be old before a halted process reads it. */
    uint64_t deadline_ms = sl_deadline_in(dmf->settings->url_deadline_ms);
    sl_dmf_drop_collections(dmf); /* the snapshot is taken: others may export */
    for (;;) {
        char *url = NULL;
        bool last_look = sl_loop_now_ms() >= deadline_ms;
        int rc = sl_dmf_package_url(dmf->env.remote, dmf->run.returned_execution_id, &url, err);
        if (rc == SL_NOTFOUND)
            return forgotten(dmf, SL_DMF_LOST_CHANGES, err);
        if (is_refused_for_good(dmf, rc))
            return give_up(dmf, err);
        if (rc != SL_OK)
            return rc;
        bool there = url[0] != 0;
        free(url);
        if (there)
            break;
        if (last_look)
            return no_changes(dmf, err);
        rc = pause_poll(dmf, &pause_ms, err);
        if (rc != SL_OK)
            return rc;
    }
    return sl_dmf_enter(dmf, SL_RUN_STREAMING, err);
}

/* Every attempt has its number journaled before its first row is read. */
static int begin_attempt(struct sl_dmf *dmf, struct sl_err *err)
{
    dmf->run.attempt++;
    int rc = sl_dmf_enter(dmf, SL_RUN_STREAMING, err);
    if (rc != SL_OK)
        dmf->run.attempt--;
    return rc;
}

/* A new download may be whole. */
static int package_broken(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_err why = *err;
    sl_log(SL_WARN, "package unreadable", SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id),
           SL_T("error", why.message), SL_N("attempt", dmf->run.attempt));
    if (++dmf->broken >= BROKEN_MAX)
        return sl_dmf_fail(dmf, SL_DMF_LOST_CHANGES, why.message, err);
    int rc = sl_dmf_outdo(dmf, err);
    if (rc != SL_OK)
        return rc;
    *err = why;
    return err->code = SL_CLOSED;
}

static int step_streaming(struct sl_dmf *dmf, struct sl_err *err)
{
    int rc = sl_dmf_adopt_entities(dmf, err);
    if (rc == SL_OK)
        rc = sl_dmf_outdo(dmf, err);
    if (rc == SL_OK)
        rc = begin_attempt(dmf, err);
    if (rc != SL_OK)
        return rc;
    rc = sl_dmf_stream(dmf, err);
    if (rc == SL_NOTFOUND)
        return sl_dmf_fail(dmf, SL_DMF_LOST_CHANGES, "the package is gone before it was read", err);
    if (rc == SL_REJECTED)
        return package_broken(dmf, err);
    if (sl_code_transient(rc) && sl_wall_ms() - dmf->run.created_ms > PACKAGE_LIFE_MS)
        return sl_dmf_fail(dmf, SL_DMF_LOST_CHANGES, err->message, err);
    return rc == SL_OK ? sl_dmf_enter(dmf, SL_RUN_PUBLISHED, err) : rc;
}

/* The same for a run that deletes. */
static int step_sweeping(struct sl_dmf *dmf, struct sl_err *err)
{
    int rc = begin_attempt(dmf, err);
    if (rc != SL_OK)
        return rc;
    rc = sl_dmf_sweep(dmf, err);
    if (rc == SL_NOTFOUND)
        return sl_dmf_fail(dmf, SL_DMF_LOST_NOTHING, err->message, err);
    return rc == SL_OK ? sl_dmf_enter(dmf, SL_RUN_PUBLISHED, err) : rc;
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
        return dmf->run.sweeps[0] ? step_sweeping(dmf, err) : step_streaming(dmf, err);
    case SL_RUN_PUBLISHED:
        return sl_dmf_close_ledger(dmf, err);
    case SL_RUN_DONE:
    case SL_RUN_FAILED:
    case SL_RUN_ABANDONED:
        break;
    }
    return SL_OK;
}
