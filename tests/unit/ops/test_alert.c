/* ops/alert against a small SMTP server: told in time, kept when it cannot be, never in the way. */
#include "ops/alert.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "http/harness.h"
#include "http/smtp_peer.h"

static char *to[] = {(char *)"a@contoso.com", NULL};

struct setup {
    struct peer peer;
    struct smtp_server smtp;
    struct sl_alert_settings settings;
    struct sl_http *http;
    unsigned wanted;
};

static void with_server(struct setup *setup, void (*body)(void *))
{
    const struct sl_http_options options = {0};
    sl_log_setup(SL_ERROR + 1, SL_LOG_TEXT); /* alerts are errors: keep the test's output clean */
    peer_start(&setup->peer, smtp_serve, &setup->smtp);
    setup->settings.rules.repeat_ms = 3600000;
    setup->settings.rules.max_per_hour = 10;
    setup->settings.mail = (struct sl_mail_settings){.host = (char *)"127.0.0.1",
                                                     .port = setup->peer.port,
                                                     .from = (char *)"ops@contoso.com",
                                                     .to = to,
                                                     .timeout_ms = 5000};
    setup->http = sl_http_new(&options, NULL);
    sl_alert_start(setup->http, &setup->settings, "1.2.3", "all");
    run_fiber(body, setup);
    peer_stop(&setup->peer);
    sl_alert_end();
    sl_metric_free_all();
}

static bool has_mails(void *arg)
{
    struct setup *setup = arg;
    return sl_metric_sum("alert_messages_total", "sent") == setup->wanted;
}

static void expect_mails(struct setup *setup, unsigned wanted)
{
    setup->wanted = wanted;
    EXPECT(wait_until(has_mails, setup));
    EXPECT_INT(atomic_load(&setup->smtp.mails), wanted);
}

static void done(struct setup *setup)
{
    sl_alert_stop(sl_deadline_in(5000));
    sl_http_free(setup->http);
}

static void run_fails(const char *feed, const char *text)
{
    sl_alert_raise(SL_ALERT_RUN_FAILED, feed, "run failed", text);
}

static void raised_and_over(void *arg)
{
    struct setup *setup = arg;
    run_fails("vendors", "one");
    expect_mails(setup, 1);
    EXPECT(strstr(setup->smtp.message, "Subject: sluice: run failed (vendors)\r\n"));
    EXPECT(strstr(setup->smtp.message, "  vendors: run failed (run_failed, since 2"));
    EXPECT(strstr(setup->smtp.message, "\r\n  one\r\n"));
    EXPECT(strstr(setup->smtp.message, "sluice 1.2.3, role all, on "));
    run_fails("vendors", "two"); /* raised already */
    run_fails("customers", "three");
    expect_mails(setup, 2);
    EXPECT(!strstr(setup->smtp.message, "vendors"));
    EXPECT(strstr(setup->smtp.message, "1 repetition since the last message was held back"));

    sl_alert_clear(SL_ALERT_RUN_FAILED, "vendors");
    expect_mails(setup, 3);
    EXPECT(strstr(setup->smtp.message, "Subject: sluice: run failed (vendors), over\r\n"));
    EXPECT_INT(sl_metric_sum("alerts_total", "kind=\"run_failed\",outcome=\"raised\""), 2);
    EXPECT_INT(sl_metric_sum("alerts_total", "kind=\"run_failed\",outcome=\"sent\""), 3);
    EXPECT_INT(sl_metric_sum("alerts_total", "kind=\"run_failed\",outcome=\"suppressed\""), 1);
    EXPECT_INT(sl_metric_sum("alerts_total", "kind=\"run_failed\",outcome=\"recovered\""), 1);
    EXPECT_INT(sl_metric_sum("alerts_raised", "kind=\"run_failed\""), 1);
    done(setup);
}

static void test_raised_and_over(void **state)
{
    static struct setup setup;
    (void)state;
    with_server(&setup, raised_and_over);
}

static void grouped(void *arg)
{
    struct setup *setup = arg;
    run_fails("vendors", "one");
    run_fails("customers", "two");
    expect_mails(setup, 1);
    EXPECT(strstr(setup->smtp.message, "Subject: sluice: 2 raised\r\n"));
    EXPECT(strstr(setup->smtp.message, "  vendors: ") &&
           strstr(setup->smtp.message, "  customers: "));
    done(setup);
}

static void test_grouped(void **state)
{
    static struct setup setup = {.settings = {.rules = {.group_ms = 100}}};
    (void)state;
    with_server(&setup, grouped);
}

/* What waits for its group is told by the next life, or, when there is none, at once. */
static void kept_over_a_reload(void *arg)
{
    struct setup *setup = arg;
    run_fails("vendors", "one");
    sl_alert_stop(sl_deadline_in(5000));
    EXPECT_INT(atomic_load(&setup->smtp.mails), 0);
    sl_alert_start(setup->http, &setup->settings, "1.2.3", "all");
    EXPECT(sl_alert_is_raised(SL_ALERT_RUN_FAILED, "vendors"));
    run_fails("customers", "two");
    sl_alert_hurry();
    sl_alert_stop(sl_deadline_in(5000));
    EXPECT_INT(atomic_load(&setup->smtp.mails), 1);
    EXPECT(strstr(setup->smtp.message, "Subject: sluice: 2 raised\r\n"));
    sl_http_free(setup->http);
}

static void test_reload(void **state)
{
    static struct setup setup = {.settings = {.rules = {.group_ms = 600000}}};
    (void)state;
    with_server(&setup, kept_over_a_reload);
}

/* The next life of the process would not know of it. */
static void held_back_at_the_end(void *arg)
{
    struct setup *setup = arg;
    sl_alert_raise(SL_ALERT_NOTICE, "visits", "events may be lost", "1 so far");
    run_fails("vendors", "one");
    expect_mails(setup, 1);
    sl_alert_raise(SL_ALERT_NOTICE, "visits", "events may be lost", "3 so far");
    run_fails("vendors", "two");
    sl_alert_hurry();
    sl_alert_stop(sl_deadline_in(5000));
    EXPECT_INT(atomic_load(&setup->smtp.mails), 2);
    EXPECT(strstr(setup->smtp.message, "3 so far") && !strstr(setup->smtp.message, "vendors"));
    sl_http_free(setup->http);
}

static void test_a_notice_that_is_held_back_is_told_at_the_end(void **state)
{
    static struct setup setup;
    (void)state;
    with_server(&setup, held_back_at_the_end);
}

static bool has_failed(void *arg)
{
    (void)arg;
    return sl_metric_sum("alert_messages_total", "failed") == 1;
}

static void refused(void *arg)
{
    struct setup *setup = arg;
    run_fails("vendors", "one");
    EXPECT(wait_until(has_failed, setup));
    EXPECT_INT(sl_metric_sum("alerts_total", "kind=\"run_failed\",outcome=\"failed\""), 1);
    EXPECT(sl_alert_is_raised(SL_ALERT_RUN_FAILED, "vendors"));
    setup->smtp.refuse = NULL;
    run_fails("customers", "two"); /* another one does not wait for it */
    expect_mails(setup, 1);
    EXPECT(strstr(setup->smtp.message, "customers"));
    done(setup);
}

static void test_refused(void **state)
{
    static struct setup setup = {
        .smtp = {.refuse = "RCPT", .refusal = "550 no"}
    };
    (void)state;
    with_server(&setup, refused);
}

/* The server is away: the mail is tried again later, but stopping does not wait for that. */
static void stop_while_away(void *arg)
{
    struct setup *setup = arg;
    struct peer gone;
    peer_start(&gone, smtp_serve, NULL);
    peer_stop(&gone);
    setup->settings.mail.port = gone.port;
    run_fails("vendors", "one");
    sl_fiber_sleep(50);
    uint64_t before_ms = sl_loop_now_ms();
    sl_alert_stop(sl_deadline_in(100));
    EXPECT(sl_loop_now_ms() - before_ms < 1000);
    EXPECT_INT(sl_metric_sum("alert_messages_total", "failed"), 1);
    run_fails("vendors", "after the end"); /* log alone */
    sl_http_free(setup->http);
}

static void test_stop(void **state)
{
    static struct setup setup;
    (void)state;
    with_server(&setup, stop_while_away);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raised_and_over),
        cmocka_unit_test(test_grouped),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_a_notice_that_is_held_back_is_told_at_the_end),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
