/* The processes that share feeds, and who holds what, as the state knows it. */
#ifndef SL_FLOW_MEMBERS_H
#define SL_FLOW_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SL_MEMBER_NAME_BYTES = 128 };

/* A process that is alive. */
struct sl_member {
    char name[SL_MEMBER_NAME_BYTES]; /* "host:pid:random" */
    int64_t age_ms;                  /* since its first sign of life */
    char **wants; /* names of the leases that it works under, in their order; heap */
    size_t want_count;
};

/* A lease of something that is shared. */
struct sl_holding {
    char lease[SL_MEMBER_NAME_BYTES];
    char holder[SL_MEMBER_NAME_BYTES]; /* the process; "": nobody, or its time is over */
    int64_t epoch;
};

/* Both in the order of their names. */
struct sl_members {
    struct sl_member *members;
    size_t member_count;
    struct sl_holding *holdings;
    size_t holding_count;
};

/* Frees the lists and empties them. */
void sl_members_done(struct sl_members *members);

#endif
