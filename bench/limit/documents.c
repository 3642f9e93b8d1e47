#include "documents.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bson/bson.h>

static bool map(struct documents *documents, const char *path)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0 || about.st_size == 0) {
        fprintf(stderr, "bench-limit: cannot read %s, or it is empty\n", path);
        if (fd >= 0)
            close(fd);
        return false;
    }
    documents->file_bytes = (size_t)about.st_size;
    documents->file =
        mmap(NULL, documents->file_bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    close(fd);
    if (documents->file != MAP_FAILED)
        return true;
    documents->file = NULL;
    perror("bench-limit: mmap");
    return false;
}

/* Finds _id, the first element, and _sluice.v, which stands near the end. */
static bool read_document(struct document *document, const uint8_t *at, size_t left)
{
    bson_t bson;
    bson_iter_t iter, version;
    uint32_t length;

    if (left < sizeof length)
        return false;
    memcpy(&length, at, sizeof length);
    length = BSON_UINT32_FROM_LE(length);
    if (length > left || !bson_init_static(&bson, at, length))
        return false;
    if (!bson_iter_init(&iter, &bson) || !bson_iter_next(&iter) || !BSON_ITER_HOLDS_UTF8(&iter) ||
        strcmp(bson_iter_key(&iter), "_id") != 0)
        return false;
    document->id = bson_iter_utf8(&iter, NULL);
    if (!bson_iter_find_descendant(&iter, "_sluice.v", &version) ||
        !BSON_ITER_HOLDS_INT64(&version))
        return false;
    document->version = bson_iter_int64(&version);
    document->data = at;
    document->length = length;
    return true;
}

static bool split(struct documents *documents)
{
    const uint8_t *at = documents->file, *end = at + documents->file_bytes;
    size_t capacity = 0;
    while (at < end) {
        if (documents->count == capacity) {
            capacity = capacity ? capacity * 2 : 4096;
            documents->all = bson_realloc(documents->all, capacity * sizeof *documents->all);
        }
        if (!read_document(&documents->all[documents->count], at, (size_t)(end - at))) {
            fprintf(stderr, "bench-limit: document %zu of the file is not one that was prepared\n",
                    documents->count);
            return false;
        }
        at += documents->all[documents->count++].length;
    }
    return true;
}

static void cut(struct documents *documents, size_t max_rows, size_t max_bytes)
{
    struct batch *batch = NULL;
    size_t bytes = 0;
    documents->batches = bson_malloc(documents->count * sizeof *documents->batches);
    for (size_t i = 0; i < documents->count; i++) {
        uint32_t length = documents->all[i].length;
        if (!batch || batch->count == max_rows || bytes + length > max_bytes) {
            batch = &documents->batches[documents->batch_count++];
            *batch = (struct batch){.first = i};
            bytes = 0;
        }
        batch->count++;
        bytes += length;
    }
}

bool documents_load(struct documents *documents, const char *path, size_t max_rows,
                    size_t max_bytes)
{
    *documents = (struct documents){0};
    if (!map(documents, path) || !split(documents))
        return false;
    cut(documents, max_rows, max_bytes);
    return true;
}

void documents_free(struct documents *documents)
{
    if (documents->file)
        munmap(documents->file, documents->file_bytes);
    bson_free(documents->all);
    bson_free(documents->batches);
    *documents = (struct documents){0};
}
