/* Binary values as text: base64 (RFC 4648, section 4) and lower-case hexadecimal. */
#ifndef SL_FORMAT_BASE64_H
#define SL_FORMAT_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Appends the text of size bytes, padded. */
void sl_base64_encode(struct sl_buf *out, const void *bytes, size_t size);

/* Appends the text in the alphabet for URLs, without padding (section 5), as JWTs have it. */
void sl_base64url_encode(struct sl_buf *out, const void *bytes, size_t size);

/* Appends the bytes of a text. False when it is no canonical base64 (a wrong character, length or
 * padding, bits left over): out then has its old length. */
bool sl_base64_decode(struct sl_buf *out, const char *text, size_t length);

/* Appends two hexadecimal digits a byte. */
void sl_hex_encode(struct sl_buf *out, const void *bytes, size_t size);

/* The value of a lower-case hexadecimal digit, or -1. */
int sl_hex_digit(char c);

#endif
