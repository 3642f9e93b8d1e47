/* One row of an entity: its cells, made anew whenever somebody asks.
 * What stands in them follows from the seed, the entity, the company, the key and the revision, and
 * from nothing else, so that no text needs to be stored and every witness can be told the truth. */
#ifndef SIM_ROW_H
#define SIM_ROW_H

#include <stdint.h>

#include "sim/entity.h"
#include "sim/text.h"

/* What is wrong with a row on purpose. */
enum sim_fault { FAULT_NONE, FAULT_UNTYPABLE, FAULT_WRONG_COLUMNS, FAULT_EMPTY_KEY };

struct sim_row_of {
    const struct sim_entity *entity;
    uint64_t seed;
    const char *company; /* lower case */
    const char *key;
    uint32_t revision;
    enum sim_fault fault;
    uint64_t big_bytes; /* size of the first note instead of its own; 0 for none */
};

struct sim_row {
    struct sim_text bytes;        /* the cells' UTF-8, one behind the other */
    size_t ends[SIM_COLUMNS_MAX]; /* where each cell ends in bytes */
    unsigned count;
};

/* No row is longer than this in UTF-8, quotes included, big_bytes aside. */
#define SIM_ROW_MAX 4096

/* Makes the row, in place of the former one. FAULT_WRONG_COLUMNS leaves the cells as they should
 * be: it is the writer of the file who adds or drops one. sim_row_done frees. */
void sim_row_make(struct sim_row *row, const struct sim_row_of *of);
void sim_row_done(struct sim_row *row);

/* One cell, as a view into the row. */
static inline const char *sim_row_cell(const struct sim_row *row, unsigned i, size_t *ret_len)
{
    size_t before = i ? row->ends[i - 1] : 0;
    *ret_len = row->ends[i] - before;
    return row->bytes.data + before;
}

/* FNV-1a (64 bits) over each cell's bytes, each followed by one byte 0x1f. */
uint64_t sim_row_hash(const struct sim_row *row);

/* The short name of a fault: "untypable" …; NULL for FAULT_NONE. */
const char *sim_fault_name(enum sim_fault fault);

#endif
