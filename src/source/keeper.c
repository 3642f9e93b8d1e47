#include "source/keeper.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

struct kept {
    struct sl_lease *lease;
    struct sl_waitlist *lost;
};

struct sl_keeper {
    struct sl_state *state;
    struct kept *kept;
    size_t count, room;
    struct sl_fiber *fiber;
};

void sl_keeper_add(struct sl_keeper *keeper, struct sl_lease *lease, struct sl_waitlist *lost)
{
    if (!keeper)
        return;
    if (keeper->count == keeper->room) {
        keeper->room = keeper->room ? keeper->room * 2 : 16;
        keeper->kept = sl_realloc(keeper->kept, keeper->room * sizeof *keeper->kept);
    }
    keeper->kept[keeper->count++] = (struct kept){lease, lost};
}

void sl_keeper_take_out(struct sl_keeper *keeper, const struct sl_lease *lease)
{
    size_t left = 0;
    if (!keeper)
        return;
    for (size_t i = 0; i < keeper->count; i++)
        if (keeper->kept[i].lease != lease)
            keeper->kept[left++] = keeper->kept[i];
    keeper->count = left;
}

/* --- a round --- */

/* As they were when the round began: their owners go on meanwhile. */
struct round {
    struct sl_lease **of;
    size_t *at; /* where they were among the kept */
    struct sl_lease *leases;
    int64_t *known; /* their expires_ms */
    bool *held;
    size_t count;
};

static struct round begin(const struct sl_keeper *keeper)
{
    struct round round = {
        .of = sl_calloc(keeper->count + 1, sizeof(struct sl_lease *)),
        .at = sl_calloc(keeper->count + 1, sizeof *round.at),
        .leases = sl_calloc(keeper->count + 1, sizeof *round.leases),
        .known = sl_calloc(keeper->count + 1, sizeof *round.known),
        .held = sl_calloc(keeper->count + 1, sizeof *round.held),
    };
    for (size_t i = 0; i < keeper->count; i++)
        if (keeper->kept[i].lease->held) {
            round.of[round.count] = keeper->kept[i].lease;
            round.at[round.count] = i;
            round.known[round.count] = keeper->kept[i].lease->expires_ms;
            round.leases[round.count++] = *keeper->kept[i].lease;
        }
    return round;
}

/* Where the n-th lease of the round stands now: others that were taken out have moved it to the
 * front, if anywhere. NULL: it is gone. */
static struct kept *find(const struct sl_keeper *keeper, const struct round *round, size_t n)
{
    size_t i = round->at[n] < keeper->count ? round->at[n] + 1 : keeper->count;
    while (i > 0)
        if (keeper->kept[--i].lease == round->of[n])
            return &keeper->kept[i];
    return NULL;
}

/* It may be gone, or taken anew, since the round began: then the answer is about another one. */
static void heed(const struct sl_keeper *keeper, const struct round *round, size_t n)
{
    const struct kept *kept = find(keeper, round, n);
    int64_t epoch = round->leases[n].epoch;
    if (!kept || !kept->lease->held || kept->lease->epoch != epoch)
        return;
    if (round->held[n]) {
        if (kept->lease->expires_ms == round->known[n]) /* its owner was told nothing meanwhile */
            kept->lease->expires_ms = round->leases[n].expires_ms;
        return;
    }
    kept->lease->held = false;
    sl_log(SL_INFO, "a lease is another's by now, or older than it was",
           SL_T("lease", kept->lease->name), SL_N("epoch", epoch));
    if (kept->lost)
        sl_wake_all(kept->lost);
}

static int renew(struct sl_keeper *keeper)
{
    struct sl_err err = {0};
    struct sl_state *state = keeper->state;
    struct round round = begin(keeper);
    int rc = SL_OK;
    if (round.count)
        rc = state->type->leases_renew(state, round.leases, round.count, state->lease_ms,
                                       round.held, &err);
    if (rc != SL_OK && rc != SL_CANCELED)
        sl_log(SL_DEBUG, "leases were not renewed", SL_T("error", err.message));
    for (size_t i = 0; rc == SL_OK && i < round.count; i++)
        heed(keeper, &round, i);
    free(round.of);
    free(round.at);
    free(round.leases);
    free(round.known);
    free(round.held);
    return rc;
}

static void run(void *arg)
{
    struct sl_keeper *keeper = arg;
    uint64_t lease_ms = keeper->state->lease_ms, pause_ms = lease_ms / 3;
    while (sl_fiber_sleep(pause_ms) == SL_OK) /* after a failure once more before they end */
        pause_ms = renew(keeper) == SL_OK ? lease_ms / 3 : lease_ms / 12;
}

struct sl_keeper *sl_keeper_new(struct sl_state *state)
{
    struct sl_keeper *keeper = SL_NEW(struct sl_keeper);
    keeper->state = state;
    keeper->fiber = sl_fiber_spawn_joinable("keeper", run, keeper);
    return keeper;
}

void sl_keeper_free(struct sl_keeper *keeper)
{
    if (!keeper)
        return;
    sl_fiber_end(&keeper->fiber);
    free(keeper->kept);
    free(keeper);
}
