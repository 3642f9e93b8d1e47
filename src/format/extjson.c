/* BSON to Extended JSON, straight into the buffer. */
#include "format/extjson.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "format/base64.h"
#include "format/bson_reader.h"
#include "format/json_plain.h"

#define YEAR_1_MS (-62135596800000)
#define YEAR_10000_MS 253402300800000

bool sl_extjson_has_moment(int64_t wall_ms)
{
    return wall_ms >= YEAR_1_MS && wall_ms < YEAR_10000_MS;
}

static void write_escape(struct sl_buf *out, unsigned char c)
{
    static const char letters[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    static const char hex[] = "0123456789abcdef";
    char letter = c < sizeof letters ? letters[c] : (char)c;
    if (letter) {
        sl_buf_add(out, (const char[]){'\\', letter}, 2);
        return;
    }
    sl_buf_add(out, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* Text that has something to escape, from its first run of plain bytes on. */
static void write_escaped(struct sl_buf *out, const char *text, size_t length, size_t run)
{
    uint64_t seen = 0;
    sl_buf_add_char(out, '"');
    for (size_t i = 0; i < length; run = sl_json_plain_run(text + i, length - i, &seen)) {
        sl_buf_add(out, text + i, run);
        i += run;
        if (i < length)
            write_escape(out, (unsigned char)text[i++]);
    }
    sl_buf_add_char(out, '"');
}

/* Appends before, the text in quotes, after (either may be 0: none); in one go when nothing in the
 * text needs an escape, which is nearly always. */
static bool write_between(struct sl_buf *out, char before, const char *text, size_t length,
                          char after)
{
    uint64_t seen = 0;
    size_t run = sl_json_plain_run(text, length, &seen);
    bool ascii = run == length && !(seen & SL_JSON_TOPS);
    if (!ascii && !sl_utf8_valid(text, length))
        return false;
    char *at = sl_buf_reserve(out, length + 4), *start = at;
    if (before)
        *at++ = before;
    if (run < length) {
        sl_buf_commit(out, (size_t)(at - start));
        write_escaped(out, text, length, run);
        if (after)
            sl_buf_add_char(out, after);
        return true;
    }
    *at++ = '"';
    memcpy(at, text, length);
    at += length;
    *at++ = '"';
    if (after)
        *at++ = after;
    sl_buf_commit(out, (size_t)(at - start));
    return true;
}

bool sl_extjson_write_text(struct sl_buf *out, const char *text, size_t length)
{
    return write_between(out, 0, text, length, 0);
}

static void two_digits(char *at, unsigned value)
{
    at[0] = (char)('0' + value / 10 % 10);
    at[1] = (char)('0' + value % 10);
}

bool sl_extjson_write_moment(struct sl_buf *out, int64_t wall_ms)
{
    if (!sl_extjson_has_moment(wall_ms))
        return false;
    /* Days since 0000-03-01, in eras of 400 years; a year begins in March (as in base/clock.c). */
    int64_t day_ms = 86400000, days = wall_ms / day_ms - (wall_ms % day_ms < 0);
    unsigned ms = (unsigned)(wall_ms - days * day_ms);
    unsigned day = (unsigned)(days + 719468), era = day / 146097, of_era = day % 146097;
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * of_year + 2) / 153;
    unsigned year = year_of_era + era * 400 + (month >= 10);

    static const char zeros[] = "0000-00-00T00:00:00.000Z";
    const size_t length = sizeof zeros - 1;
    char *at = sl_buf_reserve(out, length);
    memcpy(at, zeros, length);
    two_digits(at, year / 100);
    two_digits(at + 2, year % 100);
    two_digits(at + 5, month < 10 ? month + 3 : month - 9);
    two_digits(at + 8, of_year - (153 * month + 2) / 5 + 1);
    two_digits(at + 11, ms / 3600000);
    two_digits(at + 14, ms / 60000 % 60);
    two_digits(at + 17, ms / 1000 % 60);
    at[20] = (char)('0' + ms / 100 % 10);
    two_digits(at + 21, ms % 100);
    sl_buf_commit(out, length);
    return true;
}

static void write_int64(struct sl_buf *out, int64_t value)
{
    sl_buf_commit(out, sl_int64_format(value, sl_buf_reserve(out, SL_NUMBER_BYTES)));
}

static void write_double(struct sl_buf *out, double value)
{
    if (isnan(value))
        sl_buf_add_text(out, "{\"$numberDouble\":\"NaN\"}");
    else if (isinf(value))
        sl_buf_add_text(out, value < 0 ? "{\"$numberDouble\":\"-Infinity\"}"
                                       : "{\"$numberDouble\":\"Infinity\"}");
    else
        sl_buf_commit(out, sl_double_format(value, sl_buf_reserve(out, SL_NUMBER_BYTES)));
}

static void write_date(struct sl_buf *out, int64_t wall_ms)
{
    sl_buf_add_text(out, "{\"$date\":");
    size_t length = out->length;
    sl_buf_add_char(out, '"');
    if (sl_extjson_write_moment(out, wall_ms)) {
        sl_buf_add_text(out, "\"}");
        return;
    }
    out->length = length;
    sl_buf_add_text(out, "{\"$numberLong\":\"");
    write_int64(out, wall_ms);
    sl_buf_add_text(out, "\"}}");
}

static void write_decimal(struct sl_buf *out, const char *at)
{
    struct sl_decimal value;
    memcpy(&value.low, at, 8);
    memcpy(&value.high, at + 8, 8);
    sl_buf_add_text(out, "{\"$numberDecimal\":\"");
    sl_buf_commit(out, sl_decimal_format(value, sl_buf_reserve(out, SL_NUMBER_BYTES)));
    sl_buf_add_text(out, "\"}");
}

static void write_binary(struct sl_buf *out, struct sl_str value)
{
    sl_buf_add_text(out, "{\"$binary\":{\"base64\":\"");
    sl_base64_encode(out, value.at + 5, value.length - 5);
    sl_buf_add_text(out, "\",\"subType\":\"");
    sl_hex_encode(out, value.at + 4, 1);
    sl_buf_add_text(out, "\"}}");
}

static int write_doc(struct sl_buf *out, struct sl_str doc, bool array, unsigned depth,
                     struct sl_err *err);

static int write_value(struct sl_buf *out, const struct sl_bson_element *element, unsigned depth,
                       struct sl_err *err)
{
    struct sl_str text;
    switch ((enum sl_bson_type)element->type) {
    case SL_BSON_UTF8:
        text = sl_bson_text(element);
        if (!sl_extjson_write_text(out, text.at, text.length))
            return sl_err_set(err, SL_REJECTED, "field '%.60s' is not valid UTF-8",
                              element->key.at);
        break;
    case SL_BSON_INT64:
        write_int64(out, sl_bson_int64(element));
        break;
    case SL_BSON_DECIMAL:
        write_decimal(out, element->value.at);
        break;
    case SL_BSON_DATE:
        write_date(out, sl_bson_int64(element));
        break;
    case SL_BSON_BOOL:
        sl_buf_add_text(out, *element->value.at ? "true" : "false");
        break;
    case SL_BSON_DOUBLE:
        write_double(out, sl_bson_double(element));
        break;
    case SL_BSON_DOC:
    case SL_BSON_ARRAY:
        return write_doc(out, element->value, element->type == SL_BSON_ARRAY, depth + 1, err);
    case SL_BSON_NULL:
        sl_buf_add_text(out, "null");
        break;
    case SL_BSON_INT32:
        sl_buf_add_text(out, "{\"$numberInt\":\"");
        write_int64(out, sl_bson_int32(element));
        sl_buf_add_text(out, "\"}");
        break;
    case SL_BSON_OID:
        sl_buf_add_text(out, "{\"$oid\":\"");
        sl_hex_encode(out, element->value.at, 12);
        sl_buf_add_text(out, "\"}");
        break;
    case SL_BSON_BINARY:
        write_binary(out, element->value);
        break;
    }
    return SL_OK;
}

static int write_key(struct sl_buf *out, struct sl_str key, bool first, unsigned depth,
                     struct sl_err *err)
{
    if (first && depth > 1 && sl_extjson_word_of(key.at, key.length))
        return sl_err_set(err, SL_REJECTED,
                          "a document that begins with '%s' cannot be told from a wrapped value",
                          key.at);
    if (!write_between(out, first ? '{' : ',', key.at, key.length, ':'))
        return sl_err_set(err, SL_REJECTED, "a field's name is not valid UTF-8");
    return SL_OK;
}

static int write_doc(struct sl_buf *out, struct sl_str doc, bool array, unsigned depth,
                     struct sl_err *err)
{
    struct sl_bson_reader reader = {0};
    struct sl_bson_element element;
    if (depth > SL_EXTJSON_DEPTH_MAX)
        return sl_err_set(err, SL_REJECTED, "documents nested deeper than %d levels",
                          SL_EXTJSON_DEPTH_MAX);
    int rc = sl_bson_open(&reader, doc, err);
    bool first = true;
    while (rc == SL_OK && (rc = sl_bson_next(&reader, &element, err)) == SL_OK) {
        if (array)
            sl_buf_add_char(out, first ? '[' : ',');
        else
            rc = write_key(out, element.key, first, depth, err);
        if (rc == SL_OK)
            rc = write_value(out, &element, depth, err);
        first = false;
    }
    if (first)
        sl_buf_add_char(out, array ? '[' : '{');
    sl_buf_add_char(out, array ? ']' : '}');
    return rc == SL_END ? SL_OK : rc;
}

int sl_extjson_write(struct sl_buf *out, const void *bson, size_t size, struct sl_err *err)
{
    size_t length = out->length;
    int rc = write_doc(out, (struct sl_str){bson, size}, false, 1, err);
    if (rc != SL_OK && out->data) {
        out->length = length;
        out->data[length] = 0;
    }
    return rc;
}
