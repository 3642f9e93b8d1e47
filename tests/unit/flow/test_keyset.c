/* The key set against the simplest thing that could be right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/keyset.h"

#include <cmocka.h>

enum { ROWS = 4000 };

static struct sl_record records[ROWS];
static char texts[ROWS][24];

static uint32_t first_with_same_key(uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (sl_str_equal(records[i].id, records[index].id))
            return i;
    return index;
}

static void fill(unsigned different)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        int length =
            snprintf(texts[i], sizeof texts[i], "usmf|V-%05u", (unsigned)rand() % different);
        if (length > 8)
            texts[i][5] = rand() % 8 ? 'V' : 0; /* keys may hold any byte */
        records[i].id = (struct sl_str){texts[i], (size_t)length};
    }
    records[17].id = (struct sl_str){NULL, 0}; /* the empty key is a key */
    records[18].id = (struct sl_str){"", 0};
}

static void it_agrees_with_a_naive_search(void **state)
{
    (void)state;
    static const unsigned different[] = {1, 2, 50, 1000, 100000};
    struct sl_keyset set = {0};
    srand(6);
    for (size_t round = 0; round < sizeof different / sizeof *different; round++) {
        fill(different[round]);
        for (uint32_t i = 0; i < ROWS; i++)
            assert_int_equal(sl_keyset_add(&set, records, i), first_with_same_key(i));
        sl_keyset_clear(&set);
        assert_int_equal(set.count, 0);
        assert_int_equal(sl_keyset_add(&set, records, ROWS - 1), ROWS - 1);
        sl_keyset_clear(&set);
    }
    sl_keyset_done(&set);
    sl_keyset_clear(&set); /* empty and unused: no harm */
    sl_keyset_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_naive_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
