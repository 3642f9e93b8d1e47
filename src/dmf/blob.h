/* The package as a stream of bytes: a blob downloaded by its signed URL, resumed by range when it
 * breaks off, under a new URL when the old one expired.
 *
 * The signed URL itself is the right to read: no token is sent, a forwarded one breaks it. */
#ifndef SL_DMF_BLOB_H
#define SL_DMF_BLOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "http/client.h"

struct sl_blob;

/* Asks for a fresh URL of the same blob; gives it (free). Suspends. */
typedef int (*sl_blob_url_fn)(void *ctx, char **ret_url, struct sl_err *err);

/* Told why a download stands still, and "" when it goes on; true when that is news. Does not
 * suspend. */
typedef bool (*sl_blob_trouble_fn)(void *ctx, const char *text);

/* Nothing is fetched yet. Borrows http. A transfer that brings no byte for stall_ms is broken off.
 */
struct sl_blob *sl_blob_new(struct sl_http *http, uint64_t stall_ms, sl_blob_url_fn url,
                            sl_blob_trouble_fn trouble, void *ctx);
void sl_blob_free(struct sl_blob *blob);

/* Finds out size and whether ranges work, by asking for the first byte. Suspends. SL_NOTFOUND: the
 * store says that the blob is gone. */
int sl_blob_probe(struct sl_blob *blob, struct sl_err *err);
int64_t sl_blob_size(const struct sl_blob *blob); /* bytes; -1: not known */
bool sl_blob_has_ranges(const struct sl_blob *blob);

/* Starts reading at offset; a running transfer is broken off. Does not suspend. */
void sl_blob_seek(struct sl_blob *blob, int64_t offset);

/* The next bytes, in the blob's own buffer until the next call. Suspends; resumes a broken transfer
 * with a growing pause, and fails when nothing came for long. SL_OK with size 0 at the end. */
int sl_blob_read(struct sl_blob *blob, const void **ret_bytes, size_t *ret_size,
                 struct sl_err *err);

#endif
