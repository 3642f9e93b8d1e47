#include "flow/refresh.h"

const char *sl_refresh_state_name(enum sl_refresh_state state)
{
    static const char *const names[] = {"asked", "reading", "sweeping",
                                        "done",  "refused", "failed"};
    return names[state];
}
