/* Keeping the tail costs a copy of everything, which inflating makes look cheap. */
#include "format/zip_tail.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

enum {
    RECORD_BYTES = 22,
    COMMENT_MAX = SL_SIZE(0xffff, 100),
    KEPT_BYTES = RECORD_BYTES + COMMENT_MAX,
    ROOM_BYTES = 2 * KEPT_BYTES, /* so that little of the kept part has to move */
};

void sl_zip_tail_done(struct sl_zip_tail *tail)
{
    free(tail->bytes);
    memset(tail, 0, sizeof *tail);
}

void sl_zip_tail_add(struct sl_zip_tail *tail, const void *bytes, size_t size)
{
    if (!size)
        return;
    if (!tail->bytes)
        tail->bytes = sl_alloc(ROOM_BYTES);
    if (size >= KEPT_BYTES) {
        memcpy(tail->bytes, (const char *)bytes + size - KEPT_BYTES, KEPT_BYTES);
        tail->length = KEPT_BYTES;
        return;
    }
    if (tail->length + size > ROOM_BYTES) {
        size_t keep = KEPT_BYTES - size;
        memmove(tail->bytes, tail->bytes + tail->length - keep, keep);
        tail->length = keep;
    }
    memcpy(tail->bytes + tail->length, bytes, size);
    tail->length += size;
}

static unsigned get16(const char *at)
{
    return (unsigned)(uint8_t)at[0] | (unsigned)(uint8_t)at[1] << 8;
}

bool sl_zip_tail_entries(const struct sl_zip_tail *tail, uint64_t *ret_entries)
{
    for (size_t back = RECORD_BYTES; back <= tail->length && back <= KEPT_BYTES; back++) {
        const char *at = tail->bytes + tail->length - back;
        if (memcmp(at, "PK\5\6", 4) != 0 || get16(at + 20) != back - RECORD_BYTES)
            continue;
        unsigned entries = get16(at + 10);
        *ret_entries = entries == 0xffff ? SL_ZIP_ENTRIES_UNKNOWN : entries;
        return true;
    }
    return false;
}
