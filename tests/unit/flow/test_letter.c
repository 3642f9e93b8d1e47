/* The names of dead letters as words, and the table of reasons. */
#include "flow/letter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include "flow/dead_code.h"

#include <cmocka.h>

static const struct {
    const char *run, *entity, *key; /* key NULL: the number */
    uint64_t row_number;
    const char *word;
} names[] = {
    {"vendors-000042", "VendorsV3", NULL,                17, "vendors-000042/VendorsV3/17"                    },
    {"vendors-000042", "VendorsV3", "usmf|V 1",          0,  "vendors-000042/VendorsV3/=usmf%7CV%201"         },
    {"r",              "E",         "17",                0,  "r/E/=17"                                        },
    {"r",              "E",         NULL,                0,  "r/E/0"                                          },
    {"a/b",            "E%",        "$(rm -rf);'\"\\*~", 0,  "a%2Fb/E%25/=%24%28rm%20-rf%29%3B%27%22%5C%2A%7E"},
    {"r",              "Größe",   "東京",            0,  "r/Größe/=東京"                              },
    {"r",              "E",         "\xff\xc3",          0,  "r/E/=%FF%C3"                                    },
};

static void test_names_are_words_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct sl_letter_name name = {.run = sl_str_of(names[i].run),
                                      .entity = sl_str_of(names[i].entity),
                                      .key = sl_str_of(names[i].key),
                                      .row_number = names[i].row_number};
        struct sl_letter_name back;
        struct sl_buf word = {0};
        struct sl_arena arena;
        sl_arena_init(&arena, 1024);
        sl_letter_name_format(&name, &word);
        assert_string_equal(word.data, names[i].word);
        assert_true(sl_letter_name_parse(word.data, &arena, &back));
        assert_true(sl_str_equal(name.run, back.run) && sl_str_equal(name.entity, back.entity));
        assert_true(sl_str_equal(name.key, back.key));
        assert_int_equal(name.row_number, back.row_number);
        sl_arena_done(&arena);
        sl_buf_done(&word);
    }
}

static void test_other_words_are_no_names(void **state)
{
    (void)state;
    static const char *const words[] = {"",       "r",       "r/E",    "r/E/",     "r//1",
                                        "/E/1",   "r/E/x",   "r/E/-1", "r/E/=",    "r/E/1/2",
                                        "r/E/=%", "r/E/=%4", "%/E/1",  "r/E/=%zz", "r/%4g/1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct sl_letter_name name;
        struct sl_arena arena;
        sl_arena_init(&arena, 1024);
        assert_false(sl_letter_name_parse(words[i], &arena, &name));
        sl_arena_done(&arena);
    }
}

static void test_codes_are_found(void **state)
{
    (void)state;
    assert_non_null(sl_dead_code_find("untypable"));
    assert_null(sl_dead_code_find("nonsense"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_words_and_back),
        cmocka_unit_test(test_other_words_are_no_names),
        cmocka_unit_test(test_codes_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
