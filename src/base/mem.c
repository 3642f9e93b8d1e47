#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sl_out_of_memory(size_t size)
{
    fprintf(stderr, "sluice: out of memory (%zu bytes)\n", size);
    abort();
}

static void *checked(void *memory, size_t size)
{
    if (memory || !size)
        return memory ? memory : checked(malloc(1), 1);
    sl_out_of_memory(size);
}

void *sl_alloc(size_t size)
{
    return checked(malloc(size), size);
}

void *sl_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX; /* calloc refuses it, and so do we */
    return checked(calloc(count, size), bytes);
}

void *sl_realloc(void *memory, size_t size)
{
    return checked(realloc(memory, size), size);
}

char *sl_strndup(const char *text, size_t length)
{
    char *copy = sl_alloc(length + 1);
    if (length)
        memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

char *sl_strdup(const char *text)
{
    return sl_strndup(text, strlen(text));
}

void sl_wipe(void *memory, size_t size)
{
    explicit_bzero(memory, size);
}
