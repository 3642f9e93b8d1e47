/* /status: one JSON object for people and for `sluice status`. Its parts come from providers that
 * others register; version, role, uptime, readiness and latencies are always there. */
#ifndef SL_OPS_STATUS_H
#define SL_OPS_STATUS_H

#include "base/str.h"

/* Adds exactly one JSON value to buf. Must not suspend. */
typedef void (*sl_status_provider)(void *ctx, struct sl_buf *buf);

/* Adds the member name ("feeds", "credit", "peers"), after those registered before. name is copied.
 */
void sl_status_register(const char *name, sl_status_provider provider, void *ctx);

struct sl_about {
    const char *version; /* "0.1.0" */
    const char *role;    /* "all", "ingest", "apply" */
    uint64_t started_ms; /* sl_now_ms() at the start of the process */
};

/* Adds the whole object:
 * {"version":"0.1.0","role":"all","pid":1,"uptime_s":12,"ready":true,"trouble":[],
 *  "latency":[{"name":"…_seconds","labels":{"stage":"…"},"count":1,"p50_ms":0.2,"p99_ms":0.2,
 *              "p999_ms":0.2,"max_ms":0.2,
 *              "last_minute":{"count":0,"p50_ms":0.0,…}}], … the members of the providers} */
void sl_status_write(struct sl_buf *buf, const struct sl_about *about);

/* Forgets all providers: their ctx may go then. */
void sl_status_clear(void);

#endif
