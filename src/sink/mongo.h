/* The sink "mongo": batches become guarded bulk upserts (docs/STATE.md tells what a document
 * holds). A record changes its document only when its version is above the stored one, so batches
 * may come in any order and any number of times. */
#ifndef SL_SINK_MONGO_H
#define SL_SINK_MONGO_H

#include "flow/overtaken.h"
#include "flow/sink.h"
#include "mongo/client.h"

/* A sink that writes through mongo where each batch says, but never into the databases of the
 * server or among what the state keeps; what says nothing goes into settings->database, by route.
 * Borrows mongo, context and overtaken (NULL: nothing ever is), which must outlive it, and copies
 * what it needs of settings. Its write fails, besides what flow/sink.h says, with SL_CONFIG when
 * MongoDB refuses for a reason that only an operator can remove: the batch must then be held and
 * tried again. */
struct sl_sink *sl_sink_mongo_new(struct sl_mongo *mongo, const struct sl_mongo_settings *settings,
                                  sl_route_fn *route, const void *context,
                                  struct sl_overtaken *overtaken);

/* Why no rows may go where the batch says (origin->collection is not NULL): a sentence's end, or
 * NULL. */
const char *sl_sink_mongo_place_wrong(const struct sl_mongo_settings *settings,
                                      const struct sl_origin *origin);

#endif
