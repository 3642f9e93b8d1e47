/* Inside of a flow, shared by its parts:
 *
 *   flow.c      the reader, start and stop
 *   deliver.c   one batch on its way, in a fiber of its own
 *   book.c      entries in the ledger, several at once
 *   probe.c     the sink's absence and return
 *   count.c     metrics */
#ifndef SL_FLOW_FLOW_OWN_H
#define SL_FLOW_FLOW_OWN_H

#include "base/metric.h"
#include "flow/flow.h"
#include "loop/fiber.h"

struct sl_delivery {
    struct sl_flow *flow;
    struct sl_batch *batch;
    struct sl_fiber *fiber;
    struct sl_delivery *previous, *next;
};

struct sl_flow {
    struct sl_flow_options options;
    struct sl_source *source;
    struct sl_sink *sink;
    struct sl_state *state;
    struct sl_fiber *reader;
    bool reading;
    unsigned in_flight;
    struct sl_delivery *deliveries;
    struct sl_waitlist changed; /* in_flight, away or reading changed */

    bool away; /* the sink failed, and a probe waits for its return */
    bool suspended;
    struct sl_entry *entries; /* waiting for their place in the ledger, in order of arrival */
    unsigned entry_count;
    unsigned booking; /* deliveries whose rows are written: these, and those being entered */
    bool book_led;    /* one of them writes for all, or will in a moment */
    bool book_hurry;  /* a large one waits */
    struct sl_waitlist booked; /* any of that changed */
    unsigned books_waiting; /* deliveries whose dead letters or ledger could not be written yet */
    unsigned refused; /* deliveries that a sink which answers does not take, and that try again */
    uint64_t away_since_ms;
    struct sl_fiber *probe;
    char trouble[SL_ERR_TEXT_BYTES];
    struct sl_metric *retries;
    struct sl_flow_series *series;
};

/* Starts a fiber that brings the batch to the sink, and commits or releases it. Takes batch. */
void sl_delivery_start(struct sl_flow *flow, struct sl_batch *batch);

/* Enters what became of a batch in the ledger, perhaps some milliseconds later and with others.
 * Suspends; fails as the state does. */
int sl_flow_book(struct sl_flow *flow, const struct sl_booking *booking, struct sl_err *err);

/* The sink failed: nothing more is read, and a probe waits until it answers again. */
void sl_flow_sink_away(struct sl_flow *flow, const struct sl_err *err);
void sl_flow_stop_probe(struct sl_flow *flow);

/* Counting: rows by stage, latencies by stage. The series are found once and kept here, because
 * finding one costs more than counting in it. */
struct sl_flow_series *sl_flow_series_new(void);
void sl_flow_series_free(struct sl_flow_series *series);
void sl_flow_count_read(const struct sl_flow *flow, const struct sl_batch *batch);
void sl_flow_count_written(const struct sl_flow *flow, const struct sl_batch *batch,
                           const struct sl_result *result, int64_t written_us);

#endif
