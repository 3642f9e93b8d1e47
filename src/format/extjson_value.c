/* The meaning of wrapped texts. */
#include "format/extjson_value.h"

#include <math.h>

#include "base/clock.h"
#include "format/base64.h"

static const struct {
    const char *key;
    enum sl_extjson_word word;
} words[] = {
    {"$numberDecimal", SL_EXTJSON_DECIMAL},
    {"$date",          SL_EXTJSON_DATE   },
    {"$numberLong",    SL_EXTJSON_LONG   },
    {"$numberDouble",  SL_EXTJSON_DOUBLE },
    {"$numberInt",     SL_EXTJSON_INT    },
    {"$oid",           SL_EXTJSON_OID    },
    {"$binary",        SL_EXTJSON_BINARY },
};

enum sl_extjson_word sl_extjson_word_of(const char *key, size_t length)
{
    if (!length || *key != '$')
        return SL_EXTJSON_NO_WORD;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (sl_str_is((struct sl_str){key, length}, words[i].key))
            return words[i].word;
    return SL_EXTJSON_NO_WORD;
}

const char *sl_extjson_word_key(enum sl_extjson_word word)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].word == word)
            return words[i].key;
    return "";
}

static const char *unwrap_double(struct sl_bson_writer *writer, struct sl_bson_key key,
                                 struct sl_str text)
{
    double value;
    if (sl_str_is(text, "NaN"))
        value = (double)NAN;
    else if (sl_str_is(text, "Infinity"))
        value = (double)INFINITY;
    else if (sl_str_is(text, "-Infinity"))
        value = -(double)INFINITY;
    else if (sl_double_parse(text.at, text.length, &value) != SL_NUMBER_OK)
        return "holds no double";
    sl_bson_add_double(writer, key, value);
    return NULL;
}

static const char *unwrap_decimal(struct sl_bson_writer *writer, struct sl_bson_key key,
                                  struct sl_str text)
{
    struct sl_decimal value;
    if (sl_str_is(text, "NaN"))
        value = (struct sl_decimal){0, 0x7c00000000000000u};
    else if (sl_str_is(text, "Infinity"))
        value = (struct sl_decimal){0, 0x7800000000000000u};
    else if (sl_str_is(text, "-Infinity"))
        value = (struct sl_decimal){0, 0xf800000000000000u};
    else if (sl_decimal_parse(text.at, text.length, &value) != SL_NUMBER_OK)
        return "holds no exact decimal of 34 digits";
    sl_bson_add_decimal(writer, key, value);
    return NULL;
}

static const char *unwrap_oid(struct sl_bson_writer *writer, struct sl_bson_key key,
                              struct sl_str text)
{
    uint8_t oid[12] = {0};
    if (text.length != 2 * sizeof oid)
        return "needs 24 hexadecimal digits";
    for (size_t i = 0; i < text.length; i++) {
        int digit = sl_hex_digit(text.at[i]);
        if (digit < 0)
            return "holds no lower-case hexadecimal digits";
        oid[i / 2] = (uint8_t)(oid[i / 2] << 4 | digit);
    }
    sl_bson_add_oid(writer, key, oid);
    return NULL;
}

static const char *unwrap_whole(struct sl_bson_writer *writer, struct sl_bson_key key,
                                enum sl_extjson_word word, struct sl_str text)
{
    int64_t whole;
    if (sl_int64_parse(text.at, text.length, &whole) != SL_NUMBER_OK)
        return "holds no whole number of 64 bits";
    if (word == SL_EXTJSON_LONG) {
        sl_bson_add_int64(writer, key, whole);
        return NULL;
    }
    if (whole < INT32_MIN || whole > INT32_MAX)
        return "holds no whole number of 32 bits";
    sl_bson_add_int32(writer, key, (int32_t)whole);
    return NULL;
}

static const char *unwrap_date(struct sl_bson_writer *writer, struct sl_bson_key key,
                               struct sl_str text)
{
    int64_t wall_ms;
    if (!sl_iso_parse(text.at, text.length, &wall_ms))
        return "holds no ISO 8601 moment";
    sl_bson_add_date(writer, key, wall_ms);
    return NULL;
}

const char *sl_extjson_unwrap(struct sl_bson_writer *writer, struct sl_bson_key key,
                              enum sl_extjson_word word, struct sl_str text)
{
    switch (word) {
    case SL_EXTJSON_DECIMAL:
        return unwrap_decimal(writer, key, text);
    case SL_EXTJSON_DOUBLE:
        return unwrap_double(writer, key, text);
    case SL_EXTJSON_OID:
        return unwrap_oid(writer, key, text);
    case SL_EXTJSON_DATE:
        return unwrap_date(writer, key, text);
    case SL_EXTJSON_LONG:
    case SL_EXTJSON_INT:
        return unwrap_whole(writer, key, word, text);
    default:
        return "takes an object";
    }
}
