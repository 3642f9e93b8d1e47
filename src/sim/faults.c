/* Which records are bad or huge on purpose. */
#include "sim/faults.h"

#define BIG_EVERY 11
#define BIG_FIRST 5

static uint32_t at_most(int64_t value, int64_t low, int64_t high)
{
    return (uint32_t)(value < low ? low : value > high ? high : value);
}

struct sim_faults sim_faults_read(struct sim_switch_view view)
{
    return (struct sim_faults){
        .untypable = at_most(sim_switch_number(view, SW_BAD_UNTYPABLE), 0, 1 << 30),
        .wrong_columns = at_most(sim_switch_number(view, SW_BAD_WRONG_COLUMNS), 0, 1 << 30),
        .empty_key = at_most(sim_switch_number(view, SW_BAD_EMPTY_KEY), 0, 1 << 30),
        .every = at_most(sim_switch_number(view, SW_BAD_EVERY), 1, 1 << 30),
        .big_rows = at_most(sim_switch_number(view, SW_BIG_ROWS), 0, 1 << 30),
        .big_bytes = at_most(sim_switch_number(view, SW_BIG_BYTES), 1, 1 << 30),
    };
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many slots the first `rounds` rounds fill: each round has one of every kind not used up. */
static uint64_t slots_before(const struct sim_faults *faults, uint64_t rounds)
{
    return least(rounds, faults->untypable) + least(rounds, faults->wrong_columns) +
           least(rounds, faults->empty_key);
}

enum sim_fault sim_faults_of(const struct sim_faults *faults, size_t index)
{
    if (index % faults->every != faults->every / 2)
        return FAULT_NONE;
    uint64_t slot = index / faults->every;
    if (slot >= (uint64_t)faults->untypable + faults->wrong_columns + faults->empty_key)
        return FAULT_NONE;

    /* The round that the slot falls into: the greatest with slots_before(round) <= slot. */
    uint64_t low = 0;
    uint64_t high = slot + 1;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (slots_before(faults, middle) <= slot)
            low = middle;
        else
            high = middle;
    }
    uint64_t place = slot - slots_before(faults, low);
    const uint32_t numbers[] = {faults->untypable, faults->wrong_columns, faults->empty_key};
    static const enum sim_fault kinds[] = {FAULT_UNTYPABLE, FAULT_WRONG_COLUMNS, FAULT_EMPTY_KEY};
    for (int i = 0; i < 3; i++) {
        if (numbers[i] <= low)
            continue;
        if (place == 0)
            return kinds[i];
        place--;
    }
    return FAULT_NONE;
}

uint64_t sim_faults_big(const struct sim_faults *faults, size_t index)
{
    if (faults->big_rows == 0 || index % BIG_EVERY != BIG_FIRST)
        return 0;
    return index / BIG_EVERY < faults->big_rows ? faults->big_bytes : 0;
}
