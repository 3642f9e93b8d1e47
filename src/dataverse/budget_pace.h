/* How often each table is polled, so that all of them together keep within a rate.
 *
 * When all of them fit at their own interval, each has that, and a busy one a shorter one: a poll
 * that brings rows makes it ask for its shortest, each that brings none for twice as long as
 * before, until it is back at its own. Half of what the others leave is for that, and what does not
 * suffice is shared evenly.
 *
 * When they do not fit, those of priority high keep theirs first, then the busy ones (rows came in
 * the last minute), and the others share what is left evenly; each is polled at least once in its
 * longest interval. Where not even the high or the busy ones fit, they are stretched evenly among
 * themselves. Idle ones that come all at once (at the start, after a pause) are spread over their
 * interval. One that was not polled yet counts as busy: else those where something happens would be
 * found last, when they are many. Pure: the caller tells the time. */
#ifndef SL_DATAVERSE_BUDGET_PACE_H
#define SL_DATAVERSE_BUDGET_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Who keeps its interval when not all can. "Hot" are the last two. */
enum sl_pace_rank {
    SL_PACE_IDLE, /* or of priority low */
    SL_PACE_BUSY,
    SL_PACE_HIGH,
    SL_PACE_RANKS
};

/* A table that is polled; embedded in it. */
struct sl_budget_member {
    uint64_t every_ms;        /* wanted */
    uint64_t min_interval_ms; /* while it is busy; never more than every_ms */
    uint64_t max_interval_ms; /* at most, also when the budget is short; less than every_ms: that */
    int priority;             /* enum sl_dataverse_priority */

    struct sl_budget_member *previous, *next; /* private, as all that follows */
    uint64_t hot_until_ms;
    uint64_t asked_ms;    /* the interval that it asks for: less than every_ms while it is busy */
    uint64_t interval_ms; /* as planned */
    uint64_t due_ms;      /* when the next poll was to be expected at the last one */
    double fraction;      /* of the interval: less than 1 once, to spread a herd */
    uint64_t spread_ms;   /* the interval over which it was spread last */
    enum sl_pace_rank rank;
    bool capped;
};

struct sl_budget_pace {
    struct sl_budget_member *first; /* private, as all */
    unsigned count, hot_count;
    uint32_t dice;
    double stretch; /* of the last plan: by how much a table's interval is longer than it may be */
};

/* Adds a member, whose settings are filled, and takes it out. It lives that long. */
void sl_pace_join(struct sl_budget_pace *pace, struct sl_budget_member *member);
void sl_pace_leave(struct sl_budget_pace *pace, struct sl_budget_member *member);

/* A poll of the member brought so many rows. rung: a bell asked for it; that a table for which
 * bells ring has rows is no reason to poll it. True when something is different now: plan again. */
bool sl_pace_polled(struct sl_budget_pace *pace, struct sl_budget_member *member, bool rung,
                    uint64_t rows, uint64_t now_ms);

/* From one poll to the next. */
uint64_t sl_pace_interval_ms(const struct sl_budget_member *member);

/* Plans the interval of every member for a rate in polls a millisecond. may_hasten: busy ones may
 * have a shorter one than their own. */
void sl_pace_plan(struct sl_budget_pace *pace, double rate, bool may_hasten, uint64_t now_ms);

/* Whether by the last plan hot members are polled less than half as often as they want, or idle
 * ones than their longest interval allows. A little less of either is what pacing is for. */
bool sl_pace_is_short(const struct sl_budget_pace *pace);

#endif
