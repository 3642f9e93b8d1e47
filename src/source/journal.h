/* The books of a feed whose rows come without end: polls, events, posts.
 *
 * Its stream is cut into runs. A run begins with its first row and ends, when its span has passed,
 * with a last batch. Once all its batches are confirmed it is journaled as published, with what was
 * read; once its ledger agrees it is done. The owner hears of both, in the order of the runs, so
 * that it can note how far the source has been read.
 *
 * A run is journaled when it begins, as streaming, so that nothing in the ledger belongs to a run
 * that nobody knows: in the background, since a row need not wait for it. One that is cut off is
 * abandoned.
 *
 *     open ──end──► ended ──all batches confirmed──► published ──ledger agrees──► done
 *                     │                                  └──stands still──► stuck
 *                     └──a batch came back──► broken
 *
 * One fiber adds rows (begin, end), another keeps the books (keep); commits come from the flow. */
#ifndef SL_SOURCE_JOURNAL_H
#define SL_SOURCE_JOURNAL_H

#include "flow/batcher.h"
#include "flow/sink.h"
#include "flow/state.h"

struct sl_journal;

/* What a run is. Texts are copied. */
struct sl_journal_kind {
    enum sl_lane lane;
    const char *seen; /* the full read that it is a part of; NULL: none */
};

/* A run as its owner hears of it. */
struct sl_journal_run {
    const char *id;
    int64_t number;
    const char *mark; /* what sl_journal_end was given; NULL: nothing */
    const char *seen; /* as in its kind; NULL also for one of an earlier owner */
    bool full;        /* part of a full read */
    uint64_t read, dead;
};

/* Runs that are given up since their ledgers did not close, with read_once: all so far. */
struct sl_journal_lost {
    uint64_t runs, rows;
    char first[SL_NAME_MAX], last[SL_NAME_MAX]; /* names of runs */
};

struct sl_journal_handler {
    /* Everything up to this run is confirmed by the broker. Suspends. A failure is tried again:
     * once told, a run is not given up by sl_journal_abandon, since its rows may be read no more.
     */
    int (*published)(void *ctx, const struct sl_journal_run *run, struct sl_err *err);
    /* Everything up to this run is in the database. dead counts also what the database refused. */
    int (*closed)(void *ctx, const struct sl_journal_run *run, struct sl_err *err);
    /* A run is stuck, and no run is noted as failed so far: makes durable where the owner reads
     * again from, so that a successor does too. Suspends. A failure is tried again. NULL: the
     * owner keeps nothing. */
    int (*rewind)(void *ctx, const struct sl_journal_run *run, struct sl_err *err);
    /* The ledger of this run stands still for too long: what it holds may be lost. All runs are
     * given up; the owner reads again from where the last closed run ended. Must not suspend. */
    void (*stuck)(void *ctx, const struct sl_journal_run *run);
    /* The same with read_once, when the run alone is given up: there are more lost ones now. Must
     * not suspend. */
    void (*lost)(void *ctx, const struct sl_journal_lost *lost);
    /* A batch came back undelivered: the open runs that nobody was told of are given up. */
    void (*broken)(void *ctx);
    /* Something for sl_journal_keep to do. Must not suspend. */
    void (*stir)(void *ctx);
};

struct sl_journal_options {
    const char *feed;
    const char *entity;
    const char *prefix; /* of the runs' names: the feed; with something unique when several
                         * processes feed it at once */
    struct sl_state *state;
    struct sl_batcher *batcher;
    struct sl_sink *sink; /* that the batches go to; NULL: it is not asked about late ones */
    uint64_t span_ms, ledger_deadline_ms;
    int64_t epoch;      /* until sl_journal_adopt: for a journal without lease and successors */
    uint64_t orphan_ms; /* without adoption: a run that is streaming, and which nobody has journaled
                         * for so long, is abandoned; 0: adoption tells */
    bool read_once;     /* what is stuck cannot be read again: that run alone is given up */
    const struct sl_journal_handler *handler;
    void *ctx;
};

/* Copies the options' texts; the rest outlives it. */
struct sl_journal *sl_journal_new(const struct sl_journal_options *options);

/* No fiber is inside any more. Runs that are not done are left to the next owner. NULL is fine. */
void sl_journal_free(struct sl_journal *journal);

/* Waits until nobody is inside sl_journal_keep. Suspends. */
int sl_journal_wait_kept(struct sl_journal *journal, struct sl_err *err);

/* Begins anew as the owner since epoch: forgets all runs, and takes up those that an earlier owner
 * published. number: the greatest that a run of the feed is known to have had. mark: of the newest
 * of them. Suspends, first until nobody is inside sl_journal_keep; nobody may call that before
 * it returns, since what it would write is the earlier owner's. */
int sl_journal_adopt(struct sl_journal *journal, int64_t epoch, int64_t number, const char *mark,
                     struct sl_err *err);

/* For a journal without lease and successors: takes up the runs of the feed that somebody published
 * idle_ms ago or earlier and has not finished, since he was killed most likely. Finishing a run
 * twice does no harm. Only between two calls of sl_journal_keep. Suspends. */
int sl_journal_take_orphans(struct sl_journal *journal, uint64_t idle_ms, struct sl_err *err);

/* With read_once: tells once more of the stuck runs that were given up, of all together, since who
 * did so may have ended before anybody heard of it; of none a third time. One whose ledger has
 * closed since is done. Suspends. */
int sl_journal_tell_again(struct sl_journal *journal, struct sl_err *err);

/* What is lost, for a person: "run vendors-000007 (12 rows)", or how many runs from which to which.
 */
enum { SL_JOURNAL_LOST_BYTES = 2 * SL_NAME_MAX + 120 };
void sl_journal_lost_words(const struct sl_journal_lost *lost, char ret[SL_JOURNAL_LOST_BYTES]);

/* Makes sure that a run of this kind is open: rows given to the batcher from now on are its. Ends
 * an open one of another kind. Suspends. */
int sl_journal_begin(struct sl_journal *journal, const struct sl_journal_kind *kind,
                     struct sl_err *err);

/* Whether a run is open, and whether its time has come to be ended. */
bool sl_journal_is_open(const struct sl_journal *journal);
bool sl_journal_is_due(const struct sl_journal *journal);

/* Ends the open run. mark tells the owner later what is safe then: a link (may be NULL, copied).
 * Suspends. */
int sl_journal_end(struct sl_journal *journal, const char *mark, struct sl_err *err);

/* Waits until all ended runs are published, while another fiber keeps the books. Suspends, at most
 * until deadline_ms (loop clock). */
void sl_journal_wait_published(struct sl_journal *journal, uint64_t deadline_ms);

/* Gives up every run that the owner was not told of; their rows will be read again. */
void sl_journal_abandon(struct sl_journal *journal);

/* Whether the batch was begun by the owner that the journal has now. */
bool sl_journal_is_ours(const struct sl_journal *journal, const struct sl_batch *batch);

/* From the flow; neither takes the batch. */
void sl_journal_commit(struct sl_journal *journal, const struct sl_batch *batch);
void sl_journal_release(struct sl_journal *journal, const struct sl_batch *batch);

/* Moves the books on as far as possible without waiting for others. *ret_wait_ms: when to look
 * again at the latest (SL_FOREVER: when stirred). Suspends. Transient failures: call again. */
int sl_journal_keep(struct sl_journal *journal, uint64_t *ret_wait_ms, struct sl_err *err);

/* Runs that are ended and not yet published; published and not yet done. */
unsigned sl_journal_unpublished(const struct sl_journal *journal);
unsigned sl_journal_unclosed(const struct sl_journal *journal);

/* Leaves out so many numbers: an owner that was killed may have used them before it could journal
 * that. Gives the last one that is used by now. */
int64_t sl_journal_skip(struct sl_journal *journal, int64_t count);

/* How long the oldest of the confirmed live runs, or of any that is late because nobody applies,
 * has waited for its ledger to agree; 0: none does. Known as of the last look at the ledger. */
uint64_t sl_journal_waiting_ms(const struct sl_journal *journal);

/* The number of the newest run. */
int64_t sl_journal_number(const struct sl_journal *journal);

#endif
