/* Two ways for a row. The guarded upsert decides everything in the server: what is newer, what was
 * seen, what is an error. Rows that nobody has written yet need no decision, and cost the server a
 * quarter when they are inserted; that they are new is guessed from the batches before. What was
 * there all the same is refused as a duplicate key, and goes the guarded way
 * (docs/adr/0033-insertions.md). */
#include "sink/mongo_write.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "mongo/error.h"
#include "sink/mongo_command.h"
#include "sink/mongo_reply.h"

enum {
    SLICE_ROWS = 100,     /* built between two yields */
    GUESS_ROWS_MIN = 100, /* of a batch: a small one gains nothing, and may have to wait twice */
    KNOWN_PART = 16,      /* a batch is not new when more than one row in so many was there */
    NEW_WANTED_MAX = 64,
};

/* One batch on its way. */
struct writing {
    const struct sl_mongo_target *to;
    struct sl_batch *batch;
    uint64_t deadline_ms;
    struct sl_mongo_stamp stamp;
    struct sl_buf command;
    uint32_t *rows; /* indices of the records that can be written, and are not yet */
    uint32_t count;
    uint32_t *again; /* of those, the ones that were not inserted */
    uint32_t again_count;
    uint32_t unmade; /* rows of the command that may not make their document */
    uint32_t made;   /* documents that were not there before */
    struct sl_result result;
    uint32_t reject_capacity;
};

/* --- rejects --- */

static void reject(struct writing *writing, uint32_t index, const char *code, const char *reason)
{
    struct sl_result *result = &writing->result;
    struct sl_arena *arena = &writing->batch->arena;
    if (result->reject_count == writing->reject_capacity) {
        uint32_t capacity = writing->reject_capacity ? writing->reject_capacity * 2 : 16;
        struct sl_reject *more = sl_arena_alloc(arena, capacity * sizeof *more);
        if (result->reject_count)
            memcpy(more, result->rejects, result->reject_count * sizeof *more);
        result->rejects = more;
        writing->reject_capacity = capacity;
    }
    size_t length = strlen(reason);
    result->rejects[result->reject_count++] = (struct sl_reject){
        .index = index, .code = code, .reason = {sl_arena_text(arena, reason, length), length}
    };
}

/* Sets aside what cannot be written at all. */
static int sort_rows(struct writing *writing, struct sl_err *err)
{
    const struct sl_batch *batch = writing->batch;
    int64_t since_ms = sl_wall_ms() - (int64_t)writing->to->tombstone_ttl_ms;
    for (uint32_t i = 0; i < batch->count; i++) {
        const char *reason = NULL;
        const char *code =
            sl_mongo_record_fault(&batch->records[i], batch->origin.read_at_ms, since_ms, &reason);
        if (code)
            reject(writing, i, code, reason);
        else
            writing->rows[writing->count++] = i;
        if (i % (10 * SLICE_ROWS) == 10 * SLICE_ROWS - 1 && sl_fiber_yield() != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled while a batch was built");
    }
    return SL_OK;
}

/* --- one command --- */

static void begin_command(struct writing *writing, bool inserts)
{
    bson_t head = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&head, inserts ? "insert" : "update", writing->to->collection->name);
    BSON_APPEND_BOOL(&head, "ordered", false);
    sl_mongo_append_durable(&head, writing->deadline_ms);
    sl_mongo_command_begin(&writing->command, &head, inserts);
    bson_destroy(&head);
}

/* Whether the rows of this batch come too late to make documents. Suspends when that must be asked.
 */
static int ask_late(const struct writing *writing, bool *ret, struct sl_err *err)
{
    struct sl_overtaken *overtaken = writing->to->overtaken;
    *ret = false;
    if (!overtaken)
        return SL_OK;
    int rc = sl_overtaken_refresh(overtaken, err);
    if (rc == SL_OK)
        *ret = sl_overtaken_has(overtaken, &writing->batch->origin, NULL);
    return rc;
}

/* Whether the row may make its document, or only change it. late: those of its batch may not. */
static bool may_insert(const struct writing *writing, const struct sl_record *record, bool late)
{
    if (record->op == SL_DELETE || !writing->to->overtaken)
        return true;
    return !(record->letter
                 ? sl_overtaken_has(writing->to->overtaken, &writing->batch->origin, record->letter)
                 : late);
}

/* Builds a command of the rows from first on, at most count, as many as fit. late: none of them may
 * make its document. Yields. */
static int build(struct writing *writing, bool inserts, bool late, uint32_t first, uint32_t count,
                 uint32_t *ret_count, struct sl_err *err)
{
    uint32_t built = 0;
    begin_command(writing, inserts);
    writing->unmade = 0;
    while (built < count && built < SL_MONGO_COMMAND_ROWS) {
        const struct sl_record *record = &writing->batch->records[writing->rows[first + built]];
        size_t more = record->doc.length + record->id.length;
        if (built && writing->command.length + more > SL_MONGO_COMMAND_BYTES)
            break;
        if (inserts) {
            sl_mongo_command_add_document(&writing->command, &writing->stamp, record, built);
        } else {
            bool insert = may_insert(writing, record, late);
            sl_mongo_command_add(&writing->command, &writing->stamp, record, insert, built);
            writing->unmade += !insert;
        }
        built++;
        if (built % SLICE_ROWS == 0 && sl_fiber_yield() != SL_OK)
            return sl_err_set(err, SL_CANCELED, "cancelled while a batch was built");
    }
    sl_mongo_command_end(&writing->command);
    *ret_count = built;
    return SL_OK;
}

static int count_reply(struct writing *writing, const bson_t *reply, uint32_t first, uint32_t count,
                       struct sl_err *err)
{
    struct sl_mongo_tally tally;
    int rc = sl_mongo_reply_check(reply, count, writing->unmade, &tally, err);
    if (rc != SL_OK)
        return rc;
    struct sl_mongo_refusals walk = {0};
    struct sl_mongo_refusal refusal;
    while (sl_mongo_refusals_next(&walk, reply, &refusal)) {
        char reason[SL_ERR_TEXT_BYTES];
        if (refusal.index >= count)
            return sl_err_set(err, SL_CLOSED, "MongoDB refused row %u of %u", refusal.index, count);
        sl_mongo_reason(refusal.server_code, refusal.message, reason, sizeof reason);
        reject(writing, writing->rows[first + refusal.index], "refused", reason);
    }
    writing->made += tally.inserted;
    writing->result.applied += tally.inserted + tally.modified;
    writing->result.stale += tally.matched - tally.inserted - tally.modified + tally.missing;
    return SL_OK;
}

/* The server thinks for longer than the command takes to get there, and it is built anew should it
 * have to be sent again. */
static void forget_command(void *ctx)
{
    sl_buf_done(&((struct writing *)ctx)->command);
}

/* The caller destroys *reply in any case. */
static int send_command(struct writing *writing, bson_t *reply, struct sl_err *err)
{
    bson_t command;
    const struct sl_mongo_sent sent = {forget_command, writing};
    if (bson_init_static(&command, (const uint8_t *)writing->command.data, writing->command.length))
        return sl_mongo_command_once(writing->to->mongo, writing->to->collection->database,
                                     &command, &sent, reply, writing->deadline_ms, err);
    bson_init(reply);
    return sl_err_set(err, SL_REJECTED, "the command that was built is not BSON");
}

/* --- upserts --- */

static int upsert_some(struct writing *writing, uint32_t first, uint32_t count, uint32_t *ret_sent,
                       struct sl_err *err)
{
    bson_t reply;
    bool late;
    *ret_sent = 0;
    int rc = ask_late(writing, &late, err);
    if (rc == SL_OK)
        rc = build(writing, false, late, first, count, ret_sent, err);
    if (rc != SL_OK)
        return rc;
    rc = send_command(writing, &reply, err);
    if (rc == SL_OK)
        rc = count_reply(writing, &reply, first, *ret_sent, err);
    bson_destroy(&reply);
    return rc;
}

/* A command that the server refuses as a whole because of one row's content (nested too deep, say)
 * is halved until that row stands alone. */
static int upsert_rows(struct writing *writing, uint32_t first, uint32_t count, struct sl_err *err)
{
    while (count) {
        uint32_t sent = 0;
        int rc = upsert_some(writing, first, count, &sent, err);
        if (rc == SL_REJECTED && sent == 1) {
            reject(writing, writing->rows[first], "refused", err->message);
            rc = SL_OK;
        } else if (rc == SL_REJECTED && sent > 1) {
            rc = upsert_rows(writing, first, sent / 2, err);
            if (rc == SL_OK)
                rc = upsert_rows(writing, first + sent / 2, sent - sent / 2, err);
        }
        if (rc != SL_OK)
            return rc;
        first += sent;
        count -= sent;
    }
    return SL_OK;
}

/* --- insertions --- */

/* Deletions decide, and a replayed row is older than what is there, as a rule. */
static bool is_plain(const struct sl_record *record)
{
    return record->op == SL_UPSERT && !record->letter;
}

static bool seems_new(const struct writing *writing)
{
    const struct sl_mongo_collection *collection = writing->to->collection;
    return writing->count >= GUESS_ROWS_MIN && collection->new_seen >= collection->new_wanted;
}

/* Moves the rows that may be inserted to the front; gives their number. */
static uint32_t part_rows(struct writing *writing)
{
    uint32_t plain = 0;
    for (uint32_t i = 0; i < writing->count; i++) {
        uint32_t row = writing->rows[i];
        if (!is_plain(&writing->batch->records[row]))
            continue;
        writing->rows[i] = writing->rows[plain];
        writing->rows[plain++] = row;
    }
    return plain;
}

#define TAKEN UINT32_MAX /* in rows: it will be written again */

/* Appends to again what the reply does not call inserted. */
static int keep_refused(struct writing *writing, const bson_t *reply, uint32_t first,
                        uint32_t count, struct sl_err *err)
{
    struct sl_mongo_tally tally;
    int rc = sl_mongo_insert_check(reply, count, &tally, err);
    if (rc != SL_OK)
        return rc;
    struct sl_mongo_refusals walk = {0};
    struct sl_mongo_refusal refusal;
    while (sl_mongo_refusals_next(&walk, reply, &refusal)) {
        if (refusal.index >= count || writing->rows[first + refusal.index] == TAKEN)
            return sl_err_set(err, SL_CLOSED, "MongoDB refused row %u of %u, or twice",
                              refusal.index, count);
        writing->again[writing->again_count++] = writing->rows[first + refusal.index];
        writing->rows[first + refusal.index] = TAKEN;
    }
    writing->made += tally.inserted;
    writing->result.applied += tally.inserted;
    sl_metric_add(writing->to->inserted, tally.inserted);
    sl_metric_add(writing->to->refused, tally.refused);
    return SL_OK;
}

static int insert_some(struct writing *writing, uint32_t first, uint32_t count, uint32_t *ret_sent,
                       struct sl_err *err)
{
    bson_t reply;
    int rc = build(writing, true, false, first, count, ret_sent, err);
    if (rc != SL_OK)
        return rc;
    rc = send_command(writing, &reply, err);
    if (rc == SL_OK)
        rc = keep_refused(writing, &reply, first, *ret_sent, err);
    bson_destroy(&reply);
    return rc;
}

static int compare_rows(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

/* Inserts what is new, and leaves the other rows, in the batch's order: a deletion may free what a
 * unique index refused to a row behind it. Of a command that the server refuses as a whole all are
 * left: the guarded way finds out which one is to blame. */
static int insert_rows(struct writing *writing, struct sl_err *err)
{
    uint32_t plain = part_rows(writing), first = 0;
    int rc = SL_OK;
    writing->again = sl_alloc(writing->count * sizeof *writing->again);
    while (rc == SL_OK && first < plain) {
        bool late;
        uint32_t sent = 0;
        rc = ask_late(writing, &late, err);
        if (rc != SL_OK || late)
            break;
        rc = insert_some(writing, first, plain - first, &sent, err);
        if (rc == SL_REJECTED)
            break;
        first += sent;
    }
    while (first < writing->count)
        writing->again[writing->again_count++] = writing->rows[first++];
    free(writing->rows);
    writing->rows = writing->again;
    writing->count = writing->again_count;
    qsort(writing->rows, writing->count, sizeof *writing->rows, compare_rows);
    return rc == SL_REJECTED ? SL_OK : rc;
}

/* What this batch says about the next ones. */
static void learn(const struct writing *writing, uint32_t rows, bool guessed)
{
    struct sl_mongo_collection *collection = writing->to->collection;
    uint32_t known = rows - writing->made;
    if (rows < GUESS_ROWS_MIN)
        return;
    bool new = known <= rows / KNOWN_PART;
    if (!guessed) {
        collection->new_seen = new ? collection->new_seen + 1 : 0;
    } else if (!new) {
        /* Batches that were guessed about at the same time are one mistake. */
        bool first = collection->new_seen >= collection->new_wanted;
        if (first && collection->new_wanted < NEW_WANTED_MAX)
            collection->new_wanted *= 2;
        collection->new_seen = 0;
    }
}

/* --- the batch --- */

static int write_all(struct writing *writing, struct sl_err *err)
{
    int rc = sort_rows(writing, err);
    uint32_t rows = writing->count;
    bool guessed = seems_new(writing);
    if (rc != SL_OK || !rows)
        return rc;
    sl_mongo_command_reserve(&writing->command, &writing->stamp, writing->batch->bytes, rows);
    if (guessed)
        rc = insert_rows(writing, err);
    if (rc == SL_OK)
        rc = upsert_rows(writing, 0, writing->count, err);
    if (rc == SL_OK)
        learn(writing, rows, guessed);
    return rc;
}

int sl_mongo_write_batch(const struct sl_mongo_target *to, struct sl_batch *batch,
                         uint64_t deadline_ms, struct sl_result *ret, struct sl_err *err)
{
    struct writing writing = {.to = to,
                              .batch = batch,
                              .deadline_ms = deadline_ms,
                              .rows = sl_alloc(batch->count * sizeof(uint32_t))};
    sl_mongo_stamp_init(&writing.stamp, &batch->origin, sl_wall_ms(), to->tombstone_ttl_ms);
    sl_buf_init(&writing.command);
    int rc = write_all(&writing, err);
    sl_buf_done(&writing.command);
    sl_mongo_stamp_done(&writing.stamp);
    free(writing.rows);
    if (rc == SL_OK)
        *ret = writing.result;
    return rc;
}
