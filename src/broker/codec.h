/* Methods and properties to frames and back, by librabbitmq's encoder and decoder, behind the
 * checks that those lack: only methods a server may send, no deep or endless tables, no names that
 * do not fit. Private to broker/. */
#ifndef SL_BROKER_CODEC_H
#define SL_BROKER_CODEC_H

/* Newer versions of librabbitmq have their headers in a folder. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

#include "broker/frame.h"
#include "loop/stream.h"

struct sl_codec {
    amqp_pool_t pool; /* what the last decoded frame lives in */
    struct sl_buf scratch;
};

void sl_codec_init(struct sl_codec *codec);
void sl_codec_done(struct sl_codec *codec);

struct sl_method {
    amqp_method_number_t id;
    void *decoded; /* amqp_..._t of that method; valid until the next decode */
};

/* Decodes a method frame's payload. SL_CLOSED when it is malformed or not a server's. */
int sl_codec_method(struct sl_codec *codec, const struct sl_frame *frame, struct sl_method *ret,
                    struct sl_err *err);

struct sl_content_head {
    uint64_t body_size;
    const amqp_basic_properties_t *properties; /* valid until the next decode */
};

/* Decodes a content header frame's payload. SL_CLOSED when it is malformed. */
int sl_codec_header(struct sl_codec *codec, const struct sl_frame *frame,
                    struct sl_content_head *ret, struct sl_err *err);

/* Queue frames on the stream. They fail with SL_REJECTED, nothing queued, when it does not fit. */
int sl_codec_put_method(struct sl_codec *codec, struct sl_stream *stream, uint16_t channel,
                        amqp_method_number_t id, void *decoded, struct sl_err *err);
int sl_codec_put_publish(struct sl_codec *codec, struct sl_stream *stream, uint16_t channel,
                         size_t frame_max, amqp_basic_publish_t *method,
                         amqp_basic_properties_t *properties, struct sl_str body,
                         struct sl_err *err); /* body is referenced (sl_stream_disown) */
void sl_codec_put_heartbeat(struct sl_stream *stream);

/* A text as librabbitmq's bytes; NULL is empty. */
amqp_bytes_t sl_codec_bytes(const char *text);

/* A view of decoded bytes, valid as long as they are. */
struct sl_str sl_codec_view(amqp_bytes_t bytes);

#endif
