/* format/base64: the alphabet for URLs. */
#include "format/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void the_alphabet_for_urls_needs_no_escape_and_no_padding(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *text;
    } rows[] = {
        {"",             0, ""      },
        {"f",            1, "Zg"    },
        {"fo",           2, "Zm8"   },
        {"foo",          3, "Zm9v"  },
        {"\xfb\xff\xbf", 3, "-_-_"  },
        {"\xff\xff",     2, "__8"   },
        {"\0\0\0\0",     4, "AAAAAA"},
    };
    struct sl_buf out;
    (void)state;
    sl_buf_init(&out);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sl_buf_clear(&out);
        sl_buf_add_text(&out, "a+/="); /* what is there already stays */
        sl_base64url_encode(&out, rows[i].bytes, rows[i].size);
        assert_memory_equal(out.data, "a+/=", 4);
        assert_string_equal(out.data + 4, rows[i].text);
        assert_int_equal(out.length, 4 + strlen(rows[i].text));
    }
    sl_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_alphabet_for_urls_needs_no_escape_and_no_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
