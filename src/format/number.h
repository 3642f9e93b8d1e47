/* Numbers as text, exactly, whatever the locale: int64, double and Decimal128.
 *
 * Common values (up to 19 digits) take a short way of our own; the rest goes to libc and libbson.
 */
#ifndef SL_FORMAT_NUMBER_H
#define SL_FORMAT_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SL_NUMBER_BYTES = 48 }; /* room for any number's text and its NUL */

/* A Decimal128 as BSON stores it: two little-endian halves. */
struct sl_decimal {
    uint64_t low, high;
};

/* What was wrong with a text that should be a number. */
enum sl_number_fault {
    SL_NUMBER_OK = 0,
    SL_NUMBER_MALFORMED, /* not a number in digits */
    SL_NUMBER_RANGE,     /* too large, or too close to zero, for the type */
    SL_NUMBER_DIGITS,    /* more significant digits than a Decimal128 holds (34) */
};

/* Optional sign and digits. */
enum sl_number_fault sl_int64_parse(const char *text, size_t length, int64_t *ret);

/* Optional sign, digits with an optional point, optional exponent. No blank, no hexadecimal, no
 * infinity, no NaN. The double nearest to the text. */
enum sl_number_fault sl_double_parse(const char *text, size_t length, double *ret);

/* The same texts; exact or refused, never rounded. */
enum sl_number_fault sl_decimal_parse(const char *text, size_t length, struct sl_decimal *ret);

/* Each writes text and NUL and returns the length without it. A double (finite) is the shortest of
 * 15 to 17 digits that reads back as the same value, always with a point or an exponent. */
size_t sl_int64_format(int64_t value, char out[SL_NUMBER_BYTES]);
size_t sl_double_format(double value, char out[SL_NUMBER_BYTES]);
size_t sl_decimal_format(struct sl_decimal value, char out[SL_NUMBER_BYTES]);

#endif
