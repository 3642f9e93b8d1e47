#include "loop/stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/asan.h"

#ifdef SL_ASAN
#include <sanitizer/asan_interface.h>
#define UNPOISON(at, size) __asan_unpoison_memory_region(at, size)
enum { STACK_BYTES = 256 * 1024 }; /* red zones need the room */
#else
#define UNPOISON(at, size) ((void)0)
enum { STACK_BYTES = 128 * 1024 }; /* 30 KB was the most ever seen (TLS with SCRAM) */
#endif

enum { PAGE = 4096, KEPT_MAX = 16 };

static char *kept[KEPT_MAX];
static unsigned kept_count;

struct sl_stack sl_stack_take(void)
{
    if (kept_count)
        return (struct sl_stack){kept[--kept_count], STACK_BYTES};

    char *map = mmap(NULL, STACK_BYTES + PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (map == MAP_FAILED || mprotect(map, PAGE, PROT_NONE)) {
        perror("sluice: cannot map a fiber's stack");
        abort();
    }
    return (struct sl_stack){map + PAGE, STACK_BYTES};
}

void sl_stack_give(struct sl_stack stack)
{
    UNPOISON(stack.base, stack.size);
    if (kept_count < KEPT_MAX)
        kept[kept_count++] = stack.base;
    else
        munmap(stack.base - PAGE, stack.size + PAGE);
}

void sl_stack_drop_all(void)
{
    while (kept_count)
        munmap(kept[--kept_count] - PAGE, STACK_BYTES + PAGE);
}
