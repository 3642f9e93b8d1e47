/* The known word nearest to a mistyped one, for "did you mean". */
#ifndef SL_CONFIG_NEAREST_H
#define SL_CONFIG_NEAREST_H

#include <stddef.h>

/* How many letters must be put in, taken out, changed or swapped with a neighbour to make b of a,
 * without regard to case. Counts up to limit; limit + 1 means "more". */
unsigned sl_edit_distance(const char *a, const char *b, unsigned limit);

/* Collects the best of the candidates offered one by one. */
struct sl_nearest {
    const char *word;  /* what was typed; borrowed */
    const char *best;  /* the nearest so far, or NULL when none is near; borrowed */
    unsigned distance; /* private */
};

void sl_nearest_init(struct sl_nearest *nearest, const char *word);
void sl_nearest_offer(struct sl_nearest *nearest, const char *candidate);

/* Writes `: did you mean "collection"?`, or nothing when no candidate is near. Returns out. */
char *sl_nearest_hint(const struct sl_nearest *nearest, char *out, size_t size);

#endif
