/* A TCP connection on the loop, with or without TLS. Writing never suspends: bytes are queued and
 * leave in one gathered write a loop turn. Reading goes to a callback, on the loop itself. */
#ifndef SL_LOOP_STREAM_H
#define SL_LOOP_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/tls.h"

struct sl_stream;

/* Called on the loop, outside every fiber: they must not suspend. Both may close the stream. */
struct sl_stream_handler {
    /* bytes are borrowed. */
    void (*on_data)(void *ctx, const uint8_t *bytes, size_t size);
    /* Once, when the peer ended the connection or it broke; nothing is called afterwards. The
     * stream still has to be closed. Not called for sl_stream_close. */
    void (*on_close)(void *ctx, const struct sl_err *err);
};

/* Connects to host:port, trying each of its addresses, and finishes the TLS handshake when tls is
 * given (it must outlive the stream). turn says with which address to begin, modulo their number:
 * who counts it up after a failure gets past one that accepts connections and then says nothing.
 * Suspends, at most until deadline_ms. handler and ctx live as long as the stream; nothing is
 * called before this returns SL_OK. Gives the stream (sl_stream_close). Fails with SL_CLOSED (no
 * such name, refused), SL_CONFIG (certificate not trusted), SL_TIMEOUT or SL_CANCELED. */
int sl_stream_connect(const char *host, uint16_t port, size_t turn, struct sl_tls *tls,
                      const struct sl_stream_handler *handler, void *ctx, uint64_t deadline_ms,
                      struct sl_stream **ret, struct sl_err *err);

/* Closes at once, after one try to send what is queued. NULL is fine. References are dropped. */
void sl_stream_close(struct sl_stream *stream);

/* Queues a copy of the bytes. After on_close they are dropped. */
void sl_stream_write(struct sl_stream *stream, const void *bytes, size_t size);

/* Queues a reference: the bytes must stay until sl_stream_queued says they are gone, the stream is
 * closed, or they were disowned. */
void sl_stream_write_ref(struct sl_stream *stream, const void *bytes, size_t size);

/* Copies what of bytes[0, size) is still referenced: the owner may free them after this. */
void sl_stream_disown(struct sl_stream *stream, const void *bytes, size_t size);

/* Bytes queued and not yet taken by the kernel. */
size_t sl_stream_queued(const struct sl_stream *stream);

#endif
