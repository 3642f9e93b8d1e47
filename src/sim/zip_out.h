/* Writes a zip file: deflated entries one after the other, then the central directory.
 * Format: PKWARE's APPNOTE.TXT 6.3.x. Sizes stand in the local headers (patched in when known) or,
 * with data_descriptors, behind the data. zip64 fields are used where an entry can grow to 4 GiB.
 */
#ifndef SIM_ZIP_OUT_H
#define SIM_ZIP_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zlib.h>

struct sim_zip_entry {
    char *name;
    uint32_t crc;
    uint64_t offset;      /* of the local header */
    uint64_t data_offset; /* of the deflated bytes */
    uint64_t packed;
    uint64_t size;
    bool zip64;
};

struct sim_zip {
    /* Set by the caller before sim_zip_open, the rest is zero. */
    int level; /* of deflate, 0 to 9 */
    bool data_descriptors;
    bool force_zip64;

    int fd;
    uint64_t position; /* bytes given so far, written or waiting */
    unsigned char *waiting;
    size_t waiting_len;
    z_stream stream;
    bool stream_ready;
    struct sim_zip_entry *entries;
    size_t entry_count;
};

/* Makes the file. All calls return 0, or -1 with errno set. After any of them sim_zip_done frees
 * and closes; the file stays where it is. */
int sim_zip_open(struct sim_zip *zip, const char *path);

/* Begins an entry of at most max_size bytes. */
int sim_zip_begin(struct sim_zip *zip, const char *name, uint64_t max_size);
int sim_zip_write(struct sim_zip *zip, const void *bytes, size_t len);
int sim_zip_end(struct sim_zip *zip);

/* Writes the central directory. Gives the size of the file. */
int sim_zip_finish(struct sim_zip *zip, uint64_t *ret_size);
void sim_zip_done(struct sim_zip *zip);

#endif
