/* Bytes waiting to be written: small pieces are copied and gathered in blocks, large ones are only
 * referenced, so that one writev sends what many callers queued. */
#ifndef SL_LOOP_OUTBOX_H
#define SL_LOOP_OUTBOX_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct sl_outbox_piece;

/* Zeroed = empty and ready for use. */
struct sl_outbox {
    struct sl_outbox_piece *first, *last; /* private */
    size_t size_bytes;                    /* read-only: bytes waiting */
};

void sl_outbox_done(struct sl_outbox *box);

/* Appends a copy of the bytes. */
void sl_outbox_add(struct sl_outbox *box, const void *bytes, size_t size);

/* Appends a reference: the bytes must stay until they are dropped or disowned. */
void sl_outbox_add_ref(struct sl_outbox *box, const void *bytes, size_t size);

/* Describes the first bytes for a gathered write; returns how many of ret were filled. */
unsigned sl_outbox_gather(const struct sl_outbox *box, uv_buf_t *ret, unsigned max);

/* Copies the first bytes, at most size, without dropping them; returns how many. */
size_t sl_outbox_peek(const struct sl_outbox *box, void *out, size_t size);

/* Forgets the first size bytes: they were written. */
void sl_outbox_drop(struct sl_outbox *box, size_t size);

/* Copies every reference into bytes[0, size) that still waits, so that the owner may free them. */
void sl_outbox_disown(struct sl_outbox *box, const void *bytes, size_t size);

#endif
