#include "config/check.h"

#include <stdio.h>
#include <string.h>

const struct sl_json *sl_config_said(const struct sl_json *object, const char *path)
{
    char name[64];
    for (;;) {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        object = sl_json_get(object, name);
        if (!path[length])
            return object;
        path += length + 1;
    }
}

struct sl_json_place sl_config_place(const struct sl_json *object, const char *path, size_t item)
{
    const struct sl_json *node = sl_config_said(object, path);
    if (!node)
        return object ? object->at : (struct sl_json_place){0};
    if (node->kind != SL_JSON_LIST || item >= node->count)
        return node->at;
    for (node = node->first; item; item--)
        node = node->next;
    return node->at;
}
