/* The run of plain bytes, against the same one byte by byte: wherever the first special byte
 * stands, and the first that is not ASCII. */
#include "format/json_plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LENGTH_MAX = 52 };

static size_t slow_run(const char *at, size_t length, bool *ret_ascii)
{
    size_t run = 0;
    *ret_ascii = true;
    for (; run < length; run++) {
        unsigned char c = (unsigned char)at[run];
        if (c < 0x20 || c == '"' || c == '\\')
            break;
        *ret_ascii = *ret_ascii && c < 0x80;
    }
    return run;
}

static void check(const char *text, size_t length)
{
    char *exact = malloc(length ? length : 1); /* so that ASAN sees an overread */
    memcpy(exact, text, length);
    bool ascii;
    uint64_t seen = 0;
    size_t wanted = slow_run(exact, length, &ascii), run = sl_json_plain_run(exact, length, &seen);
    if (run != wanted || (!ascii && !(seen & SL_JSON_TOPS)) ||
        (ascii && run == length && seen & SL_JSON_TOPS))
        fail_msg("%zu bytes: %zu of %zu, seen %llx", length, run, wanted, (unsigned long long)seen);
    free(exact);
}

static void test_every_place_of_two_bytes(void **state)
{
    static const char specials[] = {'"',        '\\',       '\n', 0,   0x1f,
                                    (char)0x80, (char)0xff, 0x7f, ' ', '!'};
    char text[LENGTH_MAX];
    (void)state;
    for (size_t length = 0; length <= LENGTH_MAX; length++)
        for (size_t a = 0; a < length; a++)
            for (size_t b = a; b < length; b++)
                for (size_t i = 0; i < sizeof specials; i++) {
                    memset(text, 'x', length);
                    text[b] = specials[(i + b) % sizeof specials];
                    text[a] = specials[i];
                    check(text, length);
                }
    check("", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_place_of_two_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
