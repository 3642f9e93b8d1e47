/* A batch: records of one entity in one arena, with where they came from. It has one owner at each
 * moment; freeing it frees all and gives its credit back. */
#ifndef SL_FLOW_BATCH_H
#define SL_FLOW_BATCH_H

#include "base/arena.h"
#include "base/err.h"
#include "flow/credit.h"
#include "flow/record.h"

/* Which of the two queues: live changes, or packages and full reads. */
enum sl_lane { SL_LANE_FAST, SL_LANE_BULK };
enum { SL_LANES = 2 };
const char *sl_lane_name(enum sl_lane lane); /* "fast", "bulk" */

/* Where a batch comes from. The texts live in the batch's arena. */
struct sl_origin {
    const char *feed;
    const char *entity;                /* as configured, without blanks: "VendorsV3" */
    const char *database, *collection; /* where its rows go; NULL: as the applier is configured */
    const char *run;                   /* "vendors-000042" */
    const char *file;   /* file of the package the rows come from; "" when there is none */
    uint32_t attempt;   /* counts from 1; a run published again has a new one */
    uint32_t number;    /* the batch's number within (run, attempt, entity), from 0 */
    bool last;          /* no batch of this entity follows in this attempt */
    int64_t batches;    /* how many there are in all, known in the last one; else -1 */
    bool full;          /* part of a full read: rows not in it may be swept later */
    const char *seen;   /* name of the full read the rows belong to; NULL: none */
    int64_t read_at_ms; /* wall clock, when its first row was read */
    enum sl_lane lane;
};

struct sl_batch {
    struct sl_arena arena;
    struct sl_origin origin;
    struct sl_record *records;
    uint32_t count, capacity;
    struct sl_dead *dead; /* rows read but not deliverable, found by the source */
    uint32_t dead_count, dead_capacity;
    uint32_t superseded; /* rows dropped because a newer one of the same key is in this batch */
    size_t bytes;        /* ids and documents */
    void *adopted;       /* memory that records' documents lie in, beside the arena; NULL: none */
    size_t adopted_bytes;
    struct sl_credit *credit;
    size_t credit_bytes;
    uint64_t tag;        /* the source's own mark: a delivery tag */
    uint64_t give_up_ms; /* loop clock: past it, an undelivered batch is released; 0: never */
    /* Wall clock in microseconds, for latency by stage; 0: not known. From the message that it came
     * in published_at_us has milliseconds only. */
    int64_t read_at_us, published_at_us, consumed_at_us;
};

/* A new batch holding credit_bytes already taken from credit (credit may be NULL). A small one gets
 * its memory in small pieces. */
struct sl_batch *sl_batch_new(struct sl_credit *credit, size_t credit_bytes);
void sl_batch_free(struct sl_batch *batch);

/* Copies the origin's texts into the batch. A full read without a name has its run's. */
void sl_batch_set_origin(struct sl_batch *batch, const struct sl_origin *origin);

/* Appends an empty record or dead row and returns it; the pointer is valid until the next append.
 */
struct sl_record *sl_batch_add(struct sl_batch *batch);
struct sl_dead *sl_batch_add_dead(struct sl_batch *batch);

/* Copies the bytes into the batch's arena: a view of the copy. */
struct sl_str sl_batch_keep(struct sl_batch *batch, struct sl_str text);

/* Takes memory from malloc() that views of the batch point into; once a batch. */
void sl_batch_adopt(struct sl_batch *batch, void *memory, size_t bytes);

/* Rows this batch accounts for: count + dead_count + superseded. */
uint32_t sl_batch_read(const struct sl_batch *batch);

/* Takes the credit for what the batch has grown beyond credit_bytes. False: there is none without
 * waiting, and the batch had better go as it is. Does not suspend. */
bool sl_batch_cover(struct sl_batch *batch);

/* Makes credit_bytes what arena and adopted memory really hold: gives back the rest, or takes more
 * by force. */
void sl_batch_settle_credit(struct sl_batch *batch);

#endif
