/* A whole Extended JSON text as a document in the arena. SL_REJECTED: it is none. */
#ifndef SL_TEST_FORMAT_EXTJSON_PARSE_H
#define SL_TEST_FORMAT_EXTJSON_PARSE_H

#include "format/extjson.h"

static inline int extjson_event(void *ctx, enum sl_json_event event, struct sl_str text,
                                struct sl_err *err)
{
    (void)err; /* the builder has it already */
    return sl_extjson_event(ctx, event, text) ? SL_OK : SL_REJECTED;
}

static inline int extjson_parse(struct sl_arena *arena, const char *text, size_t size,
                                struct sl_str *ret_doc, struct sl_err *err)
{
    static const struct sl_json_stream_options whole = {0};
    struct sl_extjson_builder builder;
    sl_extjson_builder_init(&builder);
    sl_extjson_begin(&builder, arena, err);
    struct sl_json_stream *stream = sl_json_stream_new(&whole, extjson_event, &builder);

    int rc = sl_json_stream_feed(stream, text, size, err);
    if (rc == SL_OK)
        rc = sl_json_stream_end(stream, err);
    if (rc == SL_OK && !sl_extjson_complete(&builder, ret_doc))
        rc = sl_err_set(err, SL_REJECTED, "Extended JSON: expected an object");
    sl_json_stream_free(stream);
    sl_extjson_builder_done(&builder);
    return rc;
}

#endif
