/* What may happen to an answer on its way: late, broken, cut off, crawling, or another one. */
#ifndef SIM_DATAVERSE_SPOIL_H
#define SIM_DATAVERSE_SPOIL_H

#include "sim/dataverse/call.h"

/* Decided when a request comes in, with the lock held. */
struct dv_fate {
    enum { DV_GOES_ON, DV_REDIRECTED, DV_THROTTLED, DV_AWAY, DV_FAILS } way;
    enum dv_limit limit;   /* of DV_THROTTLED */
    int64_t retry_after_s; /* -1: the header is left away */
    char redirect[256];
    bool html;
    bool malformed;
    bool cut;
    int64_t delay_ms;
    int64_t cost_ms;     /* execution time on top of the real one */
    int64_t bytes_per_s; /* 0: as fast as can be */
};

/* Takes from the switches what shall happen to this request. */
void dv_fate_read(struct dv *dv, struct dv_user *user, struct dv_fate *fate);

/* Makes the answer of a request that does not go on. */
void dv_fate_answer(struct dv_call *call, const struct dv_fate *fate);

/* Makes the response from the call's answer, spoiled as decided. Takes the answer. */
struct MHD_Response *dv_fate_response(struct dv_call *call, const struct dv_fate *fate);

#endif
