/* Numbers as text. The short ways: a coefficient below 2^53 and a power of ten up to 10^22 are both
 * exact doubles, so one multiplication or division rounds correctly; a Decimal128 whose coefficient
 * fits 64 bits needs no 128-bit arithmetic. */
#include "format/number.h"

#include <bson/bson.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DECIMAL_DIGITS = 34,
    DECIMAL_EXPONENT_MIN = -6176,
    DECIMAL_EXPONENT_MAX = 6111,
    U64_DIGITS = 19, /* always fit */
    EXACT_POWER = 22,
    EXPONENT_CLAMP = 1000000,
    DOUBLE_TEXT_MAX = 400, /* longer texts are no data, and strtod wants a copy */
};

static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* A number taken apart: (-)coefficient * 10^exponent. */
struct parts {
    bool negative;
    uint64_t coefficient; /* of the first U64_DIGITS significant digits */
    int digits;           /* significant ones: without leading zeros */
    int64_t exponent;     /* counts the digits after the point in */
};

/* libc's text-to-number follows the process's locale: this is always the plain one. */
static locale_t plain_locale(void)
{
    static locale_t plain;
    if (!plain)
        plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return plain;
}

static const char *take_digits(const char *at, const char *end, struct parts *parts)
{
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (parts->digits < U64_DIGITS)
            parts->coefficient = parts->coefficient * 10 + (uint64_t)(*at - '0');
        if (parts->digits || *at != '0')
            parts->digits++;
    }
    return at;
}

static const char *take_exponent(const char *at, const char *end, struct parts *parts)
{
    bool minus = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end || *at < '0' || *at > '9')
        return NULL;
    int64_t value = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        if (value < EXPONENT_CLAMP)
            value = value * 10 + (*at - '0');
    parts->exponent += minus ? -value : value;
    return at;
}

static bool take_apart(const char *text, size_t length, struct parts *ret)
{
    const char *at = text, *end = text + length;
    memset(ret, 0, sizeof *ret);
    if (at < end && (*at == '-' || *at == '+'))
        ret->negative = *at++ == '-';

    const char *whole = at;
    at = take_digits(at, end, ret);
    size_t seen = (size_t)(at - whole);
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = take_digits(at, end, ret);
        seen += (size_t)(at - fraction);
        ret->exponent = -(int64_t)(at - fraction);
    }
    if (!seen)
        return false;
    if (at < end && (*at == 'e' || *at == 'E') && !(at = take_exponent(at + 1, end, ret)))
        return false;
    return at == end;
}

enum sl_number_fault sl_int64_parse(const char *text, size_t length, int64_t *ret)
{
    struct parts parts;
    if (!take_apart(text, length, &parts) || memchr(text, '.', length) ||
        memchr(text, 'e', length) || memchr(text, 'E', length))
        return SL_NUMBER_MALFORMED;
    uint64_t most = (uint64_t)INT64_MAX + (parts.negative ? 1 : 0);
    if (parts.digits > U64_DIGITS || parts.coefficient > most)
        return SL_NUMBER_RANGE;
    *ret = parts.negative ? (int64_t)(0 - parts.coefficient) : (int64_t)parts.coefficient;
    return SL_NUMBER_OK;
}

enum sl_number_fault sl_double_parse(const char *text, size_t length, double *ret)
{
    struct parts parts;
    if (!take_apart(text, length, &parts))
        return SL_NUMBER_MALFORMED;

    double value;
    if (parts.digits <= U64_DIGITS && parts.coefficient < (1ull << 53) &&
        parts.exponent >= -EXACT_POWER && parts.exponent <= EXACT_POWER) {
        value = (double)parts.coefficient;
        value =
            parts.exponent < 0 ? value / powers[-parts.exponent] : value * powers[parts.exponent];
        *ret = parts.negative ? -value : value;
        return SL_NUMBER_OK;
    }
    char copy[DOUBLE_TEXT_MAX + 1];
    if (length > DOUBLE_TEXT_MAX)
        return SL_NUMBER_DIGITS;
    memcpy(copy, text, length);
    copy[length] = 0;
    value = strtod_l(copy, NULL, plain_locale());
    if (isinf(value) || (value == 0 && parts.digits))
        return SL_NUMBER_RANGE;
    *ret = value;
    return SL_NUMBER_OK;
}

enum sl_number_fault sl_decimal_parse(const char *text, size_t length, struct sl_decimal *ret)
{
    struct parts parts;
    if (!take_apart(text, length, &parts))
        return SL_NUMBER_MALFORMED;
    if (parts.digits > DECIMAL_DIGITS)
        return SL_NUMBER_DIGITS;
    if (parts.exponent < DECIMAL_EXPONENT_MIN || parts.exponent > DECIMAL_EXPONENT_MAX)
        return SL_NUMBER_RANGE;
    if (parts.digits <= U64_DIGITS) {
        ret->low = parts.coefficient;
        ret->high = (uint64_t)(parts.exponent - DECIMAL_EXPONENT_MIN) << 49 |
                    (uint64_t)parts.negative << 63;
        return SL_NUMBER_OK;
    }
    bson_decimal128_t value;
    if (!bson_decimal128_from_string_w_len(text, (int)length, &value))
        return SL_NUMBER_RANGE;
    *ret = (struct sl_decimal){value.low, value.high};
    return SL_NUMBER_OK;
}

/* Writes the digits of value so that they end before end; returns where they begin. */
static char *digits_before(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return end;
}

/* Writes (-)value with a point before its last decimals digits (0: no point). */
static size_t format_scaled(uint64_t value, int decimals, bool negative, char *out)
{
    char digits[24], *end = digits + sizeof digits, *at = digits_before(end, value);
    while (end - at <= decimals)
        *--at = '0';
    size_t whole = (size_t)(end - at) - (size_t)decimals, length = 0;
    if (negative)
        out[length++] = '-';
    memcpy(out + length, at, whole);
    length += whole;
    if (decimals) {
        out[length++] = '.';
        memcpy(out + length, at + whole, (size_t)decimals);
        length += (size_t)decimals;
    }
    out[length] = 0;
    return length;
}

size_t sl_int64_format(int64_t value, char out[SL_NUMBER_BYTES])
{
    return format_scaled(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 0, value < 0, out);
}

size_t sl_double_format(double value, char out[SL_NUMBER_BYTES])
{
    double size = fabs(value);
    /* With at most 15 digits the scaled whole number is exact, and dividing it gives value back. */
    for (int decimals = 0; size < 1e15 && decimals <= 9; decimals++) {
        double scaled = size * powers[decimals];
        if (scaled >= 1e15)
            break;
        uint64_t whole = (uint64_t)(scaled + 0.5);
        if ((double)whole / powers[decimals] != size)
            continue;
        return format_scaled(decimals ? whole : whole * 10, decimals ? decimals : 1,
                             signbit(value) != 0, out);
    }
    locale_t before = uselocale(plain_locale());
    int length = 0;
    for (int precision = 15; precision <= 17; precision++) {
        length = snprintf(out, SL_NUMBER_BYTES, "%.*g", precision, value);
        if (strtod(out, NULL) == value)
            break;
    }
    uselocale(before);
    if (!strpbrk(out, ".e"))
        length += snprintf(out + length, SL_NUMBER_BYTES - (size_t)length, ".0");
    return (size_t)length;
}

/* A coefficient above 10^34 - 1 stands for zero (IEEE 754-2008, section 3.5.2); libbson writes its
 * digits all the same, and nobody reads those. Infinity and NaN stay. */
static struct sl_decimal canonical(struct sl_decimal value)
{
    static const uint64_t most_high = 0x1ed09bead87c0, past_low = 0x378d8e6400000000;
    uint64_t high = value.high & 0x1ffffffffffff, exponent = value.high >> 49 & 0x3fff;
    if ((value.high >> 61 & 3) == 3) { /* the form of coefficients from 2^113 on */
        if ((value.high >> 59 & 0xf) == 0xf)
            return value;
        exponent = value.high >> 47 & 0x3fff;
    } else if (high < most_high || (high == most_high && value.low < past_low)) {
        return value;
    }
    return (struct sl_decimal){.low = 0, .high = (value.high >> 63 << 63) | exponent << 49};
}

size_t sl_decimal_format(struct sl_decimal value, char out[SL_NUMBER_BYTES])
{
    value = canonical(value);
    int biased = (int)(value.high >> 49 & 0x3fff);
    int exponent = biased + DECIMAL_EXPONENT_MIN;
    bool small = !(value.high & 0x1ffffffffffffu); /* no coefficient bits in the upper half */
    if (small && biased < 0x3000 && exponent <= 0 && exponent >= -U64_DIGITS) {
        int digits = 1;
        for (uint64_t rest = value.low; rest >= 10; rest /= 10)
            digits++;
        if (digits - 1 + exponent >= -6) /* else the canonical text has an exponent */
            return format_scaled(value.low, -exponent, value.high >> 63, out);
    }
    bson_decimal128_t decimal = {.low = value.low, .high = value.high};
    char text[BSON_DECIMAL128_STRING];
    bson_decimal128_to_string(&decimal, text);
    size_t length = strlen(text);
    memcpy(out, text, length + 1);
    return length;
}
