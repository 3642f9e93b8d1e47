/* The listeners of the process: one HTTP server for each address that sources name, with the routes
 * of all of them. */
#ifndef SL_SOURCE_LISTENERS_H
#define SL_SOURCE_LISTENERS_H

#include "config/config.h"
#include "http/server.h"

struct sl_listeners;

/* config outlives it. */
struct sl_listeners *sl_listeners_new(const struct sl_config *config);

/* Adds a route (copied, but its texts live as long) to the listener of this source. Before start.
 */
void sl_listeners_add(struct sl_listeners *listeners, const struct sl_source_config *source,
                      const struct sl_http_route *route);

/* Opens all addresses. Does not suspend. Fails with SL_CONFIG, naming what is taken or unreadable.
 */
int sl_listeners_start(struct sl_listeners *listeners, struct sl_err *err);

/* Takes no more requests, and waits for those under way until deadline_ms (loop clock). Suspends.
 * The handlers' contexts may go afterwards. again: others follow on the same addresses, for which
 * clients wait (sl_listen_drop_kept). NULL is fine. */
void sl_listeners_stop(struct sl_listeners *listeners, uint64_t deadline_ms, bool again);

#endif
