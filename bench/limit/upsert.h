/* The guarded upsert, the same that sluice sends, written in two ways: through libmongoc's bulk
 * API, and as whole update commands built before the clock starts. And the upsert without a guard,
 * and the insertion, which works in an empty collection alone. */
#ifndef BENCH_LIMIT_UPSERT_H
#define BENCH_LIMIT_UPSERT_H

#include <mongoc/mongoc.h>

#include "documents.h"

enum form { GUARDED, PLAIN, INSERT };

/* Writes one batch by mongoc_bulk_operation_t: guarded, replacing whole documents, or inserting
 * them. Blocks. Gives how many documents were inserted or changed, or -1 with a message on stderr.
 */
int64_t write_by_bulk(mongoc_collection_t *collection, const struct documents *documents,
                      const struct batch *batch, enum form form);

/* The whole update command of a batch; the caller destroys it. */
bson_t *upsert_command_new(const char *collection, const struct documents *documents,
                           const struct batch *batch);

/* Runs such a command. Blocks. As write_by_bulk. */
int64_t upsert_by_command(mongoc_client_t *client, const char *database, const bson_t *command);

#endif
