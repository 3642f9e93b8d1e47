#include "format/yajl_memory.h"

#include <stdlib.h>

#include "base/mem.h"

static void *get(void *ctx, size_t size)
{
    (void)ctx;
    return sl_alloc(size);
}

static void *resize(void *ctx, void *memory, size_t size)
{
    (void)ctx;
    return sl_realloc(memory, size);
}

static void give(void *ctx, void *memory)
{
    (void)ctx;
    free(memory);
}

yajl_alloc_funcs *sl_yajl_memory(void)
{
    static yajl_alloc_funcs functions = {.malloc = get, .realloc = resize, .free = give};
    return &functions;
}
