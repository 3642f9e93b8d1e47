/* Heap functions for libraries that copy secrets (client secrets, tokens, passwords) and leave
 * their copies behind when they free them: what these free is wiped first. */
#ifndef SL_BASE_WIPING_H
#define SL_BASE_WIPING_H

#include <stddef.h>

/* Like free(). */
void sl_wiping_free(void *memory);

/* Like realloc(); NULL when there is no memory, and the old stays. Large memory, where no secret is
 * kept, is handed to realloc(), which need not copy it. */
void *sl_wiping_realloc(void *memory, size_t size);

#endif
