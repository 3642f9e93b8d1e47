/* Reads the JSON form. The parser's events go, by where we are, to the envelope, to a row, to the
 * document builder, or nowhere (inside a field that we do not know):
 *
 *     START ─{─► ENVELOPE ─rows:[─► ROWS ─{─► ROW ─doc:{─► DOC
 *                   │ unknown                  │ unknown
 *                   └──────────► SKIP ◄────────┘
 *
 * A message lies whole in memory, so it is scanned; what the scan refuses yajl reads again from the
 * beginning, and takes it or tells where it is wrong. */
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/size.h"
#include "flow/envelope.h"
#include "format/extjson.h"
#include "format/json_scan.h"
#include "format/json_surrogates.h"
#include "format/number.h"
#include "format/yajl_memory.h"

enum { CHUNK_BYTES = SL_SIZE(32 * 1024, 128) };

enum place {
    START,    /* before the outermost object */
    ENVELOPE, /* in it */
    ROWS,     /* in its array of rows */
    ROW,      /* in one of them */
    DOC,      /* in its document */
    SKIP,     /* in a value that nobody asked for */
    END,      /* after the outermost object */
};

struct reader {
    struct sl_batch *batch;
    struct sl_envelope *envelope;
    struct sl_message_row row;
    const struct sl_message_field *field; /* whose value comes next; NULL: unknown */
    enum place place, back;               /* back: where SKIP returns to */
    unsigned skipped;                     /* open objects and arrays in SKIP */
    struct sl_extjson_builder builder;
    struct sl_err *err;
};

static int stop(struct reader *r, const char *why)
{
    sl_err_set(r->err, SL_REJECTED, "%s", why);
    return 0;
}

/* A scalar outside documents. */
static int scalar(struct reader *r, const struct sl_message_value *value)
{
    int rc = SL_OK;
    switch (r->place) {
    case ENVELOPE:
        if (r->field)
            rc = sl_message_put(&r->batch->arena, r->field, r->envelope, &r->envelope->seen, value,
                                r->err);
        return rc == SL_OK;
    case ROW:
        if (r->field)
            rc = sl_message_put(&r->batch->arena, r->field, &r->row, &r->row.seen, value, r->err);
        return rc == SL_OK ? 1 : (sl_err_wrap(r->err, "row %u", r->batch->count), 0);
    case SKIP:
        return 1;
    default:
        return stop(r, "expected an object");
    }
}

static int on_null(void *ctx)
{
    struct reader *r = ctx;
    if (r->place == DOC)
        return sl_extjson_null(&r->builder);
    if (r->place == START || r->place == ROWS)
        return stop(r, "expected an object");
    return 1; /* null is as good as absent */
}

static int on_bool(void *ctx, int truth)
{
    struct reader *r = ctx;
    if (r->place == DOC)
        return sl_extjson_bool(&r->builder, truth != 0);
    return scalar(r, &(struct sl_message_value){.kind = SL_VALUE_TRUTH, .truth = truth != 0});
}

static int on_number(void *ctx, const char *text, size_t length)
{
    struct reader *r = ctx;
    if (r->place == DOC)
        return sl_extjson_number(&r->builder, text, length);
    struct sl_message_value value = {.kind = SL_VALUE_WHOLE};
    if (sl_int64_parse(text, length, &value.whole) != SL_NUMBER_OK)
        value.kind = SL_VALUE_OTHER;
    return scalar(r, &value);
}

static int on_string(void *ctx, const unsigned char *text, size_t length)
{
    struct reader *r = ctx;
    if (r->place == DOC)
        return sl_extjson_string(&r->builder, (const char *)text, length);
    return scalar(r, &(struct sl_message_value){
                         .kind = SL_VALUE_TEXT, .text = {(const char *)text, length}
    });
}

static int on_key(void *ctx, const unsigned char *text, size_t length)
{
    struct reader *r = ctx;
    struct sl_str key = {(const char *)text, length};
    if (r->place == DOC)
        return sl_extjson_key(&r->builder, key.at, key.length);
    if (r->place == ENVELOPE)
        r->field = sl_envelope_field(key);
    else if (r->place == ROW)
        r->field = sl_row_field(key);
    return 1;
}

static int open_skip(struct reader *r)
{
    if (r->place != SKIP) {
        if (r->field)
            return stop(r, "a field of the envelope or of a row has the wrong type");
        r->back = r->place;
        r->place = SKIP;
        r->skipped = 0;
    }
    if (++r->skipped > SL_EXTJSON_DEPTH_MAX)
        return stop(r, "nested deeper than 64 levels");
    return 1;
}

static int close_skip(struct reader *r)
{
    if (!--r->skipped)
        r->place = r->back;
    return 1;
}

static int on_start_map(void *ctx)
{
    struct reader *r = ctx;
    switch (r->place) {
    case START:
        r->place = ENVELOPE;
        return 1;
    case ROWS:
        r->row = (struct sl_message_row){.op = ""};
        r->place = ROW;
        return 1;
    case ROW:
        if (!r->field || r->field->kind != SL_FIELD_DOC)
            return open_skip(r);
        r->place = DOC;
        sl_extjson_begin(&r->builder, &r->batch->arena, r->err);
        return sl_extjson_start_map(&r->builder);
    case DOC:
        return sl_extjson_start_map(&r->builder);
    default:
        return open_skip(r);
    }
}

static int on_end_map(void *ctx)
{
    struct reader *r = ctx;
    switch (r->place) {
    case DOC:
        if (!sl_extjson_end_map(&r->builder))
            return 0;
        if (sl_extjson_complete(&r->builder, &r->row.doc)) {
            sl_message_mark(r->field, &r->row.seen);
            r->row.sound = !sl_extjson_has_own(&r->builder);
            r->place = ROW;
        }
        return 1;
    case ROW:
        r->place = ROWS;
        return sl_message_add_row(r->batch, &r->row, r->err) == SL_OK;
    case ENVELOPE:
        r->place = END;
        return 1;
    default:
        return close_skip(r);
    }
}

static int on_start_array(void *ctx)
{
    struct reader *r = ctx;
    if (r->place == DOC)
        return sl_extjson_start_array(&r->builder);
    if (r->place == START || r->place == ROWS)
        return stop(r, "expected an object");
    if (r->place != ENVELOPE || !r->field || r->field->kind != SL_FIELD_ROWS)
        return open_skip(r);
    if (r->batch->count)
        return stop(r, "'rows' appears twice");
    sl_message_mark(r->field, &r->envelope->seen);
    r->place = ROWS;
    return 1;
}

static int on_end_array(void *ctx)
{
    struct reader *r = ctx;
    if (r->place == DOC)
        return sl_extjson_end_array(&r->builder);
    if (r->place != ROWS)
        return close_skip(r);
    r->place = ENVELOPE;
    r->field = NULL;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_bool,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

static int take_event(struct reader *r, enum sl_json_event event, struct sl_str text)
{
    switch (event) {
    case SL_JSON_ON_NULL:
        return on_null(r);
    case SL_JSON_ON_BOOL:
        return on_bool(r, *text.at == 't');
    case SL_JSON_ON_NUMBER:
        return on_number(r, text.at, text.length);
    case SL_JSON_ON_TEXT:
        return on_string(r, (const unsigned char *)text.at, text.length);
    case SL_JSON_ON_KEY:
        return on_key(r, (const unsigned char *)text.at, text.length);
    case SL_JSON_ON_MAP:
        return on_start_map(r);
    case SL_JSON_ON_MAP_END:
        return on_end_map(r);
    case SL_JSON_ON_LIST:
        return on_start_array(r);
    case SL_JSON_ON_LIST_END:
        return on_end_array(r);
    }
    return 0;
}

/* SL_OK; SL_END: the scan refuses the text; else what is wrong with the message, or SL_CANCELED. */
static int scan(struct reader *r, struct sl_str text)
{
    struct sl_json_scan scan;
    const char *breath = text.at;
    uint32_t rows = 0;
    int token, rc = SL_OK;
    sl_json_scan_init(&scan, text);
    r->builder.checked = true;
    while (rc == SL_OK && (token = sl_json_scan_next(&scan)) == SL_OK) {
        if (!take_event(r, scan.event, scan.text)) {
            rc = SL_REJECTED;
        } else if (r->batch->count - rows >= SL_MESSAGE_SLICE_ROWS ||
                   scan.at - breath >= SL_MESSAGE_SLICE_BYTES) {
            rows = r->batch->count;
            breath = scan.at;
            rc = sl_message_breathe(r->err);
        }
    }
    r->builder.checked = false;
    sl_json_scan_done(&scan);
    return rc != SL_OK ? rc : token == SL_END ? SL_OK : SL_END;
}

static yajl_status parse(yajl_handle yajl, struct sl_str bytes)
{
    return yajl_parse(yajl, (const unsigned char *)bytes.at, bytes.length);
}

static yajl_status parse_part(yajl_handle yajl, struct sl_json_surrogates *surrogates,
                              struct sl_str part)
{
    struct sl_str piece;
    yajl_status status = yajl_status_ok;
    while (status == yajl_status_ok && sl_json_surrogates_next(surrogates, &part, &piece))
        status = parse(yajl, piece);
    return status;
}

/* Feeds yajl piece by piece, so that a large message does not hold up the loop. */
static int feed(yajl_handle yajl, struct reader *r, const char *bytes, size_t size)
{
    size_t at = 0, breath = 0;
    uint32_t rows = 0;
    struct sl_json_surrogates surrogates = {0};
    yajl_status status = yajl_status_ok;
    while (at < size && status == yajl_status_ok) {
        size_t part = size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES;
        status = parse_part(yajl, &surrogates, (struct sl_str){bytes + at, part});
        at += part;
        if (r->batch->count - rows >= SL_MESSAGE_SLICE_ROWS ||
            at - breath >= SL_MESSAGE_SLICE_BYTES) {
            rows = r->batch->count;
            breath = at;
            if (sl_message_breathe(r->err) != SL_OK)
                return SL_CANCELED;
        }
    }
    if (status == yajl_status_ok)
        status = parse(yajl, sl_json_surrogates_rest(&surrogates));
    if (status == yajl_status_ok)
        status = yajl_complete_parse(yajl);
    if (status == yajl_status_ok && r->place == END)
        return SL_OK;
    if (status != yajl_status_client_canceled)
        sl_err_set(r->err, SL_REJECTED, "malformed JSON, at about byte %zu of %zu", at, size);
    return SL_REJECTED;
}

static int read_again(struct reader *r, const char *bytes, size_t size)
{
    yajl_handle yajl = yajl_alloc(&callbacks, sl_yajl_memory(), r);
    yajl_config(yajl, yajl_dont_validate_strings, 1); /* each text that is kept is checked */
    int rc = feed(yajl, r, bytes, size);
    yajl_free(yajl);
    return rc;
}

int sl_message_read_json(struct sl_batch *batch, const char *bytes, size_t size,
                         struct sl_envelope *ret, struct sl_err *err)
{
    const struct sl_envelope empty = *ret;
    struct reader reader = {.batch = batch, .envelope = ret, .err = err};
    sl_extjson_builder_init(&reader.builder);
    int rc = scan(&reader, (struct sl_str){bytes, size});
    if (rc == SL_END) {
        *ret = empty;
        batch->count = 0;
        batch->bytes = 0;
        reader.place = START;
        rc = read_again(&reader, bytes, size);
    }
    sl_extjson_builder_done(&reader.builder);
    return rc;
}
