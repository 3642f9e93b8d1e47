#include "base/wiping.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { LARGE_BYTES = 64 * 1024 };

void sl_wiping_free(void *memory)
{
    if (memory)
        sl_wipe(memory, malloc_usable_size(memory));
    free(memory);
}

void *sl_wiping_realloc(void *memory, size_t size)
{
    size_t old_size = memory ? malloc_usable_size(memory) : 0;
    if (!memory || old_size >= LARGE_BYTES)
        return realloc(memory, size);
    void *other = malloc(size);
    if (other) {
        memcpy(other, memory, old_size < size ? old_size : size);
        sl_wiping_free(memory);
    }
    return other;
}
