/* What the two message targets share: whatever is taken for a message can be written again, in both
 * forms, and read again as the same batch. */
#ifndef SL_FUZZ_MESSAGE_H
#define SL_FUZZ_MESSAGE_H

#include "flow/message.h"

#include "fuzz.h"

static inline void fuzz_compare(const struct sl_batch *a, const struct sl_batch *b, bool docs)
{
    FUZZ_REQUIRE(a->count == b->count && a->superseded == b->superseded);
    FUZZ_REQUIRE(!strcmp(a->origin.run, b->origin.run));
    FUZZ_REQUIRE(!strcmp(a->origin.feed, b->origin.feed));
    FUZZ_REQUIRE(!strcmp(a->origin.entity, b->origin.entity));
    FUZZ_REQUIRE(a->origin.number == b->origin.number && a->origin.last == b->origin.last);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct sl_record *x = &a->records[i], *y = &b->records[i];
        FUZZ_REQUIRE(x->op == y->op && x->version == y->version);
        FUZZ_REQUIRE(x->changed_at_ms == y->changed_at_ms && x->line == y->line);
        FUZZ_REQUIRE(sl_str_equal(x->id, y->id));
        FUZZ_REQUIRE(!docs || sl_str_equal(x->doc, y->doc));
    }
}

/* Writes the batch and reads that. NULL: writing was refused (a document that JSON has no words
 * for); what was written must be read. */
static inline struct sl_batch *fuzz_trip(struct sl_batch *batch, enum sl_content content)
{
    struct sl_batch *again = NULL;
    struct sl_buf out;
    struct sl_err err = {0};
    sl_buf_init(&out);
    batch->published_at_us = 1000;
    int rc = sl_message_encode(batch, content, &out, &err);
    if (rc == SL_OK) {
        again = sl_batch_new(NULL, 0);
        rc = sl_message_decode(again, sl_content_type(content), out.data, out.length, &err);
        if (rc != SL_OK)
            fprintf(stderr, "%s\n", err.message);
        FUZZ_REQUIRE(rc == SL_OK);
    } else {
        FUZZ_REQUIRE(rc == SL_REJECTED && *err.message);
    }
    sl_buf_done(&out);
    return again;
}

static inline void fuzz_again(struct sl_batch *batch)
{
    struct sl_batch *bson = fuzz_trip(batch, SL_CONTENT_BSON);
    struct sl_batch *json = fuzz_trip(batch, SL_CONTENT_JSON);
    FUZZ_REQUIRE(bson);
    fuzz_compare(batch, bson, true);
    sl_batch_free(bson);
    if (!json)
        return;
    /* A stranger's BSON may number an array's values as it likes; once through JSON it is plain. */
    struct sl_batch *plain = fuzz_trip(json, SL_CONTENT_JSON);
    FUZZ_REQUIRE(plain);
    fuzz_compare(batch, json, false);
    fuzz_compare(json, plain, true);
    sl_batch_free(json);
    sl_batch_free(plain);
}

/* What says that it is neither is refused, whatever it holds. */
static inline void fuzz_stranger(const uint8_t *data, size_t size)
{
    struct sl_batch *batch = sl_batch_new(NULL, 0);
    struct sl_err err = {0};
    FUZZ_REQUIRE(sl_message_decode(batch, size & 1 ? "text/plain" : NULL, data, size, &err) ==
                 SL_REJECTED);
    FUZZ_REQUIRE(*err.message);
    sl_batch_free(batch);
}

static inline void fuzz_message(enum sl_content content, const uint8_t *data, size_t size)
{
    struct sl_batch *batch = sl_batch_new(NULL, 0);
    struct sl_err err = {0};
    uint8_t *exact = sl_alloc(size ? size : 1);
    memcpy(exact, data, size);
    int rc = sl_message_decode(batch, sl_content_type(content), exact, size, &err);
    free(exact);
    if (rc == SL_OK) {
        fuzz_again(batch);
    } else {
        FUZZ_REQUIRE(rc == SL_REJECTED && *err.message);
    }
    sl_batch_free(batch);
    if (size < 4)
        fuzz_stranger(data, size);
}

#endif
