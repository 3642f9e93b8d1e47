/* An arena: many allocations, one free. It grows by blocks and never moves what it gave. */
#ifndef SL_BASE_ARENA_H
#define SL_BASE_ARENA_H

#include <stddef.h>

#include "base/size.h"

struct sl_arena_block;

/* The block size to choose for large arenas: these blocks are used again. */
enum { SL_ARENA_BLOCK_BYTES = SL_SIZE(64 * 1024, 2048) };

struct sl_arena {
    struct sl_arena_block *blocks; /* private: newest first */
    size_t block_bytes;            /* private: size of the next block */
    size_t used_bytes;             /* read-only: bytes given out */
    size_t held_bytes;             /* read-only: bytes taken from the heap */
};

/* Prepares an empty arena in the caller's storage; block_bytes is the size of a usual block. */
void sl_arena_init(struct sl_arena *arena, size_t block_bytes);

/* Frees everything the arena ever gave. */
void sl_arena_done(struct sl_arena *arena);

/* Gives size bytes, aligned to 8, not zeroed, living as long as the arena. Never NULL: running out
 * of memory ends the program with a message (there is nothing sane to do mid-row). */
void *sl_arena_alloc(struct sl_arena *arena, size_t size);

/* The last allocation, of size old_size at memory, becomes new_size long: in place when it can be,
 * else by copy. For buffers that are built at the end of the arena. */
void *sl_arena_grow(struct sl_arena *arena, void *memory, size_t old_size, size_t new_size);

/* Gives back the unused tail of the last allocation. */
void sl_arena_trim(struct sl_arena *arena, void *memory, size_t old_size, size_t new_size);

/* Copies bytes, or a text with its NUL, into the arena. */
void *sl_arena_copy(struct sl_arena *arena, const void *bytes, size_t size);
char *sl_arena_text(struct sl_arena *arena, const char *text, size_t length);

#endif
