/* The queue of bytes to be written: order, references, and dropping at every step size. */
#include "loop/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#include <cmocka.h>

enum { BYTES = 50000 };

static char pattern(size_t at)
{
    return (char)('a' + at % 23);
}

static char *make_bytes(size_t from, size_t size)
{
    char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(from + i);
    return bytes;
}

/* Fills box with BYTES bytes of the pattern, alternately copied and referenced. ret_owned gets the
 * memory that the references point into. */
static void fill(struct sl_outbox *box, char **ret_owned)
{
    static const size_t sizes[] = {1, 7, 5000, 300, 17000, 9, 20000};
    *ret_owned = make_bytes(0, BYTES);
    size_t used = 0;
    for (unsigned i = 0; used < BYTES; i++) {
        size_t size = sizes[i % 7] < BYTES - used ? sizes[i % 7] : BYTES - used;
        if (i % 2)
            sl_outbox_add_ref(box, *ret_owned + used, size);
        else
            sl_outbox_add(box, *ret_owned + used, size);
        used += size;
    }
    assert_int_equal(box->size_bytes, BYTES);
}

static void expect_rest(struct sl_outbox *box, size_t step)
{
    size_t seen = 0;
    char *got = malloc(step);
    while (box->size_bytes) {
        size_t size = sl_outbox_peek(box, got, step);
        assert_true(size == step || size == box->size_bytes);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(got[i], pattern(seen + i));
        sl_outbox_drop(box, size);
        seen += size;
    }
    assert_int_equal(seen, BYTES);
    assert_null(box->first);
    free(got);
}

static void comes_out_in_order_at_every_step(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 2, 3, 7, 255, 256, 4096, 16384, 20001, BYTES};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct sl_outbox box = {0};
        char *owned;
        fill(&box, &owned);
        expect_rest(&box, steps[i]);
        sl_outbox_done(&box);
        free(owned);
    }
}

static void gathers_what_waits(void **state)
{
    (void)state;
    struct sl_outbox box = {0};
    char *owned;
    fill(&box, &owned);
    uv_buf_t pieces[64];
    unsigned count = sl_outbox_gather(&box, pieces, 64);
    size_t seen = 0;
    for (unsigned i = 0; i < count; i++)
        for (size_t at = 0; at < pieces[i].len; at++)
            assert_int_equal(pieces[i].base[at], pattern(seen++));
    assert_int_equal(seen, BYTES);
    assert_int_equal(sl_outbox_gather(&box, pieces, 2), 2);
    sl_outbox_done(&box);
    free(owned);
}

/* After disowning, the owner's memory may go: the sanitizer would tell. */
static void disowned_bytes_are_copied(void **state)
{
    (void)state;
    for (size_t dropped = 0; dropped < BYTES; dropped += 6007) {
        struct sl_outbox box = {0};
        char *owned;
        fill(&box, &owned);
        sl_outbox_drop(&box, dropped);
        sl_outbox_disown(&box, owned, BYTES);
        free(owned);
        char *got = malloc(BYTES);
        size_t size = sl_outbox_peek(&box, got, BYTES);
        assert_int_equal(size, BYTES - dropped);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(got[i], pattern(dropped + i));
        free(got);
        sl_outbox_done(&box);
    }
}

static void others_are_not_disowned(void **state)
{
    (void)state;
    char a[100] = "", b[100] = "";
    struct sl_outbox box = {0};
    sl_outbox_add_ref(&box, a, sizeof a);
    sl_outbox_add_ref(&box, b, sizeof b);
    sl_outbox_disown(&box, a, sizeof a);
    uv_buf_t pieces[2];
    assert_int_equal(sl_outbox_gather(&box, pieces, 2), 2);
    assert_ptr_not_equal(pieces[0].base, a);
    assert_ptr_equal(pieces[1].base, b);
    sl_outbox_done(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_out_in_order_at_every_step),
        cmocka_unit_test(gathers_what_waits),
        cmocka_unit_test(disowned_bytes_are_copied),
        cmocka_unit_test(others_are_not_disowned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
