#include "source/books.h"

#include "base/log.h"

enum { RETRY_MS = 500 };

static int keep(const struct sl_book *book, uint64_t *wait_ms, struct sl_err *err)
{
    uint64_t next_ms = SL_FOREVER;
    int rc = book->before ? book->before(book->ctx, wait_ms, err) : SL_OK;
    if (rc == SL_OK)
        rc = sl_journal_keep(book->journal, &next_ms, err);
    sl_books_sooner(wait_ms, next_ms);
    return rc;
}

static void keep_one(const struct sl_book *book, uint64_t *wait_ms)
{
    struct sl_err err = {0};
    int rc = keep(book, wait_ms, &err);
    if (rc == SL_REJECTED && book->refused)
        book->refused(book->ctx);
    if (rc == SL_OK || rc == SL_END || rc == SL_CANCELED)
        return;
    sl_log(SL_DEBUG, "cannot keep the books, will try again", SL_T("feed", book->feed),
           SL_T("error", err.message));
    sl_books_sooner(wait_ms, sl_deadline_in(RETRY_MS));
}

static void run(void *arg)
{
    struct sl_books *books = arg;
    for (;;) {
        uint64_t wait_ms = SL_FOREVER;
        int rc = SL_OK;
        books->stirred = false;
        for (struct sl_book *book = books->first; book; book = book->next) {
            books->keeping = book;
            keep_one(book, &wait_ms);
            books->keeping = NULL;
            sl_wake_all(&books->kept);
            if (sl_fiber_cancelled())
                return;
        }
        while (!books->stirred && rc == SL_OK)
            rc = sl_wait(&books->stir, wait_ms);
        if (rc == SL_CANCELED)
            return;
    }
}

void sl_books_start(struct sl_books *books, const char *name)
{
    books->fiber = sl_fiber_spawn_joinable(name, run, books);
}

void sl_books_stop(struct sl_books *books)
{
    sl_fiber_end(&books->fiber);
}

void sl_books_stir(struct sl_books *books)
{
    books->stirred = true;
    sl_wake_all(&books->stir);
}

void sl_books_join(struct sl_books *books, struct sl_book *book)
{
    struct sl_book **at = &books->first;
    while (*at)
        at = &(*at)->next;
    *at = book;
}

void sl_books_leave(struct sl_books *books, struct sl_book *book)
{
    struct sl_book **at = &books->first;
    sl_fiber_cancel(books->fiber);
    sl_fiber_shield(true);
    while (books->keeping == book)
        sl_wait(&books->kept, SL_FOREVER);
    sl_fiber_shield(false);
    while (*at != book)
        at = &(*at)->next;
    *at = book->next;
}
