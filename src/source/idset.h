/* A set of ids, exact, bounded by its user. It is made of many small tables, so that no add takes
 * long, however many ids there are. */
#ifndef SL_SOURCE_IDSET_H
#define SL_SOURCE_IDSET_H

#include "base/arena.h"
#include "base/str.h"

struct sl_idset_part;

/* Zeroed = ready for use. Fields are private but count. */
struct sl_idset {
    struct sl_arena arena;
    struct sl_idset_part *parts; /* NULL: nothing was added yet */
    uint32_t count;              /* read-only */
    size_t slots_bytes;
};

/* A place in the set. Zeroed = before the first id. */
struct sl_idset_walk {
    uint32_t part, slot;
};

/* Copies the id. False: it was there. */
bool sl_idset_add(struct sl_idset *set, struct sl_str id);
bool sl_idset_has(const struct sl_idset *set, struct sl_str id);

/* The memory that it takes. */
size_t sl_idset_bytes(const struct sl_idset *set);

/* The next id, in no order; false at the end. Nothing may be added meanwhile. */
bool sl_idset_next(const struct sl_idset *set, struct sl_idset_walk *walk, struct sl_str *ret);

void sl_idset_done(struct sl_idset *set);

#endif
