/* Heap memory that is never NULL: a small program with bounded memory has no use for a half-failed
 * allocation in mid row, so running out ends it with a message; the journal makes that safe. */
#ifndef SL_BASE_MEM_H
#define SL_BASE_MEM_H

#include <stddef.h>

/* Ends the program with that message: for memory that a library could not get. */
void sl_out_of_memory(size_t size) __attribute__((noreturn));

void *sl_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *sl_calloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *sl_realloc(void *memory, size_t size) __attribute__((returns_nonnull));
char *sl_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *sl_strndup(const char *text, size_t length) __attribute__((malloc, returns_nonnull));

/* Zeroed object of the type. */
#define SL_NEW(type) ((type *)sl_calloc(1, sizeof(type)))

/* Overwrites size bytes (a secret) in a way the compiler may not drop, then nothing is freed. */
void sl_wipe(void *memory, size_t size);

#endif
