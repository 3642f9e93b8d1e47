/* Reads zip packages, pulled from a callback that may suspend the fiber; nothing touches the disk.
 *
 * Streaming form: entries in file order from bytes as they arrive, each checked by its CRC; at the
 * end the central directory must be there and name as many entries as were seen, else the zip
 * counts as truncated. Seekable form: the directory first, then only what is asked for. zip64, data
 * descriptors, deflated and stored entries; encrypted ones are refused. */
#ifndef SL_FORMAT_UNZIP_H
#define SL_FORMAT_UNZIP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Gives the next bytes, which stay valid until the next call. Returns how many, 0 at the end, or
 * below 0 when it failed: the callback keeps its own error, and the unzip call answers SL_CLOSED.
 */
typedef ssize_t (*sl_unzip_read_fn)(void *ctx, const void **ret_bytes);

/* The next read begins at offset. Returns 0, or below 0 when it failed. Need not do any work
 * itself. */
typedef int (*sl_unzip_seek_fn)(void *ctx, int64_t offset);

struct sl_unzip;

struct sl_unzip_entry {
    const char *name; /* UTF-8, as in the package; valid until the next sl_unzip_next. Never a path
                         to write to: it may hold anything */
    int64_t size_bytes; /* inflated; -1 when the package tells only afterwards */
};

/* Reads a zip front to back. At most max_inflated_bytes come out in all; more is SL_CONFIG. */
struct sl_unzip *sl_unzip_new(sl_unzip_read_fn read, void *ctx, uint64_t max_inflated_bytes);

/* Reads a zip of size_bytes by its directory; entries come in the order of their place in the file.
 */
struct sl_unzip *sl_unzip_new_seekable(sl_unzip_read_fn read, sl_unzip_seek_fn seek, void *ctx,
                                       int64_t size_bytes, uint64_t max_inflated_bytes);
void sl_unzip_free(struct sl_unzip *unzip);

/* Goes to the next file (folders are passed over); the rest of the present one is skipped. SL_OK,
 * SL_END after the last, SL_REJECTED when the zip is broken, truncated or encrypted, SL_CLOSED when
 * the callback failed. Suspends as the callback does. */
int sl_unzip_next(struct sl_unzip *unzip, struct sl_unzip_entry *ret, struct sl_err *err);

/* Reads up to size bytes of the present file. SL_OK with *ret_size above 0; SL_END when all has
 * been read and the CRC was right; failures as above. After a failure only sl_unzip_free makes
 * sense. */
int sl_unzip_read(struct sl_unzip *unzip, void *buf, size_t size, size_t *ret_size,
                  struct sl_err *err);

#endif
