/* A batch as a message and back: the envelope of docs/MESSAGE.md, in JSON (Extended JSON that any
 * consumer can read) or BSON. Both give identical BSON on the way back. */
#ifndef SL_FLOW_MESSAGE_H
#define SL_FLOW_MESSAGE_H

#include "flow/batch.h"

enum sl_content { SL_CONTENT_JSON, SL_CONTENT_BSON };

/* "application/json", "application/bson". */
const char *sl_content_type(enum sl_content content);

/* Appends the batch's message to out. Does not suspend, except to let others run every few hundred
 * rows. Fails with SL_REJECTED when a document is not valid BSON, SL_CANCELED. */
int sl_message_encode(const struct sl_batch *batch, enum sl_content content, struct sl_buf *out,
                      struct sl_err *err);

/* Reads a message into batch (fresh; its origin, records and published_at are filled).
 * Yields every few hundred rows. Fails with SL_REJECTED when the bytes are no message of a version
 * we know: too new an envelope, malformed JSON or BSON, bad UTF-8, nesting over 64. */
int sl_message_decode(struct sl_batch *batch, const char *content_type, const void *bytes,
                      size_t size, struct sl_err *err);

/* The same of a body from malloc(), which it takes whatever happens: documents that came as BSON
 * stay where they are, and the batch keeps the body for them. */
int sl_message_take(struct sl_batch *batch, const char *content_type, char *body, size_t size,
                    struct sl_err *err);

#endif
