/* JSON as a stream of events: yajl with bounds. Depth is counted before yajl's state grows, a text
 * that is too long loses its end instead of filling the memory, and places are known on demand. */
#ifndef SL_FORMAT_JSON_STREAM_H
#define SL_FORMAT_JSON_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "format/json.h"

enum {
    SL_JSON_NUMBER_MAX = 1024, /* bytes of a number; longer ones are refused */
};

enum sl_json_event {
    SL_JSON_ON_NULL,
    SL_JSON_ON_BOOL,   /* text is "true" or "false" */
    SL_JSON_ON_NUMBER, /* text as written */
    SL_JSON_ON_TEXT,   /* decoded; not checked for UTF-8, which half a surrogate pair is not */
    SL_JSON_ON_KEY,    /* likewise */
    SL_JSON_ON_MAP,
    SL_JSON_ON_MAP_END,
    SL_JSON_ON_LIST,
    SL_JSON_ON_LIST_END,
};

/* Takes an event; text is a view for this call. May suspend the fiber. What is not SL_OK stops the
 * stream, and sl_json_stream_feed or _end returns it. */
typedef int (*sl_json_event_fn)(void *ctx, enum sl_json_event event, struct sl_str text,
                                struct sl_err *err);

struct sl_json_stream_options {
    size_t text_bytes_max; /* a longer text or key loses its end; 0: none does */
    bool many;             /* any number of values may follow each other, or none be there */
    bool places;           /* keep count of lines and columns */
};

struct sl_json_stream;

struct sl_json_stream *sl_json_stream_new(const struct sl_json_stream_options *options,
                                          sl_json_event_fn event, void *ctx);
void sl_json_stream_free(struct sl_json_stream *stream);

/* The next bytes, of any size; a UTF-8 byte order mark at the beginning is skipped. Fails with
 * SL_REJECTED ("malformed JSON near byte N: …", too deep, too long a number), or with what the
 * event function returned. After a failure the stream is of no more use. */
int sl_json_stream_feed(struct sl_json_stream *stream, const void *bytes, size_t size,
                        struct sl_err *err);

/* No more bytes will come. Fails as above; SL_REJECTED when a value is not complete. */
int sl_json_stream_end(struct sl_json_stream *stream, struct sl_err *err);

/* For the event function: bytes read up to the event's end; whether the end of a text or key is
 * lost (longer than text_bytes_max, blanks before it included; of other events it says nothing);
 * and (with places) where the event's last byte stands: for { and [ that is where they stand. */
uint64_t sl_json_stream_offset(const struct sl_json_stream *stream);
bool sl_json_stream_cut(const struct sl_json_stream *stream);
struct sl_json_place sl_json_stream_place(struct sl_json_stream *stream);

#endif
