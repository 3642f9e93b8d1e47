/* http/mime: the bytes of a mail. */
#include "http/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const two[] = {"a@contoso.com", "Bea <b@contoso.com>", NULL};
static const char *const one[] = {"a@contoso.com", NULL};

#define HEAD(from, to, subject)                                                                    \
    "Date: Sun, 22 Nov 2026 03:10:00 +0000\r\nFrom: " from "\r\nTo: " to "\r\nSubject: " subject   \
    "\r\nMessage-ID: <id1@contoso.com>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n" \
    "Content-Type: text/plain; charset=utf-8\r\n"

static const struct {
    const char *from;
    const char *const *to;
    const char *subject, *text, *wanted;
} mails[] = {
    {"ops@contoso.com",          one, "run failed",                                         "one\ntwo\n",
     HEAD("ops@contoso.com",                                                                                                       "a@contoso.com",
     "run failed") "Content-Transfer-Encoding: 7bit\r\n\r\none\r\ntwo\r\n"                  },
    {"sluice <ops@contoso.com>", two, "a\r\nBcc: x@evil.example",                           "no end\r\n.",
     HEAD("\"sluice\" <ops@contoso.com>",                                                                                          "a@contoso.com,\r\n \"Bea\" <b@contoso.com>",
     "a  Bcc: x@evil.example") "Content-Transfer-Encoding: 7bit\r\n\r\nno end\r\n.\r\n"     },
    {"ops@contoso.com",          one, "St\xc3\xb6rung",
     "Gr\xc3\xbc\xc3\x9f"
     "e",                                                                                                  HEAD("ops@contoso.com", "a@contoso.com",
     "=?UTF-8?B?U3TDtnJ1bmc=?=") "Content-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ0K\r\n"},
 /* 41 letters, then one of two bytes: it is not cut in half */
    {"ops@contoso.com",          one, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc3\xa9z", "",
     HEAD("ops@contoso.com",                                                                                                       "a@contoso.com",
     "=?UTF-8?B?YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=?=\r\n"
          " =?UTF-8?B?w6l6?=") "Content-Transfer-Encoding: 7bit\r\n\r\n"                    },
};

static void test_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mails / sizeof *mails; i++) {
        const struct sl_mime_mail mail = {mails[i].from, mails[i].to,   mails[i].subject,
                                          mails[i].text, 1795317000000, "id1"};
        struct sl_buf buf;
        sl_buf_init(&buf);
        sl_mime_write(&buf, &mail);
        assert_string_equal(buf.data, mails[i].wanted);
        sl_buf_done(&buf);
    }
}

static void test_long_line(void **state)
{
    char text[2001];
    struct sl_mime_mail mail = {"ops@contoso.com", one, "s", text, 0, "id1"};
    struct sl_buf buf;
    (void)state;
    memset(text, 'x', 2000);
    text[2000] = 0;
    sl_buf_init(&buf);
    sl_mime_write(&buf, &mail);
    assert_non_null(strstr(buf.data, "base64"));
    for (const char *at = strstr(buf.data, "\r\n\r\n") + 4; *at; at += strcspn(at, "\n") + 1)
        assert_true(strcspn(at, "\r") <= 76);
    sl_buf_done(&buf);
}

static void test_address(void **state)
{
    static const struct {
        const char *text, *address; /* NULL: refused */
    } rows[] = {
        {"a@b.c",                    "a@b.c"},
        {"Name <a@b.c>",             "a@b.c"},
        {"\"A, B\" <a@b.c>",         "a@b.c"},
        {"",                         NULL   },
        {"a",                        NULL   },
        {"@b.c",                     NULL   },
        {"a@",                       NULL   },
        {"a b@c.d",                  NULL   },
        {"a@b.c, d@e.f",             NULL   },
        {"Name <a@b.c",              NULL   },
        {"<a@b.c> x",                NULL   },
        {"a@b.c>\r\nRCPT TO:<x@y.z", NULL   },
        {"a@b.c\nX: y",              NULL   },
    };
    char out[64];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(sl_mime_address(rows[i].text, out, sizeof out), rows[i].address != NULL);
        if (rows[i].address)
            assert_string_equal(out, rows[i].address);
    }
    assert_false(sl_mime_address("long@example.com", out, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
