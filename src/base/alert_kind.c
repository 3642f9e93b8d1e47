#include "base/alert_kind.h"

const char *sl_alert_kind_name(enum sl_alert_kind kind)
{
    static const char *const names[SL_ALERT_KINDS] = {
        [SL_ALERT_RUN_FAILED] = "run_failed",     [SL_ALERT_SWEEP_REFUSED] = "sweep_refused",
        [SL_ALERT_OPERATOR] = "operator",         [SL_ALERT_NOTICE] = "notice",
        [SL_ALERT_DEAD_LETTERS] = "dead_letters", [SL_ALERT_LAG] = "lag",
        [SL_ALERT_PEER_DOWN] = "peer_down",       [SL_ALERT_BUDGET] = "budget",
    };
    return names[kind];
}
