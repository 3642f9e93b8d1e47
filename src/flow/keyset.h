/* The keys of one batch: finds the record that has a key already. */
#ifndef SL_FLOW_KEYSET_H
#define SL_FLOW_KEYSET_H

#include "flow/record.h"

struct sl_keyset {
    uint32_t *slots; /* index of a record + 1; 0: free */
    uint32_t capacity, count;
};

void sl_keyset_done(struct sl_keyset *set);
void sl_keyset_clear(struct sl_keyset *set);

/* Notes that records[index] has its key. Returns the index of the earlier record with the same key
 * (which stays noted), or index itself when it is new. */
uint32_t sl_keyset_add(struct sl_keyset *set, const struct sl_record *records, uint32_t index);

#endif
