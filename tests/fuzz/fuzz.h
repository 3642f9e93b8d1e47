/* What the fuzz targets share. A target is one file that defines LLVMFuzzerTestOneInput: libFuzzer
 * calls it in the build "fuzz", replay.c in every other one.
 *
 * The first bytes of an input choose how the rest is read (sizes of chunks, limits); the order of
 * reading them is part of the corpus: append choices, do not insert them. */
#ifndef SL_FUZZ_H
#define SL_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that the input has broken: a finding, as a crash is. */
#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

/* The next byte, 0 when none is left. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (!input->left)
        return 0;
    input->left--;
    return *input->at++;
}

/* Cuts a text into pieces whose sizes follow from a seed: 0 gives it whole. */
struct fuzz_chunks {
    const char *at;
    size_t left;
    uint32_t seed;
};

/* The next piece, copied into memory of exactly its size, so that a read beyond its end is seen.
 * False at the end. The caller frees it. */
static inline bool fuzz_chunk(struct fuzz_chunks *chunks, char **ret, size_t *ret_size)
{
    if (!chunks->left)
        return false;
    size_t size = chunks->left;
    if (chunks->seed) {
        chunks->seed = chunks->seed * 1664525 + 1013904223;
        size_t wanted = 1 + (chunks->seed >> 16) % (chunks->seed >> 30 ? 7 : 200);
        size = wanted < size ? wanted : size;
    }
    *ret = sl_alloc(size);
    memcpy(*ret, chunks->at, size);
    chunks->at += size;
    chunks->left -= size;
    *ret_size = size;
    return true;
}

static inline void fuzz_show(const struct sl_buf *text, size_t at)
{
    size_t from = at < 40 ? 0 : at - 40;
    for (size_t i = from; i < text->length && i < at + 80; i++)
        fputc(text->data[i] >= ' ' ? text->data[i] : '.', stderr);
    fputc('\n', stderr);
}

/* Both texts, compared: what was read must not depend on how it was cut. */
static inline void fuzz_same(const struct sl_buf *a, const struct sl_buf *b)
{
    size_t at = 0;
    while (at < a->length && at < b->length && a->data[at] == b->data[at])
        at++;
    if (at < a->length || at < b->length) {
        fuzz_show(a, at);
        fuzz_show(b, at);
    }
    FUZZ_REQUIRE(at == a->length && at == b->length);
}

#endif
