/* A set of ids against what was put in: many of them, none twice, each met once on a walk. */
#include "source/idset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IDS = 20000 };

static struct sl_str name_of(int number, char out[16])
{
    int length = snprintf(out, 16, "id-%d", number);
    return (struct sl_str){out, (size_t)length};
}

static void test_many(void **state)
{
    struct sl_idset set = {0};
    static bool met[IDS];
    char text[16];
    (void)state;
    assert_false(sl_idset_has(&set, name_of(0, text)));
    for (int i = 0; i < IDS; i++)
        assert_true(sl_idset_add(&set, name_of(i, text)));
    for (int i = 0; i < IDS; i++)
        assert_false(sl_idset_add(&set, name_of(i, text)));
    assert_int_equal(set.count, IDS);
    assert_in_range(sl_idset_bytes(&set), IDS * 24, IDS * 120);
    assert_true(sl_idset_has(&set, name_of(IDS - 1, text)));
    assert_false(sl_idset_has(&set, name_of(IDS, text)));

    struct sl_idset_walk walk = {0};
    struct sl_str id;
    uint32_t count = 0;
    while (sl_idset_next(&set, &walk, &id)) {
        int number = (int)strtol(id.at + 3, NULL, 10); /* the set's copies end with a NUL */
        assert_in_range(number, 0, IDS - 1);
        assert_false(met[number]);
        met[number] = true;
        count++;
    }
    assert_int_equal(count, IDS);
    sl_idset_done(&set);
    assert_int_equal(set.count, 0);
    sl_idset_done(&set);
}

static void test_empty(void **state)
{
    struct sl_idset set = {0};
    struct sl_idset_walk walk = {0};
    struct sl_str id;
    (void)state;
    assert_false(sl_idset_next(&set, &walk, &id));
    assert_true(sl_idset_add(&set, sl_str_of("")));
    assert_true(sl_idset_next(&set, &walk, &id));
    assert_int_equal(id.length, 0);
    sl_idset_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
