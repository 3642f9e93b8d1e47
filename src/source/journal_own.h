/* The inside of a journal: journal.c has the list of runs and takes the rows, journal_books.c moves
 * the runs on, from published to done. */
#ifndef SL_SOURCE_JOURNAL_OWN_H
#define SL_SOURCE_JOURNAL_OWN_H

#include "source/journal.h"

enum {
    SL_JOURNAL_LOOK_MIN_MS = 250, /* from the first look at a ledger to the second; later longer */
};

/* How far a run is: each stage comes after the one above it. A run may be given up in any. */
enum sl_journal_stage {
    SL_JOURNAL_OPEN,      /* takes rows */
    SL_JOURNAL_ENDED,     /* has its last batch; the broker is to confirm them all */
    SL_JOURNAL_TOLD,      /* the owner was, perhaps in vain: what it leads to may be durable */
    SL_JOURNAL_PUBLISHED, /* the owner knows; the ledger is to agree */
    SL_JOURNAL_AGREED,    /* done when it is the oldest */
};

/* A run, as the journal keeps it. */
struct sl_journal_entry {
    struct sl_journal_entry *next; /* the one after it */
    int64_t number;
    char id[SL_NAME_MAX];
    enum sl_lane lane;
    char *seen, *mark; /* NULL: none */
    bool full;
    enum sl_journal_stage stage;
    bool begun;    /* journaled as streaming, or as more; perhaps, where no answer came */
    bool untold;   /* when its ledger does not close, the next process is to tell that, too */
    bool given_up; /* its rows will be read again; freed when nobody looks at it */
    uint32_t attempt;
    uint32_t batches, committed;
    uint64_t read, dead, superseded;
    int64_t created_ms; /* wall clock */
    uint64_t began_ms;  /* loop clock, as those below */
    uint64_t begun_ms;  /* when it was last journaled as streaming; 0: not that we know */
    uint64_t published_ms;
    uint64_t look_ms;  /* the ledger is looked at then */
    uint64_t pause_ms; /* until the look after that */
    uint64_t moved_ms; /* when the ledger last grew */
    uint64_t held_ms;  /* since when it is late and its rows wait for an applier; 0: they do not */
    uint64_t dead_later; /* what the database refused */
    uint32_t booked;     /* batches in the ledger */
};

struct sl_journal {
    struct sl_journal_options options;
    int64_t epoch, number;
    struct sl_journal_entry *first; /* oldest first; the last one may be open */
    struct sl_journal_entry *open;
    struct sl_journal_entry *abandoned;   /* given up, and still to be journaled so */
    uint64_t orphans_ms;                  /* loop clock: when to look for them next */
    char begun[SL_NAME_MAX], *begun_seen; /* name and full read of the run begun last */
    struct sl_journal_lost lost;          /* since it was made, or adopted */
    unsigned rewinds;                     /* since a run was done: each waits twice as long */
    bool keeping;                         /* a fiber is inside sl_journal_keep, perhaps suspended */
    struct sl_waitlist kept;              /* until it has left */
};

/* A run that was journaled as published by somebody else. Gives it (free). */
struct sl_journal_entry *sl_journal_adopted(const struct sl_journal *journal,
                                            const struct sl_run *from);

/* Else the feed's name was that of another one when the run was published: of packages, of another
 * table, or owned by greater epochs than there are now. Its ledger would be asked for in vain, and
 * how it ended could not be journaled. */
bool sl_journal_is_own(const struct sl_journal *journal, const struct sl_run *run, int64_t epoch);

/* Frees the oldest run. */
void sl_journal_drop_first(struct sl_journal *journal);

/* Frees the newest of the abandoned ones. */
void sl_journal_drop_abandoned(struct sl_journal *journal);

/* Frees the runs that are given up. While a fiber keeps the books, only that fiber may. */
void sl_journal_drop_given_up(struct sl_journal *journal);

/* Gives up the runs that nobody was told of, or all. */
void sl_journal_give_up(struct sl_journal *journal, bool all);

#endif
