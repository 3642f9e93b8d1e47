/* Extended JSON to BSON, from parser events. An embedded object may turn out to be a wrapped value,
 * so its beginning is held back until its first key (or its end) has been seen:
 *
 *     VALUE ──{──► OPENED ──other key, }──► VALUE
 *                    │ $key
 *                    ▼
 *                 WRAPPED ──text, number──► UNWRAPPED ──}──► VALUE
 *                    │ {                        ▲
 *                    ▼                          │ }
 *                  INNER ──key──► INNER_VALUE ──┘ (text: back to INNER)
 */
#include "format/extjson.h"

#include <string.h>

#include "format/base64.h"
#include "format/extjson_value.h"
#include "format/own_name.h"

enum state {
    NOTHING,     /* before the outermost { */
    VALUE,       /* inside an object or array: a key, a value or its end */
    OPENED,      /* after a { that may be a wrapped value */
    WRAPPED,     /* after a wrapping key */
    INNER,       /* in the object of $date or $binary */
    INNER_VALUE, /* after a key in it */
    UNWRAPPED,   /* the value is there: only } may follow */
    COMPLETE,
};

void sl_extjson_builder_init(struct sl_extjson_builder *builder)
{
    memset(builder, 0, sizeof *builder);
}

void sl_extjson_builder_done(struct sl_extjson_builder *builder)
{
    sl_buf_done(&builder->key);
    sl_buf_done(&builder->text);
}

void sl_extjson_begin(struct sl_extjson_builder *builder, struct sl_arena *arena,
                      struct sl_err *err)
{
    builder->arena = arena;
    builder->err = err;
    builder->state = NOTHING;
    builder->depth = 0;
    builder->in_array = 0;
    builder->own = false;
    builder->doc = (struct sl_str){"", 0};
}

static bool refuse(struct sl_extjson_builder *b, const char *why)
{
    sl_err_set(b->err, SL_REJECTED, "Extended JSON: %s", why);
    return false;
}

static bool refuse_text(struct sl_extjson_builder *b, const char *what, const char *text,
                        size_t length)
{
    sl_err_set(b->err, SL_REJECTED, "Extended JSON: %s %s", what, sl_utf8_fault(text, length));
    return false;
}

static bool refuse_word(struct sl_extjson_builder *b, const char *why)
{
    sl_err_set(b->err, SL_REJECTED, "Extended JSON: %s %s", sl_extjson_word_key(b->word), why);
    return false;
}

/* The key of the value that comes now: the pending one, or the array's next index. */
static struct sl_bson_key pending_key(struct sl_extjson_builder *b, char storage[16])
{
    if (b->in_array >> (b->depth - 1) & 1)
        return sl_bson_next_index(&b->writer, storage);
    return (struct sl_bson_key){b->key.data, (uint32_t)b->key.length};
}

/* May a plain value stand here? If it is a wrapped value's inside, that is not asked here. */
static bool at_value(struct sl_extjson_builder *b)
{
    if (b->state == VALUE)
        return true;
    if (b->state == NOTHING || b->state == COMPLETE)
        return refuse(b, "expected an object");
    return refuse_word(b, "does not take this value");
}

static bool open_level(struct sl_extjson_builder *b, bool array)
{
    char storage[16];
    if (b->depth == SL_EXTJSON_DEPTH_MAX)
        return refuse(b, "nested deeper than 64 levels");
    struct sl_bson_key key = pending_key(b, storage);
    if (array)
        sl_bson_open_array(&b->writer, key);
    else
        sl_bson_open_doc(&b->writer, key);
    uint64_t bit = 1ull << b->depth++;
    b->in_array = array ? b->in_array | bit : b->in_array & ~bit;
    b->state = VALUE;
    return true;
}

bool sl_extjson_start_map(struct sl_extjson_builder *builder)
{
    switch (builder->state) {
    case NOTHING:
        sl_bson_begin(&builder->writer, builder->arena);
        builder->depth = 1;
        builder->state = VALUE;
        return true;
    case VALUE:
        builder->state = OPENED;
        return true;
    case WRAPPED:
        if (builder->word != SL_EXTJSON_DATE && builder->word != SL_EXTJSON_BINARY)
            return refuse_word(builder, "takes a text");
        sl_buf_clear(&builder->text);
        builder->subtype = -1;
        builder->have_text = false;
        builder->state = INNER;
        return true;
    default:
        return at_value(builder);
    }
}

static bool close_level(struct sl_extjson_builder *b)
{
    if (--b->depth) {
        sl_bson_close(&b->writer);
        return true;
    }
    b->doc = sl_bson_end(&b->writer);
    b->state = COMPLETE;
    return true;
}

static bool end_inner(struct sl_extjson_builder *b)
{
    char storage[16];
    if (b->word == SL_EXTJSON_DATE) {
        if (!b->have_text)
            return refuse_word(b, "needs $numberLong");
    } else {
        if (!b->have_text || b->subtype < 0)
            return refuse_word(b, "needs base64 and subType");
        sl_bson_add_binary(&b->writer, pending_key(b, storage), (uint8_t)b->subtype, b->text.data,
                           b->text.length);
    }
    b->state = UNWRAPPED;
    return true;
}

bool sl_extjson_end_map(struct sl_extjson_builder *builder)
{
    switch (builder->state) {
    case VALUE:
        return close_level(builder);
    case OPENED:
        return open_level(builder, false) && close_level(builder);
    case INNER:
        return end_inner(builder);
    case UNWRAPPED:
        builder->state = VALUE;
        return true;
    default:
        return refuse_word(builder, "has no value");
    }
}

bool sl_extjson_start_array(struct sl_extjson_builder *builder)
{
    return at_value(builder) && open_level(builder, true);
}

bool sl_extjson_end_array(struct sl_extjson_builder *builder)
{
    return close_level(builder);
}

static bool inner_key(struct sl_extjson_builder *b, struct sl_str key)
{
    static const char *const parts[] = {"base64", "subType"};
    if (b->word == SL_EXTJSON_DATE) {
        if (!sl_str_is(key, "$numberLong"))
            return refuse_word(b, "holds an unknown key");
        b->state = INNER_VALUE;
        return true;
    }
    for (int i = 0; i < 2; i++)
        if (sl_str_is(key, parts[i])) {
            b->part = i;
            b->state = INNER_VALUE;
            return true;
        }
    return refuse_word(b, "holds an unknown key");
}

static bool set_key(struct sl_extjson_builder *b, const char *text, size_t length)
{
    if (memchr(text, 0, length))
        return refuse(b, "a key holds a NUL");
    if (!b->checked && !sl_utf8_valid(text, length))
        return refuse_text(b, "a key", text, length);
    char *at = sl_buf_reserve(&b->key, length + 2);
    at[0] = 0;
    memcpy(at + 1, text, length);
    at[length + 1] = 0;
    sl_buf_commit(&b->key, length + 2);
    return true;
}

bool sl_extjson_key(struct sl_extjson_builder *builder, const char *text, size_t length)
{
    switch (builder->state) {
    case OPENED:
        builder->word = sl_extjson_word_of(text, length);
        if (builder->word) {
            builder->state = WRAPPED;
            return true;
        }
        if (!open_level(builder, false))
            return false;
        break;
    case VALUE:
        break;
    case INNER:
        return inner_key(builder, (struct sl_str){text, length});
    default:
        return refuse_word(builder, "stands alone in its object");
    }
    sl_buf_clear(&builder->key);
    if (builder->depth == 1 && sl_name_is_own((struct sl_str){text, length}))
        builder->own = true;
    return set_key(builder, text, length);
}

static bool inner_text(struct sl_extjson_builder *b, struct sl_str text)
{
    char storage[16];
    int64_t value;
    b->state = INNER;
    if (b->word == SL_EXTJSON_DATE) {
        if (b->have_text || sl_int64_parse(text.at, text.length, &value) != SL_NUMBER_OK)
            return refuse_word(b, "holds no whole number of milliseconds");
        sl_bson_add_date(&b->writer, pending_key(b, storage), value);
        b->have_text = true;
        return true;
    }
    if (b->part == 0) {
        if (b->have_text || !sl_base64_decode(&b->text, text.at, text.length))
            return refuse_word(b, "holds no base64");
        b->have_text = true;
        return true;
    }
    b->subtype = 0;
    for (size_t i = 0; i < text.length; i++) {
        int digit = sl_hex_digit(text.at[i]);
        if (digit < 0 || i == 2)
            return refuse_word(b, "has a bad subType");
        b->subtype = b->subtype << 4 | digit;
    }
    if (!text.length || b->subtype == SL_BSON_OLD_BINARY)
        return refuse_word(b, "has a bad subType");
    return true;
}

bool sl_extjson_string(struct sl_extjson_builder *builder, const char *text, size_t length)
{
    char storage[16];
    if (builder->state == WRAPPED) {
        builder->state = UNWRAPPED;
        const char *why = sl_extjson_unwrap(&builder->writer, pending_key(builder, storage),
                                            builder->word, (struct sl_str){text, length});
        return why ? refuse_word(builder, why) : true;
    }
    if (builder->state == INNER_VALUE)
        return inner_text(builder, (struct sl_str){text, length});
    if (!at_value(builder))
        return false;
    if (!builder->checked && !sl_utf8_valid(text, length))
        return refuse_text(builder, "a text", text, length);
    sl_bson_add_utf8(&builder->writer, pending_key(builder, storage), text, length);
    return true;
}

bool sl_extjson_number(struct sl_extjson_builder *builder, const char *text, size_t length)
{
    char storage[16];
    int64_t whole;
    double real;
    if (!at_value(builder))
        return false;
    if (!memchr(text, '.', length) && !memchr(text, 'e', length) && !memchr(text, 'E', length)) {
        if (sl_int64_parse(text, length, &whole) != SL_NUMBER_OK)
            return refuse(builder, "a whole number does not fit 64 bits (use $numberDecimal)");
        sl_bson_add_int64(&builder->writer, pending_key(builder, storage), whole);
        return true;
    }
    if (sl_double_parse(text, length, &real) != SL_NUMBER_OK)
        return refuse(builder, "a number is out of range");
    sl_bson_add_double(&builder->writer, pending_key(builder, storage), real);
    return true;
}

bool sl_extjson_bool(struct sl_extjson_builder *builder, bool value)
{
    char storage[16];
    if (!at_value(builder))
        return false;
    sl_bson_add_bool(&builder->writer, pending_key(builder, storage), value);
    return true;
}

bool sl_extjson_null(struct sl_extjson_builder *builder)
{
    char storage[16];
    if (!at_value(builder))
        return false;
    sl_bson_add_null(&builder->writer, pending_key(builder, storage));
    return true;
}

bool sl_extjson_event(struct sl_extjson_builder *builder, enum sl_json_event event,
                      struct sl_str text)
{
    switch (event) {
    case SL_JSON_ON_NULL:
        return sl_extjson_null(builder);
    case SL_JSON_ON_BOOL:
        return sl_extjson_bool(builder, *text.at == 't');
    case SL_JSON_ON_NUMBER:
        return sl_extjson_number(builder, text.at, text.length);
    case SL_JSON_ON_TEXT:
        return sl_extjson_string(builder, text.at, text.length);
    case SL_JSON_ON_KEY:
        return sl_extjson_key(builder, text.at, text.length);
    case SL_JSON_ON_MAP:
        return sl_extjson_start_map(builder);
    case SL_JSON_ON_MAP_END:
        return sl_extjson_end_map(builder);
    case SL_JSON_ON_LIST:
        return sl_extjson_start_array(builder);
    default:
        return sl_extjson_end_array(builder);
    }
}

bool sl_extjson_has_own(const struct sl_extjson_builder *builder)
{
    return builder->own;
}

bool sl_extjson_complete(const struct sl_extjson_builder *builder, struct sl_str *ret_doc)
{
    if (builder->state != COMPLETE)
        return false;
    *ret_doc = builder->doc;
    return true;
}
