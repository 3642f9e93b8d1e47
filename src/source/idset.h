/* A set of ids, exact, bounded by its user. */
#ifndef SL_SOURCE_IDSET_H
#define SL_SOURCE_IDSET_H

#include "base/arena.h"
#include "base/str.h"

/* Zeroed = ready for use. Fields are private but count. */
struct sl_idset {
    struct sl_arena arena;
    struct sl_str *slots; /* at == NULL: free */
    uint32_t capacity;    /* a power of two */
    uint32_t count;       /* read-only */
    bool ready;
};

/* Copies the id. False: it was there. */
bool sl_idset_add(struct sl_idset *set, struct sl_str id);
bool sl_idset_has(const struct sl_idset *set, struct sl_str id);
void sl_idset_done(struct sl_idset *set);

#endif
