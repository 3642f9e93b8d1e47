/* The documents of a file of concatenated BSON documents, in memory and cut into batches. */
#ifndef BENCH_LIMIT_DOCUMENTS_H
#define BENCH_LIMIT_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One document: its bytes, and what the guard needs of it. Everything lives as long as the file. */
struct document {
    const uint8_t *data;
    uint32_t length;
    const char *id;  /* _id, ended by NUL */
    int64_t version; /* _sluice.v */
};

struct batch {
    size_t first, count; /* indices of documents */
};

struct documents {
    void *file;
    size_t file_bytes;
    struct document *all;
    size_t count;
    struct batch *batches;
    size_t batch_count;
};

/* Reads path into memory, every page of it. A batch closes at max_rows or max_bytes, as sluice's
 * do. False with a message on stderr when the file cannot be read or is not such a file. */
bool documents_load(struct documents *documents, const char *path, size_t max_rows,
                    size_t max_bytes);
void documents_free(struct documents *documents);

#endif
