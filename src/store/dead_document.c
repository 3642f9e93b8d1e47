#include "store/dead_document.h"

#include <string.h>

static void append_text(bson_t *document, const char *name, struct sl_str text)
{
    if (sl_utf8_valid(text.at, text.length))
        bson_append_utf8(document, name, -1, text.length ? text.at : "", (int)text.length);
    else
        bson_append_binary(document, name, -1, BSON_SUBTYPE_BINARY, (const uint8_t *)text.at,
                           (uint32_t)text.length);
}

static struct sl_str excerpt(struct sl_str row)
{
    return (struct sl_str){row.at, sl_utf8_cut(row.at, row.length, SL_DEAD_ROW_BYTES)};
}

/* The columns that fit. */
static bool append_columns(bson_t *row, struct sl_str bytes)
{
    bson_iter_t at;
    if (!bson_iter_init_from_data(&at, (const uint8_t *)bytes.at, bytes.length))
        return false;
    while (bson_iter_next(&at)) {
        uint32_t start = bson_iter_offset(&at), end = at.next_off;
        if (row->len + (end - start) <= SL_DEAD_ROW_BYTES)
            bson_append_iter(row, NULL, 0, &at);
    }
    return at.err_off == 0;
}

static void append_bytes(bson_t *row, const char *name, struct sl_str bytes)
{
    struct sl_str kept = excerpt(bytes);
    bson_append_binary(row, name, -1, BSON_SUBTYPE_BINARY, (const uint8_t *)kept.at,
                       (uint32_t)kept.length);
}

static void append_row(bson_t *document, const struct sl_dead *dead, enum sl_dead_form form)
{
    bson_t row = BSON_INITIALIZER;
    const char *kept_as = "columns";
    if (!dead->row_is_bson) {
        kept_as = "raw";
        append_text(&row, "raw", excerpt(dead->row));
    } else if (form == SL_DEAD_BYTES || !append_columns(&row, dead->row)) {
        kept_as = "bytes";
        bson_reinit(&row);
        append_bytes(&row, "bytes", dead->row);
    }
    BSON_APPEND_DOCUMENT(document, "row", &row);
    bson_destroy(&row);
    BSON_APPEND_UTF8(document, "row_as", kept_as);
    if (dead->row.length > SL_DEAD_ROW_BYTES)
        BSON_APPEND_INT64(document, "row_bytes", (int64_t)dead->row.length);
    if (dead->row_cut || dead->row.length > SL_DEAD_ROW_BYTES)
        BSON_APPEND_BOOL(document, "row_cut", true);
    if (dead->header.length && dead->header.length <= SL_DEAD_ROW_BYTES)
        append_text(document, "header", dead->header);
}

/* What a replay needs. */
static void append_change(bson_t *document, const struct sl_origin *origin,
                          const struct sl_dead *dead)
{
    int64_t read_at_ms = dead->letter ? dead->letter->read_at_ms : origin->read_at_ms;
    if (dead->versioned) {
        BSON_APPEND_UTF8(document, "op", dead->op == SL_DELETE ? "delete" : "upsert");
        BSON_APPEND_INT64(document, "v", dead->version);
    }
    if (dead->versioned && dead->changed_at_ms)
        BSON_APPEND_DATE_TIME(document, "changed_at", dead->changed_at_ms);
    if (read_at_ms)
        BSON_APPEND_DATE_TIME(document, "read_at", read_at_ms);
    if (dead->letter)
        BSON_APPEND_UTF8(document, "replay", origin->run);
}

void sl_dead_append_id(bson_t *document, const char *name, const struct sl_origin *origin,
                       const struct sl_dead *dead)
{
    bson_t id;
    BSON_APPEND_DOCUMENT_BEGIN(document, name, &id);
    const struct sl_letter_ref *was = dead->letter;
    uint64_t row_number = was ? was->row_number : dead->row_number;
    BSON_APPEND_UTF8(&id, "run", was ? was->run : origin->run);
    BSON_APPEND_UTF8(&id, "entity", origin->entity);
    if (row_number || !dead->id.length)
        BSON_APPEND_INT64(&id, "row", (int64_t)row_number);
    else
        append_text(&id, "row", dead->id);
    bson_append_document_end(document, &id);
}

void sl_dead_to_document(const struct sl_origin *origin, const struct sl_dead *dead,
                         enum sl_dead_form form, int64_t at_ms, uint64_t ttl_ms, bson_t *document)
{
    sl_dead_append_id(document, "_id", origin, dead);
    BSON_APPEND_UTF8(document, "feed", origin->feed);
    BSON_APPEND_UTF8(document, "entity", origin->entity);
    BSON_APPEND_UTF8(document, "code", dead->code);
    append_text(document, "reason", dead->reason);
    append_text(document, "id", dead->id);
    if (dead->file && *dead->file)
        BSON_APPEND_UTF8(document, "file", dead->file);
    if (dead->line)
        BSON_APPEND_INT64(document, "line", dead->line);
    BSON_APPEND_INT64(document, "attempt", origin->attempt);
    BSON_APPEND_INT64(document, "batch", origin->number);
    BSON_APPEND_DATE_TIME(document, "at", at_ms);
    if (ttl_ms)
        BSON_APPEND_DATE_TIME(document, "expires_at", at_ms + (int64_t)ttl_ms);
    append_change(document, origin, dead);
    if (dead->row.length)
        append_row(document, dead, form);
}
