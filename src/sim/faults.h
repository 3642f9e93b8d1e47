/* Which records are bad or huge on purpose. It follows from a record's place in its table and from
 * the switches, so a record stays bad from export to export, and the truth can name it. */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stddef.h>
#include <stdint.h>

#include "sim/row.h"
#include "sim/switches.h"

struct sim_faults {
    uint32_t untypable;
    uint32_t wrong_columns;
    uint32_t empty_key;
    uint32_t every;
    uint32_t big_rows;
    uint64_t big_bytes;
};

/* Reads the switches (the simulator's lock held). */
struct sim_faults sim_faults_read(struct sim_switch_view view);

/* The fault of record index: the first slots, one in `every` records, take the kinds in turn until
 * each has had its number. */
enum sim_fault sim_faults_of(const struct sim_faults *faults, size_t index);

/* Size of record index's huge cell; 0 when it has none. */
uint64_t sim_faults_big(const struct sim_faults *faults, size_t index);

#endif
