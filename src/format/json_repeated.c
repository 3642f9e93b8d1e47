#include "format/json_repeated.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { FEW_KEYS = 16 };

struct child {
    const struct sl_json *node;
};

/* By key; the same ones by place. */
static int compare_keys(const void *a, const void *b)
{
    const struct sl_json *x = ((const struct child *)a)->node;
    const struct sl_json *y = ((const struct child *)b)->node;
    size_t shorter = x->key.length < y->key.length ? x->key.length : y->key.length;
    int order = memcmp(x->key.at, y->key.at, shorter);
    if (order)
        return order;
    if (x->key.length != y->key.length)
        return x->key.length < y->key.length ? -1 : 1;
    if (x->key_at.line != y->key_at.line)
        return x->key_at.line < y->key_at.line ? -1 : 1;
    return (x->key_at.column > y->key_at.column) - (x->key_at.column < y->key_at.column);
}

static const struct sl_json *repeated_few(const struct sl_json *map)
{
    for (const struct sl_json *a = map->first; a; a = a->next)
        for (const struct sl_json *b = a->next; b; b = b->next)
            if (sl_str_equal(a->key, b->key))
                return b;
    return NULL;
}

static const struct sl_json *repeated_many(const struct sl_json *map)
{
    struct child *sorted = sl_alloc(map->count * sizeof *sorted);
    const struct sl_json *found = NULL;
    uint32_t n = 0;
    for (const struct sl_json *child = map->first; child; child = child->next)
        sorted[n++].node = child;
    qsort(sorted, n, sizeof *sorted, compare_keys);
    for (uint32_t i = 1; i < n && !found; i++)
        if (sl_str_equal(sorted[i - 1].node->key, sorted[i].node->key))
            found = sorted[i].node;
    free(sorted);
    return found;
}

const struct sl_json *sl_json_repeated(const struct sl_json *map)
{
    return map->count <= FEW_KEYS ? repeated_few(map) : repeated_many(map);
}
