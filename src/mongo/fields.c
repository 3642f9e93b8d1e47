#include "mongo/fields.h"

#include <string.h>

static bool find(const bson_t *document, const char *path, bson_iter_t *ret)
{
    bson_iter_t at;
    return bson_iter_init(&at, document) && bson_iter_find_descendant(&at, path, ret);
}

int64_t sl_field_int64(const bson_t *document, const char *path, int64_t fallback)
{
    bson_iter_t at;
    if (!find(document, path, &at) || !BSON_ITER_HOLDS_NUMBER(&at))
        return fallback;
    return bson_iter_as_int64(&at);
}

bool sl_field_bool(const bson_t *document, const char *path)
{
    bson_iter_t at;
    return find(document, path, &at) && bson_iter_as_bool(&at);
}

int64_t sl_field_date_ms(const bson_t *document, const char *path)
{
    bson_iter_t at;
    return find(document, path, &at) && BSON_ITER_HOLDS_DATE_TIME(&at) ? bson_iter_date_time(&at)
                                                                       : 0;
}

void sl_field_text(const bson_t *document, const char *path, char *out, size_t size)
{
    bson_iter_t at;
    uint32_t length = 0;
    const char *text = "";
    if (find(document, path, &at) && BSON_ITER_HOLDS_UTF8(&at))
        text = bson_iter_utf8(&at, &length);
    if (length > size - 1)
        length = (uint32_t)(size - 1);
    memcpy(out, text, length);
    out[length] = '\0';
}

bool sl_field_document(const bson_t *document, const char *path, bson_t *ret_view)
{
    bson_iter_t at;
    const uint8_t *data;
    uint32_t length;
    if (!find(document, path, &at))
        return false;
    if (BSON_ITER_HOLDS_DOCUMENT(&at))
        bson_iter_document(&at, &length, &data);
    else if (BSON_ITER_HOLDS_ARRAY(&at))
        bson_iter_array(&at, &length, &data);
    else
        return false;
    return bson_init_static(ret_view, data, length);
}

void sl_array_append_text(bson_t *array, size_t index, const char *text)
{
    char buffer[16];
    const char *key;
    size_t length = bson_uint32_to_string((uint32_t)index, &key, buffer, sizeof buffer);
    bson_append_utf8(array, key, (int)length, text, -1);
}

void sl_array_begin_document(bson_t *array, size_t index, bson_t *ret)
{
    char buffer[16];
    const char *key;
    size_t length = bson_uint32_to_string((uint32_t)index, &key, buffer, sizeof buffer);
    bson_append_document_begin(array, key, (int)length, ret);
}

const char *sl_command_name(const bson_t *command)
{
    bson_iter_t at;
    return bson_iter_init(&at, command) && bson_iter_next(&at) ? bson_iter_key(&at) : "";
}
