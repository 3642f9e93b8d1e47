/* The fiber that keeps the journals of all feeds of one source, one after the other: whenever it is
 * stirred, and when a ledger is to be looked at again. */
#ifndef SL_SOURCE_BOOKS_H
#define SL_SOURCE_BOOKS_H

#include "loop/fiber.h"
#include "source/journal.h"

/* The journal of one feed; embedded in it. */
struct sl_book {
    struct sl_journal *journal;
    const char *feed; /* for the log */
    void *ctx;        /* of both calls, which are optional */

    /* Before the journal is kept. SL_OK: go on. SL_END: leave it alone for now. Anything else is a
     * failure, and tried again. *wait_ms may be made earlier: when to look again at the latest
     * (loop clock). May suspend. */
    int (*before)(void *ctx, uint64_t *wait_ms, struct sl_err *err);
    /* The state refused a write: another process is the owner by now. Must not suspend. */
    void (*refused)(void *ctx);

    struct sl_book *next; /* private */
};

/* Zeroed before start; private. */
struct sl_books {
    struct sl_book *first, *keeping;
    bool stirred;
    struct sl_waitlist stir, kept;
    struct sl_fiber *fiber;
};

/* name is the fiber's. */
void sl_books_start(struct sl_books *books, const char *name);

/* Every book has left. Suspends. */
void sl_books_stop(struct sl_books *books);

/* There is something to do. Does not suspend. */
void sl_books_stir(struct sl_books *books);

/* Adds a book (the feed's memory, until it leaves). */
void sl_books_join(struct sl_books *books, struct sl_book *book);

/* Takes the book away. The first one to leave ends the keeping of all, so that a database that
 * hangs is not awaited at the end of the program: what is open is taken up again by the next owner.
 * Suspends until nobody is inside the book, whether or not the caller is cancelled. */
void sl_books_leave(struct sl_books *books, struct sl_book *book);

/* The earlier of the two, into *wait_ms. */
static inline void sl_books_sooner(uint64_t *wait_ms, uint64_t other_ms)
{
    if (other_ms < *wait_ms)
        *wait_ms = other_ms;
}

#endif
