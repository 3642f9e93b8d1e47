/* Where a chunk ends inside a text, yajl would keep all of it and read it again with each chunk
 * that follows. So the rest of such a text is gathered here until its closing quote has come, or is
 * dropped when it is too long:
 *
 *     BETWEEN ──chunk ends inside a text──► OPEN ──too long──► DROPPING
 *        ▲                                   │ "                  │ "
 *        └──────────── text given ◄──────────┴────────────────────┘
 */
#include "format/json_stream.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/mem.h"
#include "format/json_surrogates.h"
#include "format/yajl_memory.h"

enum state {
    BETWEEN,  /* not inside a text, as far as bytes were given */
    OPEN,     /* inside a text: yajl has its beginning, held what follows */
    DROPPING, /* likewise, but what follows is dropped */
};

/* How far a backslash sequence has come: 0 none, 1 after the backslash, 2-5 in its four digits. */
enum { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_DIGITS, ESCAPE_END = ESCAPE_DIGITS + 4 };

enum { MARK_BYTES = 3 };
static const char byte_order_mark[] = "\xef\xbb\xbf";

struct sl_json_stream {
    struct sl_json_stream_options options;
    sl_json_event_fn event;
    void *ctx;
    struct sl_json_surrogates surrogates;
    yajl_handle yajl;
    struct sl_err *err; /* of the running call */
    int rc;             /* of the first failure */
    unsigned depth;
    unsigned mark; /* bytes of the byte order mark seen; all: no longer looked for */
    bool cut;      /* the event's text, if it is one, has lost its end */

    const char *segment; /* what yajl reads just now */
    uint64_t base;       /* the segment's offset in the input */
    size_t last;         /* in the segment: the end of its newest event */
    uint64_t event_end;  /* in the input: the end of the newest event */

    enum state state;
    int escape;
    bool broken;         /* what was dropped of a text could not stand in one */
    uint64_t text_bytes; /* since the newest event, in the open text */
    size_t number_bytes; /* of a number that a chunk's end cut */
    struct sl_buf held;
    size_t dropped;

    size_t placed;               /* in the segment: what place is true of */
    struct sl_json_place place;  /* of the byte that comes next */
    struct sl_json_place before; /* of the last segment's last byte */
};

static int fail(struct sl_json_stream *s, const char *what)
{
    uint64_t at = s->base + (s->segment ? yajl_get_bytes_consumed(s->yajl) : 0);
    return sl_err_set(s->err, SL_REJECTED, "%s near byte %llu", what, (unsigned long long)at);
}

/* Hands an event on. True: yajl may go on. */
static inline int give(struct sl_json_stream *s, enum sl_json_event event, const void *text,
                       size_t length)
{
    size_t last = yajl_get_bytes_consumed(s->yajl);
    uint64_t end = s->base + last;
    s->cut = end - s->event_end > s->options.text_bytes_max;
    s->last = last;
    s->event_end = end;
    s->number_bytes = 0;
    s->rc = s->event(s->ctx, event, (struct sl_str){text, length}, s->err);
    return s->rc == SL_OK;
}

static int on_null(void *ctx)
{
    return give(ctx, SL_JSON_ON_NULL, "", 0);
}

static int on_bool(void *ctx, int truth)
{
    return give(ctx, SL_JSON_ON_BOOL, truth ? "true" : "false", truth ? 4 : 5);
}

static int too_long_a_number(struct sl_json_stream *s)
{
    return s->rc = fail(s, "a number of more than 1024 bytes");
}

static int on_number(void *ctx, const char *text, size_t length)
{
    if (length > SL_JSON_NUMBER_MAX)
        return too_long_a_number(ctx), 0;
    return give(ctx, SL_JSON_ON_NUMBER, text, length);
}

static int on_string(void *ctx, const unsigned char *text, size_t length)
{
    return give(ctx, SL_JSON_ON_TEXT, text, length);
}

static int on_key(void *ctx, const unsigned char *text, size_t length)
{
    return give(ctx, SL_JSON_ON_KEY, text, length);
}

static int open_level(struct sl_json_stream *s, enum sl_json_event event)
{
    if (s->depth == SL_JSON_DEPTH_MAX) {
        s->rc = fail(s, "JSON nested deeper than 64 levels,");
        return 0;
    }
    s->depth++;
    return give(s, event, "", 0);
}

static int close_level(struct sl_json_stream *s, enum sl_json_event event)
{
    s->depth--;
    return give(s, event, "", 0);
}

static int on_map(void *ctx)
{
    return open_level(ctx, SL_JSON_ON_MAP);
}

static int on_map_end(void *ctx)
{
    return close_level(ctx, SL_JSON_ON_MAP_END);
}

static int on_list(void *ctx)
{
    return open_level(ctx, SL_JSON_ON_LIST);
}

static int on_list_end(void *ctx)
{
    return close_level(ctx, SL_JSON_ON_LIST_END);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_bool,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_map_end,
    .yajl_start_array = on_list,
    .yajl_end_array = on_list_end,
};

struct sl_json_stream *sl_json_stream_new(const struct sl_json_stream_options *options,
                                          sl_json_event_fn event, void *ctx)
{
    struct sl_json_stream *s = SL_NEW(struct sl_json_stream);
    s->options = *options;
    if (!options->text_bytes_max)
        s->options.text_bytes_max = SIZE_MAX;
    s->event = event;
    s->ctx = ctx;
    s->place = s->before = (struct sl_json_place){1, 1};
    s->yajl = yajl_alloc(&callbacks, sl_yajl_memory(), s);
    yajl_config(s->yajl, yajl_dont_validate_strings, 1); /* the event function does */
    yajl_config(s->yajl, yajl_allow_multiple_values, options->many);
    return s;
}

void sl_json_stream_free(struct sl_json_stream *stream)
{
    if (!stream)
        return;
    yajl_free(stream->yajl);
    sl_buf_done(&stream->held);
    free(stream);
}

uint64_t sl_json_stream_offset(const struct sl_json_stream *stream)
{
    return stream->event_end;
}

bool sl_json_stream_cut(const struct sl_json_stream *stream)
{
    return stream->cut;
}

/* Moves place to that offset of the segment. */
static void place_to(struct sl_json_stream *s, size_t offset)
{
    const char *at = s->segment + s->placed, *end = s->segment + offset, *line;
    if (!s->options.places || at >= end)
        return;
    while ((line = memchr(at, '\n', (size_t)(end - at)))) {
        s->place = (struct sl_json_place){s->place.line + 1, 1};
        at = line + 1;
    }
    for (; at < end; at++)
        s->place.column += ((unsigned char)*at & 0xc0) != 0x80;
    s->placed = offset;
}

struct sl_json_place sl_json_stream_place(struct sl_json_stream *stream)
{
    if (!stream->segment)
        return stream->place;
    size_t end = yajl_get_bytes_consumed(stream->yajl);
    if (!end)
        return stream->before; /* a number that ended with the last segment */
    place_to(stream, end - 1);
    return stream->place;
}

/* The first failure stays: the stream is of no more use. */
static int stop(struct sl_json_stream *s, int rc)
{
    sl_json_stream_place(s);
    s->segment = NULL;
    return s->rc = rc;
}

/* yajl has stopped: because of an event, or of the bytes. */
static int stopped(struct sl_json_stream *s, yajl_status status)
{
    if (status == yajl_status_client_canceled)
        return stop(s, s->rc);
    unsigned char *why = yajl_get_error(s->yajl, 0, NULL, 0);
    char text[128] = "malformed JSON";
    if (why && strstr((const char *)why, "premature EOF"))
        snprintf(text, sizeof text, "JSON cut off");
    else if (why)
        snprintf(text, sizeof text, "malformed JSON (%.*s)", (int)strcspn((const char *)why, "\n"),
                 (const char *)why);
    yajl_free_error(s->yajl, why);
    return stop(s, fail(s, text));
}

/* Gives bytes to yajl. */
static int parse(struct sl_json_stream *s, const char *bytes, size_t size)
{
    s->segment = bytes;
    s->last = s->placed = 0;
    yajl_status status = yajl_parse(s->yajl, (const unsigned char *)bytes, size);
    if (status != yajl_status_ok)
        return stopped(s, status);
    place_to(s, size - 1);
    s->before = s->place;
    place_to(s, size);
    s->segment = NULL;
    s->base += size;
    return SL_OK;
}

/* Whether yajl would take that byte inside a text: what is dropped must not be judged more kindly
 * than what is kept. */
static bool may_stand(int escape, char c)
{
    if (escape == ESCAPE_BEGUN)
        return c && strchr("\"\\/bfnrtu", c);
    if (escape != ESCAPE_NONE)
        return isxdigit((unsigned char)c);
    return (unsigned char)c >= 0x20;
}

/* Reads on inside a text: returns where it goes on behind the closing quote (state is BETWEEN
 * then), or end. What is to be kept of it ends at *ret_keep: a text is not cut inside a backslash
 * sequence. */
static const char *text_end(struct sl_json_stream *s, const char *at, const char *end,
                            const char **ret_keep)
{
    size_t most = s->options.text_bytes_max;
    *ret_keep = s->state == DROPPING ? at : end;
    for (; at < end; at++, s->text_bytes++) {
        if (s->state == OPEN && s->escape == ESCAPE_NONE && s->text_bytes > most) {
            s->state = DROPPING;
            *ret_keep = at;
        }
        if (s->state == DROPPING && !may_stand(s->escape, *at)) {
            s->broken = true;
            return end;
        }
        if (s->escape == ESCAPE_BEGUN) {
            s->escape = *at == 'u' ? ESCAPE_DIGITS : ESCAPE_NONE;
        } else if (s->escape != ESCAPE_NONE) {
            s->escape = s->escape + 1 == ESCAPE_END ? ESCAPE_NONE : s->escape + 1;
        } else {
            if (*at == '"') {
                if (s->state == OPEN)
                    *ret_keep = at + 1;
                s->state = BETWEEN;
                return at + 1;
            }
            s->escape = *at == '\\' ? ESCAPE_BEGUN : ESCAPE_NONE;
        }
    }
    return end;
}

/* What yajl could not make an event of, at a chunk's end: does a text begin there? */
static int look_at_tail(struct sl_json_stream *s, const char *at, const char *end)
{
    const char *quote = memchr(at, '"', (size_t)(end - at)), *keep;
    if (quote) {
        s->state = OPEN;
        s->escape = ESCAPE_NONE;
        s->text_bytes = 0; /* yajl has all of it: nothing to cut yet */
        text_end(s, quote + 1, end, &keep);
        s->state = OPEN;
        s->broken = false; /* yajl has looked at it */
        s->text_bytes = s->base - s->event_end;
        return SL_OK;
    }
    for (; at < end; at++)
        s->number_bytes += !strchr(" \t\r\n,:", *at);
    return s->number_bytes > SL_JSON_NUMBER_MAX ? too_long_a_number(s) : SL_OK;
}

/* Bytes that belong to the text that was open at the last chunk's end: they are held, dropped, or
 * complete it. *at moves to where parsing goes on. */
static int go_on_in_text(struct sl_json_stream *s, const char **at, const char *end)
{
    const char *begin = *at, *keep;
    const char *next = text_end(s, begin, end, &keep);
    if (s->broken)
        return stop(s, fail(s, "malformed JSON (an invalid character inside a text)"));
    if (s->state != BETWEEN) {
        sl_buf_add(&s->held, begin, (size_t)(keep - begin));
        s->dropped += (size_t)(end - keep);
        *at = end;
        return SL_OK;
    }
    if (keep == next && !s->held.length)
        return SL_OK; /* nearly always: yajl gets the rest as it is */

    sl_buf_add(&s->held, begin, (size_t)(keep - begin));
    int rc = s->held.length ? parse(s, s->held.data, s->held.length) : SL_OK;
    sl_buf_clear(&s->held);
    *at = next;
    if (rc == SL_OK && keep < next) {
        *at = next - 1; /* the quote */
        s->dropped += (size_t)(*at - keep);
        s->base += s->dropped;
        s->place.column += (uint32_t)s->dropped;
        s->dropped = 0;
    }
    return rc;
}

/* The byte order mark at the very beginning, also in pieces. One that breaks off is left to yajl,
 * which refuses it. */
static int skip_mark(struct sl_json_stream *s, const char **at, const char *end)
{
    while (s->mark < MARK_BYTES && *at < end && **at == byte_order_mark[s->mark]) {
        s->mark++;
        s->base++;
        ++*at;
    }
    if (*at == end || s->mark == MARK_BYTES)
        return SL_OK;
    unsigned broken = s->mark;
    s->mark = MARK_BYTES;
    s->base -= broken;
    return broken ? parse(s, byte_order_mark, broken) : SL_OK;
}

static int feed(struct sl_json_stream *s, struct sl_str bytes)
{
    const char *at = bytes.at, *end = at + bytes.length;
    int rc = SL_OK;
    if (s->mark < MARK_BYTES)
        rc = skip_mark(s, &at, end);
    if (rc != SL_OK || at == end)
        return rc;
    if (s->state != BETWEEN)
        rc = go_on_in_text(s, &at, end);
    if (rc != SL_OK || at == end)
        return rc;
    rc = parse(s, at, (size_t)(end - at));
    return rc == SL_OK ? look_at_tail(s, at + s->last, end) : rc;
}

int sl_json_stream_feed(struct sl_json_stream *stream, const void *bytes, size_t size,
                        struct sl_err *err)
{
    struct sl_str left = {bytes, size}, piece;
    int rc = SL_OK;
    if (stream->rc != SL_OK)
        return sl_err_set(err, stream->rc, "reading JSON has failed before");
    stream->err = err;
    while (rc == SL_OK && sl_json_surrogates_next(&stream->surrogates, &left, &piece))
        rc = feed(stream, piece);
    return rc;
}

int sl_json_stream_end(struct sl_json_stream *stream, struct sl_err *err)
{
    if (stream->rc != SL_OK)
        return sl_err_set(err, stream->rc, "reading JSON has failed before");
    stream->err = err;
    int rc = feed(stream, sl_json_surrogates_rest(&stream->surrogates));
    if (rc != SL_OK)
        return rc;
    if (stream->state != BETWEEN) {
        stream->base += stream->held.length + stream->dropped;
        return stop(stream, fail(stream, "JSON cut off inside a text"));
    }
    yajl_status status = yajl_complete_parse(stream->yajl);
    bool nothing = !stream->event_end && !stream->number_bytes;
    if (status == yajl_status_ok || (stream->options.many && nothing))
        return SL_OK;
    return stopped(stream, status);
}
