/* The batcher: one fiber adds rows, another takes batches. A batch closes at max_rows, max_bytes or
 * linger_ms after its first row. One key appears once in a batch: the newest; older ones are
 * counted as superseded. Adding suspends while credit is used up or the closed batch is not yet
 * taken. */
#ifndef SL_FLOW_BATCHER_H
#define SL_FLOW_BATCHER_H

#include "flow/batch.h"

struct sl_batcher_limits {
    uint32_t max_rows;
    size_t max_bytes;
    uint64_t linger_ms;
    size_t max_row_bytes; /* larger rows are dead letters ("too_large") */
};

struct sl_batcher;

/* credits: a pool for each lane (enum sl_lane); outlives the batcher. */
struct sl_batcher *sl_batcher_new(const struct sl_batcher_limits *limits,
                                  struct sl_credit *credits);
void sl_batcher_free(struct sl_batcher *batcher);

/* From here on batches have this origin (number counts from 0, batches are numbered here); its
 * texts live until the next begin. Closes the open batch first, and suspends until there is room
 * for it; with nothing open it costs nothing. */
int sl_batcher_begin(struct sl_batcher *batcher, const struct sl_origin *origin,
                     struct sl_err *err);

/* The open batch, into whose arena the next row is built; suspends until there is room. Between
 * this and the add that follows, the fiber must not suspend: a lingering batch may be taken
 * meanwhile. */
int sl_batcher_open(struct sl_batcher *batcher, struct sl_batch **ret_batch, struct sl_err *err);

/* For how long adding, opening, begin and end wait at most (loop clock, SL_FOREVER at first): past
 * it they fail with SL_TIMEOUT. A row that was being added may then be in the open batch or not. */
void sl_batcher_set_deadline(struct sl_batcher *batcher, uint64_t deadline_ms);

/* How many batches were closed since the batcher was made. They are taken in that order, so the
 * open one will be this many and one. */
uint64_t sl_batcher_closings(const struct sl_batcher *batcher);

/* Nothing more is expected for now: the open batch, if it holds anything, may be taken at once,
 * without lingering. Does not suspend. */
void sl_batcher_flush(struct sl_batcher *batcher);

/* Counts the record or the dead row just built; its views must be in the open batch's arena.
 * Suspends while the batch is full and the one before it is not yet taken. */
int sl_batcher_add(struct sl_batcher *batcher, const struct sl_record *record, struct sl_err *err);
int sl_batcher_add_dead(struct sl_batcher *batcher, const struct sl_dead *dead, struct sl_err *err);

struct sl_batcher_totals {
    uint64_t read, dead, superseded; /* rows; read counts the other two in */
    uint32_t batches;
};

/* Closes the origin: its last batch (perhaps empty) carries last and batches. ret (may be NULL)
 * gets the totals of this origin. Suspends as add does. */
int sl_batcher_end(struct sl_batcher *batcher, struct sl_batcher_totals *ret, struct sl_err *err);

/* Drops the open batch: its rows will be read again in another attempt. Does not suspend. */
void sl_batcher_abandon(struct sl_batcher *batcher);

/* Takes the next closed (or lingering) batch, which is then the caller's. Suspends. SL_TIMEOUT
 * after deadline_ms (loop clock), SL_CANCELED. */
int sl_batcher_take(struct sl_batcher *batcher, uint64_t deadline_ms, struct sl_batch **ret_batch,
                    struct sl_err *err);

#endif
