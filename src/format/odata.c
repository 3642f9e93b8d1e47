/* The answer around the rows:
 *
 *     START ─{─► ANSWER ─"value":[─► ROWS ─{─► ROW
 *       │          │ other:{ [                 ▲
 *       │          └──────────► SKIP           │
 *       └─ single: { ──────────────────────────┘
 */
#include "format/odata.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/odata_own.h"

enum { LINK_BYTES = SL_SIZE(64 * 1024, 256) }; /* a link may be so long, however small rows are */

enum place {
    START,
    ANSWER, /* among the members of the outermost object */
    ROWS,   /* in its array of rows */
    ROW,
    SKIP, /* in a member that nobody asked for */
    END,
};

enum member { OTHER, VALUE, NEXT_LINK, DELTA_LINK };

struct sl_odata {
    struct sl_odata_options options;
    struct sl_json_stream *stream;
    struct sl_odata_row_maker maker;
    enum place place;
    enum member member; /* whose value comes next in ANSWER */
    unsigned skipped;   /* open objects and arrays in SKIP */
    bool has_rows;      /* the array has been there */
    char *next_link, *delta_link;
};

static int not_such(struct sl_odata *o, const char *what, struct sl_err *err)
{
    return sl_err_set(err, SL_REJECTED, "no answer with rows: %s near byte %llu", what,
                      (unsigned long long)sl_json_stream_offset(o->stream));
}

static void name_member(struct sl_odata *o, struct sl_str name)
{
    o->member = sl_str_is(name, "value")              ? VALUE
                : sl_str_is(name, "@odata.nextLink")  ? NEXT_LINK
                : sl_str_is(name, "@odata.deltaLink") ? DELTA_LINK
                                                      : OTHER;
}

/* Links are opaque and followed as they are: one that is damaged must not be. */
static int take_link(struct sl_odata *o, struct sl_str text, struct sl_err *err)
{
    char **link = o->member == NEXT_LINK ? &o->next_link : &o->delta_link;
    if (*link)
        return not_such(o, "a second link of one kind", err);
    if (sl_json_stream_cut(o->stream) || !sl_utf8_valid(text.at, text.length))
        return not_such(o, "a link that is too long or not UTF-8", err);
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.at[i] <= ' ')
            return not_such(o, "a link with a blank or control character", err);
    if (text.length)
        *link = sl_strndup(text.at, text.length);
    return SL_OK;
}

static int scalar(struct sl_odata *o, enum sl_json_event event, struct sl_str text,
                  struct sl_err *err)
{
    if (o->member == VALUE)
        return not_such(o, "'value' is no array", err);
    if (o->member == OTHER || event == SL_JSON_ON_NULL)
        return SL_OK;
    if (event != SL_JSON_ON_TEXT)
        return not_such(o, "a link that is no text", err);
    return take_link(o, text, err);
}

static int begin_member(struct sl_odata *o, enum sl_json_event event, struct sl_err *err)
{
    if (o->member == OTHER) {
        o->place = SKIP;
        o->skipped = 1;
        return SL_OK;
    }
    if (o->member != VALUE || event != SL_JSON_ON_LIST)
        return not_such(o, "'value' is no array, or a link no text", err);
    if (o->has_rows)
        return not_such(o, "a second 'value'", err);
    o->has_rows = true;
    o->place = ROWS;
    return SL_OK;
}

static int answer_event(struct sl_odata *o, enum sl_json_event event, struct sl_str text,
                        struct sl_err *err)
{
    switch (event) {
    case SL_JSON_ON_KEY:
        name_member(o, text);
        return SL_OK;
    case SL_JSON_ON_MAP_END:
        o->place = END;
        return SL_OK;
    case SL_JSON_ON_MAP:
    case SL_JSON_ON_LIST:
        return begin_member(o, event, err);
    default:
        return scalar(o, event, text, err);
    }
}

static int rows_event(struct sl_odata *o, enum sl_json_event event, struct sl_err *err)
{
    if (event == SL_JSON_ON_LIST_END) {
        o->place = ANSWER;
        return SL_OK;
    }
    if (event != SL_JSON_ON_MAP)
        return not_such(o, "a row that is no object", err);
    o->place = ROW;
    sl_odata_row_begin(&o->maker);
    return SL_OK;
}

static int row_event(struct sl_odata *o, enum sl_json_event event, struct sl_str text,
                     struct sl_err *err)
{
    int rc = sl_odata_row_event(&o->maker, event, text, sl_json_stream_cut(o->stream), err);
    if (rc == SL_OK && o->maker.place == SL_ODATA_ROW_DONE)
        o->place = o->options.single ? END : ROWS;
    return rc;
}

static void skip_event(struct sl_odata *o, enum sl_json_event event)
{
    if (event == SL_JSON_ON_MAP || event == SL_JSON_ON_LIST)
        o->skipped++;
    else if (event == SL_JSON_ON_MAP_END || event == SL_JSON_ON_LIST_END)
        o->skipped--;
    if (!o->skipped)
        o->place = ANSWER;
}

static int on_event(void *ctx, enum sl_json_event event, struct sl_str text, struct sl_err *err)
{
    struct sl_odata *o = ctx;
    switch (o->place) {
    case ROW:
        return row_event(o, event, text, err);
    case ROWS:
        return rows_event(o, event, err);
    case ANSWER:
        return answer_event(o, event, text, err);
    case SKIP:
        skip_event(o, event);
        return SL_OK;
    default:
        if (event != SL_JSON_ON_MAP)
            return not_such(o, "no object", err);
        o->place = o->options.single ? ROW : ANSWER;
        if (o->options.single)
            sl_odata_row_begin(&o->maker);
        return SL_OK;
    }
}

struct sl_odata *sl_odata_new(const struct sl_odata_options *options,
                              const struct sl_odata_handler *handler, void *ctx)
{
    struct sl_odata *odata = SL_NEW(struct sl_odata);
    odata->options = *options;
    sl_odata_row_maker_init(&odata->maker, &odata->options, handler, ctx);
    size_t most = options->max_row_bytes;
    struct sl_json_stream_options bounds = {
        .text_bytes_max = most < LINK_BYTES ? LINK_BYTES : most,
    };
    odata->stream = sl_json_stream_new(&bounds, on_event, odata);
    return odata;
}

void sl_odata_free(struct sl_odata *odata)
{
    if (!odata)
        return;
    sl_json_stream_free(odata->stream);
    sl_odata_row_maker_done(&odata->maker);
    free(odata->next_link);
    free(odata->delta_link);
    free(odata);
}

int sl_odata_feed(struct sl_odata *odata, const void *bytes, size_t size, struct sl_err *err)
{
    return sl_json_stream_feed(odata->stream, bytes, size, err);
}

int sl_odata_end(struct sl_odata *odata, struct sl_err *err)
{
    int rc = sl_json_stream_end(odata->stream, err);
    if (rc == SL_OK && !odata->options.single && !odata->has_rows)
        return not_such(odata, "no array 'value'", err);
    return rc;
}

const char *sl_odata_next_link(const struct sl_odata *odata)
{
    return odata->next_link;
}

const char *sl_odata_delta_link(const struct sl_odata *odata)
{
    return odata->delta_link;
}

uint64_t sl_odata_rows(const struct sl_odata *odata)
{
    return odata->maker.row;
}
