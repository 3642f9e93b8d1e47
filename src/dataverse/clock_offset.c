#include "dataverse/clock_offset.h"

enum {
    SECOND_MS = 1000,
    FORGET_PARTS = 20000, /* clocks drift: each bound gives way by 1 ms in 20 s */
};

void sl_clock_offset_add(struct sl_clock_offset *offset, int64_t sent_ms, int64_t received_ms,
                         int64_t date_ms)
{
    if (!date_ms || received_ms < sent_ms)
        return;
    int64_t low_ms = date_ms - received_ms, high_ms = date_ms + SECOND_MS - sent_ms;
    if (offset->known) {
        int64_t passed_ms = received_ms - offset->at_ms;
        int64_t slack_ms = passed_ms > 0 ? passed_ms / FORGET_PARTS : 0;
        int64_t old_low_ms = offset->low_ms - slack_ms, old_high_ms = offset->high_ms + slack_ms;
        /* Nothing in common: a clock was set, and what was known is void. */
        if (low_ms <= old_high_ms && high_ms >= old_low_ms) {
            low_ms = low_ms > old_low_ms ? low_ms : old_low_ms;
            high_ms = high_ms < old_high_ms ? high_ms : old_high_ms;
            if (!slack_ms)
                received_ms = offset->at_ms; /* time too short to count is not lost */
        }
    }
    offset->low_ms = low_ms;
    offset->high_ms = high_ms;
    offset->at_ms = received_ms;
    offset->known = true;
}

/* Most machines keep the time by the same means: as long as the clocks may agree, they do. The
 * middle of the bounds would be wrong by hundreds of milliseconds in the first minutes. */
int64_t sl_clock_offset_ms(const struct sl_clock_offset *offset)
{
    if (offset->low_ms <= 0 && offset->high_ms >= 0)
        return 0;
    return offset->low_ms + (offset->high_ms - offset->low_ms) / 2;
}

int64_t sl_clock_offset_doubt_ms(const struct sl_clock_offset *offset)
{
    int64_t likely_ms = sl_clock_offset_ms(offset);
    int64_t below_ms = likely_ms - offset->low_ms, above_ms = offset->high_ms - likely_ms;
    return below_ms > above_ms ? below_ms : above_ms;
}
