#include "flow/keyset.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void sl_keyset_done(struct sl_keyset *set)
{
    free(set->slots);
    *set = (struct sl_keyset){0};
}

void sl_keyset_clear(struct sl_keyset *set)
{
    if (set->count)
        memset(set->slots, 0, set->capacity * sizeof *set->slots);
    set->count = 0;
}

static uint32_t *find(struct sl_keyset *set, const struct sl_record *records, struct sl_str id)
{
    uint32_t mask = set->capacity - 1;
    uint64_t hash = sl_hash(id.at, id.length);
    uint32_t slot = (uint32_t)(hash ^ hash >> 32) & mask;
    while (set->slots[slot] && !sl_str_equal(records[set->slots[slot] - 1].id, id))
        slot = (slot + 1) & mask;
    return &set->slots[slot];
}

static void grow(struct sl_keyset *set, const struct sl_record *records)
{
    uint32_t *old = set->slots, old_capacity = set->capacity;
    set->capacity = old_capacity ? old_capacity * 2 : 256;
    set->slots = sl_calloc(set->capacity, sizeof *set->slots);
    for (uint32_t i = 0; i < old_capacity; i++)
        if (old[i])
            *find(set, records, records[old[i] - 1].id) = old[i];
    free(old);
}

uint32_t sl_keyset_add(struct sl_keyset *set, const struct sl_record *records, uint32_t index)
{
    if ((set->count + 1) * 2 > set->capacity)
        grow(set, records);
    uint32_t *slot = find(set, records, records[index].id);
    if (*slot)
        return *slot - 1;
    *slot = index + 1;
    set->count++;
    return index;
}
