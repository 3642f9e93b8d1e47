#include "flow/flow.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/mem.h"
#include "flow/flow_own.h"

static bool may_read(const struct sl_flow *flow)
{
    unsigned held = flow->options.book_hold_ms ? flow->booking : 0; /* their rows are written */
    if (flow->options.ledger) /* others come past them: what is taken tells whose fault it is */
        held += flow->refused;
    return !flow->away && flow->in_flight - held < flow->options.window;
}

/* The reader: takes batches as long as there is room, and starts a delivery for each. */
static void read_batches(void *arg)
{
    struct sl_flow *flow = arg;
    uint64_t pause_ms = flow->options.retry_min_ms;

    for (;;) {
        while (!may_read(flow))
            if (sl_wait(&flow->changed, SL_FOREVER) == SL_CANCELED)
                goto ended;

        struct sl_batch *batch;
        struct sl_err err = {0};
        int rc = flow->source->type->next(flow->source, &batch, &err);
        if (rc == SL_OK) {
            pause_ms = flow->options.retry_min_ms;
            sl_flow_count_read(flow, batch);
            sl_delivery_start(flow, batch);
        } else if (rc == SL_END || rc == SL_CANCELED) {
            break;
        } else {
            if (pause_ms < err.retry_after_ms)
                pause_ms = err.retry_after_ms;
            sl_log(SL_WARN, "source failed, will try again", SL_T("flow", flow->options.name),
                   SL_T("error", err.message), SL_N("pause_ms", pause_ms));
            if (sl_fiber_sleep(pause_ms) == SL_CANCELED)
                break;
            pause_ms = sl_backoff_next(pause_ms, flow->options.retry_max_ms);
        }
    }
ended:
    flow->reading = false;
    sl_wake_all(&flow->changed);
    sl_wake_all(&flow->booked);
}

struct sl_flow *sl_flow_start(const struct sl_flow_options *options, struct sl_source *source,
                              struct sl_sink *sink, struct sl_state *state)
{
    struct sl_flow *flow = SL_NEW(struct sl_flow);
    flow->options = *options;
    flow->source = source;
    flow->sink = sink;
    flow->state = state;
    flow->reading = true;
    flow->retries =
        sl_counter("retries_total", "Deliveries tried again.", "flow=\"%s\"", options->name);
    flow->series = sl_flow_series_new();
    flow->reader = sl_fiber_spawn_joinable("flow.read", read_batches, flow);
    return flow;
}

void sl_flow_stop_reading(struct sl_flow *flow)
{
    sl_fiber_cancel(flow->reader);
}

void sl_flow_stop(struct sl_flow *flow, uint64_t deadline_ms)
{
    sl_fiber_shield(true); /* a cancelled caller would spin below */
    sl_flow_stop_reading(flow);
    sl_fiber_join(flow->reader);
    flow->reader = NULL;

    while (flow->in_flight && sl_wait(&flow->changed, deadline_ms) == SL_OK)
        ;
    for (struct sl_delivery *d = flow->deliveries; d; d = d->next)
        sl_fiber_cancel(d->fiber);
    while (flow->in_flight)
        sl_wait(&flow->changed, SL_FOREVER);
    sl_flow_stop_probe(flow);
    sl_fiber_shield(false);
}

void sl_flow_free(struct sl_flow *flow)
{
    flow->source->type->close(flow->source);
    sl_flow_series_free(flow->series);
    free(flow);
}

const char *sl_flow_trouble(const struct sl_flow *flow)
{
    return flow->away || flow->refused || flow->books_waiting ? flow->trouble : NULL;
}

const char *sl_flow_refusal(const struct sl_flow *flow)
{
    return flow->refused || flow->books_waiting ? flow->trouble : NULL;
}
