/* The journal (--journal FILE): every change of a record or row, one JSON object a line, appended
 * as it happens, so that it outlives the simulator. All calls hold the simulator's lock; they do
 * nothing when there is no journal. */
#ifndef SIM_JOURNAL_H
#define SIM_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "sim/records.h"

struct sim;
struct dv_table;

/* False, after saying why on stderr, when the file cannot be opened. */
bool sim_journal_open(struct sim *sim, const char *file);
void sim_journal_close(struct sim *sim);

/* A record of Finance & Operations was created or changed: entity, company, key, rev, and the hash
 * that the truth tells with hash=1. */
void sim_journal_record(void *sim, const struct sim_table *table, size_t index);

/* A row of Dataverse was created, changed or deleted: table, id, versionnumber, op, and FNV-1a of
 * the "fields" that the truth tells, or deleted. */
void sim_journal_row(struct sim *sim, struct dv_table *table, uint32_t index, const char *op);

#endif
