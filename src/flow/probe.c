/* The sink's absence: nothing is read meanwhile, one probe pings, and a source that is held up for
 * long is told to let go of what it holds. */
#include <stdio.h>

#include "base/backoff.h"
#include "base/log.h"
#include "flow/flow_own.h"

static void let_go(struct sl_flow *flow)
{
    if (flow->suspended || !flow->options.suspend_after_ms || !flow->source->type->suspend)
        return;
    if (sl_loop_now_ms() < flow->away_since_ms + flow->options.suspend_after_ms)
        return;
    flow->suspended = true;
    sl_log(SL_WARN, "destination away for long: held batches go back to the queue",
           SL_T("flow", flow->options.name));
    sl_wake_all(&flow->changed); /* deliveries release their batches … */
    while (flow->in_flight && sl_wait(&flow->changed, SL_FOREVER) == SL_OK)
        ;
    flow->source->type->suspend(flow->source); /* … and the source those not yet given */
}

static void returned(struct sl_flow *flow)
{
    if (flow->suspended) /* before anything is read: it may suspend */
        flow->source->type->resume(flow->source);
    flow->suspended = false;
    flow->away = false;
    sl_log(SL_INFO, "destination answers again", SL_T("flow", flow->options.name),
           SL_N("away_ms", sl_loop_now_ms() - flow->away_since_ms));
    sl_wake_all(&flow->changed);
}

static void probe(void *arg)
{
    struct sl_flow *flow = arg;
    uint64_t pause_ms = flow->options.retry_min_ms;
    for (;;) {
        if (sl_fiber_sleep(pause_ms) != SL_OK)
            return;
        pause_ms = sl_backoff_next(pause_ms, flow->options.retry_max_ms);
        struct sl_err err = {0};
        uint64_t deadline_ms = sl_deadline_in(flow->options.retry_max_ms);
        int rc = flow->sink->type->ping(flow->sink, deadline_ms, &err);
        if (rc == SL_CANCELED)
            return;
        if (rc == SL_OK) {
            returned(flow);
            return;
        }
        snprintf(flow->trouble, sizeof flow->trouble, "%s", err.message);
        let_go(flow);
    }
}

void sl_flow_sink_away(struct sl_flow *flow, const struct sl_err *err)
{
    snprintf(flow->trouble, sizeof flow->trouble, "%s", err->message);
    if (flow->away)
        return;
    flow->away = true;
    flow->away_since_ms = sl_loop_now_ms();
    sl_log(SL_WARN, "cannot deliver, waiting for the destination", SL_T("flow", flow->options.name),
           SL_T("error", err->message));
    if (flow->probe)
        sl_fiber_join(flow->probe); /* the last probe has done its work */
    flow->probe = sl_fiber_spawn_joinable("flow.probe", probe, flow);
}

void sl_flow_stop_probe(struct sl_flow *flow)
{
    sl_fiber_end(&flow->probe);
}
