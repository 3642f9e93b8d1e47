#include "dataverse/budget_pace.h"

#include <math.h>
#include <stddef.h>

#include "dataverse/settings.h"

enum {
    HOT_MS = 60 * 1000,  /* how long rows keep a table hot */
    LATE_MS = 10 * 1000, /* a poll that comes so late, ... */
    SHORT_FACTOR = 2,    /* intervals that are so many times too long */
    LATE_PARTS = 4,      /* ... and a quarter of its interval, comes with others: spread them */
    HASTE_PARTS = 2,     /* of what is left when all have their own interval: for busy ones */
    CALMER = 2,          /* a poll without rows makes the interval asked for so many times longer */
};

#define NOT_KNOWN UINT64_MAX /* as hot_until_ms: not polled yet, so it may well be hot */

/* A number within (0, 1], evenly distributed: George Marsaglia's xorshift. */
static double draw(struct sl_budget_pace *pace)
{
    uint32_t dice = pace->dice ? pace->dice : 2463534242u;
    dice ^= dice << 13;
    dice ^= dice >> 17;
    dice ^= dice << 5;
    pace->dice = dice;
    return ((double)dice + 1) / 4294967296.0;
}

void sl_pace_join(struct sl_budget_pace *pace, struct sl_budget_member *member)
{
    member->hot_until_ms = NOT_KNOWN;
    member->rank = SL_PACE_IDLE;
    member->asked_ms = member->every_ms;
    member->interval_ms = member->every_ms;
    member->due_ms = 0;
    member->fraction = draw(pace); /* those that join together are not due together */
    member->spread_ms = member->every_ms;
    member->previous = NULL;
    member->next = pace->first;
    if (pace->first)
        pace->first->previous = member;
    pace->first = member;
    pace->count++;
}

void sl_pace_leave(struct sl_budget_pace *pace, struct sl_budget_member *member)
{
    if (member->previous)
        member->previous->next = member->next;
    else
        pace->first = member->next;
    if (member->next)
        member->next->previous = member->previous;
    pace->count--;
}

static enum sl_pace_rank rank_of(const struct sl_budget_member *member, uint64_t now_ms)
{
    if (member->priority == SL_DATAVERSE_PRIORITY_HIGH)
        return SL_PACE_HIGH;
    bool busy = member->priority != SL_DATAVERSE_PRIORITY_LOW && now_ms < member->hot_until_ms;
    return busy ? SL_PACE_BUSY : SL_PACE_IDLE;
}

uint64_t sl_pace_interval_ms(const struct sl_budget_member *member)
{
    if (member->interval_ms < member->every_ms)
        return member->interval_ms;
    uint64_t interval_ms = (uint64_t)ceil((double)member->interval_ms * member->fraction);
    return interval_ms > member->every_ms ? interval_ms : member->every_ms;
}

/* Idle members whose interval grew at the same moment would for ever be due together. */
static void spread(struct sl_budget_pace *pace, struct sl_budget_member *member, uint64_t now_ms)
{
    uint64_t interval_ms = member->interval_ms;
    uint64_t late_ms = now_ms > member->due_ms ? now_ms - member->due_ms : 0;
    bool late = late_ms > LATE_MS && late_ms > interval_ms / LATE_PARTS;
    bool grown = interval_ms > 2 * member->spread_ms;
    bool stretched = member->rank == SL_PACE_IDLE && interval_ms > member->every_ms;
    member->fraction = stretched && (late || grown) ? draw(pace) : 1;
    if (grown || interval_ms < member->spread_ms)
        member->spread_ms = interval_ms;
    member->due_ms = now_ms + sl_pace_interval_ms(member);
}

/* What the member asks for after a poll that nobody rang for. */
static uint64_t asked_ms(const struct sl_budget_member *member, uint64_t rows)
{
    if (member->priority == SL_DATAVERSE_PRIORITY_LOW)
        return member->every_ms;
    uint64_t asked_ms = rows ? member->min_interval_ms : CALMER * member->asked_ms;
    return asked_ms < member->every_ms ? asked_ms : member->every_ms;
}

bool sl_pace_polled(struct sl_budget_pace *pace, struct sl_budget_member *member, bool rung,
                    uint64_t rows, uint64_t now_ms)
{
    uint64_t asked_before_ms = member->asked_ms;
    if (rows)
        member->hot_until_ms = now_ms + HOT_MS;
    else if (member->hot_until_ms == NOT_KNOWN)
        member->hot_until_ms = 0;
    if (!rung)
        member->asked_ms = asked_ms(member, rows);
    spread(pace, member, now_ms);
    return rank_of(member, now_ms) != member->rank || member->asked_ms != asked_before_ms;
}

static double wanted(const struct sl_budget_member *member)
{
    return 1 / (double)member->every_ms;
}

static double longest_ms(const struct sl_budget_member *member)
{
    return (double)(member->max_interval_ms > member->every_ms ? member->max_interval_ms
                                                               : member->every_ms);
}

/* By what factor the intervals of the members of a rank grow so that they share rate; those that
 * would exceed their longest interval are marked as capped, and the others share what is left. */
static double stretch(struct sl_budget_pace *pace, enum sl_pace_rank rank, double rate)
{
    double factor = 1;
    for (bool again = true; again;) {
        double left = rate, demand = 0;
        for (struct sl_budget_member *m = pace->first; m; m = m->next) {
            if (m->rank != rank)
                continue;
            if (m->capped)
                left -= 1 / longest_ms(m);
            else
                demand += wanted(m);
        }
        factor = left > 0 ? demand / left : INFINITY;
        again = false;
        for (struct sl_budget_member *m = pace->first; m; m = m->next) {
            if (m->rank != rank || m->capped || (double)m->every_ms * factor < longest_ms(m))
                continue;
            m->capped = true;
            again = true;
        }
    }
    return factor > 1 ? factor : 1;
}

static void set(struct sl_budget_member *member, double interval_ms)
{
    member->interval_ms = (uint64_t)ceil(interval_ms - 1e-6);
}

/* What the members of each rank would use at their own interval and at their longest, and what more
 * the busy ones ask for. */
struct demand {
    double wanted[SL_PACE_RANKS], least[SL_PACE_RANKS], haste;
};

/* What a busy member asks for beyond its own interval. */
static double haste(const struct sl_budget_member *member)
{
    return 1 / (double)member->asked_ms - wanted(member);
}

static struct demand measure(struct sl_budget_pace *pace, uint64_t now_ms)
{
    struct demand demand = {0};
    pace->hot_count = 0;
    for (struct sl_budget_member *m = pace->first; m; m = m->next) {
        m->rank = rank_of(m, now_ms);
        m->capped = false;
        demand.wanted[m->rank] += wanted(m);
        demand.least[m->rank] += 1 / longest_ms(m);
        demand.haste += haste(m);
        if (m->rank != SL_PACE_IDLE)
            pace->hot_count++;
    }
    return demand;
}

/* All have their own interval, and the busy ones a shorter one as far as room goes. */
static void hasten(struct sl_budget_pace *pace, double asked, double room)
{
    double granted = asked > room ? room / asked : 1;
    for (struct sl_budget_member *m = pace->first; m; m = m->next)
        set(m, 1 / (wanted(m) + granted * haste(m)));
}

/* What is left of rate when others have the least that they need, and half of it at least. */
static double beside(double rate, double others_least)
{
    return fmax(rate - others_least, rate / 2);
}

/* Gives the members of a rank intervals that fit into rate. Returns what they use of it. */
static double fit(struct sl_budget_pace *pace, const struct demand *demand, enum sl_pace_rank rank,
                  double rate)
{
    if (!demand->least[rank])
        return 0;
    double over = fmax(demand->least[rank] / rate, 1), factor = stretch(pace, rank, rate);
    bool idle = rank == SL_PACE_IDLE;
    pace->stretch = fmax(pace->stretch, idle ? over : demand->wanted[rank] / rate);
    for (struct sl_budget_member *m = pace->first; m; m = m->next)
        if (m->rank == rank)
            set(m, m->capped ? longest_ms(m) * over : (double)m->every_ms * factor);
    return demand->wanted[rank] < rate ? demand->wanted[rank] : rate;
}

/* They do not fit. Half at least is for those where something happens, however many the idle are,
 * and half of that for those of priority high. */
static void ration(struct sl_budget_pace *pace, const struct demand *demand, double rate)
{
    double hot = beside(rate, demand->least[SL_PACE_IDLE]);
    double high = fit(pace, demand, SL_PACE_HIGH, beside(hot, demand->least[SL_PACE_BUSY]));
    double busy = fit(pace, demand, SL_PACE_BUSY, hot - high);
    fit(pace, demand, SL_PACE_IDLE, rate - high - busy);
}

void sl_pace_plan(struct sl_budget_pace *pace, double rate, bool may_hasten, uint64_t now_ms)
{
    struct demand demand = measure(pace, now_ms);
    double all = 0;
    for (unsigned i = 0; i < SL_PACE_RANKS; i++)
        all += demand.wanted[i];
    pace->stretch = 1;
    if (all > rate)
        ration(pace, &demand, rate);
    else
        hasten(pace, demand.haste, may_hasten ? (rate - all) / HASTE_PARTS : 0);
}

bool sl_pace_is_short(const struct sl_budget_pace *pace)
{
    return pace->count && pace->stretch >= SHORT_FACTOR;
}
