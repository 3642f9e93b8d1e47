/* ops/alert_text and the checks of ops/alert_targets: what people and programs are told. */
#include "ops/alert_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "format/json.h"
#include "ops/alert_targets.h"

static struct sl_alert_line line(enum sl_alert_change change, const char *subject, int over_s)
{
    return (struct sl_alert_line){.kind = SL_ALERT_LAG,
                                  .change = change,
                                  .subject = (char *)(uintptr_t)subject,
                                  .title = (char *)"changes come late",
                                  .text = (char *)"a \"text\"\nof two",
                                  .raised_wall_ms = 1795317000120,
                                  .over_wall_ms = over_s ? 1795317000120 + over_s * 1000 : 0};
}

static const struct sl_alert_sender sender = {"1.2.3", "all", "etl1", 4711};

static void expect_subject(const struct sl_alert_message *message, const char *wanted)
{
    struct sl_buf buf;
    sl_buf_init(&buf);
    sl_alert_subject(&buf, message);
    assert_string_equal(buf.data, wanted);
    sl_buf_done(&buf);
}

static void test_subject(void **state)
{
    struct sl_alert_line lines[] = {
        line(SL_ALERT_IS_RAISED, "account", 0), line(SL_ALERT_IS_RAISED, "contact", 5),
        line(SL_ALERT_STILL_RAISED, "lead", 0), line(SL_ALERT_IS_OVER, "task", 60)};
    const struct sl_alert_message all = {.lines = lines, .count = 4};
    (void)state;
    expect_subject(&all, "sluice: 2 raised, 1 still raised, 1 over");
    static const char *const wanted[] = {
        "sluice: changes come late (account)", "sluice: changes come late (contact), and over",
        "sluice: changes come late (lead), still", "sluice: changes come late (task), over"};
    for (size_t i = 0; i < 4; i++) {
        const struct sl_alert_message one = {.lines = &lines[i], .count = 1};
        expect_subject(&one, wanted[i]);
    }
}

static void test_text(void **state)
{
    struct sl_alert_line lines[] = {line(SL_ALERT_IS_RAISED, "account", 0),
                                    line(SL_ALERT_IS_OVER, "task", 60)};
    const struct sl_alert_message message = {
        .lines = lines, .count = 2, .held_back = 2, .waited_ms = 61000};
    lines[0].earlier = 3;
    struct sl_buf buf;
    (void)state;
    sl_buf_init(&buf);
    sl_alert_text(&buf, &message, &sender);
    assert_string_equal(
        buf.data,
        "Raised:\n\n"
        "  account: changes come late (lag, since 2026-11-22 03:10:00 UTC)\n"
        "  a \"text\"\nof two\n"
        "  No message has told 3 earlier ones like it; the log has them.\n\n"
        "Over:\n\n"
        "  task: changes come late (lag, since 2026-11-22 03:10:00 UTC, over since 2026-11-22 "
        "03:11:00 UTC)\n\n"
        "2 repetitions since the last message were held back; the log has them.\n"
        "This message waited 2 min, because of alerts.max_per_hour.\n"
        "-- \nsluice 1.2.3, role all, on etl1, process 4711\n");
    sl_buf_done(&buf);
}

static const char *text_at(const struct sl_json *node, const char *key)
{
    const char *text = sl_json_text(sl_json_get(node, key));
    return text ? text : "null";
}

static void test_json(void **state)
{
    struct sl_alert_line lines[] = {line(SL_ALERT_IS_RAISED, "account", 5),
                                    line(SL_ALERT_STILL_RAISED, "task", 0)};
    const struct sl_alert_message message = {.lines = lines, .count = 2, .held_back = 3};
    lines[0].earlier = 7;
    struct sl_json_doc *doc;
    struct sl_buf buf;
    int64_t number = 0;
    (void)state;
    sl_buf_init(&buf);
    sl_alert_json(&buf, &message, &sender, SL_ALERT_BODY_FULL);
    assert_int_equal(sl_json_parse(buf.data, buf.length, NULL, &doc, NULL), SL_OK);
    const struct sl_json *root = sl_json_root(doc), *alerts = sl_json_get(root, "alerts");
    assert_int_equal(
        strncmp(text_at(root, "text"), "sluice: 1 raised, 1 still raised\n\nRaised:", 41), 0);
    assert_string_equal(text_at(sl_json_get(root, "sender"), "host"), "etl1");
    assert_true(sl_json_int(sl_json_get(root, "held_back"), &number));
    assert_int_equal(number, 3);
    assert_int_equal(alerts->count, 2);
    assert_string_equal(text_at(alerts->first, "kind"), "lag");
    assert_string_equal(text_at(alerts->first, "change"), "raised");
    assert_string_equal(text_at(alerts->first, "text"), "a \"text\"\nof two");
    assert_true(sl_json_int(sl_json_get(alerts->first, "earlier"), &number));
    assert_int_equal(number, 7);
    assert_string_equal(text_at(alerts->first, "since"), "2026-11-22T03:10:00.120Z");
    assert_string_equal(text_at(alerts->first, "until"), "2026-11-22T03:10:05.120Z");
    assert_string_equal(text_at(alerts->first->next, "change"), "still_raised");
    assert_string_equal(text_at(alerts->first->next, "until"), "null");
    sl_json_free(doc);

    sl_buf_clear(&buf);
    sl_alert_json(&buf, &message, &sender, SL_ALERT_BODY_TEXT);
    assert_int_equal(sl_json_parse(buf.data, buf.length, NULL, &doc, NULL), SL_OK);
    assert_int_equal(sl_json_root(doc)->count, 1);
    sl_json_free(doc);

    sl_buf_clear(&buf);
    sl_alert_json(&buf, &message, &sender, SL_ALERT_BODY_TEAMS);
    assert_int_equal(sl_json_parse(buf.data, buf.length, NULL, &doc, NULL), SL_OK);
    const struct sl_json *attachment = sl_json_get(sl_json_root(doc), "attachments")->first;
    const struct sl_json *card = sl_json_get(attachment, "content");
    assert_string_equal(text_at(sl_json_root(doc), "type"), "message");
    assert_string_equal(text_at(attachment, "contentType"),
                        "application/vnd.microsoft.card.adaptive");
    assert_string_equal(text_at(card, "type"), "AdaptiveCard");
    const struct sl_json *block = sl_json_get(card, "body")->first;
    assert_string_equal(text_at(block, "text"), "sluice: 1 raised, 1 still raised");
    assert_string_equal(text_at(block->next, "text"), "Raised:");
    for (; block; block = block->next) {
        assert_string_equal(text_at(block, "type"), "TextBlock");
        assert_null(strchr(text_at(block, "text"), '\n'));
    }
    sl_json_free(doc);
    sl_buf_done(&buf);
}

static char *somebody[] = {(char *)"a@contoso.com", NULL};
static char *strange[] = {(char *)"a b", NULL};

static const struct {
    struct sl_mail_settings mail;
    struct sl_alert_webhook webhook;
    const char *path, *message; /* NULL: all is well */
} settings[] = {
    {{0},                                                               {0},                                        NULL,          NULL                      },
    {{.host = (char *)"smtp"},                                          {0},                                        "mail",        "mail.from is not"        },
    {{.host = (char *)"smtp", .from = (char *)"a@b.c"},                 {0},                                        "mail",        "mail.to names nobody"    },
    {{.host = (char *)"smtp", .from = (char *)"a@b.c", .to = strange},
     {0},
     "mail",                                                                                                                       "'a b' is not an e-mail"  },
    {{.host = (char *)"smtp", .from = (char *)"a@b.c", .to = somebody}, {0},                                        NULL,          NULL                      },
    {{0},                                                               {.url = (char *)"https://contoso.com/k3y"}, NULL,          NULL                      },
    {{0},                                                               {.url = (char *)"http://[::1]:8080/k3y"},   NULL,          NULL                      },
    {{0},                                                               {.url = (char *)"http://contoso.com/k3y"},  "webhook.url", "must begin with https://"},
    {{0},                                                               {.url = (char *)"k3y"},                     "webhook.url", "is not a URL"            },
};

static void test_targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct sl_alert_targets targets = {&settings[i].mail, &settings[i].webhook};
        const char *path = NULL;
        struct sl_err err = {0};
        bool wrong = sl_alert_targets_wrong(&targets, &path, &err);
        if (!settings[i].message) {
            assert_false(wrong);
            continue;
        }
        assert_true(wrong);
        assert_string_equal(path, settings[i].path);
        assert_non_null(strstr(err.message, settings[i].message));
        assert_null(strstr(err.message, "k3y"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subject),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
