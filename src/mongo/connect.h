/* A connection to a member on its way: name, each of its addresses in turn, TLS. A fiber of its own
 * works on it, so that a member that does not answer holds up no other. */
#ifndef SL_MONGO_CONNECT_H
#define SL_MONGO_CONNECT_H

#include <stdint.h>

#include <mongoc/mongoc.h>

#include "mongo/wire.h"

struct sl_opening;

/* Called once, from the opening's fiber; must not suspend. SL_OK: the wire is open, its handshake
 * over, and it is taken. Else SL_CLOSED, SL_TIMEOUT, or SL_CONFIG (a certificate is not accepted),
 * and err says why. The opening is gone afterwards. */
typedef void sl_opened_fn(void *ctx, int rc, const struct sl_wire *wire, const struct sl_err *err);

/* Begins; on_opened comes at end_ms (loop clock) at the latest. Each address gets its share of the
 * time, IPv4 first. host is copied, tls (NULL: plain) outlives the opening or its abandoning. */
struct sl_opening *sl_opening_new(const mongoc_host_list_t *host, struct sl_tls *tls,
                                  uint64_t end_ms, sl_opened_fn *on_opened, void *ctx);

/* Ends it: on_opened will not be called. Does not suspend. */
void sl_opening_abandon(struct sl_opening *opening);

#endif
