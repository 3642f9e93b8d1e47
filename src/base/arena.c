#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/asan.h"
#include "base/mem.h"

struct sl_arena_block {
    struct sl_arena_block *next;
    size_t size;
    size_t used;
    uint8_t bytes[] __attribute__((aligned(16)));
};

static size_t round_up(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

void sl_arena_init(struct sl_arena *arena, size_t block_bytes)
{
    memset(arena, 0, sizeof *arena);
    arena->block_bytes = block_bytes < 256 ? 256 : block_bytes;
}

/* Blocks of the usual size are kept for the next arena: fresh ones cost a page fault every 4 KiB.
 * Not with AddressSanitizer, which must see that they are free. */
#ifdef SL_ASAN
static const int KEPT_MAX = 0;
#else
static const int KEPT_MAX = 64;
#endif

static struct sl_arena_block *kept;
static int kept_count; /* signed: KEPT_MAX may be 0 */

static void give_block(struct sl_arena_block *block)
{
    if (block->size != SL_ARENA_BLOCK_BYTES || kept_count >= KEPT_MAX) {
        free(block);
        return;
    }
    block->next = kept;
    kept = block;
    kept_count++;
}

static struct sl_arena_block *take_block(size_t size)
{
    struct sl_arena_block *block = kept;
    if (size == SL_ARENA_BLOCK_BYTES && block) {
        kept = block->next;
        kept_count--;
        return block;
    }
    return sl_alloc(sizeof *block + size);
}

void sl_arena_done(struct sl_arena *arena)
{
    while (arena->blocks) {
        struct sl_arena_block *block = arena->blocks;
        arena->blocks = block->next;
        give_block(block);
    }
    arena->used_bytes = arena->held_bytes = 0;
}

static struct sl_arena_block *add_block(struct sl_arena *arena, size_t size)
{
    size_t bytes = size > arena->block_bytes ? size : arena->block_bytes;
    struct sl_arena_block *block = take_block(bytes);
    block->next = arena->blocks;
    block->size = bytes;
    block->used = 0;
    arena->blocks = block;
    arena->held_bytes += bytes;
    return block;
}

void *sl_arena_alloc(struct sl_arena *arena, size_t size)
{
    size = round_up(size);
    struct sl_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < size)
        block = add_block(arena, size);
    void *memory = block->bytes + block->used;
    block->used += size;
    arena->used_bytes += size;
    return memory;
}

static bool is_last(const struct sl_arena_block *block, const void *memory, size_t rounded)
{
    return block && (const uint8_t *)memory + rounded == block->bytes + block->used;
}

void *sl_arena_grow(struct sl_arena *arena, void *memory, size_t old_size, size_t new_size)
{
    size_t old_rounded = round_up(old_size), new_rounded = round_up(new_size);
    struct sl_arena_block *block = arena->blocks;

    if (memory && is_last(block, memory, old_rounded)) {
        size_t start = block->used - old_rounded;
        if (block->size - start >= new_rounded) {
            block->used = start + new_rounded;
            arena->used_bytes += new_rounded - old_rounded;
            return memory;
        }
    }
    if (memory && new_size <= old_size)
        return memory; /* not the last one: its tail cannot be given back */
    void *moved = sl_arena_alloc(arena, new_size);
    if (memory)
        memcpy(moved, memory, old_size);
    return moved;
}

void sl_arena_trim(struct sl_arena *arena, void *memory, size_t old_size, size_t new_size)
{
    size_t old_rounded = round_up(old_size), new_rounded = round_up(new_size);
    if (!is_last(arena->blocks, memory, old_rounded))
        return;
    arena->blocks->used -= old_rounded - new_rounded;
    arena->used_bytes -= old_rounded - new_rounded;
}

void *sl_arena_copy(struct sl_arena *arena, const void *bytes, size_t size)
{
    void *copy = sl_arena_alloc(arena, size);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

char *sl_arena_text(struct sl_arena *arena, const char *text, size_t length)
{
    char *copy = sl_arena_alloc(arena, length + 1);
    if (length)
        memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}
