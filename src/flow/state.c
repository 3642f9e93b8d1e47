#include "flow/state.h"

const char *sl_run_state_name(enum sl_run_state state)
{
    static const char *const names[] = {"planned",   "requested", "executing", "packaged",
                                        "streaming", "published", "done",      "failed"};
    return names[state];
}
