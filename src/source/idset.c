#include "source/idset.h"

#include <stdlib.h>

#include "base/mem.h"

enum {
    PARTS = 256, /* a power of two */
    PART_BITS = 8,
    CAPACITY_MIN = 4,
    ARENA_BYTES = 4096,
};

struct sl_idset_part {
    struct sl_str *slots; /* at == NULL: free */
    uint32_t capacity;    /* a power of two; 0: no slots */
    uint32_t count;
};

/* The id's slot, or the free one where it belongs. */
static struct sl_str *slot_of(const struct sl_idset_part *part, struct sl_str id, uint32_t hash)
{
    uint32_t mask = part->capacity - 1, at = (hash >> PART_BITS) & mask;
    while (part->slots[at].at && !sl_str_equal(part->slots[at], id))
        at = (at + 1) & mask;
    return &part->slots[at];
}

static uint32_t hash_of(struct sl_str id)
{
    return (uint32_t)sl_hash(id.at, id.length);
}

static void grow(struct sl_idset *set, struct sl_idset_part *part)
{
    struct sl_idset_part larger = *part;
    larger.capacity = part->capacity ? part->capacity * 2 : CAPACITY_MIN;
    larger.slots = sl_calloc(larger.capacity, sizeof *larger.slots);
    set->slots_bytes += (larger.capacity - part->capacity) * sizeof *larger.slots;
    for (uint32_t i = 0; i < part->capacity; i++)
        if (part->slots[i].at)
            *slot_of(&larger, part->slots[i], hash_of(part->slots[i])) = part->slots[i];
    free(part->slots);
    *part = larger;
}

bool sl_idset_add(struct sl_idset *set, struct sl_str id)
{
    if (!set->parts) {
        sl_arena_init(&set->arena, ARENA_BYTES);
        set->parts = sl_calloc(PARTS, sizeof *set->parts);
    }
    uint32_t hash = hash_of(id);
    struct sl_idset_part *part = &set->parts[hash % PARTS];
    if (part->count >= part->capacity / 2)
        grow(set, part);
    struct sl_str *slot = slot_of(part, id, hash);
    if (slot->at)
        return false;
    *slot = (struct sl_str){sl_arena_text(&set->arena, id.at, id.length), id.length};
    part->count++;
    set->count++;
    return true;
}

bool sl_idset_has(const struct sl_idset *set, struct sl_str id)
{
    if (!set->count)
        return false;
    uint32_t hash = hash_of(id);
    const struct sl_idset_part *part = &set->parts[hash % PARTS];
    return part->count && slot_of(part, id, hash)->at;
}

size_t sl_idset_bytes(const struct sl_idset *set)
{
    return set->parts ? set->arena.held_bytes + PARTS * sizeof *set->parts + set->slots_bytes : 0;
}

bool sl_idset_next(const struct sl_idset *set, struct sl_idset_walk *walk, struct sl_str *ret)
{
    for (; set->parts && walk->part < PARTS; walk->part++, walk->slot = 0) {
        const struct sl_idset_part *part = &set->parts[walk->part];
        while (walk->slot < part->capacity) {
            *ret = part->slots[walk->slot++];
            if (ret->at)
                return true;
        }
    }
    return false;
}

void sl_idset_done(struct sl_idset *set)
{
    if (set->parts) {
        sl_arena_done(&set->arena);
        for (uint32_t i = 0; i < PARTS; i++)
            free(set->parts[i].slots);
        free(set->parts);
    }
    *set = (struct sl_idset){0};
}
