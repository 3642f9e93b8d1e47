/* Reading values out of a JSON tree. */
#include <string.h>

#include "base/mem.h"
#include "format/json.h"
#include "format/number.h"

const struct sl_json *sl_json_get(const struct sl_json *node, const char *key)
{
    if (!node || node->kind != SL_JSON_MAP)
        return NULL;
    struct sl_str wanted = sl_str_of(key);
    for (const struct sl_json *child = node->first; child; child = child->next)
        if (sl_str_equal(child->key, wanted))
            return child;
    return NULL;
}

const char *sl_json_text(const struct sl_json *node)
{
    if (!node || node->kind != SL_JSON_TEXT || memchr(node->text.at, 0, node->text.length))
        return NULL;
    return node->text.at;
}

bool sl_json_int(const struct sl_json *node, int64_t *ret)
{
    return node && node->kind == SL_JSON_NUMBER &&
           sl_int64_parse(node->text.at, node->text.length, ret) == SL_NUMBER_OK;
}

const char *sl_json_kind_name(enum sl_json_kind kind)
{
    static const char *const names[] = {
        [SL_JSON_NULL] = "null",   [SL_JSON_BOOL] = "true or false", [SL_JSON_NUMBER] = "a number",
        [SL_JSON_TEXT] = "a text", [SL_JSON_LIST] = "an array",      [SL_JSON_MAP] = "an object",
    };
    return names[kind];
}

static void wipe(const struct sl_json *node)
{
    if (node->kind == SL_JSON_TEXT) /* the document is ours: it lies in memory that was written */
        sl_wipe((char *)(uintptr_t)node->text.at, node->text.length);
    for (const struct sl_json *child = node->first; child; child = child->next)
        wipe(child);
}

void sl_json_free_secret(struct sl_json_doc *doc)
{
    if (doc)
        wipe(sl_json_root(doc));
    sl_json_free(doc);
}
