#include "flow/sink.h"

#include "base/log.h"
#include "base/metric.h"
#include "loop/fiber.h"

enum { ANSWER_WITHIN_MS = 5000 };

bool sl_sink_stands(struct sl_sink *sink, const char *feed, bool first)
{
    if (!sink || !sink->type->waiting)
        return false;
    for (unsigned lane = 0; lane < SL_LANES; lane++) {
        struct sl_waiting waiting = {0};
        if (sink->type->waiting(sink, (enum sl_lane)lane, &waiting,
                                sl_deadline_in(ANSWER_WITHIN_MS), NULL) != SL_OK ||
            !waiting.batches || waiting.takers)
            continue;
        sl_counter("ledger_waits_total",
                   "Times that a ledger was late and waited on: its rows wait for an applier.",
                   "feed=\"%s\"", feed)
            ->value++;
        if (first)
            sl_log(SL_WARN, "a ledger is late because nobody applies: its rows are waited for",
                   SL_T("feed", feed), SL_T("lane", sl_lane_name((enum sl_lane)lane)),
                   SL_N("messages", waiting.batches));
        return true;
    }
    return false;
}
