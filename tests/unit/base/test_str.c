/* Views, UTF-8, and the growing buffer with its JSON escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define VIEW(literal) ((struct sl_str){literal, sizeof(literal) - 1})

static void views_compare(void **state)
{
    (void)state;
    static const struct {
        struct sl_str a, b;
        bool equal, equal_nocase;
    } rows[] = {
        {VIEW(""),         VIEW(""),         true,  true },
        {VIEW("a"),        VIEW(""),         false, false},
        {VIEW("abc"),      VIEW("abc"),      true,  true },
        {VIEW("abc"),      VIEW("aBC"),      false, true },
        {VIEW("abc"),      VIEW("abd"),      false, false},
        {VIEW("a\0b"),     VIEW("a\0b"),     true,  true },
        {VIEW("a\0b"),     VIEW("a\0c"),     false, false},
        {VIEW("a\0b"),     VIEW("A\0B"),     false, true },
        {VIEW("@[`{"),     VIEW("`{@["),     false, false},
        {VIEW("\xc3\xa4"), VIEW("\xc3\x84"), false, false}, /* only ASCII folds */
        {{NULL, 0},        VIEW(""),         true,  true },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(sl_str_equal(rows[i].a, rows[i].b), rows[i].equal);
        assert_int_equal(sl_str_equal_nocase(rows[i].a, rows[i].b), rows[i].equal_nocase);
    }
    assert_int_equal(sl_str_of(NULL).length, 0);
    assert_true(sl_str_is(VIEW("key"), "key"));
    assert_false(sl_str_is(VIEW("key"), "keys"));
}

static void a_cut_leaves_characters_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t limit, cut;
    } rows[] = {
        {"abc",                  3, 3},
        {"abc",                  2, 2},
        {"abc",                  0, 0},
        {"a\xc3\xa4",            2, 1},
        {"a\xe2\x82\xac",        3, 1},
        {"a\xf0\x9f\x98\x80",    4, 1},
        {"a\xf0\x9f\x98\x80",    5, 5},
        {"a\xf0\x9f\x98\x80z",   5, 5},
        {"\x80\x80\x80\x80\x80", 4, 4}, /* not UTF-8: cut anywhere */
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(sl_utf8_cut(rows[i].text, strlen(rows[i].text), rows[i].limit),
                         rows[i].cut);
}

static void control_characters_become_spaces(void **state)
{
    (void)state;
    char text[] = "a\nb\tc\x7f\xc3\xa4\xc2\x9b\xc2\xa0";
    sl_text_clean(text);
    assert_string_equal(text, "a b c \xc3\xa4  \xc2\xa0");
}

static void hash_is_fnv_1a(void **state)
{
    (void)state;
    assert_true(sl_hash("", 0) == 0xcbf29ce484222325u);
    assert_true(sl_hash("a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(sl_hash("foobar", 6) == 0x85944171f73967e8u);
}

static const struct {
    const char *name;
    struct sl_str bytes;
    bool valid;
} utf8[] = {
    {"nothing",                 VIEW(""),                 true },
    {"ascii",                   VIEW("plain"),            true },
    {"nul",                     VIEW("a\0b"),             true },
    {"two bytes",               VIEW("\xc2\x80\xdf\xbf"), true },
    {"three bytes",             VIEW("\xe0\xa0\x80"),     true },
    {"euro",                    VIEW("\xe2\x82\xac"),     true },
    {"below the surrogates",    VIEW("\xed\x9f\xbf"),     true },
    {"above the surrogates",    VIEW("\xee\x80\x80"),     true },
    {"four bytes",              VIEW("\xf0\x90\x80\x80"), true },
    {"the last code point",     VIEW("\xf4\x8f\xbf\xbf"), true },
    {"past the last",           VIEW("\xf4\x90\x80\x80"), false},
    {"lone continuation",       VIEW("\x80"),             false},
    {"overlong two",            VIEW("\xc0\x80"),         false},
    {"overlong slash",          VIEW("\xc1\xaf"),         false},
    {"overlong three",          VIEW("\xe0\x9f\xbf"),     false},
    {"overlong four",           VIEW("\xf0\x8f\xbf\xbf"), false},
    {"first surrogate",         VIEW("\xed\xa0\x80"),     false},
    {"last surrogate",          VIEW("\xed\xbf\xbf"),     false},
    {"cut after one of two",    VIEW("\xc3"),             false},
    {"cut after two of three",  VIEW("\xe2\x82"),         false},
    {"cut after three of four", VIEW("\xf0\x9f\x98"),     false},
    {"bad third",               VIEW("\xe2\x82\x41"),     false},
    {"bad fourth",              VIEW("\xf0\x9f\x98\xc0"), false},
    {"f5",                      VIEW("\xf5\x80\x80\x80"), false},
    {"fe",                      VIEW("\xfe"),             false},
    {"ff",                      VIEW("\xff"),             false},
};

/* Each row at every offset around the steps of the checker: of 4, 8 and 32 bytes. */
static void utf8_is_checked_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(utf8); i++)
        for (size_t before = 0; before < 42; before++)
            for (size_t after = 0; after < 42; after++) {
                size_t length = before + utf8[i].bytes.length + after;
                char *text = malloc(length + 1); /* exact, so that ASAN sees an overread */
                memset(text, 'x', length);
                memcpy(text + before, utf8[i].bytes.at, utf8[i].bytes.length);
                if (sl_utf8_valid(text, length) != utf8[i].valid)
                    fail_msg("%s: wrong with %zu before and %zu after", utf8[i].name, before,
                             after);
                free(text);
            }
}

static void what_is_wrong_with_utf8_is_told(void **state)
{
    (void)state;
    static const struct {
        struct sl_str text;
        const char *fault;
    } rows[] = {
        {VIEW("a\xff"),                    "is not valid UTF-8"                               },
        {VIEW("\xed"),                     "is not valid UTF-8"                               },
        {VIEW("\xed\x9f\xbf\xed\xed\xc3"), "is not valid UTF-8"                               },
        {VIEW("\xed\x9f\xbf\xed\xb0\x80"), "holds half of a surrogate pair (half a character)"},
        {VIEW("\xff\xed\xa0\xbd!"),        "holds half of a surrogate pair (half a character)"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(sl_utf8_fault(rows[i].text.at, rows[i].text.length), rows[i].fault);
}

static void json_escapes(void **state)
{
    (void)state;
    static const struct {
        struct sl_str in;
        const char *out;
    } rows[] = {
        {VIEW(""),                   ""                                    },
        {VIEW("plain"),              "plain"                               },
        {VIEW("say \"hi\"\\"),       "say \\\"hi\\\"\\\\"                  },
        {VIEW("a\nb\tc\r"),          "a\\nb\\u0009c\\u000d"                },
        {VIEW("\0\x1f\x7f"),         "\\u0000\\u001f\x7f"                  },
        {VIEW("Gr\xc3\xbc\xc3\x9f"), "Gr\xc3\xbc\xc3\x9f"                  },
        {VIEW("\xf0\x9f\x98\x80"),   "\xf0\x9f\x98\x80"                    },
        {VIEW("a\xff\x62"),          "a\xef\xbf\xbd\x62"                   },
        {VIEW("\xc3"),               "\xef\xbf\xbd"                        },
        {VIEW("\xc3\"x"),            "\xef\xbf\xbd\\\"x"                   },
        {VIEW("\xed\xa0\x80"),       "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {VIEW("\xe2\x82"),           "\xef\xbf\xbd\xef\xbf\xbd"            },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sl_buf buf;
        sl_buf_init(&buf);
        char *exact = malloc(rows[i].in.length + 1);
        memcpy(exact, rows[i].in.at, rows[i].in.length);
        sl_buf_add_json(&buf, exact, rows[i].in.length);
        assert_string_equal(sl_buf_view(&buf).at, rows[i].out);
        assert_true(sl_utf8_valid(buf.data ? buf.data : "", buf.length));
        free(exact);
        sl_buf_done(&buf);
    }
}

static void the_buffer_grows_and_ends_with_nul(void **state)
{
    (void)state;
    struct sl_buf buf;
    sl_buf_init(&buf);
    assert_string_equal(sl_buf_view(&buf).at, "");
    sl_buf_clear(&buf);
    for (int i = 0; i < 5000; i++) {
        sl_buf_add_char(&buf, (char)('a' + i % 26));
        assert_int_equal(buf.data[buf.length], 0);
    }
    assert_int_equal(buf.length, 5000);
    assert_int_equal(buf.data[4999], 'a' + 4999 % 26);

    sl_buf_clear(&buf);
    assert_int_equal(buf.length, 0);
    sl_buf_add_text(&buf, "rows=");
    sl_buf_printf(&buf, "%d %0*d", 7, 300, 1);
    assert_int_equal(buf.length, 5 + 2 + 300);
    sl_buf_add(&buf, NULL, 0);

    char *room = sl_buf_reserve(&buf, 10000);
    memset(room, 'r', 10000);
    sl_buf_commit(&buf, 10000);
    assert_int_equal(buf.length, 10307);

    char *taken = sl_buf_take(&buf);
    assert_int_equal(strlen(taken), 10307);
    free(taken);
    assert_int_equal(buf.capacity, 0);
    taken = sl_buf_take(&buf);
    assert_string_equal(taken, "");
    free(taken);
    sl_buf_done(&buf);
}

/* What a buffer that grew has left behind cannot be looked at once it is freed; what it hands on
 * can. */
static void a_secret_buffer_keeps_what_it_holds(void **state)
{
    struct sl_buf buf;
    (void)state;
    sl_buf_init_secret(&buf);
    sl_buf_done(&buf); /* nothing in it */
    assert_false(buf.secret);
    sl_buf_init_secret(&buf);
    for (int i = 0; i < 5000; i++)
        sl_buf_add_char(&buf, (char)('a' + i % 26));
    assert_int_equal(buf.length, 5000);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    assert_int_equal(buf.data[5000], 0);
    char *taken = sl_buf_take(&buf);
    assert_int_equal(strlen(taken), 5000);
    free(taken);
    sl_buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_compare),
        cmocka_unit_test(a_cut_leaves_characters_whole),
        cmocka_unit_test(control_characters_become_spaces),
        cmocka_unit_test(hash_is_fnv_1a),
        cmocka_unit_test(utf8_is_checked_wherever_it_stands),
        cmocka_unit_test(a_secret_buffer_keeps_what_it_holds),
        cmocka_unit_test(what_is_wrong_with_utf8_is_told),
        cmocka_unit_test(json_escapes),
        cmocka_unit_test(the_buffer_grows_and_ends_with_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
