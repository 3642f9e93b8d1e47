/* Errors: codes, messages, context in front, truncation, nothing unprintable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

#include <cmocka.h>

static void set_fills_everything_and_returns_the_code(void **state)
{
    (void)state;
    struct sl_err err = {.cause = 7, .retry_after_ms = 9};
    assert_int_equal(sl_err_set(&err, SL_THROTTLED, "cannot poll job '%s'", "j1"), SL_THROTTLED);
    assert_int_equal(err.code, SL_THROTTLED);
    assert_string_equal(err.message, "cannot poll job 'j1'");
    assert_int_equal(err.cause, 0);
    assert_int_equal(err.retry_after_ms, 0);
    assert_int_equal(sl_err_set(NULL, SL_CLOSED, "nobody listens"), SL_CLOSED);
}

static void wrap_puts_context_in_front(void **state)
{
    (void)state;
    struct sl_err err;
    sl_err_set(&err, SL_TIMEOUT, "no answer");
    err.cause = 110;
    assert_int_equal(sl_err_wrap(&err, "job '%s'", "j1"), SL_TIMEOUT);
    assert_int_equal(sl_err_wrap(&err, "source '%s'", "fno"), SL_TIMEOUT);
    assert_string_equal(err.message, "source 'fno': job 'j1': no answer");
    assert_int_equal(err.cause, 110);
}

static void a_message_may_quote_itself(void **state)
{
    (void)state;
    struct sl_err err;
    sl_err_set(&err, SL_CLOSED, "inner");
    sl_err_set(&err, SL_REJECTED, "outer, because: %s", err.message);
    assert_string_equal(err.message, "outer, because: inner");
    sl_err_wrap(&err, "<%s>", err.message);
    assert_string_equal(err.message, "<outer, because: inner>: outer, because: inner");
}

static void long_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;

    enum { MOST = SL_ERR_TEXT_BYTES - 1 };
    for (int length = MOST - 14; length < MOST + 60; length++) {
        struct sl_err err;
        sl_err_set(&err, SL_CLOSED, "%.*s", length, text);
        assert_int_equal(strlen(err.message), length < MOST ? length : MOST);
        sl_err_wrap(&err, "context");
        assert_int_equal(strlen(err.message), length + 9 < MOST ? length + 9 : MOST);
        assert_memory_equal(err.message, "context: xxx", 12);

        sl_err_set(&err, SL_CLOSED, "tail");
        sl_err_wrap(&err, "%.*s", length, text);
        size_t whole = (size_t)length + strlen(": tail");
        assert_true(strlen(err.message) <= MOST);
        if (whole <= MOST)
            assert_string_equal(err.message + length, ": tail");
    }
}

static void no_character_is_cut(void **state)
{
    (void)state;
    static const char *const characters[] = {"\xc3\xa9", "\xe8\xaa\x9e", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof characters / sizeof *characters; i++)
        for (size_t before = 0; before < 8; before++) {
            struct sl_err err;
            char text[4 * SL_ERR_TEXT_BYTES] = "";
            size_t length = strlen(characters[i]);
            memset(text, 'x', before);
            for (size_t at = before; at < 2 * SL_ERR_TEXT_BYTES; at += length)
                memcpy(text + at, characters[i], length);
            sl_err_set(&err, SL_REJECTED, "%s", text);
            assert_true(sl_utf8_valid(err.message, strlen(err.message)));
            assert_in_range(strlen(err.message), SL_ERR_TEXT_BYTES - 4, SL_ERR_TEXT_BYTES - 1);
            sl_err_wrap(&err, "context");
            assert_true(sl_utf8_valid(err.message, strlen(err.message)));
            sl_err_wrap(&err, "%s", text);
            assert_true(sl_utf8_valid(err.message, strlen(err.message)));
        }
}

static void control_characters_become_blanks(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"a\nb",         "a b"        },
        {"\r\n\t",       "   "        },
        {"\033[31mred",  " [31mred"   },
        {"del\x7f",      "del "       },
        {"Gr\xc3\xbc\n", "Gr\xc3\xbc "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_err err;
        sl_err_set(&err, SL_CLOSED, "%s", rows[i].in);
        assert_string_equal(err.message, rows[i].out);
        sl_err_set(&err, SL_CLOSED, "m");
        sl_err_wrap(&err, "%s", rows[i].in);
        assert_memory_equal(err.message, rows[i].out, strlen(rows[i].out));
    }
}

static void codes_have_names_and_a_kind(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *name;
        bool transient;
    } rows[] = {
        {SL_OK,        "ok",        false},
        {SL_END,       "end",       false},
        {SL_TIMEOUT,   "timeout",   true },
        {SL_THROTTLED, "throttled", true },
        {SL_CLOSED,    "closed",    true },
        {SL_REJECTED,  "rejected",  false},
        {SL_NOTFOUND,  "not_found", false},
        {SL_CONFIG,    "config",    false},
        {SL_CANCELED,  "canceled",  false},
        {-1,           "unknown",   false},
        {999,          "unknown",   false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_string_equal(sl_code_name(rows[i].code), rows[i].name);
        assert_int_equal(sl_code_transient(rows[i].code), rows[i].transient);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_everything_and_returns_the_code),
        cmocka_unit_test(wrap_puts_context_in_front),
        cmocka_unit_test(a_message_may_quote_itself),
        cmocka_unit_test(long_messages_are_cut_not_overrun),
        cmocka_unit_test(no_character_is_cut),
        cmocka_unit_test(control_characters_become_blanks),
        cmocka_unit_test(codes_have_names_and_a_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
