#include "flow/refresh.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "flow/state.h"

const char *sl_refresh_state_name(enum sl_refresh_state state)
{
    static const char *const names[] = {"asked", "reading", "sweeping",
                                        "done",  "refused", "failed"};
    return names[state];
}

static bool is_of_table(const struct sl_refresh *refresh)
{
    char prefix[SL_REFRESH_NAME_BYTES];
    int length = snprintf(prefix, sizeof prefix, SL_TABLE_READ, refresh->feed);
    return !strncmp(refresh->read, prefix, (size_t)length);
}

bool sl_refresh_is_stranded(const struct sl_refresh *refresh, int64_t epoch, bool table)
{
    return sl_refresh_is_open(refresh) && refresh->read[0] && refresh->epoch > epoch &&
           is_of_table(refresh) != table;
}

int sl_refresh_strand(struct sl_state *state, struct sl_refresh *refresh, struct sl_err *err)
{
    snprintf(refresh->note, sizeof refresh->note,
             "the feed was of another kind when it began: ask for another one");
    refresh->state = SL_REFRESH_FAILED;
    int rc = state->type->refresh_save(state, refresh, refresh->epoch, err);
    if (rc == SL_OK)
        sl_log(SL_ERROR, "refresh ended", SL_T("feed", refresh->feed), SL_T("read", refresh->read),
               SL_T("how", sl_refresh_state_name(refresh->state)), SL_T("why", refresh->note));
    return rc;
}
