#include "flow/state.h"

#include <stdlib.h>

const char *sl_run_state_name(enum sl_run_state state)
{
    static const char *const names[] = {"planned",  "requested", "executing",
                                        "packaged", "streaming", "published",
                                        "done",     "failed",    "abandoned"};
    return names[state];
}

void sl_checkpoint_done(struct sl_checkpoint *checkpoint)
{
    free(checkpoint->newest);
    free(checkpoint->safe);
    free(checkpoint->query);
    free(checkpoint->kept);
    *checkpoint = (struct sl_checkpoint){0};
}
