/* ops/alert against a small SMTP server: one mail an interval and feed, and never in the way. */
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
    setup->settings.mail = (struct sl_mail_settings){.host = (char *)"127.0.0.1",
                                                     .port = setup->peer.port,
                                                     .from = (char *)"ops@contoso.com",
                                                     .to = to,
                                                     .timeout_ms = 5000};
    setup->http = sl_http_new(&options, NULL);
    sl_alert_start(setup->http, &setup->settings);
    run_fiber(body, setup);
    peer_stop(&setup->peer);
    sl_metric_free_all();
}

static bool has_mails(void *arg)
{
    struct setup *setup = arg;
    return sl_metric_sum("alert_mails_total", "sent") == setup->wanted;
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

static void once_an_interval(void *arg)
{
    struct setup *setup = arg;
    sl_alert("vendors", "run 1 failed", "one");
    sl_alert("vendors", "run 2 failed", "two");
    expect_mails(setup, 1);
    EXPECT(strstr(setup->smtp.message, "Subject: run 1 failed\r\n"));
    sl_alert("vendors", "run 3 failed", "three");
    sl_alert("customers", "run 4 failed", "four"); /* another feed has its own interval */
    expect_mails(setup, 2);
    EXPECT(strstr(setup->smtp.message, "Subject: run 4 failed\r\n"));

    sl_fiber_sleep(setup->settings.min_interval_ms + 50);
    sl_alert("vendors", "run 5 failed", "five");
    expect_mails(setup, 3);
    EXPECT(strstr(setup->smtp.message, "five\r\n\r\n2 earlier alerts about this feed"));
    done(setup);
    EXPECT_INT(atomic_load(&setup->smtp.mails), 3);
}

static void test_interval(void **state)
{
    static struct setup setup = {.settings = {.min_interval_ms = 500}};
    (void)state;
    with_server(&setup, once_an_interval);
}

static bool has_failed(void *arg)
{
    (void)arg;
    return sl_metric_sum("alert_mails_total", "failed") == 1;
}

static void refused_then_taken(void *arg)
{
    struct setup *setup = arg;
    sl_alert("vendors", "run 1 failed", "one");
    EXPECT(wait_until(has_failed, setup));
    setup->smtp.refuse = NULL;
    sl_alert("vendors", "run 2 failed", "two"); /* a mail that failed does not count */
    expect_mails(setup, 1);
    done(setup);
}

static void test_refused(void **state)
{
    static struct setup setup = {
        .smtp = {.refuse = "RCPT", .refusal = "550 no"},
          .settings = {.min_interval_ms = 3600000               }
    };
    (void)state;
    with_server(&setup, refused_then_taken);
}

/* The server is away: the mail is tried again later, but stopping does not wait for that. */
static void stop_while_away(void *arg)
{
    struct setup *setup = arg;
    struct peer gone;
    peer_start(&gone, smtp_serve, NULL);
    peer_stop(&gone);
    setup->settings.mail.port = gone.port;
    sl_alert("vendors", "run 1 failed", "one");
    sl_fiber_sleep(50);
    uint64_t before_ms = sl_loop_now_ms();
    sl_alert_stop(sl_deadline_in(100));
    EXPECT(sl_loop_now_ms() - before_ms < 1000);
    EXPECT_INT(sl_metric_sum("alert_mails_total", "failed"), 1);
    sl_alert("vendors", "run 2 failed", "after the end"); /* log alone */
    sl_http_free(setup->http);
}

static void test_stop(void **state)
{
    static struct setup setup = {.settings = {.min_interval_ms = 3600000}};
    (void)state;
    with_server(&setup, stop_while_away);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
