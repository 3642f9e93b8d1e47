#include "base/secret.h"

#include <stddef.h>
#include <string.h>

bool sl_secret_equal(const char *given, const char *expected)
{
    if (!given || !expected || !*expected)
        return false;
    size_t given_length = strlen(given), expected_length = strlen(expected);
    /* Every byte given is looked at, whatever came before; volatile keeps the compiler from leaving
     * the loop at the first difference. */
    volatile unsigned char difference = given_length != expected_length;
    for (size_t i = 0, j = 0; i < given_length; i++) {
        difference |= (unsigned char)(given[i] ^ expected[j]);
        j = j + 1 < expected_length ? j + 1 : 0;
    }
    return !difference;
}
