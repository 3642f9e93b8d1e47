/* http/transfer: the configured proxy and no other, by the address that sluice looked up, whatever
 * the environment says. */
#include "http/client_peer.h"

#include <stdlib.h>

#include "http/transfer.h"

/* A proxy that answers by itself: what was asked of it. */
static void answer_as_proxy(struct peer_link *link)
{
    while (peer_read_request(link)) {
        char line[200], text[400];
        snprintf(line, sizeof line, "%.*s", (int)strcspn(link->request, "\r"), link->request);
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(line), line);
        if (!peer_say(link, text))
            return;
    }
}

static void expect_answer(struct sl_http *http, const char *url, const char *wanted)
{
    const struct sl_http_request request = {.url = url};
    struct sl_http_response got = {0};
    struct sl_err err = {0};
    EXPECT_INT(sl_http_request(http, &request, &got, &err), SL_OK);
    EXPECT_TEXT(err.message, "");
    EXPECT_TEXT(got.body, wanted);
    sl_http_response_done(&got);
}

static void ask_by_proxy(void *arg)
{
    struct setup *setup = arg;
    expect_answer(setup->http, "http://contoso.test/a", "GET http://contoso.test/a HTTP/1.1");
    expect_answer(setup->http, url_of(setup, "/here"), "GET /here HTTP/1.1");
    sl_http_free(setup->http);
}

static void test_the_environment_is_not_asked(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "LocalHost"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct setup setup = {0};
        char proxy[100];
        peer_start(&setup.peer, answer_as_proxy, NULL);
        snprintf(proxy, sizeof proxy, "http://%s:%u", hosts[i], setup.peer.port);
        setup.http = sl_http_new(&(struct sl_http_options){.proxy = proxy}, NULL);
        assert_non_null(setup.http);
        run_fiber(ask_by_proxy, &setup);
        peer_stop(&setup.peer);
    }
}

/* --- where a connection would lead --- */

static curl_socket_t note_port(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    const struct sockaddr_in *at = (const void *)&address->addr; /* v6 has its port there, too */
    (void)purpose;
    *(unsigned *)ctx = ntohs(at->sin_port);
    return CURL_SOCKET_BAD;
}

/* Starts a transfer to url, which libcurl is told to be another one (NULL: not), and fails. */
static void try_url(const char *proxy, const char *url, const char *other, unsigned *ret_port,
                    struct sl_err *err)
{
    struct sl_http *http = sl_http_new(&(struct sl_http_options){.proxy = (char *)proxy}, err);
    struct sl_transfer transfer = {0};
    EXPECT_INT(sl_transfer_init(&transfer, http, url, err), SL_OK);
    curl_easy_setopt(transfer.easy, CURLOPT_OPENSOCKETFUNCTION, note_port);
    curl_easy_setopt(transfer.easy, CURLOPT_OPENSOCKETDATA, ret_port);
    if (other)
        curl_easy_setopt(transfer.easy, CURLOPT_URL, other);
    EXPECT_INT(sl_transfer_start(&transfer, sl_deadline_in(5000), err), SL_OK);
    EXPECT_INT(sl_transfer_wait(&transfer, NULL, sl_deadline_in(5000), err), SL_OK);
    EXPECT_INT(sl_transfer_outcome(&transfer, err), SL_CLOSED);
    sl_transfer_done(&transfer);
    sl_http_free(http);
}

static void look_at_ports(void *arg)
{
    static const struct {
        const char *proxy;
        unsigned port;
    } rows[] = {
        {"http://localhost",             80  },
        {"http://localhost/",            80  },
        {"https://localhost",            443 },
        {"http://127.0.0.1",             80  },
        {"http://[::1]",                 80  },
        {"http://user:secret@localhost", 80  },
        {"http://localhost:3128",        3128},
        {"http://[::1]:3128/",           3128},
        {"HTTP://LOCALHOST:3128",        3128},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned port = 0;
        struct sl_err err = {0};
        try_url(rows[i].proxy, "https://contoso.test/", NULL, &port, &err);
        if (port != rows[i].port)
            fprintf(stderr, "%s: %s\n", rows[i].proxy, err.message);
        EXPECT_INT(port, rows[i].port);
    }
}

static void test_a_port_is_that_of_the_scheme(void **state)
{
    (void)state;
    run_fiber(look_at_ports, NULL);
}

static void let_libcurl_look_up(void *arg)
{
    unsigned port = 0;
    struct sl_err err = {0};
    (void)arg;
    try_url(NULL, "http://localhost:7/", "http://contoso.test/", &port, &err);
    EXPECT_INT(port, 0);
    EXPECT_TEXT(err.message, "http://localhost:7/: libcurl would look up another name than sluice "
                             "did; please report this");
}

static void test_libcurl_looks_nothing_up(void **state)
{
    (void)state;
    run_fiber(let_libcurl_look_up, NULL);
}

/* --- settings --- */

static void test_what_is_no_url(void **state)
{
    struct sl_err err = {0};
    (void)state;
    assert_null(sl_http_new(&(struct sl_http_options){.proxy = "socks5://u:secret@p"}, &err));
    assert_int_equal(err.code, SL_CONFIG);
    assert_string_equal(
        err.message,
        "http.proxy: 'socks5://p/': a URL has a scheme and a host, like https://host/path");
}

int main(void)
{
    setenv("NO_PROXY", "*", 1);
    setenv("no_proxy", "*", 1);
    setenv("http_proxy", "http://127.0.0.1:9", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_environment_is_not_asked),
        cmocka_unit_test(test_a_port_is_that_of_the_scheme),
        cmocka_unit_test(test_libcurl_looks_nothing_up),
        cmocka_unit_test(test_what_is_no_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
