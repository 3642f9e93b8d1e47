/* What all parts of a feed stand on: its leases, the journal of its run, its trouble. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dmf/dmf_own.h"
#include "loop/fiber.h"
#include "source/freshness.h"

enum { LEASE_RETRY_MS = 200, LEASE_AGAIN_MS = 1000 };

/* Numbers do not count: an error that tells how many milliseconds it took is new at each try. */
static bool same_words(const char *a, const char *b)
{
    static const char digits[] = "0123456789";
    for (;;) {
        a += strspn(a, digits);
        b += strspn(b, digits);
        if (*a != *b || !*a)
            return *a == *b;
        a++;
        b++;
    }
}

bool sl_dmf_trouble(struct sl_dmf *dmf, const char *text)
{
    if (text[0] && sl_fiber_cancelled())
        return false; /* it ends: what it leaves undone is no trouble */
    bool news = !same_words(dmf->trouble, text);
    if (news && text[0])
        sl_log(SL_WARN, "feed in trouble, will try again", SL_T("feed", dmf->feed->name),
               SL_T("run", dmf->run.id), SL_T("error", text));
    else if (dmf->trouble[0] && !text[0])
        sl_log(SL_INFO, "feed works again", SL_T("feed", dmf->feed->name));
    snprintf(dmf->trouble, sizeof dmf->trouble, "%s", text);
    return news;
}

static void tell_end(struct sl_dmf *dmf, const struct sl_run *run)
{
    bool failed = run->state == SL_RUN_FAILED;
    if (!failed && run->state != SL_RUN_DONE)
        return;
    if (failed || run->error[0]) {
        snprintf(dmf->failure, sizeof dmf->failure, "run %s %s: %s", run->id,
                 failed ? "failed" : "did not bring all", run->error);
        dmf->trouble[0] = 0; /* it has come to its end with the run */
    } else if (dmf->failure[0]) {
        dmf->failure[0] = 0;
        sl_log(SL_INFO, "feed works again", SL_T("feed", dmf->feed->name));
    }
}

void sl_dmf_tell_end(struct sl_dmf *dmf)
{
    tell_end(dmf, &dmf->run);
}

/* --- leases --- */

bool sl_dmf_owns(const struct sl_dmf *dmf)
{
    return dmf->lease.held && dmf->epoch && dmf->lease.epoch == dmf->epoch;
}

int sl_dmf_confirm_owner(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    int rc = state->type->lease_hold(state, &dmf->lease, state->lease_ms, err);
    if (rc == SL_OK && !sl_dmf_owns(dmf))
        return sl_err_set(err, SL_THROTTLED, "the feed had another owner meanwhile");
    return rc;
}

/* One of a time when the name was that of a table, or of rows posted or read back, is none of ours:
 * those to come are behind it, and that is all. */
static void pass_over_stranger(struct sl_run *run)
{
    if (run->execution_id[0] || run->sweeps[0])
        return;
    int64_t number = run->number;
    memset(run, 0, sizeof *run);
    run->number = number;
    run->state = SL_RUN_DONE;
}

/* The newest run. Those to come are none of those that a full read has overtaken, also when the
 * journal was lost, and none that this process knows, also when an older journal was restored:
 * their batches may be on their way. */
static int find_newest(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    struct sl_overtake by = {0};
    int64_t known = sl_dmf_next_number(dmf) - 1;
    int rc = state->type->overtake_get(state, dmf->feed->name, &by, err);
    if (rc != SL_OK && rc != SL_NOTFOUND)
        return rc;
    dmf->overtaken = by.run > known ? by.run : known;
    rc = state->type->run_newest(state, dmf->feed->name, &dmf->run, err);
    if (rc == SL_NOTFOUND)
        memset(&dmf->run, 0, sizeof dmf->run);
    else if (rc != SL_OK)
        return rc;
    pass_over_stranger(&dmf->run);
    return SL_OK;
}

/* How the last one ended that did: the newest, or one before it while that is under way. */
static int tell_last_end(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    if (dmf->run.id[0] && dmf->run.state >= SL_RUN_DONE) {
        sl_dmf_tell_end(dmf);
        return SL_OK;
    }
    struct sl_run *run = SL_NEW(struct sl_run);
    int rc = state->type->run_ended(state, dmf->feed->name, run, err);
    if (rc == SL_OK) {
        pass_over_stranger(run);
        tell_end(dmf, run);
    }
    free(run);
    return rc == SL_NOTFOUND ? SL_OK : rc;
}

void sl_dmf_forget_troubles(struct sl_dmf *dmf)
{
    dmf->broken = dmf->unclosed = 0;
    dmf->spoilt = false;
    dmf->to_outdo = 0;
}

void sl_dmf_tell_fresh(struct sl_dmf *dmf)
{
    if (dmf->run.fresh_ms)
        sl_fresh_until(&dmf->fresh, dmf->feed->name, dmf->run.fresh_ms);
}

int sl_dmf_take_over(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    dmf->epoch = 0;
    sl_dmf_drop_collections(dmf); /* at once: the new owner cannot do without them */
    if (!dmf->lease.held)
        sl_share_wait_turn(dmf->env.share, &dmf->lease);
    int rc = state->type->lease_hold(state, &dmf->lease, state->lease_ms, err);
    if (rc == SL_THROTTLED && err)
        err->retry_after_ms = LEASE_AGAIN_MS; /* and then, until it is our turn */
    if (rc != SL_OK)
        return rc;
    int64_t epoch = dmf->lease.epoch, before = dmf->run.number;
    rc = find_newest(dmf, err);
    if (dmf->run.number != before) {
        sl_dmf_forget_troubles(dmf);
        dmf->failure[0] = 0;
    }
    if (rc == SL_OK) /* it was asked for, by a process that is gone */
        dmf->unanswered = dmf->run.state == SL_RUN_REQUESTED || sl_dmf_asked_before(dmf);
    if (rc == SL_OK && dmf->run.state == SL_RUN_STREAMING && dmf->run.attempt)
        dmf->to_outdo |= SL_DMF_UNENDED; /* how far it came, nobody knows */
    if (rc == SL_OK && dmf->run.id[0])
        sl_log(SL_INFO, "feed taken up", SL_T("feed", dmf->feed->name), SL_T("run", dmf->run.id),
               SL_T("state", sl_run_state_name(dmf->run.state)));
    if (rc == SL_OK)
        rc = tell_last_end(dmf, err);
    if (rc == SL_OK) {
        dmf->epoch = epoch;
        sl_dmf_tell_fresh(dmf);
    }
    return rc;
}

bool sl_dmf_must_give(const struct sl_dmf *dmf)
{
    return sl_share_must_give(dmf->env.share, &dmf->lease);
}

int sl_dmf_give_away(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    dmf->epoch = 0;
    dmf->next_run_ms = 0;
    sl_share_gave(dmf->env.share, &dmf->lease);
    state->type->lease_drop(state, &dmf->lease);
    return sl_err_set(err, SL_THROTTLED, "the feed goes to another process");
}

bool sl_dmf_asked_before(const struct sl_dmf *dmf)
{
    return dmf->run.state == SL_RUN_PLANNED && dmf->run.state_ms > dmf->run.created_ms;
}

int sl_dmf_take_collections(struct sl_dmf *dmf, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    for (size_t i = 0; i < dmf->exclusive_count;) {
        if (!sl_dmf_owns(dmf))
            return sl_err_set(err, SL_THROTTLED, "the feed has another owner now");
        bool held = dmf->exclusive[i].held; /* and kept */
        int rc =
            held ? SL_OK : state->type->lease_hold(state, &dmf->exclusive[i], state->lease_ms, err);
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
        state->type->lease_drop(state, &dmf->exclusive[i]);
}

/* --- the run --- */

int sl_dmf_refused(struct sl_dmf *dmf, int rc)
{
    if (rc == SL_REJECTED)
        dmf->epoch = 0;
    return rc;
}

int sl_dmf_mark(struct sl_dmf *dmf, const char *reason, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    return sl_dmf_refused(
        dmf, state->type->suspect_set(state, dmf->feed->name, reason, dmf->epoch, err));
}

static int enter(struct sl_dmf *dmf, enum sl_run_state state, const char *error, bool unsettled,
                 struct sl_err *err)
{
    struct sl_run next = dmf->run;
    next.unsettled = unsettled;
    snprintf(next.error, sizeof next.error, "%s", error);
    next.state = state;
    next.state_ms = sl_wall_ms();
    if (next.state_ms <= next.created_ms) /* the clock was set back: see sl_dmf_asked_before */
        next.state_ms = next.created_ms + 1;
    int rc = dmf->env.state->type->run_save(dmf->env.state, &next, dmf->epoch, err);
    sl_dmf_refused(dmf, rc);
    if (rc == SL_OK)
        dmf->run = next;
    return rc;
}

int sl_dmf_enter_with(struct sl_dmf *dmf, enum sl_run_state state, const char *error,
                      struct sl_err *err)
{
    return enter(dmf, state, error, dmf->run.unsettled, err);
}

int sl_dmf_enter_unsettled(struct sl_dmf *dmf, enum sl_run_state state, const char *error,
                           struct sl_err *err)
{
    return enter(dmf, state, error, true, err);
}

int sl_dmf_enter(struct sl_dmf *dmf, enum sl_run_state state, struct sl_err *err)
{
    return sl_dmf_enter_with(dmf, state, dmf->run.error, err);
}

/* An entity may go to another collection now, whose counter is behind. */
static int64_t greatest_counter(const struct sl_run *run)
{
    int64_t greatest = 0;
    for (unsigned i = 0; i < run->entity_count; i++)
        if (run->entities[i].counter > greatest)
            greatest = run->entities[i].counter;
    return greatest;
}

void sl_dmf_name_entities(const struct sl_dmf *dmf, struct sl_run *run)
{
    int64_t counter = greatest_counter(&dmf->run);
    run->entity_count = 0;
    _Static_assert((int)SL_CONFIG_ENTITIES_MAX <= (int)SL_RUN_ENTITIES_MAX, "a run names them all");
    for (size_t i = 0; i < dmf->feed->entity_count; i++) {
        struct sl_run_entity *entity = &run->entities[run->entity_count++];
        *entity = (struct sl_run_entity){.counter = counter};
        snprintf(entity->name, sizeof entity->name, "%s", dmf->feed->entities[i].route);
    }
}

struct sl_run_entity *sl_dmf_entity(struct sl_dmf *dmf, const struct sl_entity_config *entity)
{
    for (unsigned i = 0; i < dmf->run.entity_count; i++)
        if (!strcmp(dmf->run.entities[i].name, entity->route))
            return &dmf->run.entities[i];
    return NULL;
}
