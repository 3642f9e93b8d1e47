/* base/wiping: what was freed cannot be looked at; what moves must arrive whole, and stay right for
 * every size. */
#include "base/wiping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static char byte_at(size_t i)
{
    return (char)(i * 31 % 251);
}

static void what_moves_arrives_whole(void **state)
{
    static const size_t sizes[] = {1, 100, 5000, 70000, 300000, 70000, 4000, 10, 200000, 1};
    size_t filled = 0;
    char *memory = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memory = sl_wiping_realloc(memory, sizes[i]);
        assert_non_null(memory);
        if (filled > sizes[i])
            filled = sizes[i];
        for (size_t at = 0; at < filled; at++)
            assert_int_equal(memory[at], byte_at(at));
        for (; filled < sizes[i]; filled++)
            memory[filled] = byte_at(filled);
    }
    sl_wiping_free(memory);
    sl_wiping_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_moves_arrives_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
