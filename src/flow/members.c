#include "flow/members.h"

#include <stdlib.h>

void sl_members_done(struct sl_members *members)
{
    for (size_t i = 0; i < members->member_count; i++) {
        for (size_t j = 0; j < members->members[i].want_count; j++)
            free(members->members[i].wants[j]);
        free(members->members[i].wants);
    }
    free(members->members);
    free(members->holdings);
    *members = (struct sl_members){0};
}
