#include "flow/credit.h"

#include "base/metric.h"

/* Lives on the waiting fiber's stack. The giver grants it in order, so that nobody who comes later
 * can slip in between the wake and the running of who was woken. */
struct sl_credit_request {
    struct sl_credit_request *next;
    struct sl_fiber *fiber;
    size_t bytes;
    bool granted;
};

void sl_credit_init(struct sl_credit *credit, const char *name, size_t total_bytes)
{
    *credit = (struct sl_credit){.name = name, .total_bytes = total_bytes};
    credit->used_metric = sl_gauge("credit_used_bytes", "Bytes in flight.", "pool=\"%s\"", name);
    struct sl_metric *total =
        sl_gauge("credit_total_bytes", "Bytes that may be in flight.", "pool=\"%s\"", name);
    sl_metric_set(total, (int64_t)total_bytes);
}

static bool fits(const struct sl_credit *credit, size_t bytes)
{
    return !credit->used_bytes || credit->used_bytes + bytes <= credit->total_bytes;
}

static void enqueue(struct sl_credit *credit, struct sl_credit_request *request)
{
    if (credit->last)
        credit->last->next = request;
    else
        credit->first = request;
    credit->last = request;
    if (credit->shortage)
        sl_wake_all(credit->shortage);
}

static void dequeue(struct sl_credit *credit, const struct sl_credit_request *request)
{
    struct sl_credit_request *previous = NULL, *at = credit->first;
    for (; at != request; at = at->next)
        previous = at;
    if (previous)
        previous->next = at->next;
    else
        credit->first = at->next;
    if (credit->last == at)
        credit->last = previous;
}

/* Serves those who wait, from the first on, as far as there is room. */
static void grant(struct sl_credit *credit)
{
    while (credit->first && fits(credit, credit->first->bytes)) {
        struct sl_credit_request *request = credit->first;
        dequeue(credit, request);
        sl_credit_force(credit, request->bytes);
        request->granted = true;
        sl_fiber_wake(request->fiber);
    }
}

bool sl_credit_try(struct sl_credit *credit, size_t bytes)
{
    if (credit->first || !fits(credit, bytes))
        return false;
    sl_credit_force(credit, bytes);
    return true;
}

int sl_credit_take(struct sl_credit *credit, size_t bytes, uint64_t deadline_ms)
{
    if (sl_credit_try(credit, bytes))
        return SL_OK;
    struct sl_credit_request request = {.fiber = sl_fiber_self(), .bytes = bytes};
    enqueue(credit, &request);
    int rc = SL_OK;
    while (!request.granted && rc == SL_OK)
        rc = sl_fiber_park(deadline_ms);

    if (!request.granted) {
        dequeue(credit, &request);
        grant(credit); /* the next one may want less */
    } else if (rc == SL_CANCELED) {
        sl_credit_give(credit, bytes);
    } else {
        rc = SL_OK;
    }
    return rc;
}

void sl_credit_force(struct sl_credit *credit, size_t bytes)
{
    credit->used_bytes += bytes;
    sl_metric_set(credit->used_metric, (int64_t)credit->used_bytes);
}

void sl_credit_give(struct sl_credit *credit, size_t bytes)
{
    credit->used_bytes -= bytes;
    sl_metric_set(credit->used_metric, (int64_t)credit->used_bytes);
    grant(credit);
}
