/* The arena: alignment, growing in place and by copy, trimming, accounting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"

#include <cmocka.h>

static void every_allocation_is_aligned_and_its_own(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct sl_arena arena;
    unsigned char *at[COUNT];
    size_t size[COUNT];
    sl_arena_init(&arena, 1024);
    srand(1);
    for (int i = 0; i < COUNT; i++) {
        size[i] = (size_t)(rand() % (i % 50 ? 90 : 4000));
        at[i] = sl_arena_alloc(&arena, size[i]);
        assert_int_equal((uintptr_t)at[i] % 8, 0);
        memset(at[i], i & 0xff, size[i]);
    }
    for (int i = 0; i < COUNT; i++)
        for (size_t j = 0; j < size[i]; j++)
            assert_int_equal(at[i][j], i & 0xff);
    assert_true(arena.held_bytes >= arena.used_bytes);
    sl_arena_done(&arena);
    assert_int_equal(arena.used_bytes, 0);
    assert_int_equal(arena.held_bytes, 0);
    assert_non_null(sl_arena_alloc(&arena, 10)); /* usable again */
    sl_arena_done(&arena);
}

static void the_last_allocation_grows_in_place(void **state)
{
    (void)state;
    struct sl_arena arena;
    sl_arena_init(&arena, 4096);
    char *text = sl_arena_copy(&arena, "0123456789", 10);
    char *grown = sl_arena_grow(&arena, text, 10, 2000);
    assert_ptr_equal(grown, text);
    assert_int_equal(arena.used_bytes, 2000);
    assert_memory_equal(grown, "0123456789", 10);

    char *smaller = sl_arena_grow(&arena, grown, 2000, 16);
    assert_ptr_equal(smaller, text);
    assert_int_equal(arena.used_bytes, 16);
    sl_arena_done(&arena);
}

static void growing_past_the_block_or_from_the_middle_copies(void **state)
{
    (void)state;
    struct sl_arena arena;
    sl_arena_init(&arena, 256);
    char *text = sl_arena_copy(&arena, "0123456789", 10);
    char *big = sl_arena_grow(&arena, text, 10, 5000);
    assert_ptr_not_equal(big, text);
    assert_memory_equal(big, "0123456789", 10);
    memset(big, 'b', 5000);

    char *first = sl_arena_copy(&arena, "first", 5);
    char *second = sl_arena_copy(&arena, "second", 6);
    char *moved = sl_arena_grow(&arena, first, 5, 100);
    assert_ptr_not_equal(moved, first);
    memset(moved + 5, 'z', 95);
    assert_memory_equal(moved, "first", 5);
    assert_memory_equal(second, "second", 6);

    /* Smaller, but not the last one: it stays where it is. */
    char *long_one = sl_arena_alloc(&arena, 200);
    memset(long_one, 'l', 200);
    sl_arena_alloc(&arena, 8);
    char *shrunk = sl_arena_grow(&arena, long_one, 200, 8);
    assert_ptr_equal(shrunk, long_one);
    assert_non_null(sl_arena_grow(&arena, NULL, 0, 32));
    sl_arena_done(&arena);
}

static void trim_gives_back_the_tail_of_the_last_one(void **state)
{
    (void)state;
    struct sl_arena arena;
    sl_arena_init(&arena, 1024);
    char *first = sl_arena_alloc(&arena, 500);
    sl_arena_trim(&arena, first, 500, 20);
    assert_int_equal(arena.used_bytes, 24);
    char *second = sl_arena_alloc(&arena, 8);
    assert_ptr_equal(second, first + 24);
    sl_arena_trim(&arena, first, 20, 0); /* no longer the last: nothing happens */
    assert_int_equal(arena.used_bytes, 32);
    sl_arena_done(&arena);
}

static void copies_and_texts(void **state)
{
    (void)state;
    struct sl_arena arena;
    sl_arena_init(&arena, 0);
    assert_string_equal(sl_arena_text(&arena, "vendors-000042", 7), "vendors");
    assert_string_equal(sl_arena_text(&arena, NULL, 0), "");
    assert_non_null(sl_arena_copy(&arena, NULL, 0));
    sl_arena_done(&arena);
}

static void heap_helpers(void **state)
{
    (void)state;
    free(sl_alloc(0));
    free(sl_realloc(NULL, 0));
    int *zeroed = sl_calloc(10, sizeof *zeroed);
    for (int i = 0; i < 10; i++)
        assert_int_equal(zeroed[i], 0);
    sl_wipe(zeroed, 0);
    memset(zeroed, 1, 10 * sizeof *zeroed);
    sl_wipe(zeroed, 10 * sizeof *zeroed);
    assert_int_equal(zeroed[9], 0);
    free(zeroed);
    char *text = sl_strndup("abc\0def", 7);
    assert_memory_equal(text, "abc\0def\0", 8);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_is_aligned_and_its_own),
        cmocka_unit_test(the_last_allocation_grows_in_place),
        cmocka_unit_test(growing_past_the_block_or_from_the_middle_copies),
        cmocka_unit_test(trim_gives_back_the_tail_of_the_last_one),
        cmocka_unit_test(copies_and_texts),
        cmocka_unit_test(heap_helpers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
