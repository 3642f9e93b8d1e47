/* Exports whose end was not known when their run ended. One that was given up may still start, or
 * end, and a package that had no address may still get one: its changes no other export brings
 * again, but a full one that was asked for after that. So the environment is asked before each run
 * until it tells. */
#include <stdlib.h>

#include "base/clock.h"
#include "dmf/dmf_own.h"

enum {
    EMPTY_MS = 3600 * 1000, /* an address that is empty for longer stays so: no changes */
    ASKED_MAX = 3,          /* before one run: a hasty feed that is quiet has many */
};

/* An answer that tells nothing. Once the environment may have forgotten the execution, none will.
 */
static int nobody_knows(const struct sl_run *run, int64_t asked_ms, const char **ret_loss)
{
    if (asked_ms - run->state_ms < SL_DMF_FORGETS_MS)
        return SL_END;
    *ret_loss = "what became of an export was never told";
    return SL_OK;
}

/* SL_OK: its fate is known, and *ret_loss why changes may be lost with it; NULL: none are. SL_END:
 * not yet. */
static int look_at_given_up(struct sl_dmf *dmf, const struct sl_run *run, const char **ret_loss,
                            struct sl_err *err)
{
    enum sl_dmf_status status = SL_DMF_UNKNOWN;
    int64_t asked_ms = sl_wall_ms();
    int rc = sl_dmf_status(dmf->env.remote, run->returned_execution_id, &status, err);
    if (rc == SL_NOTFOUND || rc == SL_REJECTED || (rc == SL_OK && status == SL_DMF_UNKNOWN))
        return nobody_knows(run, asked_ms, ret_loss);
    if (rc != SL_OK)
        return rc;
    if (status == SL_DMF_NOT_RUN || status == SL_DMF_EXECUTING)
        return SL_END;
    *ret_loss = "an export that was given up has ended since";
    return SL_OK;
}

/* The same for a run that ended without a package. */
static int look_at_empty(struct sl_dmf *dmf, const struct sl_run *run, const char **ret_loss,
                         struct sl_err *err)
{
    char *url = NULL;
    int64_t asked_ms = sl_wall_ms();
    int rc = sl_dmf_package_url(dmf->env.remote, run->returned_execution_id, &url, err);
    if (rc == SL_NOTFOUND || rc == SL_REJECTED)
        return nobody_knows(run, asked_ms, ret_loss);
    if (rc != SL_OK)
        return rc;
    bool empty = !url[0];
    free(url);
    if (!empty)
        *ret_loss = "an export has a package after all, which came after url_deadline";
    return empty && asked_ms - run->state_ms < EMPTY_MS ? SL_END : SL_OK;
}

static int settle(struct sl_dmf *dmf, struct sl_run *run, const char *loss, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    int rc = loss ? sl_dmf_lose(dmf, run, loss, err) : SL_OK;
    if (rc != SL_OK)
        return rc;
    run->unsettled = false;
    return sl_dmf_refused(dmf, state->type->run_save(state, run, dmf->epoch, err));
}

/* The next one by number after that which was asked for last, so that those that never end keep no
 * other from its turn. SL_NOTFOUND: none is left, and the next is the oldest again. */
static int next_unsettled(struct sl_dmf *dmf, struct sl_run *ret, struct sl_err *err)
{
    struct sl_state *state = dmf->env.state;
    do {
        int rc = state->type->run_unsettled(state, dmf->feed->name, dmf->settled_to, ret, err);
        dmf->settled_to = rc == SL_OK ? ret->number : 0;
        if (rc != SL_OK)
            return rc;
    } while (!ret->returned_execution_id[0]); /* of posts, or rows read back: it was that */
    return SL_OK;
}

int sl_dmf_settle(struct sl_dmf *dmf, bool *ret_lost, struct sl_err *err)
{
    struct sl_run run = {0};
    bool from_start = !dmf->settled_to;
    for (unsigned asked = 0; asked < ASKED_MAX; asked++) {
        const char *loss = NULL;
        int rc = next_unsettled(dmf, &run, err);
        if (rc == SL_NOTFOUND && !asked && !from_start)
            rc = next_unsettled(dmf, &run, err);
        if (rc != SL_OK)
            return rc == SL_NOTFOUND ? SL_OK : rc;
        rc = run.state == SL_RUN_FAILED ? look_at_given_up(dmf, &run, &loss, err)
                                        : look_at_empty(dmf, &run, &loss, err);
        if (rc == SL_OK)
            rc = settle(dmf, &run, loss, err);
        else if (rc != SL_CANCELED)
            continue;
        if (rc != SL_OK)
            return rc;
        *ret_lost |= loss != NULL;
    }
    return SL_OK;
}
