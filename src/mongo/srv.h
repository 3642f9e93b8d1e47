/* mongodb+srv://CLUSTER/…: who the members are, and some options, stand in DNS under the name of
 * the cluster. Source: "Initial DNS Seedlist Discovery" of MongoDB's driver specifications. */
#ifndef SL_MONGO_SRV_H
#define SL_MONGO_SRV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Is it such a connection string? */
bool sl_srv_is(const char *url);

/* Appends to out what a driver can read that does not ask DNS: mongodb://CLUSTER/…, as if the
 * cluster's name were a member's. SL_CONFIG when it does not name one cluster, without a port, or
 * has options that are not done here. The message shows no part of it. */
int sl_srv_plain(const char *url, struct sl_buf *out, struct sl_err *err);

/* Asks DNS, and appends plain to out with the members in place of the cluster; what DNS has of
 * options comes before its own, which thereby count. Suspends, at most until deadline_ms.
 * SL_CLOSED when DNS does not answer, has no such cluster, or has what it should not; SL_TIMEOUT,
 * SL_CANCELED. */
int sl_srv_find(const char *plain, uint64_t deadline_ms, struct sl_buf *out, struct sl_err *err);

#endif
