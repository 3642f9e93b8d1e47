/* Posted rows. Between { and } of a row, events go to the document builder, but for the values of
 * columns with a type:
 *
 *     START ─[─► ROWS ─{─► ROW ─key of a typed column─► TYPED ─scalar─► ROW
 *       │                   ▲ │                           │ {
 *       └────── { ──────────┘ └─ } ─► ROWS, START or END  └─► WRAPPED: {"$numberDecimal":"1.5"}
 */
#include "format/json_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/size.h"
#include "format/bson_twice.h"
#include "format/extjson.h"
#include "format/json_stream.h"

enum { TEXT_BYTES = SL_SIZE(64 * 1024, 256), NAME_SHOWN = 80 };

enum place {
    START, /* a post, or a line, begins */
    ROWS,  /* in the array of rows */
    ROW,
    TYPED,         /* a typed column's value comes next */
    WRAPPED,       /* after its { */
    WRAPPED_VALUE, /* after the key in it */
    WRAPPED_END,   /* only } may follow */
    END,
};

struct sl_json_rows {
    struct sl_json_rows_options options;
    const struct sl_json_rows_handler *handler;
    void *ctx;
    struct sl_json_stream *stream;
    struct sl_extjson_builder builder;
    struct sl_arena arena; /* of the current row's document */
    enum place place;
    bool in_array;
    unsigned depth;                /* open objects and arrays, the row's own included */
    const struct sl_column *typed; /* whose value comes */
    struct sl_buf column;          /* the top field that is being read */
    uint64_t count;
    struct sl_json_place begin;
    uint32_t end_line; /* of the row before */
    bool told;         /* the failure has been told, or is the callback's own */
};

/* Fails the post; reason is err's message. */
static int tell(struct sl_json_rows *r, struct sl_err *err)
{
    struct sl_json_place at = sl_json_stream_place(r->stream);
    bool in_row = r->place >= ROW && r->place < END;
    struct sl_json_rows_fault fault = {
        .row = r->count + in_row,
        .column = in_row && r->column.length ? r->column.data : "",
        .reason = err->message,
        .line = at.line,
        .offset = at.column,
    };
    r->told = true;
    if (r->handler->fault)
        r->handler->fault(r->ctx, &fault);
    if (in_row)
        return sl_err_wrap(err, "line %u, row %llu", fault.line, (unsigned long long)fault.row);
    return sl_err_wrap(err, "line %u", fault.line);
}

static int refuse(struct sl_json_rows *r, const char *why, struct sl_err *err)
{
    sl_err_set(err, SL_REJECTED, "%s", why);
    return tell(r, err);
}

/* Likewise, naming the field. */
static int refuse_field(struct sl_json_rows *r, const char *why, struct sl_err *err)
{
    sl_err_set(err, SL_REJECTED, "column '%.*s': %s", NAME_SHOWN,
               r->column.length ? r->column.data : "", why);
    return tell(r, err);
}

static int begin_row(struct sl_json_rows *r, struct sl_err *err)
{
    r->begin = sl_json_stream_place(r->stream);
    if (r->options.lines && r->begin.line == r->end_line)
        return refuse(r, "expected one object a line", err);
    sl_arena_done(&r->arena);
    sl_buf_clear(&r->column);
    sl_extjson_begin(&r->builder, &r->arena, err);
    sl_extjson_start_map(&r->builder);
    r->place = ROW;
    r->depth = 1;
    return SL_OK;
}

static int end_row(struct sl_json_rows *r, struct sl_err *err)
{
    struct sl_json_row row = {
        .number = r->count + 1, .line = r->begin.line, .column = r->begin.column};
    struct sl_str twice;
    sl_extjson_complete(&r->builder, &row.doc);
    r->end_line = sl_json_stream_place(r->stream).line;
    sl_buf_clear(&r->column);
    if (r->options.lines && r->end_line != r->begin.line)
        return refuse(r, "the object does not end on the line where it begins", err);
    if (row.doc.length > r->options.max_row_bytes)
        return refuse(r, "the row is larger than limits.max_row", err);
    if (sl_bson_twice(row.doc, &twice)) {
        sl_buf_add(&r->column, twice.at, twice.length);
        return refuse_field(r, "it appears twice in its object", err);
    }
    r->count++;
    r->place = r->in_array ? ROWS : r->options.lines ? START : END;
    int rc = r->handler->row(r->ctx, &row, err);
    r->told = rc != SL_OK;
    return rc;
}

/* An event for the builder. */
static int build(struct sl_json_rows *r, enum sl_json_event event, struct sl_str text,
                 struct sl_err *err)
{
    r->builder.err = err;
    return sl_extjson_event(&r->builder, event, text) ? SL_OK : refuse_field(r, err->message, err);
}

/* A field of the row itself. */
static int top_key(struct sl_json_rows *r, struct sl_str name, struct sl_err *err)
{
    sl_buf_clear(&r->column);
    sl_buf_add(&r->column, name.at, sl_utf8_cut(name.at, name.length, 4 * NAME_SHOWN));
    if (sl_str_is(name, "_id") || sl_str_is(name, "_sluice"))
        return refuse_field(r, "this name is sluice's own", err);
    r->typed = NULL;
    if (r->handler->column && r->handler->column(r->ctx, name, &r->typed, err) != SL_OK)
        return refuse_field(r, err->message, err);
    if (r->typed) {
        r->place = TYPED;
        return SL_OK;
    }
    return build(r, SL_JSON_ON_KEY, name, err);
}

static int row_event(struct sl_json_rows *r, enum sl_json_event event, struct sl_str text,
                     struct sl_err *err)
{
    if (event == SL_JSON_ON_KEY && r->depth == 1)
        return top_key(r, text, err);
    if (event == SL_JSON_ON_MAP || event == SL_JSON_ON_LIST)
        r->depth++;
    else if (event == SL_JSON_ON_MAP_END || event == SL_JSON_ON_LIST_END)
        r->depth--;
    int rc = build(r, event, text, err);
    return rc == SL_OK && !r->depth ? end_row(r, err) : rc;
}

static enum sl_json_kind kind_of(enum sl_json_event event)
{
    static const enum sl_json_kind kinds[] = {
        [SL_JSON_ON_NULL] = SL_JSON_NULL,     [SL_JSON_ON_BOOL] = SL_JSON_BOOL,
        [SL_JSON_ON_NUMBER] = SL_JSON_NUMBER, [SL_JSON_ON_TEXT] = SL_JSON_TEXT,
        [SL_JSON_ON_KEY] = SL_JSON_TEXT,      [SL_JSON_ON_MAP] = SL_JSON_MAP,
        [SL_JSON_ON_MAP_END] = SL_JSON_MAP,   [SL_JSON_ON_LIST] = SL_JSON_LIST,
        [SL_JSON_ON_LIST_END] = SL_JSON_LIST,
    };
    return kinds[event];
}

static int wrong_kind(struct sl_json_rows *r, enum sl_json_event event, struct sl_err *err)
{
    char why[80];
    snprintf(why, sizeof why, "expected %s, found %s", sl_type_name(r->typed->type),
             sl_json_kind_name(kind_of(event)));
    return refuse_field(r, why, err);
}

static int put_typed(struct sl_json_rows *r, enum sl_json_kind kind, struct sl_str text,
                     struct sl_err *err)
{
    int rc = sl_column_append(&r->builder.writer, r->typed, kind, text, NULL, err);
    return rc == SL_OK ? SL_OK : tell(r, err);
}

static int typed_event(struct sl_json_rows *r, enum sl_json_event event, struct sl_str text,
                       struct sl_err *err)
{
    if (event == SL_JSON_ON_MAP) {
        r->place = WRAPPED;
        return SL_OK;
    }
    if (event == SL_JSON_ON_LIST)
        return wrong_kind(r, event, err);
    int rc = put_typed(r, kind_of(event), text, err);
    if (rc == SL_OK)
        r->place = ROW;
    return rc;
}

/* Which wrapped values a column may have: a number's text is read by the column's type. */
static bool may_wrap(enum sl_type type, enum sl_extjson_word word)
{
    switch (word) {
    case SL_EXTJSON_DATE:
        return type == SL_TYPE_DATE;
    case SL_EXTJSON_DECIMAL:
    case SL_EXTJSON_LONG:
    case SL_EXTJSON_DOUBLE:
    case SL_EXTJSON_INT:
        return type == SL_TYPE_INT || type == SL_TYPE_DECIMAL || type == SL_TYPE_DOUBLE;
    default:
        return false;
    }
}

/* The builder reads it: a wrapped date has two forms, one of them an object of its own. */
static int wrapped_date(struct sl_json_rows *r, struct sl_str word, struct sl_err *err)
{
    int rc = build(r, SL_JSON_ON_KEY, r->typed->name, err);
    if (rc == SL_OK)
        rc = build(r, SL_JSON_ON_MAP, (struct sl_str){"", 0}, err);
    r->place = ROW;
    r->depth++;
    return rc == SL_OK ? build(r, SL_JSON_ON_KEY, word, err) : rc;
}

static int wrapped_event(struct sl_json_rows *r, enum sl_json_event event, struct sl_str text,
                         struct sl_err *err)
{
    if (r->place == WRAPPED && event == SL_JSON_ON_KEY &&
        may_wrap(r->typed->type, sl_extjson_word_of(text.at, text.length))) {
        if (r->typed->type == SL_TYPE_DATE)
            return wrapped_date(r, text, err);
        r->place = WRAPPED_VALUE;
        return SL_OK;
    }
    if (r->place == WRAPPED_VALUE && event == SL_JSON_ON_TEXT && text.length) {
        r->place = WRAPPED_END;
        return put_typed(r, SL_JSON_TEXT, text, err);
    }
    if (r->place == WRAPPED_END && event == SL_JSON_ON_MAP_END) {
        r->place = ROW;
        return SL_OK;
    }
    return wrong_kind(r, SL_JSON_ON_MAP, err);
}

static int start_event(struct sl_json_rows *r, enum sl_json_event event, struct sl_err *err)
{
    if (event == SL_JSON_ON_MAP)
        return begin_row(r, err);
    if (event != SL_JSON_ON_LIST || r->options.lines || r->in_array)
        return refuse(r,
                      r->options.lines || r->in_array ? "expected an object"
                                                      : "expected an object, or an array of them",
                      err);
    r->in_array = true;
    r->place = ROWS;
    return SL_OK;
}

static int on_event(void *ctx, enum sl_json_event event, struct sl_str text, struct sl_err *err)
{
    struct sl_json_rows *r = ctx;
    bool in_row = r->place >= ROW && r->place < END;
    bool has_text = event == SL_JSON_ON_TEXT || event == SL_JSON_ON_KEY;
    if (in_row && ((has_text && sl_json_stream_cut(r->stream)) ||
                   sl_bson_size(&r->builder.writer) > r->options.max_row_bytes))
        return refuse(r, "the row is larger than limits.max_row", err);
    switch (r->place) {
    case START:
        return start_event(r, event, err);
    case ROWS:
        if (event != SL_JSON_ON_LIST_END)
            return start_event(r, event, err);
        r->place = END;
        return SL_OK;
    case ROW:
        return row_event(r, event, text, err);
    case TYPED:
        return typed_event(r, event, text, err);
    case END:
        return refuse(r, "expected the end", err);
    default:
        return wrapped_event(r, event, text, err);
    }
}

struct sl_json_rows *sl_json_rows_new(const struct sl_json_rows_options *options,
                                      const struct sl_json_rows_handler *handler, void *ctx)
{
    struct sl_json_rows *rows = SL_NEW(struct sl_json_rows);
    rows->options = *options;
    rows->handler = handler;
    rows->ctx = ctx;
    sl_extjson_builder_init(&rows->builder);
    sl_arena_init(&rows->arena, SL_ARENA_BLOCK_BYTES);
    size_t most = options->max_row_bytes;
    struct sl_json_stream_options bounds = {
        .text_bytes_max = most < TEXT_BYTES ? TEXT_BYTES : most,
        .many = options->lines,
        .places = true,
    };
    rows->stream = sl_json_stream_new(&bounds, on_event, rows);
    return rows;
}

void sl_json_rows_free(struct sl_json_rows *rows)
{
    if (!rows)
        return;
    sl_json_stream_free(rows->stream);
    sl_extjson_builder_done(&rows->builder);
    sl_arena_done(&rows->arena);
    sl_buf_done(&rows->column);
    free(rows);
}

int sl_json_rows_feed(struct sl_json_rows *rows, const void *bytes, size_t size, struct sl_err *err)
{
    struct sl_err unwanted = {0};
    err = err ? err : &unwanted;
    int rc = sl_json_stream_feed(rows->stream, bytes, size, err);
    return rc == SL_OK || rows->told ? rc : tell(rows, err);
}

int sl_json_rows_end(struct sl_json_rows *rows, struct sl_err *err)
{
    struct sl_err unwanted = {0};
    err = err ? err : &unwanted;
    int rc = sl_json_stream_end(rows->stream, err);
    return rc == SL_OK || rows->told ? rc : tell(rows, err);
}

uint64_t sl_json_rows_count(const struct sl_json_rows *rows)
{
    return rows->count;
}
