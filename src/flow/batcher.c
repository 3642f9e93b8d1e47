#include "flow/batcher.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "flow/keyset.h"

/* Live changes come a few at a time: their batches begin small, and take more as they grow. */
enum { FAST_BYTES = 32 * 1024 };

struct sl_batcher {
    struct sl_batcher_limits limits;
    struct sl_credit *credits; /* by lane */
    struct sl_origin origin;   /* texts owned by the beginner, for as long as the origin lasts */
    struct sl_batch *open;     /* being filled; NULL: none */
    struct sl_batch *closed;   /* waits to be taken; NULL: none */
    uint64_t open_since_ms;    /* its first row; 0: it is empty */
    bool flushed;              /* it does not linger */
    struct sl_keyset keys;
    struct sl_batcher_totals totals;
    uint64_t closings;
    uint64_t deadline_ms; /* of whoever adds */
    struct sl_waitlist adder, taker;
};

struct sl_batcher *sl_batcher_new(const struct sl_batcher_limits *limits, struct sl_credit *credits)
{
    struct sl_batcher *batcher = SL_NEW(struct sl_batcher);
    batcher->limits = *limits;
    batcher->credits = credits;
    batcher->deadline_ms = SL_FOREVER;
    return batcher;
}

void sl_batcher_free(struct sl_batcher *batcher)
{
    if (!batcher)
        return;
    sl_batch_free(batcher->open);
    sl_batch_free(batcher->closed);
    sl_keyset_done(&batcher->keys);
    free(batcher);
}

/* Moves the open batch to where the taker finds it. */
static void close_open(struct sl_batcher *batcher)
{
    struct sl_batch *batch = batcher->open;
    batcher->open = NULL;
    batch->origin.number = batcher->totals.batches++;
    batcher->closings++;
    batcher->totals.superseded += batch->superseded;
    sl_batch_settle_credit(batch);
    batcher->flushed = false;
    sl_keyset_clear(&batcher->keys);
    batcher->closed = batch;
    sl_wake_all(&batcher->taker);
}

static int wait_until_taken(struct sl_batcher *batcher, struct sl_err *err)
{
    while (batcher->closed) {
        int rc = sl_wait(&batcher->adder, batcher->deadline_ms);
        if (rc != SL_OK)
            return sl_err_set(err, rc, "waiting for a batch to be taken: %s", sl_code_name(rc));
    }
    return SL_OK;
}

static bool is_empty(const struct sl_batch *batch)
{
    return !batch->count && !batch->dead_count;
}

static int close_when_possible(struct sl_batcher *batcher, struct sl_err *err)
{
    int rc = wait_until_taken(batcher, err);
    if (rc == SL_OK && batcher->open) /* the taker may have taken it for lingering */
        close_open(batcher);
    return rc;
}

void sl_batcher_abandon(struct sl_batcher *batcher)
{
    sl_batch_free(batcher->open);
    batcher->open = NULL;
    batcher->flushed = false;
    sl_keyset_clear(&batcher->keys);
}

int sl_batcher_begin(struct sl_batcher *batcher, const struct sl_origin *origin, struct sl_err *err)
{
    if (batcher->open && !is_empty(batcher->open)) {
        int rc = close_when_possible(batcher, err);
        if (rc != SL_OK)
            return rc;
    }
    sl_batcher_abandon(batcher);
    batcher->origin = *origin;
    batcher->origin.batches = -1; /* known with the last one */
    batcher->totals = (struct sl_batcher_totals){0};
    return SL_OK;
}

int sl_batcher_open(struct sl_batcher *batcher, struct sl_batch **ret_batch, struct sl_err *err)
{
    if (!batcher->open) {
        enum sl_lane lane = batcher->origin.lane;
        struct sl_credit *credit = &batcher->credits[lane];
        size_t bytes = batcher->limits.max_bytes;
        if (lane == SL_LANE_FAST && bytes > FAST_BYTES)
            bytes = FAST_BYTES;
        int rc = sl_credit_take(credit, bytes, batcher->deadline_ms);
        if (rc != SL_OK) {
            sl_err_set(err, rc, "waiting for credit: %s", sl_code_name(rc));
            return rc;
        }
        batcher->open = sl_batch_new(credit, bytes);
        batcher->open->read_at_us = sl_wall_us();
        batcher->origin.read_at_ms = batcher->open->read_at_us / 1000;
        sl_batch_set_origin(batcher->open, &batcher->origin);
        batcher->open_since_ms = 0;
    }
    *ret_batch = batcher->open;
    return SL_OK;
}

void sl_batcher_set_deadline(struct sl_batcher *batcher, uint64_t deadline_ms)
{
    batcher->deadline_ms = deadline_ms;
}

uint64_t sl_batcher_closings(const struct sl_batcher *batcher)
{
    return batcher->closings;
}

void sl_batcher_flush(struct sl_batcher *batcher)
{
    if (!batcher->open || !batcher->open_since_ms)
        return;
    batcher->flushed = true;
    sl_wake_all(&batcher->taker);
}

/* After a row: starts the linger clock, closes the batch when it is full. */
static int added(struct sl_batcher *batcher, struct sl_err *err)
{
    struct sl_batch *batch = batcher->open;
    batcher->totals.read++;
    if (!batcher->open_since_ms) {
        batcher->open_since_ms = sl_loop_now_ms();
        sl_wake_all(&batcher->taker);
    }
    if (batch->count + batch->dead_count >= batcher->limits.max_rows ||
        batch->arena.used_bytes >= batcher->limits.max_bytes || !sl_batch_cover(batch))
        return close_when_possible(batcher, err);
    return SL_OK;
}

/* A key that a message can carry; of a longer one its beginning, and what tells it from others that
 * begin alike. A letter holds it three times. */
static struct sl_str name_of(struct sl_batch *batch, struct sl_str id)
{
    enum { NAME_BYTES = 1024 };
    if (id.length <= SL_ID_BYTES_MAX)
        return id;
    struct sl_buf name = {0};
    sl_buf_add(&name, id.at, sl_utf8_cut(id.at, id.length, NAME_BYTES));
    sl_buf_printf(&name, "... %zu bytes, %016llx", id.length,
                  (unsigned long long)sl_hash(id.at, id.length));
    struct sl_str kept = {sl_arena_copy(&batch->arena, name.data, name.length), name.length};
    sl_buf_done(&name);
    return kept;
}

/* A row that no message can carry. */
static int bury_large(struct sl_batcher *batcher, const struct sl_record *record,
                      struct sl_err *err)
{
    static const char reason[] = "the row is larger than limits.max_row, or its key than 1 MiB";
    struct sl_dead dead = {
        .code = "too_large",
        .reason = {reason, sizeof reason - 1},
        .id = name_of(batcher->open, record->id),
        .file = batcher->open->origin.file,
        .line = record->line,
        .row = record->doc,
        .row_is_bson = true,
        .row_cut = record->id.length > SL_ID_BYTES_MAX, /* its key is */
        .versioned = true,
        .op = record->op,
        .version = record->version,
        .changed_at_ms = record->changed_at_ms,
    };
    return sl_batcher_add_dead(batcher, &dead, err);
}

/* A row larger than a batch travels alone: what came before it goes first. */
static int move_to_own_batch(struct sl_batcher *batcher, const struct sl_record *record,
                             struct sl_record *ret, struct sl_err *err)
{
    /* The row's bytes lie in the batch that is about to go. */
    char *id = sl_strndup(record->id.at, record->id.length);
    char *doc = sl_strndup(record->doc.at, record->doc.length);
    struct sl_batch *batch = NULL;
    int rc = close_when_possible(batcher, err);
    if (rc == SL_OK)
        rc = sl_batcher_open(batcher, &batch, err);
    if (rc == SL_OK) {
        *ret = *record;
        ret->id.at = sl_arena_copy(&batch->arena, id, record->id.length);
        ret->doc.at = sl_arena_copy(&batch->arena, doc, record->doc.length);
    }
    free(id);
    free(doc);
    return rc;
}

int sl_batcher_add(struct sl_batcher *batcher, const struct sl_record *record, struct sl_err *err)
{
    size_t size = record->id.length + record->doc.length;
    struct sl_record alone;
    if (size > batcher->limits.max_row_bytes || record->id.length > SL_ID_BYTES_MAX)
        return bury_large(batcher, record, err);
    if (size > batcher->limits.max_bytes && !is_empty(batcher->open)) {
        int rc = move_to_own_batch(batcher, record, &alone, err);
        if (rc != SL_OK)
            return rc;
        record = &alone;
    }
    struct sl_batch *batch = batcher->open;
    *sl_batch_add(batch) = *record;

    uint32_t index = batch->count - 1;
    uint32_t earlier = sl_keyset_add(&batcher->keys, batch->records, index);
    if (earlier != index) {
        if (batch->records[index].version >= batch->records[earlier].version)
            batch->records[earlier] = batch->records[index];
        batch->count--;
        batch->superseded++;
    }
    batch->bytes += record->id.length + record->doc.length;
    return added(batcher, err);
}

int sl_batcher_add_dead(struct sl_batcher *batcher, const struct sl_dead *dead, struct sl_err *err)
{
    *sl_batch_add_dead(batcher->open) = *dead;
    batcher->totals.dead++;
    return added(batcher, err);
}

int sl_batcher_end(struct sl_batcher *batcher, struct sl_batcher_totals *ret, struct sl_err *err)
{
    struct sl_batch *batch;
    int rc = wait_until_taken(batcher, err); /* then the open one can be closed at once */
    if (rc == SL_OK)
        rc = sl_batcher_open(batcher, &batch, err); /* the last one may be empty */
    if (rc != SL_OK)
        return rc;
    batch->origin.last = true;
    batch->origin.batches = batcher->totals.batches + 1;
    close_open(batcher);
    if (ret)
        *ret = batcher->totals;
    return SL_OK;
}

int sl_batcher_take(struct sl_batcher *batcher, uint64_t deadline_ms, struct sl_batch **ret_batch,
                    struct sl_err *err)
{
    for (;;) {
        uint64_t linger_ms = SL_FOREVER;
        if (!batcher->closed && batcher->open && batcher->open_since_ms) {
            linger_ms = batcher->open_since_ms + batcher->limits.linger_ms;
            if (batcher->flushed || sl_loop_now_ms() >= linger_ms)
                close_open(batcher);
        }
        if (batcher->closed) {
            *ret_batch = batcher->closed;
            batcher->closed = NULL;
            sl_wake_all(&batcher->adder);
            return SL_OK;
        }
        int rc = sl_wait(&batcher->taker, linger_ms < deadline_ms ? linger_ms : deadline_ms);
        if (rc == SL_CANCELED || (rc == SL_TIMEOUT && sl_loop_now_ms() >= deadline_ms))
            return sl_err_set(err, rc, "waiting for a batch: %s", sl_code_name(rc));
    }
}
