/* How a stream is opened: each address of a name in turn, TLS, peers that do not answer. */
#include "mongo/live.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <ares.h>

#include "loop/authority.h"
#include "mongo/stream.h"

/* --- a resolver that knows one name --- */

/* c-ares is a shared library: the program's own functions of these names come first. */
static const char *const addresses[] = {"::1", "127.0.0.2", "127.0.0.1"};

static struct ares_addrinfo_node *node_new(const char *text)
{
    struct ares_addrinfo_node *node = calloc(1, sizeof *node);
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool is_v4 = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
    inet_pton(AF_INET6, text, &v6.sin6_addr);
    node->ai_family = is_v4 ? AF_INET : AF_INET6;
    node->ai_addrlen = is_v4 ? sizeof v4 : sizeof v6;
    node->ai_addr = malloc(node->ai_addrlen);
    memcpy(node->ai_addr, is_v4 ? (void *)&v4 : (void *)&v6, node->ai_addrlen);
    return node;
}

void ares_getaddrinfo(ares_channel channel, const char *name, const char *service,
                      const struct ares_addrinfo_hints *hints, ares_addrinfo_callback callback,
                      void *arg)
{
    struct ares_addrinfo *answer = calloc(1, sizeof *answer);
    struct ares_addrinfo_node **end = &answer->nodes;
    (void)channel, (void)name, (void)service, (void)hints;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        *end = node_new(addresses[i]);
        end = &(*end)->ai_next;
    }
    callback(arg, ARES_SUCCESS, 0, answer);
}

void ares_freeaddrinfo(struct ares_addrinfo *answer)
{
    for (struct ares_addrinfo_node *node = answer->nodes, *next; node; node = next) {
        next = node->ai_next;
        free(node->ai_addr);
        free(node);
    }
    free(answer);
}

/* --- peers --- */

/* A listener on that address; *port 0 chooses one. -1 when the machine has no such address. */
static int listen_on(const char *text, uint16_t *port, int backlog)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(*port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
    bool is_v4 = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
    inet_pton(AF_INET6, text, &v6.sin6_addr);
    socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
    struct sockaddr *address = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, address, size) || listen(fd, backlog)) {
        close(fd);
        return -1;
    }
    getsockname(fd, address, &size);
    *port = ntohs(is_v4 ? v4.sin_port : v6.sin6_port);
    return fd;
}

/* Fills the listener's queue: the kernel drops whoever comes next, and answers nothing. */
static void fill(const char *text, uint16_t port, int fds[4])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, text, &address.sin_addr);
    for (int i = 0; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (struct sockaddr *)&address, sizeof address);
    }
}

static mongoc_host_list_t member(const char *name, uint16_t port)
{
    mongoc_host_list_t host = {.port = port};
    snprintf(host.host, sizeof host.host, "%s", name);
    snprintf(host.host_and_port, sizeof host.host_and_port, "%s:%u", name, port);
    return host;
}

static mongoc_stream_t *begin(const char *options, const mongoc_host_list_t *host,
                              struct sl_mongo_link *link)
{
    char text[200];
    snprintf(text, sizeof text, "mongodb://h/?%s", options);
    mongoc_uri_t *uri = mongoc_uri_new(text);
    mongoc_stream_t *stream = sl_mongo_connect(uri, host, link, NULL);
    mongoc_uri_destroy(uri);
    return stream;
}

/* What the driver's scanner would see in the end; 0: nothing within the time. */
static int wait_events(mongoc_stream_t *stream, int events, int32_t timeout_ms)
{
    mongoc_stream_poll_t poll = {.stream = stream, .events = events};
    mongoc_stream_poll(&poll, 1, timeout_ms);
    return poll.revents;
}

static bool was_called(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* --- several addresses --- */

static void do_refused(void *arg)
{
    (void)arg;
    uint16_t port = 0;
    struct sl_mongo_link link = {.deadline_ms = SL_FOREVER};
    int good = listen_on("127.0.0.1", &port, 8);
    int last = listen_on("::1", &port, 8); /* -1 on a machine without IPv6 */
    mongoc_host_list_t host = member("two.example", port);
    mongoc_stream_t *stream = begin("connectTimeoutMS=5000", &host, &link);
    EXPECT_INT(wait_events(stream, POLLOUT, 10000), POLLOUT);
    EXPECT(was_called(good));
    EXPECT(last < 0 || !was_called(last));
    EXPECT_INT(link.trouble.code, 0);
    mongoc_stream_destroy(stream);
    close(good);
    close(last);
}

static void run_in_fiber(void (*body)(void *))
{
    failures = 0;
    sl_fiber_spawn("test", body, NULL);
    sl_loop_run();
    sl_dns_close();
    assert_int_equal(sl_loop_close(), 0);
    assert_int_equal(failures, 0);
}

static void the_next_address_is_tried_after_a_refusal(void **state)
{
    (void)state;
    run_in_fiber(do_refused);
}

static void do_silent(void *arg)
{
    (void)arg;
    uint16_t port = 0;
    int waiting[4];
    struct sl_mongo_link link = {.deadline_ms = SL_FOREVER};
    int silent = listen_on("127.0.0.2", &port, 0);
    int good = listen_on("127.0.0.1", &port, 8);
    fill("127.0.0.2", port, waiting);
    mongoc_host_list_t host = member("two.example", port);

    uint64_t start_ms = sl_loop_now_ms();
    mongoc_stream_t *stream = begin("connectTimeoutMS=6000", &host, &link);
    EXPECT_INT(wait_events(stream, POLLOUT, 10000), POLLOUT);
    uint64_t took_ms = sl_loop_now_ms() - start_ms;
    EXPECT(took_ms >= 1990); /* a third was its share; the whole would have left nothing */
    mongoc_stream_destroy(stream);
    close(good);

    /* Only the silent one: the whole time, then the reason. */
    host = member("127.0.0.2", port);
    stream = begin("connectTimeoutMS=300", &host, &link);
    EXPECT_INT(wait_events(stream, POLLOUT, 10000), POLLERR);
    EXPECT(strstr(link.trouble.message, ": no answer in time") != NULL);
    mongoc_stream_destroy(stream);

    /* The driver gives up first: nothing is left behind. */
    stream = begin("connectTimeoutMS=60000", &host, &link);
    EXPECT_INT(wait_events(stream, POLLOUT, 20), 0);
    EXPECT(!mongoc_stream_check_closed(stream));
    mongoc_stream_destroy(stream);
    for (int i = 0; i < 4; i++)
        close(waiting[i]);
    close(silent);
}

static void a_silent_address_has_only_its_share_of_the_time(void **state)
{
    (void)state;
    run_in_fiber(do_silent);
}

/* --- one member of several --- */

static void do_several(void *arg)
{
    (void)arg;
    uint16_t silent_port = 0, good_port = 0;
    int waiting[4];
    struct sl_mongo_link link = {.deadline_ms = SL_FOREVER};
    int silent = listen_on("127.0.0.2", &silent_port, 0);
    int good = listen_on("127.0.0.1", &good_port, 8);
    fill("127.0.0.2", silent_port, waiting);
    mongoc_host_list_t hosts[] = {member("127.0.0.2", silent_port), member("127.0.0.1", good_port)};
    mongoc_stream_t *streams[2];
    mongoc_stream_poll_t polls[2] = {{.events = POLLOUT}, {.events = POLLOUT}};
    uint64_t start_ms = sl_loop_now_ms();
    for (int i = 0; i < 2; i++)
        polls[i].stream = streams[i] = begin("connectTimeoutMS=60000", &hosts[i], &link);
    EXPECT_INT(mongoc_stream_poll(polls, 2, 30000), 1);
    EXPECT(sl_loop_now_ms() - start_ms < 10000);
    EXPECT_INT(polls[0].revents, 0);
    EXPECT_INT(polls[1].revents, POLLOUT);
    for (int i = 0; i < 2; i++)
        mongoc_stream_destroy(streams[i]);
    for (int i = 0; i < 4; i++)
        close(waiting[i]);
    close(silent);
    close(good);
}

static void a_silent_member_does_not_hold_up_the_others(void **state)
{
    (void)state;
    run_in_fiber(do_several);
}

/* --- the end --- */

/* All that a peer gets who reads only afterwards; *ret_error: how it ends. */
static size_t read_all(int fd, int *ret_error)
{
    static char chunk[65536];
    size_t all = 0;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ssize_t got = 1;
    while (got > 0 && poll(&readable, 1, 5000) == 1)
        if ((got = recv(fd, chunk, sizeof chunk, 0)) > 0)
            all += (size_t)got;
    *ret_error = got < 0 ? errno : 0;
    return all;
}

/* The peer does not read, and the write is given up when both kernels are full. */
static void do_give_up(void *arg)
{
    (void)arg;
    enum { HUGE_BYTES = 32 * 1024 * 1024 };
    uint16_t port = 0;
    int error = 0;
    struct sl_mongo_link link = {.deadline_ms = SL_FOREVER};
    int listener = listen_on("127.0.0.1", &port, 8);
    mongoc_host_list_t host = member("127.0.0.1", port);
    mongoc_stream_t *stream = begin("connectTimeoutMS=5000", &host, &link);
    EXPECT_INT(wait_events(stream, POLLOUT, 10000), POLLOUT);
    int peer = accept(listener, NULL, NULL);
    char *command = calloc(1, HUGE_BYTES);
    EXPECT(mongoc_stream_write(stream, command, HUGE_BYTES, 200) < HUGE_BYTES);
    mongoc_stream_destroy(stream);
    EXPECT(read_all(peer, &error) < HUGE_BYTES);
    EXPECT_INT(error, ECONNRESET);
    free(command);
    close(peer);
    close(listener);
}

static void what_was_given_up_is_not_sent_any_more(void **state)
{
    (void)state;
    run_in_fiber(do_give_up);
}

/* --- TLS --- */

struct server {
    int listener;
    SSL_CTX *context;
    pthread_t thread;
};

enum { MUCH = 3 * 1000 * 1000 };

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 >> 3);
}

/* Echoes MUCH bytes to one client. */
static void *echo(void *arg)
{
    struct server *server = arg;
    struct pollfd readable = {.fd = server->listener, .events = POLLIN};
    poll(&readable, 1, 20000);
    int fd = accept(server->listener, NULL, NULL);
    SSL *ssl = SSL_new(server->context);
    char *bytes = malloc(MUCH);
    size_t got = 0, size;
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        while (got < MUCH && SSL_read_ex(ssl, bytes + got, MUCH - got, &size) == 1)
            got += size;
        for (size_t used = 0;
             used < got && SSL_write_ex(ssl, bytes + used, got - used, &size) == 1;)
            used += size;
        SSL_read(ssl, bytes, 1); /* until the client is gone */
    }
    SSL_free(ssl);
    close(fd);
    free(bytes);
    return NULL;
}

static void do_echo(struct sl_mongo_link *link, uint16_t port)
{
    mongoc_host_list_t host = member("localhost", port);
    mongoc_stream_t *stream = begin("connectTimeoutMS=10000", &host, link);
    if (EXPECT(wait_events(stream, POLLOUT, 20000) == POLLOUT)) {
        unsigned char *sent = malloc(MUCH), *back = calloc(1, MUCH);
        for (size_t i = 0; i < MUCH; i++)
            sent[i] = pattern(i);
        EXPECT_INT(mongoc_stream_write(stream, sent, MUCH, 20000), MUCH);
        EXPECT_INT(mongoc_stream_read(stream, back, 5, 5, 20000), 5);
        EXPECT_INT(wait_events(stream, POLLIN, 0), POLLIN); /* decrypted already */
        EXPECT_INT(mongoc_stream_read(stream, back + 5, MUCH - 5, MUCH - 5, 20000), MUCH - 5);
        EXPECT(memcmp(sent, back, MUCH) == 0);
        EXPECT_INT(wait_events(stream, POLLIN, 0), 0);
        EXPECT_INT(mongoc_stream_read(stream, back, 1, 1, 0), -1);
        EXPECT(mongoc_stream_should_retry(stream));
        EXPECT(!mongoc_stream_check_closed(stream));
        free(sent);
        free(back);
    }
    mongoc_stream_destroy(stream);
}

static void do_tls(void *arg)
{
    (void)arg;
    struct server server = {.context = authority_server()};
    struct sl_tls_options options = {.ca_file = authority.ca_path};
    struct sl_mongo_link link = {.deadline_ms = SL_FOREVER, .tls = sl_tls_new(&options, NULL)};
    uint16_t port = 0;
    server.listener = listen_on("127.0.0.1", &port, 8);
    pthread_create(&server.thread, NULL, echo, &server);
    do_echo(&link, port);
    EXPECT_INT(link.trouble.code, 0);
    pthread_join(server.thread, NULL);
    close(server.listener);
    SSL_CTX_free(server.context);
    sl_tls_free(link.tls);
}

static void much_goes_both_ways_through_tls(void **state)
{
    (void)state;
    run_in_fiber(do_tls);
}

/* A listener that accepts and says nothing, and one that hangs up. */
static void do_no_handshake(void *arg)
{
    (void)arg;
    struct sl_tls_options options = {.ca_file = authority.ca_path};
    struct sl_mongo_link link = {.deadline_ms = SL_FOREVER, .tls = sl_tls_new(&options, NULL)};
    uint16_t port = 0;
    int listener = listen_on("127.0.0.1", &port, 8);
    mongoc_host_list_t host = member("localhost", port);
    mongoc_stream_t *stream = begin("connectTimeoutMS=300", &host, &link);
    EXPECT_INT(wait_events(stream, POLLOUT, 10000), POLLERR);
    EXPECT(strstr(link.trouble.message, "no answer in time") != NULL);
    mongoc_stream_destroy(stream);
    while (was_called(listener))
        ;

    link.trouble = (struct sl_err){0};
    stream = begin("connectTimeoutMS=10000", &host, &link);
    for (uint64_t end_ms = sl_deadline_in(5000);
         !was_called(listener) && sl_loop_now_ms() < end_ms;)
        sl_fiber_yield();
    EXPECT_INT(wait_events(stream, POLLOUT, 10000), POLLERR);
    EXPECT_INT(link.trouble.code, SL_CLOSED);
    mongoc_stream_destroy(stream);
    close(listener);

    /* Destroyed while it shakes hands, with what it borrowed. */
    listener = listen_on("127.0.0.1", &port, 8);
    stream = begin("connectTimeoutMS=10000", &host, &link);
    EXPECT_INT(wait_events(stream, POLLOUT, 50), 0);
    mongoc_stream_destroy(stream);
    sl_tls_free(link.tls);
    close(listener);
}

static void a_handshake_that_does_not_come_about_is_told(void **state)
{
    (void)state;
    run_in_fiber(do_no_handshake);
}

static int make_authority(void **state)
{
    (void)state;
    mongoc_init();
    authority_make();
    return 0;
}

static int drop_authority(void **state)
{
    (void)state;
    authority_drop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_address_is_tried_after_a_refusal),
        cmocka_unit_test(a_silent_address_has_only_its_share_of_the_time),
        cmocka_unit_test(a_silent_member_does_not_hold_up_the_others),
        cmocka_unit_test(what_was_given_up_is_not_sent_any_more),
        cmocka_unit_test(much_goes_both_ways_through_tls),
        cmocka_unit_test(a_handshake_that_does_not_come_about_is_told),
    };
    return cmocka_run_group_tests(tests, make_authority, drop_authority);
}
