#include "format/bson_twice.h"

#include <stdint.h>
#include <stdlib.h>

#include "format/bson_reader.h"

enum { FEW_KEYS = 16 };

struct name {
    uint64_t hash;
    struct sl_str key;
};

static int compare(const void *a, const void *b)
{
    uint64_t x = ((const struct name *)a)->hash, y = ((const struct name *)b)->hash;
    return (x > y) - (x < y);
}

static bool same(const struct name *a, const struct name *b)
{
    return a->hash == b->hash && sl_str_equal(a->key, b->key);
}

/* One object's names. Those of equal hash are neighbours once sorted; few are not worth sorting. */
static bool any_twice(struct name *names, size_t count, struct sl_str *ret_key)
{
    if (count > FEW_KEYS)
        qsort(names, count, sizeof *names, compare);
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j-- > 0 && (count <= FEW_KEYS || names[j].hash == names[i].hash);)
            if (same(&names[i], &names[j])) {
                *ret_key = names[i].key;
                return true;
            }
    return false;
}

/* names is one buffer for all levels: each uses it from its end on. */
static bool twice(struct sl_str doc, bool array, struct sl_buf *names, struct sl_str *ret_key)
{
    struct sl_bson_reader reader;
    struct sl_bson_element element;
    size_t begin = names->length;
    bool found = false;
    if (sl_bson_open(&reader, doc, NULL) != SL_OK)
        return false;
    while (!found && sl_bson_next(&reader, &element, NULL) == SL_OK) {
        struct name name = {sl_hash(element.key.at, element.key.length), element.key};
        if (!array)
            sl_buf_add(names, &name, sizeof name);
        if (element.type == SL_BSON_DOC || element.type == SL_BSON_ARRAY)
            found = twice(element.value, element.type == SL_BSON_ARRAY, names, ret_key);
    }
    if (!found && names->length > begin)
        found = any_twice((struct name *)(names->data + begin),
                          (names->length - begin) / sizeof(struct name), ret_key);
    names->length = begin;
    return found;
}

bool sl_bson_twice(struct sl_str doc, struct sl_str *ret_key)
{
    struct sl_buf names = {0};
    bool found = twice(doc, false, &names, ret_key);
    sl_buf_done(&names);
    return found;
}
