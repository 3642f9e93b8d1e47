/* Packages: streamed in pieces, and read by their directory. Whatever comes, no more bytes come out
 * than were allowed. */
#include "format/unzip.h"

#include "fuzz.h"

#ifdef SLUICE_ISAL
#include <zlib.h>
#endif

enum { MAX_INFLATED = 256 * 1024, ENTRIES_MAX = 10000 };

/* In the first byte of an input. */
enum {
    SEEKABLE = 1,
    BREAKS_OFF = 128 /* the network does, after as many pieces as there are bits in skip */
};

/* The package as the network would give it. */
struct package {
    struct fuzz_chunks chunks;
    const char *bytes;
    size_t size;
    char *piece;
    int pieces_left; /* until the network breaks off; -1: it does not */
};

static ssize_t read_piece(void *ctx, const void **ret_bytes)
{
    struct package *package = ctx;
    size_t size;
    free(package->piece);
    package->piece = NULL;
    if (!package->pieces_left)
        return -1;
    if (package->pieces_left > 0)
        package->pieces_left--;
    if (!fuzz_chunk(&package->chunks, &package->piece, &size))
        return 0;
    *ret_bytes = package->piece;
    return (ssize_t)size;
}

static int seek_to(void *ctx, int64_t offset)
{
    struct package *package = ctx;
    FUZZ_REQUIRE(offset >= 0);
    if ((uint64_t)offset > package->size || !package->pieces_left)
        return -1;
    package->chunks.at = package->bytes + offset;
    package->chunks.left = package->size - (size_t)offset;
    return 0;
}

/* Reads one file; false when the package is of no more use. */
static bool read_entry(struct sl_unzip *unzip, uint64_t *total)
{
    char buf[4096];
    size_t got;
    struct sl_err err = {0};
    int rc;
    while ((rc = sl_unzip_read(unzip, buf, sizeof buf, &got, &err)) == SL_OK) {
        FUZZ_REQUIRE(got > 0 && got <= sizeof buf);
        *total += got;
        FUZZ_REQUIRE(*total <= MAX_INFLATED);
    }
    FUZZ_REQUIRE(rc == SL_END || rc == SL_REJECTED || rc == SL_CLOSED || rc == SL_CONFIG);
    FUZZ_REQUIRE(rc == SL_END || *err.message);
    return rc == SL_END;
}

/* A stream that is no zip's, such as a compressed answer over HTTP: it goes on to zlib. */
static void inflate_other(const uint8_t *data, size_t size)
{
#ifdef SLUICE_ISAL
    unsigned char out[64];
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)data, .avail_in = (unsigned)size};
    FUZZ_REQUIRE(inflateInit2(&z, 15 + 32) == Z_OK); /* zlib's own form, or gzip's */
    for (int rc = Z_OK; rc == Z_OK && z.total_out < MAX_INFLATED;) {
        z.next_out = out;
        z.avail_out = sizeof out;
        rc = inflate(&z, Z_NO_FLUSH);
        FUZZ_REQUIRE(z.avail_in <= size && z.avail_out <= sizeof out);
    }
    FUZZ_REQUIRE(inflateReset(&z) == Z_OK && inflateEnd(&z) == Z_OK);
#else
    (void)data, (void)size;
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint8_t form = fuzz_byte(&input), skip = fuzz_byte(&input);
    struct package package = {
        .bytes = (const char *)input.at,
        .size = input.left,
        .pieces_left = form & BREAKS_OFF ? __builtin_popcount(skip) : -1,
    };
    package.chunks = (struct fuzz_chunks){package.bytes, package.size, form};
    struct sl_unzip *unzip = form & SEEKABLE
                                 ? sl_unzip_new_seekable(read_piece, seek_to, &package,
                                                         (int64_t)package.size, MAX_INFLATED)
                                 : sl_unzip_new(read_piece, &package, MAX_INFLATED);
    struct sl_unzip_entry entry;
    struct sl_err err = {0};
    uint64_t total = 0;
    int rc = SL_OK;
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        rc = sl_unzip_next(unzip, &entry, &err);
        if (rc != SL_OK)
            break;
        FUZZ_REQUIRE(strlen(entry.name) < SIZE_MAX && entry.size_bytes >= -1);
        if (!(skip >> i % 8 & 1) && !read_entry(unzip, &total))
            break;
    }
    FUZZ_REQUIRE(rc == SL_OK || rc == SL_END || rc == SL_REJECTED || rc == SL_CLOSED);
    FUZZ_REQUIRE(rc != SL_CLOSED || package.pieces_left == 0);
    if (rc != SL_OK)
        FUZZ_REQUIRE(sl_unzip_next(unzip, &entry, &err) != SL_OK);
    sl_unzip_free(unzip);
    inflate_other(input.at, input.left);
    free(package.piece);
    return 0;
}
