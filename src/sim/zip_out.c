/* Writes a zip file. */
#include "sim/zip_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/text.h"

#define WAITING_BYTES ((size_t)512 << 10)
#define LOCAL_HEADER_BYTES 30
#define MAX32 0xffffffffu

enum {
    FLAG_DESCRIPTOR = 1 << 3,
    FLAG_UTF8_NAME = 1 << 11,
    METHOD_DEFLATE = 8,
    DOS_TIME = 3 << 11,                        /* 03:00:00 */
    DOS_DATE = (2026 - 1980) << 9 | 1 << 5 | 5 /* 2026-01-05 */
};

static void put16(unsigned char **at, unsigned value)
{
    *(*at)++ = (unsigned char)value;
    *(*at)++ = (unsigned char)(value >> 8);
}

static void put32(unsigned char **at, uint32_t value)
{
    put16(at, value & 0xffff);
    put16(at, value >> 16);
}

static void put64(unsigned char **at, uint64_t value)
{
    put32(at, (uint32_t)value);
    put32(at, (uint32_t)(value >> 32));
}

static int write_all(int fd, const unsigned char *bytes, size_t len, int64_t at)
{
    while (len) {
        ssize_t n = at < 0 ? write(fd, bytes, len) : pwrite(fd, bytes, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
        if (at >= 0)
            at += n;
    }
    return 0;
}

static int flush(struct sim_zip *zip)
{
    if (write_all(zip->fd, zip->waiting, zip->waiting_len, -1) != 0)
        return -1;
    zip->waiting_len = 0;
    return 0;
}

static int give(struct sim_zip *zip, const void *bytes, size_t len)
{
    if (len > WAITING_BYTES - zip->waiting_len && flush(zip) != 0)
        return -1;
    memcpy(zip->waiting + zip->waiting_len, bytes, len);
    zip->waiting_len += len;
    zip->position += len;
    return 0;
}

int sim_zip_open(struct sim_zip *zip, const char *path)
{
    zip->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (zip->fd < 0)
        return -1;
    zip->waiting = sim_alloc(WAITING_BYTES);
    /* Negative window bits: raw deflate, without zlib's header. */
    if (deflateInit2(&zip->stream, zip->level, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
        errno = EINVAL;
        return -1;
    }
    zip->stream_ready = true;
    return 0;
}

static unsigned name_flags(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name >= 0x80)
            return FLAG_UTF8_NAME;
    return 0;
}

/* The part that local and central header share: version to flags to name length. */
static void put_common(unsigned char **at, const struct sim_zip *zip,
                       const struct sim_zip_entry *entry, bool sizes_known)
{
    put16(at, entry->zip64 ? 45 : 20);
    put16(at, name_flags(entry->name) | (zip->data_descriptors ? FLAG_DESCRIPTOR : 0u));
    put16(at, METHOD_DEFLATE);
    put16(at, DOS_TIME);
    put16(at, DOS_DATE);
    put32(at, sizes_known ? entry->crc : 0);
    uint32_t packed = entry->zip64 ? MAX32 : (uint32_t)entry->packed;
    uint32_t size = entry->zip64 ? MAX32 : (uint32_t)entry->size;
    put32(at, sizes_known || entry->zip64 ? packed : 0);
    put32(at, sizes_known || entry->zip64 ? size : 0);
    put16(at, (unsigned)strlen(entry->name));
}

static size_t make_local_header(const struct sim_zip *zip, const struct sim_zip_entry *entry,
                                bool sizes_known, unsigned char *out)
{
    unsigned char *at = out;
    put32(&at, 0x04034b50);
    put_common(&at, zip, entry, sizes_known);
    put16(&at, entry->zip64 ? 20 : 0);
    memcpy(at, entry->name, strlen(entry->name));
    at += strlen(entry->name);
    if (entry->zip64) {
        put16(&at, 1);
        put16(&at, 16);
        put64(&at, sizes_known ? entry->size : 0);
        put64(&at, sizes_known ? entry->packed : 0);
    }
    return (size_t)(at - out);
}

int sim_zip_begin(struct sim_zip *zip, const char *name, uint64_t max_size)
{
    zip->entries = sim_realloc(zip->entries, (zip->entry_count + 1) * sizeof(struct sim_zip_entry));
    struct sim_zip_entry *entry = &zip->entries[zip->entry_count++];
    *entry = (struct sim_zip_entry){.offset = zip->position};
    entry->name = strndup(name, 512);
    /* Deflate can make hostile data a little longer; leave room. */
    entry->zip64 = zip->force_zip64 || max_size >= MAX32 - (1u << 24);

    unsigned char header[LOCAL_HEADER_BYTES + 512 + 32];
    size_t len = make_local_header(zip, entry, false, header);
    entry->data_offset = entry->offset + len;
    return give(zip, header, len);
}

/* Deflates what the stream was given, straight into the bytes that wait for the disk. */
static int pump(struct sim_zip *zip, int mode)
{
    struct sim_zip_entry *entry = &zip->entries[zip->entry_count - 1];
    int rc;
    do {
        if (zip->waiting_len == WAITING_BYTES && flush(zip) != 0)
            return -1;
        size_t room = WAITING_BYTES - zip->waiting_len;
        zip->stream.next_out = zip->waiting + zip->waiting_len;
        zip->stream.avail_out = (uInt)room;
        rc = deflate(&zip->stream, mode);
        size_t len = room - zip->stream.avail_out;
        zip->waiting_len += len;
        zip->position += len;
        entry->packed += len;
    } while (mode == Z_FINISH ? rc != Z_STREAM_END : zip->stream.avail_out == 0);
    return 0;
}

int sim_zip_write(struct sim_zip *zip, const void *bytes, size_t len)
{
    struct sim_zip_entry *entry = &zip->entries[zip->entry_count - 1];
    entry->size += len;
    entry->crc = (uint32_t)crc32_z(entry->crc, bytes, len);
    const unsigned char *at = bytes;
    while (len) {
        uInt part = len > (1u << 30) ? 1u << 30 : (uInt)len;
        zip->stream.next_in = (unsigned char *)(uintptr_t)at;
        zip->stream.avail_in = part;
        if (pump(zip, Z_NO_FLUSH) != 0)
            return -1;
        at += part;
        len -= part;
    }
    return 0;
}

static int give_descriptor(struct sim_zip *zip, const struct sim_zip_entry *entry)
{
    unsigned char descriptor[24];
    unsigned char *at = descriptor;
    put32(&at, 0x08074b50);
    put32(&at, entry->crc);
    if (entry->zip64) {
        put64(&at, entry->packed);
        put64(&at, entry->size);
    } else {
        put32(&at, (uint32_t)entry->packed);
        put32(&at, (uint32_t)entry->size);
    }
    return give(zip, descriptor, (size_t)(at - descriptor));
}

int sim_zip_end(struct sim_zip *zip)
{
    struct sim_zip_entry *entry = &zip->entries[zip->entry_count - 1];
    if (pump(zip, Z_FINISH) != 0)
        return -1;
    deflateReset(&zip->stream);
    if (zip->data_descriptors)
        return give_descriptor(zip, entry);

    unsigned char header[LOCAL_HEADER_BYTES + 512 + 32];
    size_t len = make_local_header(zip, entry, true, header);
    if (flush(zip) != 0)
        return -1;
    return write_all(zip->fd, header, len, (int64_t)entry->offset);
}

static int give_central_header(struct sim_zip *zip, const struct sim_zip_entry *entry)
{
    unsigned char header[46 + 512 + 32];
    unsigned char *at = header;
    bool far = zip->force_zip64 || entry->offset >= MAX32;
    unsigned extra = (entry->zip64 ? 16u : 0) + (far ? 8u : 0);
    put32(&at, 0x02014b50);
    put16(&at, 45); /* made by: MS-DOS, version 4.5 */
    put_common(&at, zip, entry, true);
    put16(&at, extra ? extra + 4 : 0);
    put16(&at, 0); /* comment */
    put16(&at, 0); /* disk */
    put16(&at, 0); /* internal attributes */
    put32(&at, 0); /* external attributes */
    put32(&at, far ? MAX32 : (uint32_t)entry->offset);
    memcpy(at, entry->name, strlen(entry->name));
    at += strlen(entry->name);
    if (extra) {
        put16(&at, 1);
        put16(&at, extra);
        if (entry->zip64) {
            put64(&at, entry->size);
            put64(&at, entry->packed);
        }
        if (far)
            put64(&at, entry->offset);
    }
    return give(zip, header, (size_t)(at - header));
}

static int give_end(struct sim_zip *zip, uint64_t start, uint64_t len)
{
    unsigned char record[56 + 20 + 22];
    unsigned char *at = record;
    bool big = zip->force_zip64 || start >= MAX32 || len >= MAX32;
    if (big) {
        uint64_t here = zip->position;
        put32(&at, 0x06064b50);
        put64(&at, 44);
        put16(&at, 45);
        put16(&at, 45);
        put32(&at, 0);
        put32(&at, 0);
        put64(&at, zip->entry_count);
        put64(&at, zip->entry_count);
        put64(&at, len);
        put64(&at, start);
        put32(&at, 0x07064b50); /* locator */
        put32(&at, 0);
        put64(&at, here);
        put32(&at, 1);
    }
    put32(&at, 0x06054b50);
    put16(&at, 0);
    put16(&at, 0);
    put16(&at, (unsigned)zip->entry_count);
    put16(&at, (unsigned)zip->entry_count);
    put32(&at, big ? MAX32 : (uint32_t)len);
    put32(&at, big ? MAX32 : (uint32_t)start);
    put16(&at, 0);
    return give(zip, record, (size_t)(at - record));
}

int sim_zip_finish(struct sim_zip *zip, uint64_t *ret_size)
{
    uint64_t start = zip->position;
    for (size_t i = 0; i < zip->entry_count; i++)
        if (give_central_header(zip, &zip->entries[i]) != 0)
            return -1;
    if (give_end(zip, start, zip->position - start) != 0 || flush(zip) != 0)
        return -1;
    *ret_size = zip->position;
    return 0;
}

void sim_zip_done(struct sim_zip *zip)
{
    if (zip->fd >= 0)
        close(zip->fd);
    if (zip->stream_ready)
        deflateEnd(&zip->stream);
    for (size_t i = 0; i < zip->entry_count; i++)
        free(zip->entries[i].name);
    free(zip->entries);
    free(zip->waiting);
    *zip = (struct sim_zip){.fd = -1};
}
