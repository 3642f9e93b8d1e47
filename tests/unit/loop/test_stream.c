/* Streams against a server in a thread: plain and TLS, large writes, pause, refusals. */
#include "loop/stream.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "loop/authority.h"
#include "loop/dns.h"
#include "loop/fiber.h"

#include <cmocka.h>

enum { TIMEOUT_MS = 20000, BIG_BYTES = 5 * 1000 * 1000 };

/* --- an echo server for one connection, in a thread --- */

struct server {
    int listener;
    uint16_t port;
    bool tls;
    bool wants_certificate; /* of the client, which has none */
    bool hasty;             /* says nothing after the handshake */
    pthread_t thread;
    size_t echoed;
};

static int make_authority(void **state)
{
    (void)state;
    authority_make();
    return 0;
}

static int drop_authority(void **state)
{
    (void)state;
    authority_drop();
    sl_dns_close();
    return sl_loop_close();
}

static void echo_plain(struct server *server, int fd)
{
    char buffer[32768];
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) {
        for (ssize_t used = 0; used < got;) {
            ssize_t sent = send(fd, buffer + used, (size_t)(got - used), MSG_NOSIGNAL);
            if (sent <= 0)
                return;
            used += sent;
        }
        server->echoed += (size_t)got;
        if (memchr(buffer, 'Q', (size_t)got)) /* quit */
            return;
    }
}

static void echo_tls(struct server *server, int fd)
{
    SSL_CTX *context = authority_server();
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (server->wants_certificate)
        SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    char buffer[32768];
    if (SSL_accept(ssl) == 1 && !server->hasty)
        for (int got; (got = SSL_read(ssl, buffer, sizeof buffer)) > 0;) {
            if (SSL_write(ssl, buffer, got) <= 0)
                break;
            server->echoed += (size_t)got;
            if (memchr(buffer, 'Q', (size_t)got)) {
                SSL_shutdown(ssl);
                break;
            }
        }
    SSL_free(ssl);
    SSL_CTX_free(context);
}

static void *serve(void *arg)
{
    struct server *server = arg;
    int fd = accept(server->listener, NULL, NULL);
    if (fd < 0)
        return NULL;
    if (server->tls)
        echo_tls(server, fd);
    else
        echo_plain(server, fd);
    close(fd);
    return NULL;
}

static void start_server(struct server *server, bool tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *server = (struct server){.listener = socket(AF_INET, SOCK_STREAM, 0), .tls = tls};
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 1), 0);
    getsockname(server->listener, (struct sockaddr *)&address, &size);
    server->port = ntohs(address.sin_port);
    pthread_create(&server->thread, NULL, serve, server);
}

static void stop_server(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
}

/* --- the client --- */

struct client {
    const char *host;
    struct server *server;
    struct sl_tls *tls;
    struct sl_stream *stream;
    size_t received, mismatches;
    bool closed, over;
    int rc;
    struct sl_err err, why;
    struct sl_waitlist changed;
};

static char pattern(size_t at)
{
    return (char)('a' + at % 13);
}

static void on_data(void *ctx, const uint8_t *bytes, size_t size)
{
    struct client *client = ctx;
    for (size_t i = 0; i < size; i++)
        client->mismatches += bytes[i] != (uint8_t)pattern(client->received + i);
    client->received += size;
    sl_wake_all(&client->changed);
}

static void on_close(void *ctx, const struct sl_err *why)
{
    struct client *client = ctx;
    client->closed = true;
    client->why = *why;
    sl_wake_all(&client->changed);
}

static const struct sl_stream_handler handler = {on_data, on_close};

static void wait_received(struct client *client, size_t size)
{
    uint64_t deadline_ms = sl_deadline_in(TIMEOUT_MS);
    while (client->received < size && !client->closed)
        if (sl_wait(&client->changed, deadline_ms) != SL_OK)
            break;
}

static int open_client(struct client *client)
{
    client->rc =
        sl_stream_connect(client->host, client->server->port, 0, client->tls, &handler, client,
                          sl_deadline_in(TIMEOUT_MS), &client->stream, &client->err);
    return client->rc;
}

static void echo_big(void *arg)
{
    struct client *client = arg;
    if (open_client(client) != SL_OK)
        return;
    char *bytes = malloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++)
        bytes[i] = pattern(i);
    size_t half = BIG_BYTES / 2;
    sl_stream_write_ref(client->stream, bytes, half);
    sl_fiber_yield();
    sl_fiber_yield();
    sl_stream_disown(client->stream, bytes, half); /* what is not written is copied now */
    memset(bytes, '!', half);
    for (size_t used = half; used < BIG_BYTES; used += 1000)
        sl_stream_write(client->stream, bytes + used, 1000);
    free(bytes);
    wait_received(client, BIG_BYTES);
    sl_stream_close(client->stream);
}

static void run(struct client *client, bool tls, void (*fn)(void *))
{
    struct server server;
    start_server(&server, tls);
    client->server = &server;
    sl_fiber_spawn("test", fn, client);
    sl_loop_run();
    stop_server(&server);
}

static void big_data_comes_back_whole(void **state)
{
    (void)state;
    struct client client = {.host = "127.0.0.1"};
    run(&client, false, echo_big);
    assert_int_equal(client.rc, SL_OK);
    assert_int_equal(client.received, BIG_BYTES);
    assert_int_equal(client.mismatches, 0);
    assert_false(client.closed);
}

static void big_data_comes_back_whole_through_tls(void **state)
{
    (void)state;
    struct sl_tls_options options = {.ca_file = authority.ca_path};
    struct client client = {.host = "localhost", .tls = sl_tls_new(&options, NULL)};
    run(&client, true, echo_big);
    assert_string_equal(client.err.message, "");
    assert_int_equal(client.received, BIG_BYTES);
    assert_int_equal(client.mismatches, 0);
    sl_tls_free(client.tls);
}

static void untrusted_certificate_is_refused(void **state)
{
    (void)state;
    struct sl_tls_options options = {0};
    struct client client = {.host = "localhost", .tls = sl_tls_new(&options, NULL)};
    run(&client, true, echo_big);
    assert_int_equal(client.rc, SL_CONFIG);
    assert_non_null(strstr(client.err.message, "certificate is not accepted"));
    sl_tls_free(client.tls);
}

static void certificate_for_another_host_is_refused(void **state)
{
    (void)state;
    struct sl_tls_options options = {.ca_file = authority.ca_path};
    struct client client = {.host = "127.0.0.1", .tls = sl_tls_new(&options, NULL)};
    run(&client, true, echo_big);
    assert_int_equal(client.rc, SL_CONFIG);
    assert_non_null(strstr(client.err.message, "IP address mismatch"));
    sl_tls_free(client.tls);
}

static void missing_ca_file_is_named(void **state)
{
    (void)state;
    struct sl_tls_options options = {.ca_file = "/does/not/exist.pem"};
    struct sl_err err;
    assert_null(sl_tls_new(&options, &err));
    assert_int_equal(err.code, SL_CONFIG);
    assert_string_equal(err.message,
                        "cannot use CA file /does/not/exist.pem: No such file or directory");
}

static void end_by_peer(void *arg)
{
    struct client *client = arg;
    if (open_client(client) != SL_OK)
        return;
    sl_stream_write(client->stream, "Q", 1);
    uint64_t deadline_ms = sl_deadline_in(TIMEOUT_MS);
    while (!client->closed && sl_wait(&client->changed, deadline_ms) == SL_OK)
        ;
    sl_stream_write(client->stream, "lost", 4); /* harmless */
    sl_stream_close(client->stream);
}

static void end_by_the_peer_is_told(void **state)
{
    (void)state;
    struct sl_tls_options options = {.ca_file = authority.ca_path};
    for (int tls = 0; tls < 2; tls++) {
        struct client client = {.host = "localhost"};
        client.tls = tls ? sl_tls_new(&options, NULL) : NULL;
        run(&client, tls, end_by_peer);
        assert_true(client.closed);
        assert_int_equal(client.why.code, SL_CLOSED);
        assert_string_equal(client.why.message, "the peer closed the connection");
        sl_tls_free(client.tls);
    }
}

/* Two of them, and a fiber that is woken runs a turn later. */
static void dawdle(void *arg)
{
    const struct client *client = arg;
    while (!client->over && sl_fiber_yield() == SL_OK)
        usleep(20 * 1000);
}

static void wait_for_end(void *arg)
{
    struct client *client = arg;
    sl_fiber_spawn("test", dawdle, client);
    sl_fiber_spawn("test", dawdle, client);
    if (open_client(client) == SL_OK) {
        uint64_t deadline_ms = sl_deadline_in(TIMEOUT_MS / 4);
        while (!client->closed && sl_wait(&client->changed, deadline_ms) == SL_OK)
            ;
        sl_stream_close(client->stream);
    }
    client->over = true;
}

static void an_end_before_anybody_listens_is_told(void **state)
{
    (void)state;
    static const struct {
        bool wants_certificate;
        int code;
        const char *message;
    } cases[] = {
        {false, SL_CLOSED, "the peer closed the connection"       },
        {true,  SL_CONFIG, "the server wants a client certificate"},
    };
    struct sl_tls_options options = {.ca_file = authority.ca_path};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server server;
        struct client client = {
            .host = "localhost", .server = &server, .tls = sl_tls_new(&options, NULL)};
        start_server(&server, true);
        server.wants_certificate = cases[i].wants_certificate;
        server.hasty = true;
        sl_fiber_spawn("test", wait_for_end, &client);
        sl_loop_run();
        stop_server(&server);
        assert_int_equal(client.rc, SL_OK);
        assert_true(client.closed);
        assert_int_equal(client.why.code, cases[i].code);
        assert_non_null(strstr(client.why.message, cases[i].message));
        sl_tls_free(client.tls);
    }
}

static void only_connect(void *arg)
{
    struct client *client = arg;
    if (open_client(client) == SL_OK)
        sl_stream_close(client->stream);
}

static void refused_connection_is_told(void **state)
{
    (void)state;
    struct server server;
    start_server(&server, false);
    stop_server(&server); /* the port is free now */
    struct client client = {.host = "127.0.0.1", .server = &server};
    sl_fiber_spawn("test", only_connect, &client);
    sl_loop_run();
    assert_int_equal(client.rc, SL_CLOSED);
    assert_non_null(strstr(client.err.message, "connection refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(big_data_comes_back_whole),
        cmocka_unit_test(big_data_comes_back_whole_through_tls),
        cmocka_unit_test(untrusted_certificate_is_refused),
        cmocka_unit_test(certificate_for_another_host_is_refused),
        cmocka_unit_test(missing_ca_file_is_named),
        cmocka_unit_test(end_by_the_peer_is_told),
        cmocka_unit_test(an_end_before_anybody_listens_is_told),
        cmocka_unit_test(refused_connection_is_told),
    };
    return cmocka_run_group_tests(tests, make_authority, drop_authority);
}
