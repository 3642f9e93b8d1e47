/* Inside of the dataverse source, shared by its parts:
 *
 *   dataverse.c     the environment: its lease
 *   counter.c       a counter of row versions: its mark
 *   feed.c          a table's feed as a source: batches out, commits in, status
 *   poller.c        what a feed does next: take over, read in full, poll, sweep
 *   poll.c          one poll: pages into rows, rows and deletions into batches
 *   links.c         how far a table was read: links, checkpoints
 *   claim.c         what another source has read so far
 *   identity.c      whether the environment is still the one that was read
 *   sweep.c         deletions that a full read implies
 *   refresh.c       a full read and a sweep that somebody asked for
 *   sight.c         whether the application user sees the whole table
 *   table.c         metadata
 *   reach.c         how far a right to read reaches
 *   refusal.c       what a refused request means
 *   api.c           requests
 *   budget.c        who may ask when: budget_gate.c, budget_window.c, budget_pace.c
 *   clock_offset.c  how much the service's clock is ahead */
#ifndef SL_DATAVERSE_DATAVERSE_OWN_H
#define SL_DATAVERSE_DATAVERSE_OWN_H

#include "base/metric.h"
#include "dataverse/budget.h"
#include "dataverse/dataverse.h"
#include "dataverse/reach.h"
#include "dataverse/settings.h"
#include "dataverse/table.h"
#include "flow/batcher.h"
#include "loop/fiber.h"
#include "source/books.h"
#include "source/idset.h"
#include "source/journal.h"

/* What belongs to one counter of row versions. */
struct sl_dataverse_counter {
    struct sl_dataverse *dataverse;
    char name[SL_NAME_MAX]; /* of the mark in the state; in checkpoints that of the source */
    int64_t greatest;       /* row version read */
    int64_t mark;           /* … and durably known */
    int64_t offset;         /* added to what the service counts, in both */
    char organisation[SL_ORGANISATION_BYTES]; /* whose counter it was so far; "": not known */
    bool raising;
    struct sl_waitlist raised;
    const char **covered; /* collections; heap */
    unsigned covered_count;
};

enum sl_dv_counting {
    SL_DV_OWN,   /* the environment's counter */
    SL_DV_OF_FO, /* that of the database of Finance & Operations, for its virtual tables */
    SL_DV_COUNTERS,
};

struct sl_dataverse {
    struct sl_dataverse_env env;
    const struct sl_source_config *config;
    const struct sl_dataverse_source_settings *settings;
    struct sl_dataverse_remote remote;

    struct sl_lease lease;
    struct sl_waitlist must_give; /* wakes its keeper */
    int64_t epoch;                /* of the lease under which marks were read; 0: not the owner */
    uint64_t owned_till_ms;       /* loop clock: without a renewal the lease may be lost then */
    struct sl_waitlist owner_changed;

    struct sl_dataverse_counter counters[SL_DV_COUNTERS];
    bool identified;             /* who answers was asked, whether or not it was told */
    struct sl_mutex identifying; /* one feed asks for all */

    struct sl_dv_feed *feeds;
    struct sl_books books;
    struct sl_fiber *keeper;
    struct sl_fiber *looker; /* asks what the application user may read */
    struct sl_waitlist look;
    char trouble[SL_ERR_TEXT_BYTES]; /* "" when all is well */
};

/* What is known of how much of a table the application user sees. */
struct sl_dv_sight {
    bool wanted; /* to be asked now */
    bool news;   /* told since the feed has heeded it */
    enum sl_reach reach;
    uint64_t again_ms;               /* loop clock: to be asked then */
    char trouble[SL_ERR_TEXT_BYTES]; /* he sees less than all of it; "": not that we know */
};

enum { SL_DV_METADATA_AGAIN_MS = 60 * 1000 }; /* a description is not doubted more often */

/* A table. */
struct sl_dv_feed {
    struct sl_source source; /* first */
    struct sl_dataverse *dataverse;
    struct sl_dataverse_counter *counter; /* of its rows' versions */
    struct sl_dv_feed *next;
    const struct sl_feed_config *config;
    const struct sl_dataverse_feed_settings *settings;
    struct sl_batcher *batcher;
    struct sl_journal *journal;
    struct sl_book book;
    struct sl_batch *pending; /* taken from the batcher, waits for the mark */

    struct sl_dataverse_table table;
    bool table_known, table_stale;
    uint64_t table_read_ms;    /* loop clock */
    uint64_t doubted_ms;       /* a value was not of its column's type then; 0: never */
    bool doubting;             /* … and no poll has come to its end since */
    char *query, *prefer;      /* of a full read: path and query, and the header */
    char *shape;               /* what makes documents look as they do, as journaled */
    struct sl_idset strangers; /* columns that its description lacks, even a new one */

    int64_t epoch;           /* under which `at` was read; 0: it was not */
    int64_t fence;           /* what is written into the journal for it */
    struct sl_checkpoint at; /* as journaled */
    char *link;              /* where to go on; NULL: at the beginning of a full read */
    bool linked_full;        /* link is a page of a full read */
    int64_t link_asked_ms;  /* wall clock: when the poll of changes that gave link began; 0: none */
    uint64_t link_saved_ms; /* loop clock */
    bool moved;             /* link or at differ from what is journaled */
    bool saving;            /* at is on its way to the journal */
    struct sl_waitlist saved;
    bool sweep_published;     /* the sweep's rows are on their way */
    struct sl_fiber *sweeper; /* beside the polls; NULL: none */
    char sweeps[SL_NAME_MAX]; /* the full read whose sweep that is */
    bool swept;               /* it has come to its end, with sweep_err */
    struct sl_err sweep_err;
    uint64_t sweep_again_ms; /* loop clock: not before, after a failure; 0: at once */
    struct sl_mutex adding;  /* rows to the batcher: a poll, or the sweep beside it */
    bool elsewhere; /* what `at` tells was read from another environment, or is older than what a
                     * feed of another kind has written */
    bool lost;      /* batches came back or runs are stuck: read again from at.newest */
    uint64_t reading_rows; /* rows of the full read under way */
    bool untouched;        /* … of which no row was given yet */
    int64_t earlier;     /* runs up to this number are not of the newest full read, nor after it */
    uint64_t nameless;   /* dead rows without an id so far */
    unsigned voided;     /* void links since the last poll that worked */
    uint64_t refused_ms; /* so long its link was refused; what else failed meanwhile not counted */
    uint64_t refused_at_ms; /* loop clock: at the last try; 0: it was not */

    bool refresh_told; /* the state may know of a refresh */
    struct sl_dv_sight sight;

    bool rung;
    struct sl_waitlist wake;
    uint64_t base_ms; /* loop clock: the next poll is due one interval later; 0: at once */
    struct sl_budget_member member;

    struct sl_fiber *poller;
    char trouble[SL_ERR_TEXT_BYTES];
    uint64_t polls, bells, rows;
    struct sl_metric *fresh; /* NULL: was not read to its end yet */
};

/* --- dataverse.c --- */

/* Another process owns the source by now. Does not suspend. */
void sl_dv_lose(struct sl_dataverse *dataverse);

/* --- counter.c --- */

/* A counter that the versions of some tables come from: tables of Finance & Operations have that of
 * its database, all others have the environment's. Lives as long as the source. */
struct sl_dataverse_counter *sl_dv_counter_of(struct sl_dataverse *dataverse, const char *table);
const char *sl_dv_counter_name(const struct sl_dataverse_counter *counter);

/* The greatest version of it that this source has read. A deletion that a request begun now reports
 * is younger than all of them, and older than any re-creation that the request does not report. */
int64_t sl_dv_greatest(const struct sl_dataverse_counter *counter);

/* A row of this version was read. Does not suspend. */
void sl_dv_saw(struct sl_dataverse_counter *counter, int64_t version);

/* Makes it durable that the rows of a batch, which was read under that epoch, may be published:
 * call it before they are. Whoever owned the source in between may have seen them deleted. Suspends
 * when that is not known yet. SL_REJECTED: the source has another owner by now, and the rows must
 * not be published. */
int sl_dv_clear(struct sl_dataverse_counter *counter, int64_t epoch, const struct sl_batch *batch,
                struct sl_err *err);

/* Rows with its versions are stored in this collection (borrowed): should the mark have been lost,
 * what is stored there tells. Call it before the fiber suspends that has made the source. */
void sl_dv_cover(struct sl_dataverse_counter *counter, const char *collection);

/* Rows that were read by another counter ("": not known which) may be stored, with record versions
 * up to `stored`: what is read by this one from now on counts as newer, deletions first.
 * *ret_elsewhere: that one was another organisation's. Suspends. Fails like sl_dv_clear. */
int sl_dv_rise_above(struct sl_dataverse_counter *counter, const char *before, int64_t stored,
                     bool *ret_elsewhere, struct sl_err *err);

/* It counts for the organisation that answers now, if that is known. Suspends. */
int sl_dv_counter_sign(struct sl_dataverse_counter *counter, struct sl_err *err);

/* Whether it counted for another one so far. */
bool sl_dv_counter_is_anothers(const struct sl_dataverse_counter *counter);

/* Version numbers of Dataverse stay far below this. What is above is not one of its: versions in
 * the order of arrival, say, or an answer that makes no sense. The mark never falls, so that one
 * such number would outdate all rows of the counter that are created again. */
#define SL_DV_NUMBER_END (INT64_C(1) << 50)

/* What is added to the version numbers that the service gives, so that versions rise even when the
 * environment was restored from a backup. Asked for when a request begins; SL_DV_NO_OFFSET
 * while it changes. What was read under another one than now must not be published: ask again. */
#define SL_DV_NO_OFFSET INT64_MIN
int64_t sl_dv_offset(const struct sl_dataverse_counter *counter);

/* SL_OK while that offset is still the one; SL_CLOSED: ask again. Does not suspend. */
int sl_dv_same_offset(const struct sl_dataverse_counter *counter, int64_t offset,
                      struct sl_err *err);

/* Version numbers of Dataverse, with the offset, as record versions: even for rows, odd for
 * deletions. */
static inline int64_t sl_dv_row_version(int64_t number)
{
    return 2 * number;
}
static inline int64_t sl_dv_deletion_version(int64_t greatest)
{
    return 2 * greatest + 1;
}

void sl_dv_counter_init(struct sl_dataverse_counter *counter, struct sl_dataverse *dataverse,
                        bool of_fo);
void sl_dv_counter_done(struct sl_dataverse_counter *counter);

/* Makes its mark this owner's, and reads it; one that no table has is left alone. Suspends. */
int sl_dv_counter_take_up(struct sl_dataverse_counter *counter, int64_t epoch, struct sl_err *err);

/* Adds members of a JSON object: its mark and offset. */
void sl_dv_counter_status(const struct sl_dataverse_counter *counter, struct sl_buf *buf);

/* Makes every version from now on greater than all before, by all counters, once for each name,
 * whichever organisation answers now. Suspends. */
int sl_dv_reset_versions(struct sl_dataverse *dataverse, const char *name, struct sl_err *err);

/* --- feed.c --- */

/* The feed is in trouble (logged once for each text), or no longer (""). */
void sl_dv_trouble(struct sl_dv_feed *feed, const char *text);

/* --- sight.c --- */

/* Starts the fiber that asks for all tables of the source, one after another; ends it. */
void sl_dv_look_start(struct sl_dataverse *dataverse);
void sl_dv_look_stop(struct sl_dataverse *dataverse);

/* The table's description is there, or a full read begins: asked soon. Does not suspend. */
void sl_dv_look_again(struct sl_dv_feed *feed);

/* Before rows are deleted because a full read did not bring them: asks now. *ret_part: it may have
 * lacked rows that there are. Suspends. SL_OK also when the service does not tell. */
int sl_dv_look_now(struct sl_dv_feed *feed, bool *ret_part, struct sl_err *err);

/* For the poller: what was told. Tells an operator, and reads the table again when the user sees
 * all of it at last. Suspends. */
int sl_dv_heed_sight(struct sl_dv_feed *feed, struct sl_err *err);

/* --- poller.c --- */

/* The feed's fiber. */
void sl_dv_run(void *feed);

/* How long to wait before what failed with err is tried again. *pause_ms, 0 at first, grows from
 * failure to failure. */
uint64_t sl_dv_pause_ms(const struct sl_err *err, uint64_t *pause_ms);

/* The feed is in no trouble any more, and needs no operator. Does not suspend. */
void sl_dv_works(struct sl_dv_feed *feed);

/* --- claim.c --- */

/* Makes what is known of the feed this source's own. Suspends. SL_CONFIG: what is stored is not of
 * Dataverse. */
int sl_dv_claim(struct sl_dv_feed *feed, struct sl_checkpoint *at, struct sl_err *err);

/* " into d365.accounts": how the query of a checkpoint ends, since links of rows that went
 * elsewhere lead to those that come next alone. free() it. */
char *sl_dv_into(const struct sl_dv_feed *feed);

/* --- identity.c --- */

/* Asks who answers, unless it was asked since sl_dv_doubt_identity. Suspends. SL_OK also when the
 * service does not tell. */
int sl_dv_identify(struct sl_dataverse *dataverse, struct sl_err *err);
void sl_dv_doubt_identity(struct sl_dataverse *dataverse);

/* SL_CONFIG: it is another organisation than the one whose versions are stored, and nobody has
 * asked for a reset. Suspends. */
int sl_dv_check_identity(struct sl_dv_feed *feed, struct sl_err *err);

/* --- links.c --- */

/* What the runs of the feed report to. */
extern const struct sl_journal_handler sl_dv_journal_handler;

/* Takes up where the journal says the table was read to, as the owner since epoch. Suspends. */
int sl_dv_take_up(struct sl_dv_feed *feed, int64_t epoch, struct sl_err *err);

/* The poll ended here: link leads on. Copies it. */
void sl_dv_move_to(struct sl_dv_feed *feed, const char *link, bool full);

/* Goes back to the last link that was journaled. */
void sl_dv_go_back(struct sl_dv_feed *feed);

/* Begins a full read: names it and forgets the links. why: for the log, NULL for the first one.
 * Suspends. */
int sl_dv_begin_full(struct sl_dv_feed *feed, const char *why, struct sl_err *err);

/* What goes into sl_journal_end: the kind of the link and the link. free() it. */
char *sl_dv_mark(const struct sl_dv_feed *feed);

/* Makes sure that a run of the full read is open. Suspends. */
int sl_dv_open_full(struct sl_dv_feed *feed, struct sl_err *err);

/* The same for the run that holds the deletions of the sweep that is due. free() it. */
char *sl_dv_sweep_mark(const struct sl_dv_feed *feed);

/* Journals how far the table was read. Suspends. SL_REJECTED: the source has another owner. */
int sl_dv_save(struct sl_dv_feed *feed, struct sl_err *err);

/* Saves a link that moved without rows, now and then, so that it does not expire. Suspends. */
int sl_dv_save_idle(struct sl_dv_feed *feed, struct sl_err *err);

/* Whether all of the newest full read is in the database, and so that a loss leads back to none of
 * its pages: who took runs up knows that of all of them at once. */
bool sl_dv_full_is_safe(const struct sl_dv_feed *feed);

/* The sweep of that full read is over; clean: what the read did not see is deleted. Else the feed
 * goes back to the link that was kept when a refresh began. Nothing is done, and nothing has
 * failed, when that full read is not the one to be swept any more. Suspends. */
int sl_dv_leave_sweep(struct sl_dv_feed *feed, const char *read, bool clean, struct sl_err *err);

/* --- poll.c --- */

/* One poll from feed->link to the end of its pages, or, in a full read, one page. Rows go to the
 * batcher; feed->link moves on. Suspends. SL_NOTFOUND: the link is void. *ret_rows: rows and
 * deletions. */
int sl_dv_poll(struct sl_dv_feed *feed, enum sl_urgency urgency, uint64_t *ret_rows,
               struct sl_err *err);

/* --- sweep.c --- */

/* Whether one is to be begun, or has ended and is to be joined. */
bool sl_dv_sweep_is_due(const struct sl_dv_feed *feed);

/* Begins to delete what the full read did not see, in a fiber beside the polls; or tells the end of
 * that: done, refused and told, or failed and to be begun again. */
int sl_dv_sweep(struct sl_dv_feed *feed, struct sl_err *err);

/* Ends it, wherever it is; before what it works on changes. Suspends. */
void sl_dv_sweep_stop(struct sl_dv_feed *feed);

/* --- refresh.c --- */

/* Whether to look for a refresh that was asked for, or whose full read has ended. */
bool sl_dv_refresh_is_due(const struct sl_dv_feed *feed);

/* Whether one was asked for that can begin: what merely waits gives way to it. Suspends. */
bool sl_dv_refresh_waits(struct sl_dv_feed *feed);

/* The same of one that begins the versions anew. Any other one has failed of why: while it were
 * open nobody could ask for that. Suspends. */
bool sl_dv_reset_waits(struct sl_dv_feed *feed, const char *why);

/* Begins it, or tells its end. Suspends. */
int sl_dv_refresh(struct sl_dv_feed *feed, struct sl_err *err);

/* The refresh that the newest full read is for: *ret_asked tells whether there is one, and it is
 * still open. Ends a trial that has no way back any more. Suspends. */
int sl_dv_refresh_look(struct sl_dv_feed *feed, struct sl_refresh *ret, bool *ret_asked,
                       struct sl_err *err);

/* Notes what its sweep would delete. Suspends. */
int sl_dv_refresh_counted(struct sl_dv_feed *feed, struct sl_refresh *refresh,
                          const struct sl_refresh_part *part, struct sl_err *err);

#endif
