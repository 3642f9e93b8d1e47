/* What sluice must remember: the journal of runs, the ledger, checkpoints, version counters, leases
 * and dead letters. flow/ declares it, store/ keeps it in MongoDB. Every call suspends, waits for a
 * durable (majority, journaled) write, and fails with a transient code when the store is away:
 * callers retry. */
#ifndef SL_FLOW_STATE_H
#define SL_FLOW_STATE_H

#include "flow/batch.h"
#include "flow/letter.h"
#include "flow/members.h"
#include "flow/overtaken.h"
#include "flow/refresh.h"

/* States of a run, in order; dmf/runner.c tells what each means, and moves it on. */
enum sl_run_state {
    SL_RUN_PLANNED,
    SL_RUN_REQUESTED,
    SL_RUN_EXECUTING,
    SL_RUN_PACKAGED,
    SL_RUN_STREAMING,
    SL_RUN_PUBLISHED,
    SL_RUN_DONE,
    SL_RUN_FAILED,
    SL_RUN_ABANDONED, /* of a feed without end: cut off; what was not confirmed is read again */
};
const char *sl_run_state_name(enum sl_run_state state);

/* For so long the ledger's entries are kept, and as long runs that are over. */
#define SL_LEDGER_KEPT_MS (30 * INT64_C(86400000))

enum { SL_RUN_ENTITIES_MAX = 64, SL_NAME_MAX = 128 };

/* A replay of dead letters is journaled as a run of this and the feed: no feed's name holds a
 * colon, so nobody takes it for a run of the source. */
#define SL_REPLAY_FEED_PREFIX "replay:"

/* What one attempt read of one entity. */
struct sl_run_entity {
    char name[SL_NAME_MAX]; /* as in sl_origin.entity */
    int64_t counter;        /* version base of its collection: version = counter * 2^24 + row; until
                             * it is taken, the greatest that the feed has had in any */
    uint64_t read;          /* rows read, the dead and superseded ones included */
    uint64_t dead;          /* dead-lettered by the source */
    uint64_t superseded;
    uint32_t batches;  /* published in the current attempt */
    bool finished;     /* its file was read to the end in the current attempt */
    bool changes_only; /* … and brought changes alone, by what its package says */
};

struct sl_run {
    char id[SL_NAME_MAX]; /* "vendors-000042" */
    char feed[SL_NAME_MAX];
    int64_t number;
    enum sl_run_state state;
    bool full;
    bool live;      /* its rows go by the fast lane: somebody waits for them */
    bool unsettled; /* it has ended, and its execution may yet bring something: it is asked for; or
                     * its ledger did not close, and only who saw that has told so */
    uint32_t attempt;
    char execution_id[SL_NAME_MAX];          /* chosen by us, journaled before the request */
    char returned_execution_id[SL_NAME_MAX]; /* what the peer answered; used when it differs */
    int64_t created_ms, state_ms;            /* wall clock: made, and entered the present state */
    int64_t expires_ms;                      /* wall clock: forgotten then; 0: not yet known */
    int64_t fresh_ms;              /* wall clock: by it, or by an earlier one that is done, all
                                    * changes before that are stored; 0: not known */
    char sweeps[SL_NAME_MAX];      /* it deletes what that full run did not bring; "" */
    char error[SL_ERR_TEXT_BYTES]; /* why it failed, for a person */
    struct sl_run_entity entities[SL_RUN_ENTITIES_MAX];
    unsigned entity_count;
};

/* Where the changes of a table have been read to: links as the peer gave them, to a delta or to a
 * page of a full read. */
struct sl_checkpoint {
    char *newest;               /* read on from here; heap; NULL: nowhere, read in full */
    char *safe;                 /* everything before it has closed its ledger; heap; may be NULL */
    int64_t run_number;         /* greatest number a run of the feed has had */
    char reading[SL_NAME_MAX];  /* the full read whose pages newest leads to; "": none */
    char sweeping[SL_NAME_MAX]; /* the full read that ended, its sweep not done yet; "": none */
    int64_t floor;              /* version of the deletions of that sweep */
    int64_t full_number;        /* number of the newest full read */
    int64_t full_at_ms;         /* wall clock, when it began; 0: not known */
    int64_t full_after;         /* runs up to this number came before it; 0: not known */
    int64_t page_rows;          /* rows that it asks for in a page; 0: not known */
    bool full_dead;             /* rows of that full read are dead letters */
    bool behind;                /* a change since that full read has a version below floor */
    bool partial;               /* the source was seen to give part of the rows; not all since */
    char source[SL_NAME_MAX];   /* whose epochs it was written under; "": nobody's yet */
    int64_t fence_base;         /* added to them, so that they rise over a change of source */
    int64_t epoch;              /* as stored; checkpoint_save does not look at it */
    int64_t stored_run;         /* run_number as known to be stored; 0: not known */
    char *query;                /* what is asked for, as the links were made with it; heap */
    int64_t refresh; /* number of the refresh that its newest full read is for; 0: none */
    char *kept;      /* the link to go back to when that one deletes nothing; heap */
    char note[SL_ERR_TEXT_BYTES]; /* for a person, as why a sweep was refused; "": none */
};

/* How new rows of a source may have been published, what is added to its own version numbers (0
 * unless they were reset), and whose those are. */
enum { SL_ORGANISATION_BYTES = 64 };
struct sl_mark {
    int64_t value, offset;
    char organisation[SL_ORGANISATION_BYTES]; /* id of the environment's; "": not known */
};

/* Frees the links and empties the checkpoint. */
void sl_checkpoint_done(struct sl_checkpoint *checkpoint);

/* What became of a batch's records; those that the source dropped are in the batch. */
struct sl_booking {
    const struct sl_batch *batch;
    uint32_t applied, stale, dead; /* dead: rejected */
};

/* What the ledger says of one entity in one attempt of a run. */
struct sl_ledger_sum {
    uint32_t batches; /* entries present */
    uint64_t rows;    /* records in them */
    uint64_t applied, stale, dead, superseded;
};

/* What a sweep looks for: documents of a feed in a collection that a full read did not see and that
 * are not newer than floor. Texts are borrowed. */
struct sl_unseen {
    const char *collection, *feed;
    const char *seen; /* the full read */
    int64_t floor;    /* version */
};

/* How many letters have a code. */
enum { SL_LETTER_CODES_MAX = 64 };
struct sl_letter_count {
    char code[64];
    uint64_t letters;
};

/* What audit knows of one attempt of a run: the journal and the ledger, added up over entities. */
struct sl_audit_run {
    char run[SL_NAME_MAX], feed[SL_NAME_MAX];
    uint32_t attempt;
    bool journaled; /* false: only the ledger knows it */
    bool latest;    /* the journal tells of this attempt; false: an earlier or unknown one */
    enum sl_run_state state;
    bool full;
    int64_t number;
    int64_t created_ms, state_ms;   /* of the journal; 0: not there */
    int64_t first_ms, last_ms;      /* its first and newest entry in the ledger; 0: there is none */
    uint64_t read, dead_on_arrival; /* of the journal */
    uint64_t superseded;            /* of the journal, else of the ledger */
    uint64_t applied, stale, dead;  /* of the ledger */
    uint64_t batches, booked;       /* published; in the ledger */
    uint64_t unaccounted;           /* rows of which no book tells, entity by entity */
    char error[SL_ERR_TEXT_BYTES];
};
/* Takes a run; may not suspend. */
typedef void sl_audit_fn(void *ctx, const struct sl_audit_run *run);

/* A lease: who owns a feed or a collection. epoch rises at each change of owner, and when the state
 * turns out to be older than what was told of it before: it was restored from a backup. */
struct sl_lease {
    char name[SL_NAME_MAX];   /* "feed:vendors" */
    char holder[SL_NAME_MAX]; /* who within this process; the store adds the process */
    int64_t epoch;            /* as last told */
    int64_t expires_ms;       /* server's clock, as last told; 0: not known, it is not ours */
    bool held;
    bool asked;           /* for it, without an answer so far: it may be ours */
    uint64_t patience_ms; /* others come first: it is taken when it was vacant for so long */
};

struct sl_state;

struct sl_state_type {
    /* The newest run of the feed, finished or not: SL_OK or SL_NOTFOUND. */
    int (*run_newest)(struct sl_state *state, const char *feed, struct sl_run *ret,
                      struct sl_err *err);
    /* The one that began last by the clock, whose numbers need not be the greatest: runs of posts
     * are numbered by each process for itself. */
    int (*run_latest)(struct sl_state *state, const char *feed, struct sl_run *ret,
                      struct sl_err *err);
    /* The newest of those that are done or failed: SL_OK or SL_NOTFOUND. */
    int (*run_ended)(struct sl_state *state, const char *feed, struct sl_run *ret,
                     struct sl_err *err);
    /* Writes the run. Refused with SL_REJECTED when the lease was lost (a newer epoch wrote it). */
    int (*run_save)(struct sl_state *state, const struct sl_run *run, int64_t epoch,
                    struct sl_err *err);

    /* The oldest unsettled run of the feed with a number above after: SL_OK or SL_NOTFOUND. */
    int (*run_unsettled)(struct sl_state *state, const char *feed, int64_t after,
                         struct sl_run *ret, struct sl_err *err);

    /* Marks the feed suspect (its last delta is lost, reason tells why), or clears it (NULL).
     * SL_REJECTED when a newer epoch has done so. */
    int (*suspect_set)(struct sl_state *state, const char *feed, const char *reason, int64_t epoch,
                       struct sl_err *err);
    /* SL_OK and the reason, or SL_NOTFOUND. */
    int (*suspect_get)(struct sl_state *state, const char *feed, char ret_reason[SL_ERR_TEXT_BYTES],
                       struct sl_err *err);

    /* Takes the collection's next version counter, which is greater than above, too; a lost counter
     * resumes above what is stored. */
    int (*counter_take)(struct sl_state *state, const char *collection, int64_t above, int64_t *ret,
                        struct sl_err *err);

    /* Takes a greater one in place of counter, also when that was done before, if nobody has taken
     * another one since; else SL_NOTFOUND. */
    int (*counter_renew)(struct sl_state *state, const char *collection, int64_t counter,
                         int64_t *ret, struct sl_err *err);

    /* Acquires or renews for ttl_ms (server time). SL_OK with lease->held and epoch; SL_THROTTLED
     * when another owner holds it. */
    int (*lease_hold)(struct sl_state *state, struct sl_lease *lease, uint64_t ttl_ms,
                      struct sl_err *err);
    /* Renews leases (count of them, held ones) for ttl_ms in one write; none is taken anew. SL_OK:
     * ret_held tells of each whether it is this holder's still, and those have their new
     * expires_ms. Waits for each of two commands a third of ttl_ms at most. */
    int (*leases_renew)(struct sl_state *state, struct sl_lease *leases, size_t count,
                        uint64_t ttl_ms, bool *ret_held, struct sl_err *err);
    /* Gives it back when it is held, or may be. */
    void (*lease_drop)(struct sl_state *state, struct sl_lease *lease);

    /* A sign of life for ttl_ms (server time) of a process that works under the leases of wants.
     * Gives who else is alive, and who holds which feed or source: the caller ends it by
     * sl_members_done. */
    int (*member_beat)(struct sl_state *state, const char *const *wants, size_t count,
                       uint64_t ttl_ms, struct sl_members *ret, struct sl_err *err);
    /* This process ends. Failures do not count. */
    void (*member_leave)(struct sl_state *state);
    /* Its name among the members. */
    const char *(*member_name)(const struct sl_state *state);

    /* Enters applied batches; a redelivery overwrites its own entry. Borrows them. After a failure
     * some may be there. */
    int (*ledger_put)(struct sl_state *state, const struct sl_booking *bookings, size_t count,
                      struct sl_err *err);
    int (*ledger_sum)(struct sl_state *state, const char *run, uint32_t attempt, const char *entity,
                      struct sl_ledger_sum *ret, struct sl_err *err);

    /* Writes dead letters of the origin; idempotent by (run, entity, row). */
    int (*dead_put)(struct sl_state *state, const struct sl_origin *origin,
                    const struct sl_dead *dead, uint32_t count, struct sl_err *err);

    /* Letters that the query asks for, in the order of their names unless it says otherwise. They
     * are read into arena; ret has room for the query's max. */
    int (*letters_find)(struct sl_state *state, const struct sl_letter_query *query,
                        struct sl_arena *arena, struct sl_letter *ret, unsigned *ret_count,
                        struct sl_err *err);
    /* How many there are of each code. */
    int (*letters_count)(struct sl_state *state, const struct sl_letter_filter *filter,
                         struct sl_letter_count ret[SL_LETTER_CODES_MAX], unsigned *ret_count,
                         struct sl_err *err);
    /* The feeds that have such letters, at most max names in arena. */
    int (*letters_feeds)(struct sl_state *state, const struct sl_letter_filter *filter,
                         unsigned max, struct sl_arena *arena, const char **ret,
                         unsigned *ret_count, struct sl_err *err);
    /* Removes each of them that is still as it was read. */
    int (*letters_remove)(struct sl_state *state, const struct sl_letter *letters, unsigned count,
                          uint64_t *ret_removed, struct sl_err *err);

    /* Gives every attempt that the journal or the ledger knows, in the order of the runs' names;
     * of one feed and one run, when they are not NULL. Many short commands. */
    int (*audit)(struct sl_state *state, const char *feed, const char *run, sl_audit_fn *take,
                 void *ctx, struct sl_err *err);

    /* The feed's checkpoint: SL_OK, or SL_NOTFOUND when none was ever saved. Gives *ret: the caller
     * ends it by sl_checkpoint_done. */
    int (*checkpoint_load)(struct sl_state *state, const char *feed, struct sl_checkpoint *ret,
                           struct sl_err *err);
    /* The same for the owner since epoch: whoever had the feed before can write it no more, and
     * what is given is what it has left. An empty one when none was ever saved. SL_REJECTED when a
     * newer epoch wrote it. */
    int (*checkpoint_take)(struct sl_state *state, const char *feed, int64_t epoch,
                           struct sl_checkpoint *ret, struct sl_err *err);
    /* Writes it whole; borrows it. Refused with SL_REJECTED when a newer epoch wrote it, or when
     * the one that is there is older than that of stored_run: it was restored from a backup. */
    int (*checkpoint_save)(struct sl_state *state, const char *feed,
                           const struct sl_checkpoint *checkpoint, int64_t epoch,
                           struct sl_err *err);

    /* The runs of the feed that are published and not done and have a number above after, the
     * oldest max of them, oldest first. A run takes several KiB: keep the array off the stack. */
    int (*runs_open)(struct sl_state *state, const char *feed, int64_t after, struct sl_run *ret,
                     unsigned max, unsigned *ret_count, struct sl_err *err);

    /* The runs of the feed that are streaming are abandoned: those of an earlier epoch (and nobody
     * of that epoch writes them any more), or, with epoch 0, those that were last saved before that
     * moment (wall clock). why: for a person. */
    int (*runs_abandon)(struct sl_state *state, const char *feed, int64_t epoch,
                        int64_t saved_before_ms, const char *why, struct sl_err *err);

    /* The runs of the feed with a number below before are forgotten when their ledger is, but for
     * those that are unsettled, or of which it was said before. */
    int (*runs_expire)(struct sl_state *state, const char *feed, int64_t before,
                       struct sl_err *err);

    /* The mark of a source: no row of a greater version may have been published. SL_NOTFOUND when
     * there is none; ret is not touched then. */
    int (*mark_get)(struct sl_state *state, const char *source, struct sl_mark *ret,
                    struct sl_err *err);
    /* Raises it to value; it never falls. Gives it as this write has left it (ret may be NULL): a
     * question afterwards might reach a server that has been outvoted, and does not know yet.
     * SL_REJECTED when a newer epoch has raised it. */
    int (*mark_raise)(struct sl_state *state, const char *source, int64_t value, int64_t epoch,
                      struct sl_mark *ret, struct sl_err *err);

    /* Reserves arrival-order versions up to until, among all processes. *ret_previous is what was
     * reserved before (0: nothing): versions up to it may be others', those above it up to until
     * are the caller's. When it is not below until, nothing was reserved. */
    int (*clock_reserve)(struct sl_state *state, int64_t until, int64_t *ret_previous,
                         struct sl_err *err);

    /* Notes the organisation whose version numbers the mark is of. SL_REJECTED when a newer epoch
     * has raised the mark. */
    int (*mark_sign)(struct sl_state *state, const char *source, const char *organisation,
                     int64_t epoch, struct sl_err *err);

    /* Makes every version from now on greater than all before: those up to value may have been
     * published. Once for each name: a second time nothing is changed. SL_REJECTED when a newer
     * epoch has raised the mark. */
    int (*mark_reset)(struct sl_state *state, const char *source, const char *name, int64_t value,
                      int64_t epoch, int64_t *ret_offset, struct sl_err *err);

    /* Where the versions of the collection's rows come from ("order of arrival"): gives
     * what was noted before, and notes by where nothing was, or always (replace). */
    int (*version_line)(struct sl_state *state, const char *collection, const char *by,
                        bool replace, char ret[SL_NAME_MAX], struct sl_err *err);

    /* The greatest version stored in the collection, tombstones included; 0 when there is none.
     * Reads the whole collection: minutes, when it is large. */
    int (*version_max)(struct sl_state *state, const char *collection, int64_t *ret,
                       struct sl_err *err);

    /* A feed that documents of the collection are of, tombstones not counted, and that is none of
     * known (ended by NULL): SL_OK with its name, or SL_NOTFOUND. Reads the collection until the
     * first one, at most until deadline_ms. */
    int (*stranger_find)(struct sl_state *state, const char *collection, const char *const *known,
                         uint64_t deadline_ms, char ret_feed[SL_NAME_MAX], struct sl_err *err);

    /* How many documents of the feed are live (no tombstones), and how many of those are unseen.
     * Walks the collection in the order of _id, in many short commands: minutes, when it is large.
     */
    int (*unseen_count)(struct sl_state *state, const struct sl_unseen *of, uint64_t *ret_unseen,
                        uint64_t *ret_live, struct sl_err *err);
    /* The ids of the unseen ones, in the order of _id, from the one behind after on ("": from the
     * start). Fewer than max only when there are no more. The ids are copied into arena, each with
     * a NUL behind it, so that the last one is the next call's after. */
    int (*unseen_ids)(struct sl_state *state, const struct sl_unseen *of, const char *after,
                      unsigned max, struct sl_arena *arena, struct sl_str *ret_ids,
                      unsigned *ret_count, struct sl_err *err);

    /* Asks for a refresh: feed, dry_run, force and reset of wanted count. Gives it as it is stored;
     * when one is open already, that one (*ret_joined). Heap or static memory for ret: it is large.
     */
    int (*refresh_ask)(struct sl_state *state, const struct sl_refresh *wanted,
                       struct sl_refresh *ret, bool *ret_joined, struct sl_err *err);
    /* The feed's newest refresh: SL_OK or SL_NOTFOUND. */
    int (*refresh_get)(struct sl_state *state, const char *feed, struct sl_refresh *ret,
                       struct sl_err *err);
    /* Writes what became of it. SL_REJECTED when a newer epoch has written it, or when another one
     * was asked for. */
    int (*refresh_save)(struct sl_state *state, const struct sl_refresh *refresh, int64_t epoch,
                        struct sl_err *err);
    /* Which of these feeds (count of them) have an open one. */
    int (*refreshes_open)(struct sl_state *state, const char *const *feeds, size_t count,
                          bool *ret_open, struct sl_err *err);

    /* A full read of the feed has overtaken what was read before. Numbers never fall. */
    int (*overtake)(struct sl_state *state, const struct sl_overtake *overtake, struct sl_err *err);
    /* What the feed's full reads have overtaken: SL_OK or SL_NOTFOUND. */
    int (*overtake_get)(struct sl_state *state, const char *feed, struct sl_overtake *ret,
                        struct sl_err *err);
    /* The same of all feeds, in the order of their names; *ret is heap, the caller frees it. */
    int (*overtakes)(struct sl_state *state, struct sl_overtake **ret, size_t *ret_count,
                     struct sl_err *err);

    int (*ping)(struct sl_state *state, struct sl_err *err);
    void (*close)(struct sl_state *state);
};

/* Embedded first in every state. */
struct sl_state {
    const struct sl_state_type *type;
    const char *database; /* of the documents, as configured */
    uint64_t lease_ms;    /* for how long a lease is held without being renewed */
    uint64_t write_ms;    /* how long one write of an applier may take */
};

#endif
