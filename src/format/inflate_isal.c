/* libarchive inflates, and checks what it inflated, by zlib's functions. Where ISA-L was found when
 * sluice was built, those of them that libarchive calls for a zip stand here, and the dynamic
 * linker prefers them, because a program's own come before a library's (docs/adr/0029-isa-l.md). So
 * the zip's structure stays libarchive's: only the bytes of a raw deflate stream go through ISA-L,
 * and all other streams of the process, such as a compressed answer over HTTP, go on to zlib. */
#ifdef SLUICE_ISAL

#include <dlfcn.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"

enum { RAW_MARK = 0x51a1 }; /* zlib's own states have a mode there, 16180 to 16211 */

/* Begins as zlib's state does, so that the two can be told apart. */
struct raw {
    z_streamp stream;
    int mark;
    bool broken;
    struct inflate_state isal;
};

static struct raw *raw_of(z_streamp stream)
{
    struct raw *raw = stream ? (struct raw *)(void *)stream->state : NULL;
    return raw && raw->stream == stream && raw->mark == RAW_MARK ? raw : NULL;
}

/* --- zlib's --- */

typedef int init_fn(z_streamp, int, const char *, int);
typedef int inflate_fn(z_streamp, int);
typedef int stream_fn(z_streamp);

static void *zlib(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort(); /* it is linked */
    return found;
}

/* The way of POSIX to make a function of what dlsym() gives. */
#define CALL_ZLIB(type, name, ...)                                                                 \
    do {                                                                                           \
        static type *real;                                                                         \
        if (!real)                                                                                 \
            *(void **)&real = zlib(name);                                                          \
        return real(__VA_ARGS__);                                                                  \
    } while (0)

static int zlib_init(z_streamp stream, int bits, const char *version, int size)
{
    CALL_ZLIB(init_fn, "inflateInit2_", stream, bits, version, size);
}

static int zlib_inflate(z_streamp stream, int flush)
{
    CALL_ZLIB(inflate_fn, "inflate", stream, flush);
}

static int zlib_reset(z_streamp stream)
{
    CALL_ZLIB(stream_fn, "inflateReset", stream);
}

static int zlib_end(z_streamp stream)
{
    CALL_ZLIB(stream_fn, "inflateEnd", stream);
}

/* --- ours --- */

static void begin(struct raw *raw)
{
    isal_inflate_init(&raw->isal); /* and a raw stream is its default */
    raw->stream->total_in = raw->stream->total_out = 0;
    raw->stream->msg = NULL;
    raw->broken = false;
}

/* Whole bytes that were fetched and not used go back: at the stream's end, where the next bytes are
 * the zip's; and when the output is full, since the end may come with the next call, when the input
 * that they are of has gone. Not else: bytes of a symbol or header that is not complete are used.
 */
static void give_back(struct inflate_state *isal, uint32_t fetched)
{
    uint32_t count = (uint32_t)isal->read_in_length / 8;
    bool over =
        isal->block_state == ISAL_BLOCK_FINISH || isal->block_state == ISAL_BLOCK_INPUT_DONE;
    if (isal->read_in_length <= 0 || isal->tmp_in_size || (!over && isal->avail_out))
        return;
    count = count < fetched ? count : fetched;
    isal->next_in -= count;
    isal->avail_in += count;
    isal->read_in_length -= (int32_t)(8 * count);
    isal->read_in &=
        isal->read_in_length < 64 ? (UINT64_C(1) << isal->read_in_length) - 1 : ~UINT64_C(0);
}

static int inflate_raw(struct raw *raw)
{
    z_streamp stream = raw->stream;
    struct inflate_state *isal = &raw->isal;
    if (raw->broken)
        return Z_DATA_ERROR;
    if (isal->block_state == ISAL_BLOCK_FINISH)
        return Z_STREAM_END;
    isal->next_in = (uint8_t *)(uintptr_t)stream->next_in;
    isal->avail_in = stream->avail_in;
    isal->next_out = stream->next_out;
    isal->avail_out = stream->avail_out;
    if (isal_inflate(isal) < 0) { /* its counts mean nothing then */
        raw->broken = true;
        stream->msg = (char *)(uintptr_t) "invalid deflate data";
        return Z_DATA_ERROR;
    }
    give_back(isal, stream->avail_in - isal->avail_in);

    uint32_t used = stream->avail_in - isal->avail_in, made = stream->avail_out - isal->avail_out;
    stream->next_in = isal->next_in;
    stream->avail_in = isal->avail_in;
    stream->total_in += used;
    stream->next_out = isal->next_out;
    stream->avail_out = isal->avail_out;
    stream->total_out += made;
    if (isal->block_state == ISAL_BLOCK_FINISH)
        return Z_STREAM_END;
    return used || made ? Z_OK : Z_BUF_ERROR;
}

/* --- as zlib.h declares them --- */

#define SL_OURS __attribute__((used, visibility("default")))

SL_OURS int inflateInit2_(z_streamp strm, int windowBits, const char *version, int stream_size)
{
    if (!strm || windowBits != -MAX_WBITS)
        return zlib_init(strm, windowBits, version, stream_size);
    struct raw *raw = sl_alloc(sizeof *raw);
    raw->stream = strm;
    raw->mark = RAW_MARK;
    strm->state = (struct internal_state *)(void *)raw;
    begin(raw);
    return Z_OK;
}

SL_OURS int inflate(z_streamp strm, int flush)
{
    struct raw *raw = raw_of(strm);
    return raw ? inflate_raw(raw) : zlib_inflate(strm, flush);
}

SL_OURS int inflateReset(z_streamp strm)
{
    struct raw *raw = raw_of(strm);
    if (!raw)
        return zlib_reset(strm);
    begin(raw);
    return Z_OK;
}

SL_OURS int inflateEnd(z_streamp strm)
{
    struct raw *raw = raw_of(strm);
    if (!raw)
        return zlib_end(strm);
    strm->state = NULL;
    free(raw);
    return Z_OK;
}

SL_OURS uLong crc32(uLong crc, const Bytef *buf, uInt len)
{
    return buf ? crc32_gzip_refl((uint32_t)crc, buf, len) : 0;
}

#else

typedef int sl_without_isal; /* C wants something in a file */

#endif
