#include "store/letter_document.h"

#include <string.h>

#include "mongo/fields.h"

static struct sl_str keep(struct sl_arena *arena, const void *bytes, size_t size)
{
    return (struct sl_str){sl_arena_text(arena, size ? bytes : "", size), size};
}

/* A text, or bytes that were none. */
static struct sl_str text_of(const bson_t *document, const char *path, struct sl_arena *arena)
{
    bson_iter_t start, at;
    bson_subtype_t subtype;
    const uint8_t *bytes = NULL;
    uint32_t length = 0;
    if (!bson_iter_init(&start, document) || !bson_iter_find_descendant(&start, path, &at))
        return keep(arena, "", 0);
    if (BSON_ITER_HOLDS_UTF8(&at))
        bytes = (const uint8_t *)bson_iter_utf8(&at, &length);
    else if (BSON_ITER_HOLDS_BINARY(&at))
        bson_iter_binary(&at, &subtype, &length, &bytes);
    return keep(arena, bytes, length);
}

static struct sl_str document_of(const bson_t *document, const char *path, struct sl_arena *arena)
{
    bson_t inner;
    if (!sl_field_document(document, path, &inner))
        return (struct sl_str){"", 0};
    return keep(arena, bson_get_data(&inner), inner.len);
}

static void read_name(const bson_t *document, struct sl_arena *arena, struct sl_letter_name *ret)
{
    ret->run = text_of(document, "_id.run", arena);
    ret->entity = text_of(document, "_id.entity", arena);
    ret->key = text_of(document, "_id.row", arena);
    ret->row_number = (uint64_t)sl_field_int64(document, "_id.row", 0);
}

/* Before it was noted how a row is kept, {raw} and {bytes} told it. */
static const char *form_word(const bson_t *document, const bson_t *row)
{
    static const char *const words[] = {"columns", "bytes", "raw"};
    char word[16];
    sl_field_text(document, "row_as", word, sizeof word);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i]))
            return words[i];
    if (bson_count_keys(row) != 1)
        return words[0];
    return bson_has_field(row, "raw")     ? words[2]
           : bson_has_field(row, "bytes") ? words[1]
                                          : words[0];
}

static void read_row(const bson_t *document, struct sl_arena *arena, struct sl_letter *ret)
{
    bson_t row;
    ret->row = ret->header = (struct sl_str){"", 0};
    if (!sl_field_document(document, "row", &row))
        return;
    const char *word = form_word(document, &row);
    if (*word == 'r') {
        ret->form = SL_ROW_RAW;
        ret->row = text_of(document, "row.raw", arena);
        ret->header = text_of(document, "header", arena);
    } else if (*word == 'b') {
        ret->form = SL_ROW_BYTES;
        ret->row = text_of(document, "row.bytes", arena);
    } else {
        ret->form = SL_ROW_COLUMNS;
        ret->row = document_of(document, "row", arena);
    }
    ret->cut = sl_field_bool(document, "row_cut") || bson_has_field(document, "row_bytes");
}

void sl_letter_from_document(const bson_t *document, struct sl_arena *arena, struct sl_letter *ret)
{
    char op[16];
    *ret = (struct sl_letter){
        .id = document_of(document, "_id", arena),
        .feed = text_of(document, "feed", arena).at,
        .entity = text_of(document, "entity", arena).at,
        .code = text_of(document, "code", arena).at,
        .reason = text_of(document, "reason", arena).at,
        .file = text_of(document, "file", arena).at,
        .replay = text_of(document, "replay", arena).at,
        .key = text_of(document, "id", arena),
        .line = (uint32_t)sl_field_int64(document, "line", 0),
        .at_ms = sl_field_date_ms(document, "at"),
        .read_at_ms = sl_field_date_ms(document, "read_at"),
        .version = sl_field_int64(document, "v", 0),
        .versioned = bson_has_field(document, "op") && bson_has_field(document, "v"),
        .changed_at_ms = sl_field_date_ms(document, "changed_at"),
    };
    read_name(document, arena, &ret->name);
    sl_field_text(document, "op", op, sizeof op);
    ret->op = strcmp(op, "delete") == 0 ? SL_DELETE : SL_UPSERT;
    read_row(document, arena, ret);
}

void sl_letter_append_name(bson_t *query, const struct sl_letter_name *name)
{
    bson_t id;
    BSON_APPEND_DOCUMENT_BEGIN(query, "_id", &id);
    bson_append_utf8(&id, "run", -1, name->run.at, (int)name->run.length);
    bson_append_utf8(&id, "entity", -1, name->entity.at, (int)name->entity.length);
    if (!name->key.length)
        BSON_APPEND_INT64(&id, "row", (int64_t)name->row_number);
    else if (sl_utf8_valid(name->key.at, name->key.length))
        bson_append_utf8(&id, "row", -1, name->key.at, (int)name->key.length);
    else
        bson_append_binary(&id, "row", -1, BSON_SUBTYPE_BINARY, (const uint8_t *)name->key.at,
                           (uint32_t)name->key.length);
    bson_append_document_end(query, &id);
}
