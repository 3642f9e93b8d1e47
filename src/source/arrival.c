/* Reserving versions. One fiber a process talks to the state; whoever needs versions waits for it.
 *
 * A range serves what had arrived before it was asked for. One that was asked for alone, with
 * nobody else seen for a while, is kept for what arrives in the next two seconds, too. Somebody
 * else's kept range may be older than ours and still in use: whoever cannot know better waits until
 * that is over, before the first version. */
#include "source/arrival.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"

enum {
    KEEP_MS = 2000,  /* a kept range is used no longer after it was asked for … */
    DRIFT_MS = 200,  /* … and others wait so much more, because clocks run differently */
    QUIET_MS = 5000, /* nobody else was seen for so long: we are alone */
    RENEW_MS = 500,  /* alone, and there were arrivals lately */
    SHOW_MS = 2000,  /* else: so that others see that we are there */
    LATELY_MS = 10 * 1000,
    RETRY_MS = 250,
    SILENCE_MS = 2000,  /* without an answer: trouble */
    AHEAD_MS = KEEP_MS, /* how far a kept range reaches ahead of the clock */
    LEAVE_MS = 1000,    /* for the last words */
    SPARE = 2048,       /* versions reserved beyond those needed */
};

#define VERSION_MAX ((INT64_C(1) << 53) - 1)

/* Ranges end at even numbers. The odd one behind such an end says: whoever reserved last was alone,
 * and has left. */
static bool says_left(int64_t reserved)
{
    return reserved & 1;
}

struct sl_arrival {
    struct sl_arrival *next; /* of the process */
    struct sl_state *state;
    unsigned users;
    int64_t last, limit; /* those above last, up to limit, are ours to give */
    int64_t seen;        /* how far all ranges went when we last asked; -1: we never did */
    bool known_alone;    /* nobody else's reservation was seen, ever */
    uint64_t alone_ms;   /* … since then (loop clock, as all below) */
    uint64_t shown_ms;   /* when we last asked for a range that we got; 0: never */
    uint64_t clean_ms;   /* until then somebody may give versions of an older range */
    uint64_t keep_ms;    /* until then ours serves those who come later; 0: it does not */
    uint64_t asked;      /* how often we asked … */
    uint64_t answered;   /* … and which time brought the range */
    uint64_t used_ms;    /* the last arrival */
    uint64_t waiting;    /* versions wanted by those who wait */
    uint64_t asking_ms;  /* a request is on its way since then; 0: none */
    bool wanted;
    struct sl_waitlist wake, changed;
    struct sl_fiber *keeper;
    char trouble[SL_ERR_TEXT_BYTES]; /* "" when the state answered */
};

static struct sl_arrival *all;

static int64_t clock_version(int64_t ahead_ms)
{
    return (sl_wall_ms() + ahead_ms) * (1 << SL_ARRIVAL_SEQUENCE_BITS);
}

/* --- asking the state --- */

static bool was_alone(const struct sl_arrival *arrival, uint64_t at_ms)
{
    return arrival->known_alone || at_ms >= arrival->alone_ms + QUIET_MS;
}

static bool is_alone(const struct sl_arrival *arrival)
{
    return was_alone(arrival, sl_loop_now_ms());
}

/* Somebody else has reserved. Whoever saw a reservation of ours keeps no range for a while, so that
 * we need not wait when the last one was not long ago. */
static void saw_others(struct sl_arrival *arrival)
{
    uint64_t now_ms = sl_loop_now_ms();
    bool were_seen = arrival->shown_ms && now_ms < arrival->shown_ms + QUIET_MS - DRIFT_MS;
    if (!were_seen)
        arrival->clean_ms = now_ms + KEEP_MS + DRIFT_MS;
    arrival->known_alone = false;
    arrival->alone_ms = now_ms;
}

/* The state's answer to a request up to until, the serial-th, that was sent at sent_ms. */
static void take_in(struct sl_arrival *arrival, uint64_t serial, uint64_t sent_ms, int64_t until,
                    int64_t previous)
{
    bool first = arrival->seen < 0;
    if (first && (!previous || says_left(previous)))
        arrival->known_alone = true;
    else if (first || previous != arrival->seen)
        saw_others(arrival);
    arrival->seen = previous > until ? previous : until;
    if (previous >= until)
        return; /* asked for too little: the next request begins above */
    if (previous != arrival->limit && previous > arrival->last)
        arrival->last = previous; /* what lies between is others' */
    arrival->limit = until;
    arrival->answered = serial;
    arrival->shown_ms = sent_ms;
    /* When it was sent, since others may have been answered between that and now. */
    arrival->keep_ms = was_alone(arrival, sent_ms) ? sent_ms + KEEP_MS : 0;
}

static int64_t pick_until(const struct sl_arrival *arrival)
{
    int64_t need = (int64_t)arrival->waiting + SPARE;
    int64_t least = (arrival->seen > arrival->last ? arrival->seen : arrival->last) + need;
    int64_t until = clock_version(is_alone(arrival) ? AHEAD_MS : 1);
    return (until > least ? until : least) & ~INT64_C(1);
}

static int reserve(struct sl_arrival *arrival, struct sl_err *err)
{
    int64_t previous, until;
    do {
        uint64_t serial = ++arrival->asked, sent_ms = sl_loop_now_ms();
        until = pick_until(arrival);
        if (until > VERSION_MAX || until <= 0)
            return sl_err_set(err, SL_CONFIG,
                              "the clock of this machine, or what was reserved by an earlier one, "
                              "is beyond the year 2100: no versions can be made of it");
        arrival->asking_ms = sent_ms;
        int rc = arrival->state->type->clock_reserve(arrival->state, until, &previous, err);
        arrival->asking_ms = 0;
        if (rc != SL_OK)
            return rc;
        take_in(arrival, serial, sent_ms, until, previous);
    } while (previous >= until);
    return SL_OK;
}

static void note_trouble(struct sl_arrival *arrival, int rc, const struct sl_err *err)
{
    if (rc != SL_OK && !arrival->trouble[0])
        sl_log(SL_WARN, "cannot reserve versions, will try again", SL_T("error", err->message));
    snprintf(arrival->trouble, sizeof arrival->trouble, "%s", rc == SL_OK ? "" : err->message);
}

static void keep_reserved(void *arg)
{
    struct sl_arrival *arrival = arg;
    for (;;) {
        struct sl_err err = {0};
        arrival->wanted = false;
        int rc = reserve(arrival, &err);
        if (rc == SL_CANCELED)
            return;
        note_trouble(arrival, rc, &err);
        sl_wake_all(&arrival->changed);
        if (rc != SL_OK) {
            if (sl_fiber_sleep(RETRY_MS) != SL_OK)
                return;
            continue;
        }
        bool busy = sl_loop_now_ms() - arrival->used_ms < LATELY_MS && is_alone(arrival);
        uint64_t next_ms = sl_deadline_in(busy ? RENEW_MS : SHOW_MS);
        while (!arrival->wanted && rc == SL_OK)
            rc = sl_wait(&arrival->wake, next_ms);
        if (rc == SL_CANCELED)
            return;
    }
}

/* --- giving versions --- */

/* Whether the range may serve one who came when so many times had been asked. */
static bool serves(const struct sl_arrival *arrival, uint32_t count, uint64_t asked_before)
{
    bool asked_since = arrival->answered > asked_before;
    return (asked_since || sl_loop_now_ms() < arrival->keep_ms) &&
           arrival->limit - arrival->last >= count;
}

static int64_t give(struct sl_arrival *arrival, uint32_t count)
{
    int64_t first = clock_version(0), latest = arrival->limit - count + 1;
    if (first > latest)
        first = latest;
    if (first <= arrival->last)
        first = arrival->last + 1;
    arrival->last = first + count - 1;
    return first;
}

const char *sl_arrival_trouble(const struct sl_arrival *arrival)
{
    if (arrival->asking_ms && sl_loop_now_ms() - arrival->asking_ms >= SILENCE_MS)
        return "cannot reserve versions: MongoDB does not answer";
    return arrival->trouble[0] ? arrival->trouble : NULL;
}

static int no_version(const struct sl_arrival *arrival, struct sl_err *err)
{
    const char *trouble = sl_arrival_trouble(arrival);
    if (trouble)
        return sl_err_set(err, SL_TIMEOUT, "%s", trouble);
    return sl_err_set(err, SL_TIMEOUT,
                      "no version in time: another process may have given some a moment ago");
}

int sl_arrival_take(struct sl_arrival *arrival, uint32_t count, uint64_t deadline_ms,
                    int64_t *ret_first, struct sl_err *err)
{
    uint64_t before = arrival->asked, now_ms = sl_loop_now_ms();
    arrival->used_ms = now_ms;
    while (!serves(arrival, count, before) || now_ms < arrival->clean_ms) {
        uint64_t until_ms = deadline_ms;
        if (!serves(arrival, count, before)) {
            arrival->wanted = true;
            sl_wake_all(&arrival->wake);
        } else if (arrival->clean_ms < deadline_ms) {
            until_ms = arrival->clean_ms;
        }
        arrival->waiting += count;
        int rc = sl_wait(&arrival->changed, until_ms);
        arrival->waiting -= count;
        now_ms = sl_loop_now_ms();
        if (rc == SL_CANCELED)
            return sl_err_set(err, SL_CANCELED, "cancelled while waiting for a version");
        if (rc == SL_TIMEOUT && now_ms >= deadline_ms)
            return no_version(arrival, err);
    }
    *ret_first = give(arrival, count);
    return SL_OK;
}

/* --- joining and leaving --- */

struct sl_arrival *sl_arrival_join(struct sl_state *state)
{
    struct sl_arrival *arrival = all;
    while (arrival && arrival->state != state)
        arrival = arrival->next;
    if (!arrival) {
        arrival = SL_NEW(struct sl_arrival);
        arrival->state = state;
        arrival->seen = -1;
        arrival->next = all;
        all = arrival;
        arrival->keeper = sl_fiber_spawn_joinable("arrival.keep", keep_reserved, arrival);
    }
    arrival->users++;
    return arrival;
}

static void reserve_odd(void *arg)
{
    struct sl_arrival *arrival = arg;
    int64_t previous;
    arrival->state->type->clock_reserve(arrival->state, arrival->seen + 1, &previous, NULL);
    arrival->wanted = false;
    sl_wake_all(&arrival->changed);
}

/* Whoever starts next then need not wait for the end of a kept range. Only worth a try while the
 * state answers, and only true as long as we know that we are alone. */
static void say_left(struct sl_arrival *arrival)
{
    uint64_t until_ms = sl_deadline_in(LEAVE_MS);
    if (sl_loop_now_ms() >= arrival->keep_ms)
        return;
    arrival->wanted = true;
    struct sl_fiber *last = sl_fiber_spawn_joinable("arrival.left", reserve_odd, arrival);
    while (arrival->wanted && sl_wait(&arrival->changed, until_ms) == SL_OK)
        ;
    sl_fiber_cancel(last); /* the state hangs, and the end must not */
    sl_fiber_join(last);
}

void sl_arrival_leave(struct sl_arrival *arrival)
{
    struct sl_arrival **at = &all;
    if (!arrival || --arrival->users)
        return;
    while (*at != arrival)
        at = &(*at)->next;
    *at = arrival->next;
    sl_fiber_cancel(arrival->keeper);
    sl_fiber_join(arrival->keeper);
    say_left(arrival);
    free(arrival);
}
