/* http/mail against a small SMTP server. */
#include "http/mail.h"

#include <stdlib.h>

#include "http/client.h"
#include "http/harness.h"
#include "http/smtp_peer.h"

struct setup {
    struct peer peer, web;
    struct smtp_server smtp;
    struct sl_mail_settings settings;
    int rc; /* wanted */
    const char *message;
};

static char *nobody[] = {NULL};
static char *strange[] = {(char *)"not an address", NULL};
static char *two[] = {(char *)"a@contoso.com", (char *)"Bea <b@contoso.com>", NULL};

static void send_one(void *arg)
{
    struct setup *setup = arg;
    const struct sl_http_options options = {0};
    struct sl_http *http = sl_http_new(&options, NULL);
    struct sl_err err = {0};
    int rc = sl_mail_send(http, &setup->settings, "run failed", "first\n.dot\n", &err);
    EXPECT_INT(rc, setup->rc);
    if (!strstr(err.message, setup->message)) {
        fprintf(stderr, "'%s' is not in '%s'\n", setup->message, err.message);
        EXPECT(!"in the message");
    }
    EXPECT(!strstr(err.message, "pa55"));
    sl_http_free(http);
}

static struct setup *start(void)
{
    static struct setup setup;
    memset(&setup, 0, sizeof setup);
    peer_start(&setup.peer, smtp_serve, &setup.smtp);
    setup.settings = (struct sl_mail_settings){.host = (char *)"127.0.0.1",
                                               .port = setup.peer.port,
                                               .from = (char *)"sluice <ops@contoso.com>",
                                               .to = two,
                                               .timeout_ms = 5000};
    setup.message = "";
    return &setup;
}

static void test_sends(void **state)
{
    struct setup *setup = start();
    (void)state;
    run_fiber(send_one, setup);
    peer_stop(&setup->peer);
    assert_int_equal(atomic_load(&setup->smtp.mails), 1);
    assert_non_null(strstr(setup->smtp.commands, "MAIL FROM:<ops@contoso.com>"));
    assert_non_null(strstr(setup->smtp.commands, "RCPT TO:<a@contoso.com>\r\n"));
    assert_non_null(strstr(setup->smtp.commands, "RCPT TO:<b@contoso.com>\r\n"));
    assert_non_null(strstr(setup->smtp.message, "From: \"sluice\" <ops@contoso.com>\r\n"));
    assert_non_null(strstr(setup->smtp.message, "Subject: run failed\r\n"));
    assert_non_null(strstr(setup->smtp.message, "\r\n\r\nfirst\r\n..dot\r\n"));
}

static void test_logs_in(void **state)
{
    struct setup *setup = start();
    (void)state;
    setup->smtp.offer = "AUTH PLAIN";
    setup->settings.user = (char *)"ops";
    setup->settings.password = (char *)"pa55";
    run_fiber(send_one, setup);
    peer_stop(&setup->peer);
    assert_int_equal(atomic_load(&setup->smtp.mails), 1);
    assert_non_null(strstr(setup->smtp.commands, "AUTH PLAIN\r\n"));
    assert_non_null(strstr(setup->smtp.commands, "AG9wcwBwYTU1\r\n")); /* \0ops\0pa55 */
}

static void probe(void *arg)
{
    struct setup *setup = arg;
    const struct sl_http_options options = {0};
    struct sl_err err = {0};
    struct sl_http *http = sl_http_new(&options, NULL);
    EXPECT_INT(sl_mail_probe(http, &setup->settings, &err), setup->rc);
    EXPECT(strstr(err.message, setup->message));
    sl_http_free(http);
}

/* It goes as far as the login, and mails nothing. */
static void test_probes(void **state)
{
    struct setup *setup = start();
    (void)state;
    setup->smtp.offer = "AUTH PLAIN";
    setup->settings.user = (char *)"ops";
    setup->settings.password = (char *)"pa55";
    run_fiber(probe, setup);
    assert_non_null(strstr(setup->smtp.commands, "AG9wcwBwYTU1\r\n"));
    assert_non_null(strstr(setup->smtp.commands, "NOOP\r\n"));
    assert_null(strstr(setup->smtp.commands, "MAIL FROM"));
    setup->smtp.refuse = "AUTH";
    setup->smtp.refusal = "535 wrong password";
    setup->rc = SL_CONFIG;
    setup->message = "denied";
    run_fiber(probe, setup);
    peer_stop(&setup->peer);
    assert_int_equal(atomic_load(&setup->smtp.mails), 0);
}

static const struct {
    const char *refuse, *refusal;
    bool login;
    int security;
    char **to;
    int rc;
    const char *message;
} failures[] = {
    {"MAIL", "550 not you",        false, SL_MAIL_NONE,     two,     SL_REJECTED, "550"          },
    {"RCPT", "550 no such user",   false, SL_MAIL_NONE,     two,     SL_REJECTED, "550"          },
    {"DATA", "451 later",          false, SL_MAIL_NONE,     two,     SL_CLOSED,   "451"          },
    {"AUTH", "535 wrong password", true,  SL_MAIL_NONE,     two,     SL_CONFIG,   "denied"       },
    {NULL,   NULL,                 false, SL_MAIL_STARTTLS, two,     SL_CONFIG,   "STARTTLS"     },
    {NULL,   NULL,                 false, SL_MAIL_TLS,      two,     SL_CLOSED,   "cannot send"  },
    {NULL,   NULL,                 false, SL_MAIL_NONE,     nobody,  SL_CONFIG,   "names nobody" },
    {NULL,   NULL,                 false, SL_MAIL_NONE,     strange, SL_CONFIG,   "not an e-mail"},
};

static void test_failures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        struct setup *setup = start();
        setup->smtp.refuse = failures[i].refuse;
        setup->smtp.refusal = failures[i].refusal;
        if (failures[i].login) {
            setup->smtp.offer = "AUTH PLAIN";
            setup->settings.user = (char *)"ops";
            setup->settings.password = (char *)"pa55";
        }
        setup->settings.security = failures[i].security;
        setup->settings.to = failures[i].to;
        setup->rc = failures[i].rc;
        setup->message = failures[i].message;
        run_fiber(send_one, setup);
        peer_stop(&setup->peer);
        assert_int_equal(atomic_load(&setup->smtp.mails), 0);
    }
}

/* --- after a request --- */

static void answer(struct peer_link *link)
{
    while (peer_read_request(link) &&
           peer_say(link, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
        ;
}

/* What libcurl remembers of a request says nothing to a mail. */
static void request_and_send(void *arg)
{
    struct setup *setup = arg;
    struct sl_http *http = sl_http_new(&(struct sl_http_options){0}, NULL);
    char url[256];
    struct sl_err err = {0};
    snprintf(url, sizeof url, "%s/x", setup->web.origin);
    for (int i = 0; i < 2; i++) {
        struct sl_http_response response;
        const struct sl_http_request request = {.url = url, .bearer = "token"};
        EXPECT_INT(sl_http_request(http, &request, &response, &err), SL_OK);
        sl_http_response_done(&response);
        EXPECT_INT(sl_mail_send(http, &setup->settings, "run failed", "text\n", &err), SL_OK);
    }
    sl_http_free(http);
}

static void test_after_a_request(void **state)
{
    struct setup *setup = start();
    (void)state;
    peer_start(&setup->web, answer, NULL);
    run_fiber(request_and_send, setup);
    peer_stop(&setup->web);
    peer_stop(&setup->peer);
    assert_int_equal(atomic_load(&setup->smtp.mails), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sends),           cmocka_unit_test(test_logs_in),
        cmocka_unit_test(test_probes),          cmocka_unit_test(test_failures),
        cmocka_unit_test(test_after_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
