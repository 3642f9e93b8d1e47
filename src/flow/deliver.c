#include "flow/flow_own.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* Waits before the next try. SL_TIMEOUT: the batch's time is up, or the source was told to let go.
 */
static int wait_to_retry(struct sl_flow *flow, const struct sl_batch *batch, uint64_t *pause_ms)
{
    sl_metric_add(flow->retries, 1);
    uint64_t until_ms = sl_deadline_in(*pause_ms);
    *pause_ms = sl_backoff_next(*pause_ms, flow->options.retry_max_ms);
    uint64_t give_up_ms = batch->give_up_ms ? batch->give_up_ms : SL_FOREVER;

    for (;;) {
        uint64_t now_ms = sl_loop_now_ms();
        if (flow->suspended || now_ms >= give_up_ms)
            return SL_TIMEOUT;
        if (now_ms >= until_ms && !flow->away)
            return SL_OK;
        uint64_t wake_ms = now_ms >= until_ms ? SL_FOREVER : until_ms;
        if (sl_wait(&flow->changed, wake_ms < give_up_ms ? wake_ms : give_up_ms) == SL_CANCELED)
            return SL_CANCELED;
    }
}

/* SL_OK, SL_REJECTED, SL_NOTFOUND, SL_TIMEOUT (give the batch back), SL_CANCELED. Keeps *refused.
 */
static int try_write(struct sl_flow *flow, struct sl_batch *batch, bool *refused,
                     struct sl_result *ret, struct sl_err *err)
{
    uint64_t pause_ms = flow->options.retry_min_ms;
    for (;;) {
        uint64_t deadline_ms = sl_deadline_in(flow->options.write_timeout_ms);
        if (batch->give_up_ms && batch->give_up_ms < deadline_ms)
            deadline_ms = batch->give_up_ms; /* a destination that hangs must not hold it longer */
        int rc = flow->sink->type->write(flow->sink, batch, deadline_ms, ret, err);
        if (rc == SL_OK || rc == SL_REJECTED || rc == SL_NOTFOUND || rc == SL_CANCELED)
            return rc;
        if (*refused != (rc == SL_CONFIG))
            flow->refused += *refused ? -1 : 1;
        *refused = rc == SL_CONFIG;
        sl_flow_sink_away(flow, err);
        rc = wait_to_retry(flow, batch, &pause_ms);
        if (rc != SL_OK)
            return rc;
    }
}

static int write_batch(struct sl_flow *flow, struct sl_batch *batch, struct sl_result *ret,
                       struct sl_err *err)
{
    bool refused = false;
    int rc = try_write(flow, batch, &refused, ret, err);
    flow->refused -= refused;
    return rc;
}

/* --- what is written beside the rows --- */

static void record_to_dead(const struct sl_batch *batch, const struct sl_record *record,
                           struct sl_dead *dead)
{
    dead->id = record->id;
    dead->file = batch->origin.file;
    dead->line = record->line;
    dead->row = record->doc;
    dead->row_is_bson = true;
    dead->versioned = true;
    dead->op = record->op;
    dead->version = record->version;
    dead->changed_at_ms = record->changed_at_ms;
    dead->letter = record->letter;
}

/* The rows the sink refused, as dead letters beside those the source found. */
static void bury_rejects(struct sl_batch *batch, const struct sl_result *result)
{
    for (uint32_t i = 0; i < result->reject_count; i++) {
        const struct sl_reject *reject = &result->rejects[i];
        struct sl_dead *dead = sl_batch_add_dead(batch);
        record_to_dead(batch, &batch->records[reject->index], dead);
        dead->code = reject->code;
        dead->reason = reject->reason;
    }
}

/* The sink refused the batch as a whole. */
static void bury_all(struct sl_batch *batch, const struct sl_err *why, struct sl_result *ret)
{
    struct sl_str reason = {
        sl_arena_text(&batch->arena, why->message, sl_str_of(why->message).length),
        sl_str_of(why->message).length};
    for (uint32_t i = 0; i < batch->count; i++) {
        struct sl_dead *dead = sl_batch_add_dead(batch);
        record_to_dead(batch, &batch->records[i], dead);
        dead->code = "refused";
        dead->reason = reason;
    }
    *ret = (struct sl_result){.reject_count = batch->count};
}

static int keep_dead(struct sl_flow *flow, struct sl_batch *batch, struct sl_err *err)
{
    if (!batch->dead_count)
        return SL_OK;
    return flow->state->type->dead_put(flow->state, &batch->origin, batch->dead, batch->dead_count,
                                       err);
}

static int keep_ledger(struct sl_flow *flow, struct sl_batch *batch, const struct sl_result *result,
                       struct sl_err *err)
{
    /* A batch that was refused on the way to the final sink will never be booked there. */
    if (!flow->options.ledger && !result->reject_count)
        return SL_OK;
    const struct sl_booking booking = {batch, result->applied, result->stale, result->reject_count};
    return sl_flow_book(flow, &booking, err);
}

/* Dead letters, then the ledger: only then the batch is safe. */
static int try_books(struct sl_flow *flow, struct sl_batch *batch, const struct sl_result *result,
                     struct sl_err *err)
{
    int rc = keep_dead(flow, batch, err);
    return rc == SL_OK ? keep_ledger(flow, batch, result, err) : rc;
}

/* Tries until the books are durable. */
static int keep_books(struct sl_flow *flow, struct sl_batch *batch, const struct sl_result *result)
{
    uint64_t pause_ms = flow->options.retry_min_ms;
    for (;;) {
        struct sl_err err = {0};
        int rc = try_books(flow, batch, result, &err);
        if (rc == SL_OK || rc == SL_CANCELED)
            return rc;
        snprintf(flow->trouble, sizeof flow->trouble, "%s", err.message);
        sl_log(SL_WARN, "cannot write the books of a batch, will try again",
               SL_T("flow", flow->options.name), SL_T("run", batch->origin.run),
               SL_T("error", err.message), SL_N("pause_ms", pause_ms));
        flow->books_waiting++;
        rc = wait_to_retry(flow, batch, &pause_ms);
        flow->books_waiting--;
        if (rc != SL_OK)
            return rc;
    }
}

static int deliver(struct sl_flow *flow, struct sl_batch *batch, struct sl_result *result,
                   struct sl_err *err)
{
    uint32_t found_dead = batch->dead_count;
    int rc = write_batch(flow, batch, result, err);
    if (rc == SL_REJECTED) {
        sl_log(SL_ERROR, "a whole batch was refused; its rows are dead letters",
               SL_T("flow", flow->options.name), SL_T("run", batch->origin.run),
               SL_T("entity", batch->origin.entity), SL_N("batch", batch->origin.number),
               SL_N("rows", batch->count), SL_T("error", err->message));
        bury_all(batch, err, result);
    } else if (rc == SL_OK) {
        bury_rejects(batch, result);
    } else {
        return rc;
    }
    int64_t written_us = sl_wall_us();
    rc = keep_books(flow, batch, result);
    if (rc == SL_OK)
        sl_flow_count_written(flow, batch, result, written_us);
    else
        batch->dead_count = found_dead; /* released as it came: it will be written again */
    return rc;
}

/* There is no place for it here. */
static void send_away(struct sl_flow *flow, struct sl_batch *batch, const struct sl_err *why)
{
    const struct sl_source_type *source = flow->source->type;
    sl_log(SL_ERROR, "a batch has no destination and is set aside",
           SL_T("flow", flow->options.name), SL_T("run", batch->origin.run),
           SL_T("entity", batch->origin.entity), SL_N("batch", batch->origin.number),
           SL_N("rows", batch->count), SL_T("error", why->message));
    if (source->set_aside)
        source->set_aside(flow->source, batch);
    else
        source->release(flow->source, batch);
}

static void run_delivery(void *arg)
{
    struct sl_delivery *delivery = arg;
    struct sl_flow *flow = delivery->flow;
    struct sl_result result = {0};
    struct sl_err err = {0};
    int rc = deliver(flow, delivery->batch, &result, &err);
    if (rc == SL_OK)
        flow->source->type->commit(flow->source, delivery->batch);
    else if (rc == SL_NOTFOUND)
        send_away(flow, delivery->batch, &err);
    else
        flow->source->type->release(flow->source, delivery->batch);

    if (delivery->previous)
        delivery->previous->next = delivery->next;
    else
        flow->deliveries = delivery->next;
    if (delivery->next)
        delivery->next->previous = delivery->previous;
    free(delivery);
    flow->in_flight--;
    sl_wake_all(&flow->changed);
}

void sl_delivery_start(struct sl_flow *flow, struct sl_batch *batch)
{
    struct sl_delivery *delivery = SL_NEW(struct sl_delivery);
    delivery->flow = flow;
    delivery->batch = batch;
    delivery->next = flow->deliveries;
    if (delivery->next)
        delivery->next->previous = delivery;
    flow->deliveries = delivery;
    flow->in_flight++;
    delivery->fiber = sl_fiber_spawn("flow.deliver", run_delivery, delivery);
}
