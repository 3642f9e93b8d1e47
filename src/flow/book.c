/* Entering delivered batches in the ledger, several with one command. The first delivery that comes
 * leads: it waits a moment for others, and writes for all of them. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/probe.h"
#include "flow/flow_own.h"

enum { SMALL_PARTS = 16 }; /* of the memory for batches */

/* A delivery that waits for its entry; on that fiber's stack. */
struct sl_entry {
    struct sl_entry *next;
    struct sl_booking booking;
    bool taken, done; /* by a leader, who is writing it; and who has */
    int rc;
    struct sl_err err;
};

static void append(struct sl_flow *flow, struct sl_entry *entry)
{
    struct sl_entry **at = &flow->entries;
    while (*at)
        at = &(*at)->next;
    *at = entry;
    flow->entry_count++;
}

static void withdraw(struct sl_flow *flow, const struct sl_entry *entry)
{
    struct sl_entry **at = &flow->entries;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    flow->entry_count--;
}

/* A large batch holds the memory that the next one may be waiting for, and its entry costs little
 * beside it. */
static bool is_small(const struct sl_booking *booking)
{
    const struct sl_batch *batch = booking->batch;
    return !batch->credit || batch->credit_bytes <= batch->credit->total_bytes / SMALL_PARTS;
}

/* Nobody comes any more, there are enough, the first has waited long enough, or the next batch
 * waits for the memory of those that are here. credit may be NULL. */
static int wait_for_others(struct sl_flow *flow, struct sl_credit *credit)
{
    uint64_t until_ms = sl_deadline_in(flow->options.book_hold_ms);
    int rc = SL_OK;
    if (credit)
        credit->shortage = &flow->booked;
    while (rc == SL_OK && flow->reading && !flow->book_hurry && !(credit && credit->first) &&
           flow->entry_count < flow->options.book_count)
        rc = sl_wait(&flow->booked, until_ms);
    if (credit)
        credit->shortage = NULL;
    return rc == SL_TIMEOUT ? SL_OK : rc;
}

static void write_all(struct sl_flow *flow)
{
    struct sl_entry *first = flow->entries;
    size_t count = flow->entry_count, i = 0;
    struct sl_booking *bookings = sl_calloc(count, sizeof *bookings);
    struct sl_err err = {0};
    for (struct sl_entry *one = first; one; one = one->next) {
        one->taken = true;
        bookings[i++] = one->booking;
    }
    flow->entries = NULL;
    flow->entry_count = 0;
    flow->book_hurry = false;
    int rc = flow->state->type->ledger_put(flow->state, bookings, count, &err);
    SL_PROBE1(booked, count);
    free(bookings);
    for (struct sl_entry *one = first; one; one = one->next) {
        one->rc = rc;
        one->err = err;
        if (rc == SL_REJECTED && count > 1) /* one of them is to blame, perhaps */
            one->rc = flow->state->type->ledger_put(flow->state, &one->booking, 1, &one->err);
    }
    for (struct sl_entry *one = first, *next; one; one = next) {
        next = one->next; /* it is gone as soon as its fiber goes on */
        one->done = true;
    }
}

static int lead(struct sl_flow *flow, const struct sl_booking *booking)
{
    flow->book_led = true;
    bool hold = flow->options.book_hold_ms && is_small(booking);
    int rc = hold ? wait_for_others(flow, booking->batch->credit) : SL_OK;
    if (rc == SL_OK)
        write_all(flow);
    flow->book_led = false;
    sl_wake_all(&flow->booked);
    return rc;
}

/* A leader may be writing the entry: it must stay until that is over. */
static void leave(struct sl_flow *flow, struct sl_entry *entry)
{
    if (!entry->taken) {
        withdraw(flow, entry);
        return;
    }
    sl_fiber_shield(true);
    while (!entry->done)
        sl_wait(&flow->booked, SL_FOREVER);
    sl_fiber_shield(false);
}

int sl_flow_book(struct sl_flow *flow, const struct sl_booking *booking, struct sl_err *err)
{
    struct sl_entry entry = {.booking = *booking};
    int rc = SL_OK;
    append(flow, &entry);
    flow->booking++;
    flow->book_hurry |= !is_small(booking);
    sl_wake_all(&flow->booked);
    sl_wake_all(&flow->changed); /* the reader may go on */
    while (rc == SL_OK && !entry.done)
        rc = flow->book_led ? sl_wait(&flow->booked, SL_FOREVER) : lead(flow, booking);
    if (!entry.done)
        leave(flow, &entry);
    flow->booking--;
    if (!entry.done)
        return sl_err_set(err, SL_CANCELED, "cancelled");
    if (entry.rc != SL_OK && err)
        *err = entry.err;
    return entry.rc;
}
