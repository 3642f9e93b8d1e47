/* Inside of the dmf source: one feed's state, shared by its parts:
 *
 *   dmf.c      the source: gives batches, hears commits, runs the feed's fibers
 *   feed.c     its leases, the journal of its run, its trouble
 *   plan.c     when the next run is due, and what it is
 *   refresh.c  a full export and a sweep that somebody asked for
 *   runner.c   the journaled state machine that moves a run on
 *   settle.c   exports whose end was not known when their run ended
 *   end.c      how a run ends: failed, or done when the ledger has closed
 *   package.c  a package's files, one after the other, into batches
 *   absent.c   entities that a package lacks
 *   broken.c   a package that turns out to be broken when rows of it have left
 *   file.c     one file's bytes into rows
 *   rows.c     rows into records
 *   blob.c     the package's bytes
 *   api.c      the environment's actions */
#ifndef SL_DMF_DMF_OWN_H
#define SL_DMF_DMF_OWN_H

#include "base/metric.h"
#include "config/config.h"
#include "dmf/api.h"
#include "dmf/dmf.h"
#include "dmf/rows.h"
#include "flow/batcher.h"
#include "flow/source.h"
#include "flow/state.h"
#include "format/unzip.h"

/* The environment keeps the history of an execution for some days, one at least. */
enum { SL_DMF_FORGETS_MS = 12 * 3600 * 1000 };

/* Rows of an attempt that have left, or may have. */
enum {
    SL_DMF_UNENDED = 1, /* it was not read to its end, where a CRC tells */
    SL_DMF_BROKEN = 2,  /* it was broken */
};

struct sl_dmf {
    struct sl_source source; /* first */
    struct sl_dmf_env env;
    const struct sl_feed_config *feed;
    const struct sl_dmf_feed_settings *settings;
    struct sl_batcher *batcher;

    struct sl_run run;          /* the newest one; number 0: there was none yet */
    int64_t overtaken;          /* runs up to this number: by a full read, or known before */
    struct sl_lease lease;      /* of the feed */
    int64_t epoch;              /* of the lease under which run was read; 0: it was not */
    struct sl_lease *exclusive; /* of its collections, while an export's snapshot is taken */
    size_t exclusive_count;
    bool unanswered;       /* an export may have started under an id that nobody was told of */
    unsigned failures;     /* failed runs in a row */
    unsigned healings;     /* full exports since the feed is suspect */
    int64_t full_ms;       /* wall clock, when the newest full export ended; 0: not known */
    int64_t turn_ms;       /* wall clock, the newest turn of the schedule; 0: there was none yet */
    unsigned broken;       /* attempts of this run that ended in a broken package */
    unsigned unclosed;     /* attempts of this run whose ledger did not close */
    bool spoilt;           /* rows of a broken package have left in this run */
    unsigned to_outdo;     /* such rows, or others that the next attempt's would not win over yet */
    bool absent_told;      /* that an entity is not in its packages */
    int64_t settled_to;    /* the unsettled run that was asked for last; 0: begin with the oldest */
    uint64_t unapplied_ms; /* loop clock: nobody applies rows of the run since then; 0: not so */
    int64_t since_ms; /* wall clock, when this process took the feed up; what is due after is run */
    int64_t next_run_ms;     /* wall clock, when the next run is due; 0: one is under way */
    bool refresh_told;       /* the state may know of a refresh */
    struct sl_waitlist wake; /* that, or the lease was lost, or is to be given away */

    uint32_t committed; /* batches of the current attempt that are safe downstream */
    bool released;      /* one of them came back: the attempt must be repeated */
    struct sl_waitlist committed_changed;

    struct sl_metric *fresh; /* NULL: no export is known to be done */
    struct sl_fiber *runner;
    char trouble[SL_ERR_TEXT_BYTES]; /* "" when all is well */
    char failure[800];               /* of the newest run that has ended; "": none is known */
};

/* --- feed.c --- */

/* Makes this process the feed's owner and reads where its newest run stands. Until that is read,
 * nothing may be done: what is known of an older run is worth nothing. SL_THROTTLED: another
 * process owns it. */
int sl_dmf_take_over(struct sl_dmf *dmf, struct sl_err *err);

/* Shows until when the feed knows all changes, as far as its journal tells. */
void sl_dmf_tell_fresh(struct sl_dmf *dmf);

/* Those of the run's attempts, when run becomes another one. */
void sl_dmf_forget_troubles(struct sl_dmf *dmf);

/* Whether run is the journal's, and this process may move it on. */
bool sl_dmf_owns(const struct sl_dmf *dmf);

/* Between two runs: whether another process shall have the feed; gives it away. Suspends.
 * SL_THROTTLED when that is done. */
bool sl_dmf_must_give(const struct sl_dmf *dmf);
int sl_dmf_give_away(struct sl_dmf *dmf, struct sl_err *err);

/* Asks the state whether the feed is still ours: before what cannot be taken back. SL_THROTTLED:
 * it is not. */
int sl_dmf_confirm_owner(struct sl_dmf *dmf, struct sl_err *err);

/* Leases of the collections: runs into one collection take their snapshots one after the other, so
 * that a higher counter means a newer snapshot. take takes those that are not held, and suspends
 * until all are. */
int sl_dmf_take_collections(struct sl_dmf *dmf, struct sl_err *err);
void sl_dmf_drop_collections(struct sl_dmf *dmf);

/* What a write of the state answered, which this returns: one that was refused means that the feed
 * has another owner. */
int sl_dmf_refused(struct sl_dmf *dmf, int rc);

/* Journals the run in its new state, with the error that it has or with another one. On failure run
 * stays what it was. SL_REJECTED: the lease was lost. */
int sl_dmf_enter(struct sl_dmf *dmf, enum sl_run_state state, struct sl_err *err);
int sl_dmf_enter_with(struct sl_dmf *dmf, enum sl_run_state state, const char *error,
                      struct sl_err *err);

/* The same, and the run is unsettled when it ends there. */
int sl_dmf_enter_unsettled(struct sl_dmf *dmf, enum sl_run_state state, const char *error,
                           struct sl_err *err);

/* Marks the feed suspect, or clears that (NULL). SL_REJECTED: the lease was lost. */
int sl_dmf_mark(struct sl_dmf *dmf, const char *reason, struct sl_err *err);

/* Whether a planned run was put off, or seemed not to have started. */
bool sl_dmf_asked_before(const struct sl_dmf *dmf);

/* Names the entities of a run that has asked for nothing yet: their counters are to rise above all
 * that the feed has had. */
void sl_dmf_name_entities(const struct sl_dmf *dmf, struct sl_run *run);

/* What the run says of the feed's entity; NULL when the entity was configured after the run had
 * begun. */
struct sl_run_entity *sl_dmf_entity(struct sl_dmf *dmf, const struct sl_entity_config *entity);

/* The feed is in trouble, or no longer (""). Logged, and true, when the words are new. */
bool sl_dmf_trouble(struct sl_dmf *dmf, const char *text);

/* If the run has ended: what was wrong with it is the feed's failure, until a later one is done. */
void sl_dmf_tell_end(struct sl_dmf *dmf);

/* --- the life of a run, by file --- */

/* plan.c: waits until a run is due and plans it. SL_OK: dmf->run is a new, journaled run. */
int sl_dmf_plan(struct sl_dmf *dmf, struct sl_err *err);

/* settle.c: between two runs: asks for the exports of runs that have ended unsettled.
 * *ret_lost: one has taken changes that will not come again; the feed is suspect. Fails when it
 * cannot be journaled; an environment that does not answer is asked before the next run. */
int sl_dmf_settle(struct sl_dmf *dmf, bool *ret_lost, struct sl_err *err);

/* runner.c: moves the run on by one state. SL_OK: the state was changed and journaled (or the
 * run ended); else nothing changed. SL_REJECTED: the lease was lost. */
int sl_dmf_step(struct sl_dmf *dmf, struct sl_err *err);

/* package.c: downloads the run's package and gives its rows to the batcher; waits until every
 * batch is committed, and fills the run's entities. */
int sl_dmf_stream(struct sl_dmf *dmf, struct sl_err *err);

/* file.c: reads the unzipper's present file to its end and gives its rows to rows and the
 * batcher. Suspends; fails as sl_unzip_read and sl_rows_take do. */
int sl_dmf_read_file(struct sl_dmf *dmf, struct sl_unzip *unzip, struct sl_rows *rows,
                     struct sl_err *err);

/* plan.c: a run of the feed, not journaled, the one after the newest. */
int64_t sl_dmf_next_number(const struct sl_dmf *dmf);
struct sl_run sl_dmf_next_run(const struct sl_dmf *dmf);

/* plan.c: journals it as this feed's newest run. */
int sl_dmf_begin_run(struct sl_dmf *dmf, const struct sl_run *run, struct sl_err *err);

/* refresh.c: between two runs. *ret_full: the next one is a full export for a refresh, and is
 * noted as such. Else it may have begun the run that deletes, or told the end of the refresh.
 * *ret_moved: dmf->run is another one now, or the refresh has ended: plan anew. */
int sl_dmf_refresh(struct sl_dmf *dmf, bool *ret_full, bool *ret_moved, struct sl_err *err);

/* refresh.c: in place of a package: deletes what the run's full export did not bring, as
 * sl_dmf_stream does with rows. */
int sl_dmf_sweep(struct sl_dmf *dmf, struct sl_err *err);

/* absent.c: SL_CONFIG when the feed's first package lacks an entity and has one that nobody
 * configured (stranger; "": none); of a later one an operator is told, if the package lists what is
 * in it. present: of the feed's entities, whether it was named or had a file. */
int sl_dmf_check_names(struct sl_dmf *dmf, const bool *present, bool listed, const char *stranger,
                       struct sl_err *err);

/* broken.c: the present attempt ends before its package does, and rows of it have left. broken:
 * that is why. */
void sl_dmf_spoil(struct sl_dmf *dmf, bool broken);

/* broken.c: before an attempt: its rows win over those of an earlier one that was not read to
 * its end, by versions of their own. Where that would make them win over another run's, too, they
 * keep those that they have, and the feed is suspect if the earlier package was broken. */
int sl_dmf_outdo(struct sl_dmf *dmf, struct sl_err *err);

/* absent.c: the run takes entities that were configured since its export began: added to the
 * feed meanwhile, or with a name that was corrected, for which its package waits. But for those
 * whose collection another feed fills. */
int sl_dmf_adopt_entities(struct sl_dmf *dmf, struct sl_err *err);

/* absent.c: the package has a file of one that the run did not take: as the run ends the feed
 * is suspect (end.c), since no increment brings its rows again. */
void sl_dmf_note_missed(struct sl_dmf *dmf, const struct sl_entity_config *entity);

/* absent.c: whether the package of the full export that was read says so. */
bool sl_dmf_brings_changes_only(const struct sl_dmf *dmf);

/* absent.c: why the full export that was read cannot have been whole: it brought changes only,
 * or nothing of an entity that has documents; "" when it may have been. */
int sl_dmf_doubt_full(struct sl_dmf *dmf, char ret_why[SL_ERR_TEXT_BYTES], struct sl_err *err);

/* package.c: waits until every batch of the present attempt is safe. SL_CLOSED: one came back.
 */
int sl_dmf_wait_committed(struct sl_dmf *dmf, struct sl_err *err);

/* package.c: what an earlier attempt read does not count. */
void sl_dmf_forget_attempt(struct sl_dmf *dmf);

/* end.c: what the ledger says of all entities together, and whether it is closed. */
int sl_dmf_read_ledger(struct sl_dmf *dmf, struct sl_ledger_sum *ret, bool *ret_closed,
                       struct sl_err *err);

/* end.c: waits until the ledger of a published run closes, and ends the run as done. A ledger
 * that stands still for long heals itself: back to streaming, so that the package is fetched and
 * published again, which the guarded writes make harmless. */
int sl_dmf_close_ledger(struct sl_dmf *dmf, struct sl_err *err);

/* What is lost with a run that failed. */
enum sl_dmf_loss {
    SL_DMF_LOST_NOTHING, /* it never ran: the next run brings its changes */
    SL_DMF_LOST_CHANGES, /* it may have moved the watermark: the feed is suspect */
    SL_DMF_GIVEN_UP,     /* … or may yet do so: its export is asked for until its end is known */
};

/* end.c: what follows when changes may be lost, for a person. */
const char *sl_dmf_after_loss(const struct sl_dmf *dmf);

/* end.c: changes may be lost with an export, and other runs go on: marks the feed suspect,
 * tells the log and by mail. */
int sl_dmf_lose(struct sl_dmf *dmf, const struct sl_run *run, const char *reason,
                struct sl_err *err);

/* end.c: ends the run as failed, tells the log and by mail. why may lie in err. SL_OK: it is
 * journaled. */
int sl_dmf_fail(struct sl_dmf *dmf, enum sl_dmf_loss loss, const char *why, struct sl_err *err);

/* end.c: the series of ended runs exist before one ends, else nobody sees the first one rise.
 */
void sl_dmf_count_from_zero(const struct sl_dmf *dmf);

#endif
