/* The end of a zip that streams by: keeps the last bytes, in which the end-of-central-directory
 * record must be found. Layout: PKWARE APPNOTE 6.3, sections 4.3.12, 4.3.16, 4.5.3. */
#ifndef SL_FORMAT_ZIP_TAIL_H
#define SL_FORMAT_ZIP_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_ZIP_ENTRIES_UNKNOWN UINT64_MAX /* the record refers to zip64 */

/* Zeroed = ready for use. All fields are private. */
struct sl_zip_tail {
    char *bytes;
    size_t length;
    uint64_t seen; /* bytes in all */
};

void sl_zip_tail_done(struct sl_zip_tail *tail);

/* These bytes came by. */
void sl_zip_tail_add(struct sl_zip_tail *tail, const void *bytes, size_t size);

/* No more bytes come: how many entries does the record list? False when there is no record at the
 * end: the zip was cut off. */
bool sl_zip_tail_entries(const struct sl_zip_tail *tail, uint64_t *ret_entries);

/* The bytes that all entries have, inflated, as the directory lists them. False when that cannot be
 * said: the directory is larger than what is kept (some hundred entries), or not where it should
 * be. */
bool sl_zip_tail_inflated(const struct sl_zip_tail *tail, uint64_t *ret_bytes);

#endif
