#include "source/share.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "source/share_plan.h"

enum {
    SETTLE_MS = 5 * 1000, /* a process that starts and ends at once moves nothing */
    KNOWN_MS = 1000,      /* for the first look at the others; MongoDB may be away */
    PATIENCE_MS = 5 * 1000,
    /* One that was given away and came back was not wanted there: it is kept for so long. */
    HOLD_DOWN_MS = 5 * 60 * 1000,
};

/* A lease that is shared. */
struct own {
    const char *lease;
    uint64_t gave_ms; /* loop clock; 0: never */
    const struct sl_lease *held;
    struct sl_waitlist *wake; /* of who holds it; NULL: nobody asked */
};

struct sl_share {
    struct sl_state *state;
    struct own *own; /* in the order of the leases' names */
    const char **wants;
    size_t count;
    struct sl_members seen;
    struct sl_share_plan plan; /* from seen */
    uint64_t seen_ms;          /* loop clock; 0: nothing was seen so far */
    bool told;                 /* others may know of this process, also when no answer came */
    struct sl_waitlist known;
    struct sl_fiber *fiber;
};

/* For how long a sign of life counts: less than a lease, so that who hangs is planned for no more
 * when its leases end. */
static uint64_t alive_ms(const struct sl_share *share)
{
    return share->state->lease_ms * 2 / 5;
}

static const char *me(const struct sl_share *share)
{
    return share->state->type->member_name(share->state);
}

static int by_name(const void *lease, const void *own)
{
    return strcmp(lease, ((const struct own *)own)->lease);
}

static int by_lease(const void *a, const void *b)
{
    return by_name(((const struct own *)a)->lease, b);
}

static struct own *own_of(const struct sl_share *share, const char *lease)
{
    return share->count ? bsearch(lease, share->own, share->count, sizeof *share->own, by_name)
                        : NULL;
}

/* What was seen long ago says nothing. */
static bool is_known(const struct sl_share *share)
{
    return share->seen_ms && sl_loop_now_ms() - share->seen_ms < alive_ms(share);
}

/* Whether this process shall have it, or nobody knows better. */
static bool is_ours(const struct sl_share *share, const char *lease)
{
    const struct sl_share_planned *item = sl_share_plan_find(&share->plan, lease);
    return !is_known(share) || !item || !strcmp(item->wanted, me(share));
}

/* --- signs of life --- */

static void tell_members(const struct sl_share *share, size_t before)
{
    if (share->seen.member_count != before)
        sl_log(SL_INFO, "processes that share feeds",
               SL_N("processes", (int64_t)share->seen.member_count),
               SL_N("before", (int64_t)before));
}

/* Who sleeps until a run is due gives away at once. */
static void wake_givers(struct sl_share *share)
{
    for (size_t i = 0; i < share->count; i++) {
        const struct own *own = &share->own[i];
        if (own->wake && own->held->held && sl_share_must_give(share, own->held))
            sl_wake_all(own->wake);
    }
}

static void beat(struct sl_share *share)
{
    struct sl_err err = {0};
    struct sl_members seen;
    share->told = true;
    int rc = share->state->type->member_beat(share->state, share->wants, share->count,
                                             alive_ms(share), &seen, &err);
    if (rc != SL_OK) {
        if (rc != SL_CANCELED)
            sl_log(SL_DEBUG, "cannot tell others of this process", SL_T("error", err.message));
        return;
    }
    size_t before = share->seen.member_count;
    sl_share_plan_done(&share->plan);
    sl_members_done(&share->seen);
    share->seen = seen;
    share->plan = sl_share_plan(&share->seen, SETTLE_MS);
    share->seen_ms = sl_loop_now_ms();
    tell_members(share, before);
    sl_wake_all(&share->known);
    wake_givers(share);
}

static void run(void *arg)
{
    struct sl_share *share = arg;
    uint64_t pause_ms;
    do {
        beat(share);
        /* Alone, nobody waits for the next sign, and who comes is given nothing for SETTLE_MS. */
        pause_ms = alive_ms(share) / (share->seen.member_count == 1 ? 3 : 6);
    } while (sl_fiber_sleep_beat(pause_ms) == SL_OK);
}

struct sl_share *sl_share_new(struct sl_state *state, const char *const *leases, size_t count)
{
    struct sl_share *share = SL_NEW(struct sl_share);
    share->state = state;
    share->count = count;
    share->own = sl_calloc(count + 1, sizeof *share->own);
    share->wants = sl_calloc(count + 1, sizeof *share->wants);
    for (size_t i = 0; i < count; i++)
        share->own[i].lease = share->wants[i] = leases[i];
    qsort(share->own, count, sizeof *share->own, by_lease);
    share->fiber = sl_fiber_spawn_joinable("share", run, share);
    return share;
}

void sl_share_leave(struct sl_share *share)
{
    if (!share || !share->fiber)
        return;
    sl_fiber_end(&share->fiber);
    if (share->told)
        share->state->type->member_leave(share->state);
}

void sl_share_free(struct sl_share *share)
{
    if (!share)
        return;
    sl_share_leave(share);
    sl_share_plan_done(&share->plan);
    sl_members_done(&share->seen);
    free(share->own);
    free(share->wants);
    free(share);
}

/* --- leases --- */

void sl_share_wait_turn(struct sl_share *share, struct sl_lease *lease)
{
    int rc = SL_OK;
    if (!share)
        return;
    uint64_t deadline_ms = sl_deadline_in(share->seen_ms ? PATIENCE_MS : KNOWN_MS);
    while (rc == SL_OK && (!share->seen_ms || !is_ours(share, lease->name)))
        rc = sl_wait(&share->known, deadline_ms);
    lease->patience_ms = is_ours(share, lease->name) ? 0 : PATIENCE_MS;
}

bool sl_share_must_give(const struct sl_share *share, const struct sl_lease *lease)
{
    if (!share || is_ours(share, lease->name))
        return false;
    const struct own *own = own_of(share, lease->name);
    return own && (!own->gave_ms || sl_loop_now_ms() - own->gave_ms >= HOLD_DOWN_MS);
}

void sl_share_watch(struct sl_share *share, const struct sl_lease *lease, struct sl_waitlist *wake)
{
    struct own *own = share ? own_of(share, lease->name) : NULL;
    if (!own)
        return;
    own->held = lease;
    own->wake = wake;
}

void sl_share_gave(struct sl_share *share, const struct sl_lease *lease)
{
    const struct sl_share_planned *item = sl_share_plan_find(&share->plan, lease->name);
    struct own *own = own_of(share, lease->name);
    if (own)
        own->gave_ms = sl_loop_now_ms();
    sl_log(SL_INFO, "given to another process, which has fewer", SL_T("lease", lease->name),
           SL_T("process", item ? item->wanted : ""));
}

/* --- what a person sees --- */

static size_t holds(const struct sl_share *share, const char *member)
{
    size_t count = 0;
    for (size_t i = 0; i < share->plan.count; i++)
        count += share->plan.items[i].holder && !strcmp(share->plan.items[i].holder, member);
    return count;
}

void sl_share_status(const struct sl_share *share, struct sl_buf *buf)
{
    sl_buf_add_text(buf, "{\"me\":");
    sl_buf_add_json_text(buf, me(share));
    sl_buf_add_text(buf, ",\"members\":{");
    for (size_t i = 0; i < share->seen.member_count; i++) {
        const struct sl_member *member = &share->seen.members[i];
        sl_buf_add_text(buf, i ? "," : "");
        sl_buf_add_json_text(buf, member->name);
        sl_buf_printf(buf, ":{\"age_s\":%" PRId64 ",\"owns\":%zu}", member->age_ms / 1000,
                      holds(share, member->name));
    }
    sl_buf_add_text(buf, "},\"owners\":{");
    for (size_t i = 0; i < share->seen.holding_count; i++) {
        const struct sl_holding *holding = &share->seen.holdings[i];
        sl_buf_add_text(buf, i ? "," : "");
        sl_buf_add_json_text(buf, holding->lease);
        sl_buf_add_text(buf, ":{\"owner\":");
        sl_buf_add_json_text(buf, holding->holder);
        sl_buf_printf(buf, ",\"epoch\":%" PRId64 ",\"here\":%s}", holding->epoch,
                      strcmp(holding->holder, me(share)) ? "false" : "true");
    }
    sl_buf_add_text(buf, "}}");
}
