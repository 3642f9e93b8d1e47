#include "source/idset.h"

#include <stdlib.h>

#include "base/mem.h"

enum { CAPACITY_MIN = 64, ARENA_BYTES = 4096 };

/* The id's slot, or the free one where it belongs. */
static struct sl_str *slot_of(const struct sl_idset *set, struct sl_str id)
{
    uint32_t mask = set->capacity - 1, at = (uint32_t)sl_hash(id.at, id.length) & mask;
    while (set->slots[at].at && !sl_str_equal(set->slots[at], id))
        at = (at + 1) & mask;
    return &set->slots[at];
}

static void grow(struct sl_idset *set)
{
    struct sl_idset larger = *set;
    larger.capacity = set->capacity ? set->capacity * 2 : CAPACITY_MIN;
    larger.slots = sl_calloc(larger.capacity, sizeof *larger.slots);
    for (uint32_t i = 0; i < set->capacity; i++)
        if (set->slots[i].at)
            *slot_of(&larger, set->slots[i]) = set->slots[i];
    free(set->slots);
    *set = larger;
}

bool sl_idset_add(struct sl_idset *set, struct sl_str id)
{
    if (!set->ready) {
        sl_arena_init(&set->arena, ARENA_BYTES);
        set->ready = true;
    }
    if (set->count >= set->capacity / 2)
        grow(set);
    struct sl_str *slot = slot_of(set, id);
    if (slot->at)
        return false;
    *slot = (struct sl_str){sl_arena_text(&set->arena, id.at, id.length), id.length};
    set->count++;
    return true;
}

bool sl_idset_has(const struct sl_idset *set, struct sl_str id)
{
    return set->count && slot_of(set, id)->at;
}

void sl_idset_done(struct sl_idset *set)
{
    if (set->ready)
        sl_arena_done(&set->arena);
    free(set->slots);
    *set = (struct sl_idset){0};
}
