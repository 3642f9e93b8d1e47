/* Keeping the tail costs a copy of everything, which inflating makes look cheap. */
#include "format/zip_tail.h"

#include <stdlib.h>
#include <string.h>

#include "base/little.h"
#include "base/mem.h"
#include "base/size.h"

enum {
    RECORD_BYTES = 22,
    COMMENT_MAX = SL_SIZE(0xffff, 100),
    KEPT_BYTES = RECORD_BYTES + COMMENT_MAX,
    ROOM_BYTES = 2 * KEPT_BYTES, /* so that little of the kept part has to move */
    LISTED_BYTES = 46,           /* of an entry in the directory, before its name */
    EXTRA_ZIP64 = 1,
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
    tail->seen += size;
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

static const char *find_record(const struct sl_zip_tail *tail)
{
    for (size_t back = RECORD_BYTES; back <= tail->length && back <= KEPT_BYTES; back++) {
        const char *at = tail->bytes + tail->length - back;
        if (memcmp(at, "PK\5\6", 4) == 0 && sl_le16(at + 20) == back - RECORD_BYTES)
            return at;
    }
    return NULL;
}

bool sl_zip_tail_entries(const struct sl_zip_tail *tail, uint64_t *ret_entries)
{
    const char *record = find_record(tail);
    if (!record)
        return false;
    unsigned entries = sl_le16(record + 10);
    *ret_entries = entries == 0xffff ? SL_ZIP_ENTRIES_UNKNOWN : entries;
    return true;
}

/* The inflated size of an entry of the directory, which ends at end. A zip64 one has it first
 * among its extra fields. */
static bool listed_size(const char *entry, const char *end, uint64_t *ret)
{
    *ret = sl_le32(entry + 24);
    if (*ret != UINT32_MAX)
        return true;
    const char *extra = entry + LISTED_BYTES + sl_le16(entry + 28);
    while (end - extra >= 4) {
        unsigned size = sl_le16(extra + 2);
        if (sl_le16(extra) == EXTRA_ZIP64 && size >= 8 && end - extra >= 12) {
            *ret = sl_le64(extra + 4);
            return true;
        }
        extra += 4 + size <= end - extra ? 4 + size : end - extra;
    }
    return false;
}

bool sl_zip_tail_inflated(const struct sl_zip_tail *tail, uint64_t *ret_bytes)
{
    const char *record = find_record(tail);
    if (!record || sl_le16(record + 10) == 0xffff)
        return false;
    uint64_t begin = sl_le32(record + 16), kept_from = tail->seen - tail->length;
    uint64_t record_at = kept_from + (uint64_t)(record - tail->bytes);
    if (begin < kept_from || begin > record_at)
        return false;
    const char *at = tail->bytes + (begin - kept_from);
    *ret_bytes = 0;
    for (unsigned left = sl_le16(record + 10); left; left--) {
        if (record - at < LISTED_BYTES || memcmp(at, "PK\1\2", 4) != 0)
            return false;
        ptrdiff_t size = LISTED_BYTES + sl_le16(at + 28) + sl_le16(at + 30) + sl_le16(at + 32);
        uint64_t inflated;
        if (size > record - at || !listed_size(at, at + size - sl_le16(at + 32), &inflated))
            return false;
        *ret_bytes += inflated;
        at += size;
    }
    return true;
}
