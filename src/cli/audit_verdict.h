/* What the books of a run mean. */
#ifndef SL_CLI_AUDIT_VERDICT_H
#define SL_CLI_AUDIT_VERDICT_H

#include "config/config.h"
#include "flow/state.h"

enum sl_audit_verdict {
    SL_AUDIT_CLOSED,      /* it has ended, and all is accounted for */
    SL_AUDIT_EXPIRED,     /* so it was at its end; its ledger is forgotten by now */
    SL_AUDIT_UNDER_WAY,   /* journaled, not ended */
    SL_AUDIT_OPEN,        /* a run of a live feed that is not journaled yet */
    SL_AUDIT_LEFT,        /* cut off: abandoned, or never journaled */
    SL_AUDIT_EARLIER,     /* an attempt that a later one has replaced */
    SL_AUDIT_INTERRUPTED, /* a replay that did not end; its letters are there */
    SL_AUDIT_FAILED,      /* failed with nothing read and not accounted for */
    SL_AUDIT_AGAIN,       /* failed, and a later run has read its rows again */
    SL_AUDIT_MISSING,     /* ended, and rows are unaccounted: a failure */
    SL_AUDIT_LATE,        /* its ledger stands still for longer than ledger_deadline: a failure */
};

/* Of every feed: how far its runs have come. Zeroed at first. */
struct sl_audit_feeds {
    struct sl_audit_feed {
        char name[SL_NAME_MAX];
        int64_t done;                  /* greatest number of a run that is done; -1: of none … */
        int64_t done_full;             /* … of a full one that brought all */
        int64_t ended;                 /* … of one that is done or has failed … */
        char error[SL_ERR_TEXT_BYTES]; /* … and what was wrong with that; "": nothing */
    } * feeds;
    size_t count, capacity;
};
void sl_audit_feeds_note(struct sl_audit_feeds *feeds, const struct sl_audit_run *run);
void sl_audit_feeds_done(struct sl_audit_feeds *feeds);

/* What the newest run of the feed that has ended did not bring, and why; "": it brought all. */
const char *sl_audit_failure(const struct sl_audit_feeds *feeds, const char *feed);

/* The verdict; now_ms is wall clock. feeds must have been told of every run before a failed one
 * can be judged. */
enum sl_audit_verdict sl_audit_judge(const struct sl_config *config,
                                     const struct sl_audit_feeds *feeds,
                                     const struct sl_audit_run *run, int64_t now_ms);

/* Whether rows of it are lost, as far as the books tell: the audit fails. */
bool sl_audit_is_failure(enum sl_audit_verdict verdict);

/* Whether its rows count in the totals. */
bool sl_audit_counts(enum sl_audit_verdict verdict);

/* One word for the table, and a sentence for what is not plainly done (NULL: nothing to say). */
const char *sl_audit_word(enum sl_audit_verdict verdict, const struct sl_audit_run *run);
const char *sl_audit_note(enum sl_audit_verdict verdict);

#endif
