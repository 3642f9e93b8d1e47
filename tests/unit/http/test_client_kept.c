/* Connections that are kept between requests, and that the peer closes meanwhile. */
#include "cpu.h"
#include "http/client.h"

#include "http/harness.h"
#include "http/peer.h"

enum { ROUNDS = 5, IDLE_MS = 100 };

/* It does not say that it will close, and closes behind /last. */
static void serve(struct peer_link *link)
{
    while (peer_read_request(link) &&
           peer_say(link, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") &&
           !peer_asked(link, "/last"))
        ;
}

static void get(struct sl_http *http, const struct peer *peer, const char *path)
{
    char url[256];
    struct sl_err err = {0};
    struct sl_http_response got = {0};
    snprintf(url, sizeof url, "%s%s", peer->origin, path);
    const struct sl_http_request request = {.url = url};
    EXPECT_INT(sl_http_request(http, &request, &got, &err), SL_OK);
    EXPECT_TEXT(got.body, "hello");
    sl_http_response_done(&got);
}

static void get_and_lose(void *arg)
{
    struct peer *peer = arg;
    struct sl_err err = {0};
    struct sl_http *http = sl_http_new(&(struct sl_http_options){0}, &err);
    EXPECT(http);
    for (int i = 0; i < ROUNDS; i++) {
        get(http, peer, "/first");
        get(http, peer, "/last");
        double before_ms = cpu_ms();
        sl_fiber_sleep(IDLE_MS);
        EXPECT(cpu_ms() - before_ms < IDLE_MS / 2.0); /* nobody turns round the lost one */
    }
    EXPECT_INT(atomic_load(&peer->connections), ROUNDS); /* kept as long as it could be */
    get(http, peer, "/first");
    sl_http_free(http); /* with one that is kept */
}

static void test_kept_connections(void **state)
{
    struct peer peer;
    (void)state;
    peer_start(&peer, serve, NULL);
    run_fiber(get_and_lose, &peer);
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kept_connections)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
