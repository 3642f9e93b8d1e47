/* A row's document, field by field. A row that turns out bad is read to its end all the same: its
 * id may come last, and what can be shown of it is collected, up to SL_ODATA_RAW_BYTES. */
#include <stdio.h>
#include <string.h>

#include "format/extjson_value.h"
#include "format/number.h"
#include "format/odata_own.h"

static size_t limit_bytes(const struct sl_odata_row_maker *m)
{
    return m->code ? SL_ODATA_RAW_BYTES : m->options->max_row_bytes;
}

/* Nothing more is added: what is there ends with the last field that fits. */
static void fill_up(struct sl_odata_row_maker *m)
{
    sl_bson_cut(&m->writer, m->safe);
    m->full = true;
}

static void too_large(struct sl_odata_row_maker *m)
{
    sl_odata_row_spoil(m, "too_large", "the row is larger than limits.max_row");
    if (!m->full)
        fill_up(m);
}

void sl_odata_row_spoil(struct sl_odata_row_maker *maker, const char *code, const char *reason)
{
    if (maker->code)
        return;
    maker->code = code;
    snprintf(maker->reason, sizeof maker->reason, "%s", reason);
    sl_text_clean(maker->reason);
    if (!sl_utf8_valid(maker->reason, strlen(maker->reason))) /* clipped inside a character */
        for (char *at = maker->reason; *at; at++)
            *at = (unsigned char)*at < 0x80 ? *at : '?';
    if (sl_bson_size(&maker->writer) >= SL_ODATA_RAW_BYTES)
        fill_up(maker);
}

/* A field has been added. */
static void field_added(struct sl_odata_row_maker *m)
{
    size_t size = sl_bson_size(&m->writer);
    if (size >= limit_bytes(m))
        too_large(m);
    else if (size < SL_ODATA_RAW_BYTES)
        m->safe = size;
}

/* By what JSON says it is. NULL when done, else the dead letter's code. */
static const char *append_number(struct sl_bson_writer *writer, struct sl_bson_key key,
                                 struct sl_str text)
{
    int64_t whole;
    double real;
    struct sl_decimal decimal;
    if (sl_int64_parse(text.at, text.length, &whole) == SL_NUMBER_OK)
        sl_bson_add_int64(writer, key, whole);
    else if (sl_decimal_parse(text.at, text.length, &decimal) == SL_NUMBER_OK)
        sl_bson_add_decimal(writer, key, decimal);
    else if (sl_double_parse(text.at, text.length, &real) == SL_NUMBER_OK)
        sl_bson_add_double(writer, key, real);
    else
        return "untypable";
    return NULL;
}

static const char *append_any(struct sl_bson_writer *writer, struct sl_bson_key key,
                              enum sl_json_kind kind, struct sl_str text)
{
    switch (kind) {
    case SL_JSON_NULL:
        sl_bson_add_null(writer, key);
        return NULL;
    case SL_JSON_BOOL:
        sl_bson_add_bool(writer, key, *text.at == 't');
        return NULL;
    case SL_JSON_NUMBER:
        return append_number(writer, key, text);
    default:
        if (!sl_utf8_valid(text.at, text.length))
            return "bad_utf8";
        sl_bson_add_utf8(writer, key, text.at, text.length);
        return NULL;
    }
}

/* A value by what JSON says it is; false when it spoils the row. */
static bool put_any(struct sl_odata_row_maker *m, struct sl_bson_key key, enum sl_json_kind kind,
                    struct sl_str text)
{
    char reason[SL_ERR_TEXT_BYTES];
    const char *code = append_any(&m->writer, key, kind, text);
    if (!code)
        return true;
    snprintf(reason, sizeof reason, "column '%.80s': %s %s", m->member->name.at,
             kind == SL_JSON_TEXT ? "a text" : "a number",
             kind == SL_JSON_TEXT ? sl_utf8_fault(text.at, text.length) : "is out of range");
    sl_odata_row_spoil(m, code, reason);
    return false;
}

/* The service knows its types: a value of another kind means that the metadata is stale. */
static bool fits(enum sl_type type, enum sl_json_kind kind)
{
    switch (type) {
    case SL_TYPE_STRING:
    case SL_TYPE_DATE:
        return kind == SL_JSON_TEXT;
    case SL_TYPE_BOOL:
        return kind == SL_JSON_BOOL;
    default:
        return kind == SL_JSON_NUMBER || kind == SL_JSON_TEXT;
    }
}

static bool clash(struct sl_odata_row_maker *m, enum sl_json_kind kind)
{
    char reason[SL_ERR_TEXT_BYTES];
    snprintf(reason, sizeof reason, "column '%.80s': expected %s, found %s", m->member->name.at,
             sl_type_name(m->member->column->type), sl_json_kind_name(kind));
    sl_odata_row_spoil(m, "untypable", reason);
    return false;
}

/* A value by its column's type; false when it spoils the row. */
static bool put_typed(struct sl_odata_row_maker *m, enum sl_json_kind kind, struct sl_str text)
{
    const struct sl_column *column = m->member->column;
    bool empty = kind == SL_JSON_TEXT && !text.length && column->type != SL_TYPE_STRING;
    const char *code;
    struct sl_err why;
    if (kind != SL_JSON_NULL && (empty || !fits(column->type, kind)))
        return clash(m, kind);
    if (sl_column_append(&m->writer, column, kind, text, &code, &why) == SL_OK)
        return true;
    sl_odata_row_spoil(m, code, why.message);
    return false;
}

/* The value that spoiled the row, as text. */
static void append_offender(struct sl_odata_row_maker *m, struct sl_str text)
{
    size_t used = sl_bson_size(&m->writer) + m->member->column->key.size + 8;
    if (m->full || used >= SL_ODATA_RAW_BYTES || !sl_utf8_valid(text.at, text.length))
        return;
    size_t length = sl_utf8_cut(text.at, text.length, SL_ODATA_RAW_BYTES - used);
    sl_bson_add_utf8(&m->writer, m->member->column->key, text.at, length);
}

/* A scalar of the row itself. */
static void put(struct sl_odata_row_maker *m, enum sl_json_kind kind, struct sl_str text, bool cut)
{
    const struct sl_odata_member *member = m->member;
    if (member->control != SL_ODATA_FIELD) {
        sl_odata_row_control(m, kind, text);
        return;
    }
    if (member->roles && !cut)
        sl_odata_row_role(m, kind, text);
    if (!member->column->keep || m->full)
        return;
    if (cut || text.length >= limit_bytes(m)) {
        too_large(m);
        return;
    }
    bool good =
        member->typed ? put_typed(m, kind, text) : put_any(m, member->column->key, kind, text);
    if (!good)
        append_offender(m, text);
    field_added(m);
}

/* An object or array is not kept: it is skipped with all that is in it. */
static int skip(struct sl_odata_row_maker *m, unsigned open)
{
    m->back = m->place;
    m->place = SL_ODATA_IN_SKIP;
    m->skipped = open;
    return SL_OK;
}

static struct sl_bson_key nested_key(struct sl_odata_row_maker *m, char storage[16])
{
    if (m->in_array >> (m->depth - 1) & 1)
        return sl_bson_next_index(&m->writer, storage);
    return (struct sl_bson_key){m->key.data, (uint32_t)m->key.length};
}

static void open_nested(struct sl_odata_row_maker *m, struct sl_bson_key key, bool array)
{
    uint64_t bit = 1ull << m->depth++;
    m->in_array = array ? m->in_array | bit : m->in_array & ~bit;
    m->map_begins = !array;
    if (array)
        sl_bson_open_array(&m->writer, key);
    else
        sl_bson_open_doc(&m->writer, key);
}

/* What was built of the nested value is dropped, and so is the rest of it. */
static int abandon(struct sl_odata_row_maker *m)
{
    if (!m->full)
        sl_bson_cut(&m->writer, m->field);
    unsigned open = m->depth;
    m->place = SL_ODATA_IN_ROW;
    m->depth = 0;
    return skip(m, open);
}

static int begin_value(struct sl_odata_row_maker *m, bool array)
{
    struct sl_odata_member *member = m->member;
    if (member->control != SL_ODATA_FIELD || !member->column->keep || m->full) {
        sl_odata_row_control(m, array ? SL_JSON_LIST : SL_JSON_MAP, (struct sl_str){"", 0});
        return skip(m, 1);
    }
    if (member->typed) {
        clash(m, array ? SL_JSON_LIST : SL_JSON_MAP);
        return skip(m, 1);
    }
    m->field = sl_bson_size(&m->writer);
    m->place = SL_ODATA_IN_NESTED;
    open_nested(m, member->column->key, array);
    return SL_OK;
}

static int row_event(struct sl_odata_row_maker *m, enum sl_json_event event, struct sl_str text,
                     bool cut, struct sl_err *err)
{
    switch (event) {
    case SL_JSON_ON_KEY:
        m->member = sl_odata_member_of(m, text);
        if (m->member)
            return SL_OK;
        return sl_err_set(err, SL_REJECTED, "rows with more than %d different columns",
                          SL_ODATA_NAMES_MAX);
    case SL_JSON_ON_TEXT:
        put(m, SL_JSON_TEXT, text, cut);
        return SL_OK;
    case SL_JSON_ON_NUMBER:
        put(m, SL_JSON_NUMBER, text, false);
        return SL_OK;
    case SL_JSON_ON_NULL:
        put(m, SL_JSON_NULL, text, false);
        return SL_OK;
    case SL_JSON_ON_BOOL:
        put(m, SL_JSON_BOOL, text, false);
        return SL_OK;
    case SL_JSON_ON_MAP:
        return begin_value(m, false);
    case SL_JSON_ON_LIST:
        return begin_value(m, true);
    default:
        m->place = SL_ODATA_ROW_DONE;
        return sl_odata_row_finish(m, err);
    }
}

static int put_nested(struct sl_odata_row_maker *m, enum sl_json_kind kind, struct sl_str text,
                      bool cut)
{
    char storage[16];
    if (m->ignore_nested) {
        m->ignore_nested = false;
        return SL_OK;
    }
    if (cut || sl_bson_size(&m->writer) + text.length >= limit_bytes(m)) {
        too_large(m);
        return abandon(m);
    }
    return put_any(m, nested_key(m, storage), kind, text) ? SL_OK : abandon(m);
}

static int nested_name(struct sl_odata_row_maker *m, struct sl_str name, bool cut)
{
    bool first = m->map_begins;
    const char *at = name.length ? memchr(name.at, '@', name.length) : NULL;
    size_t before = at ? (size_t)(at + 1 - name.at) : name.length; /* "x@" of "x@…" */
    const char *word =
        at ? sl_odata_annotation_word((struct sl_str){at + 1, name.length - before}) : "";
    m->map_begins = false;
    if (!word || at == name.at) {
        m->ignore_nested = true;
        m->map_begins = first;
        return SL_OK;
    }
    if (cut || sl_bson_size(&m->writer) + name.length >= limit_bytes(m)) {
        too_large(m);
        return abandon(m);
    }
    if ((first && sl_extjson_word_of(name.at, name.length)) || memchr(name.at, 0, name.length) ||
        !sl_utf8_valid(name.at, name.length)) {
        char reason[SL_ERR_TEXT_BYTES];
        snprintf(reason, sizeof reason,
                 "column '%.80s': an object in it has a key that is not kept", m->member->name.at);
        sl_odata_row_spoil(m, "untypable", reason);
        return abandon(m);
    }
    sl_buf_clear(&m->key);
    sl_buf_add_char(&m->key, 0);
    sl_buf_add(&m->key, name.at, before);
    sl_buf_add(&m->key, word, strlen(word) + 1);
    return SL_OK;
}

static int begin_nested(struct sl_odata_row_maker *m, bool array)
{
    char storage[16];
    if (m->ignore_nested) {
        m->ignore_nested = false;
        return skip(m, 1);
    }
    open_nested(m, nested_key(m, storage), array);
    return SL_OK;
}

static int end_nested(struct sl_odata_row_maker *m)
{
    m->map_begins = false;
    sl_bson_close(&m->writer);
    if (--m->depth)
        return SL_OK;
    m->place = SL_ODATA_IN_ROW;
    field_added(m);
    return SL_OK;
}

static int nested_event(struct sl_odata_row_maker *m, enum sl_json_event event, struct sl_str text,
                        bool cut)
{
    switch (event) {
    case SL_JSON_ON_KEY:
        return nested_name(m, text, cut);
    case SL_JSON_ON_TEXT:
        return put_nested(m, SL_JSON_TEXT, text, cut);
    case SL_JSON_ON_NUMBER:
        return put_nested(m, SL_JSON_NUMBER, text, false);
    case SL_JSON_ON_NULL:
        return put_nested(m, SL_JSON_NULL, text, false);
    case SL_JSON_ON_BOOL:
        return put_nested(m, SL_JSON_BOOL, text, false);
    case SL_JSON_ON_MAP:
    case SL_JSON_ON_LIST:
        return begin_nested(m, event == SL_JSON_ON_LIST);
    default:
        return end_nested(m);
    }
}

static int skip_event(struct sl_odata_row_maker *m, enum sl_json_event event)
{
    if (event == SL_JSON_ON_MAP || event == SL_JSON_ON_LIST)
        m->skipped++;
    else if (event == SL_JSON_ON_MAP_END || event == SL_JSON_ON_LIST_END)
        m->skipped--;
    if (!m->skipped)
        m->place = m->back;
    return SL_OK;
}

int sl_odata_row_event(struct sl_odata_row_maker *maker, enum sl_json_event event,
                       struct sl_str text, bool cut, struct sl_err *err)
{
    switch (maker->place) {
    case SL_ODATA_IN_ROW:
        return row_event(maker, event, text, cut, err);
    case SL_ODATA_IN_NESTED:
        return nested_event(maker, event, text, cut);
    default:
        return skip_event(maker, event);
    }
}
