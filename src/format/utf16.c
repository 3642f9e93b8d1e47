/* The converter: most text is ASCII, and has a loop of its own. */
#include "format/utf16.h"

#include <string.h>

static size_t put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* One unit; writes up to 6 bytes: a lone surrogate before it, and itself. */
static size_t put_unit(struct sl_utf16 *utf16, uint16_t unit, char *out)
{
    bool low = (unit & 0xfc00) == 0xdc00;
    size_t size = 0;
    if (utf16->high) {
        uint32_t high = utf16->high;
        utf16->high = 0;
        if (low)
            return put(out, 0x10000 + ((high & 0x3ff) << 10 | (unit & 0x3ffu)));
        size = put(out, 0xfffd);
    }
    if ((unit & 0xfc00) == 0xd800) {
        utf16->high = unit;
        return size;
    }
    return size + put(out + size, low ? 0xfffd : unit);
}

/* Eight bytes of ASCII pairs at a time, while there are any. Returns the pairs taken. */
static size_t put_ascii(const uint8_t *in, size_t pairs, char *out)
{
    size_t done = 0;
    while (pairs - done >= 4) {
        uint64_t word;
        memcpy(&word, in + 2 * done, 8);
        if (word & 0xff80ff80ff80ff80u)
            break;
        out[done] = (char)word;
        out[done + 1] = (char)(word >> 16);
        out[done + 2] = (char)(word >> 32);
        out[done + 3] = (char)(word >> 48);
        done += 4;
    }
    return done;
}

size_t sl_utf16_decode(struct sl_utf16 *utf16, const void *in, size_t in_size, size_t *ret_used,
                       char *out, size_t out_size)
{
    const uint8_t *bytes = in;
    size_t used = 0, size = 0;
    while (used < in_size && out_size - size >= SL_UTF16_ROOM_BYTES) {
        if (utf16->have_byte) {
            utf16->have_byte = false;
            size += put_unit(utf16, (uint16_t)(utf16->byte | bytes[used++] << 8), out + size);
            continue;
        }
        if (!utf16->high) {
            size_t pairs = (in_size - used) / 2, room = out_size - size;
            size_t ascii = put_ascii(bytes + used, pairs < room ? pairs : room, out + size);
            used += 2 * ascii;
            size += ascii;
            if (ascii)
                continue;
        }
        if (in_size - used == 1) {
            utf16->have_byte = true;
            utf16->byte = bytes[used++];
            break;
        }
        size += put_unit(utf16, (uint16_t)(bytes[used] | bytes[used + 1] << 8), out + size);
        used += 2;
    }
    *ret_used = used;
    return size;
}

size_t sl_utf16_finish(struct sl_utf16 *utf16, char *out)
{
    size_t size = 0;
    if (utf16->high)
        size += put(out, 0xfffd);
    if (utf16->have_byte)
        size += put(out + size, 0xfffd);
    memset(utf16, 0, sizeof *utf16);
    return size;
}
