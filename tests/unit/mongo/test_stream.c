/* The stream under the driver, over a pair of sockets and without any server. */
#include "cpu.h"
#include "mongo/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "mongo/stream.h"

struct ends {
    struct sl_mongo_link link;
    mongoc_stream_t *stream;
    int peer;
};

static void open_ends(struct ends *ends)
{
    int fds[2];
    memset(ends, 0, sizeof *ends);
    ends->link.deadline_ms = SL_FOREVER;
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    ends->stream = sl_mongo_stream_new(fds[0], &ends->link);
    ends->peer = fds[1];
}

static void close_ends(struct ends *ends)
{
    mongoc_stream_destroy(ends->stream);
    if (ends->peer >= 0)
        close(ends->peer);
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

/* --- writing much, reading in pieces --- */

enum { MUCH = 3 * 1024 * 1024 + 17 };

struct drain {
    int fd;
    size_t got;
    bool right, done;
};

static void run_drain(void *arg)
{
    struct drain *drain = arg;
    static unsigned char piece[50000];
    drain->right = true;
    uint64_t deadline_ms = sl_deadline_in(20000);
    while (drain->got < MUCH && sl_loop_now_ms() < deadline_ms) {
        ssize_t got = recv(drain->fd, piece, sizeof piece, MSG_DONTWAIT);
        if (got <= 0) {
            sl_fiber_yield();
            continue;
        }
        for (ssize_t i = 0; i < got; i++)
            drain->right =
                drain->right && piece[i] == (unsigned char)((drain->got + (size_t)i) * 31 >> 3);
        drain->got += (size_t)got;
    }
    drain->done = true;
}

static void do_write(void *arg)
{
    (void)arg;
    struct ends ends;
    open_ends(&ends);
    struct drain drain = {.fd = ends.peer};
    unsigned char *bytes = malloc(MUCH);
    for (size_t i = 0; i < MUCH; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("drain", run_drain, &drain);
    mongoc_iovec_t parts[] = {
        {.iov_base = bytes,              .iov_len = 5         },
        {.iov_base = bytes,              .iov_len = 0         },
        {.iov_base = bytes + 5,          .iov_len = MUCH - 105},
        {.iov_base = bytes + MUCH - 100, .iov_len = 100       }
    };
    EXPECT_INT(mongoc_stream_writev(ends.stream, parts, 4, 20000), MUCH);
    sl_fiber_join(fiber);
    EXPECT_INT(drain.got, MUCH);
    EXPECT(drain.right);
    free(bytes);
    close_ends(&ends);
}

static void test_write(void **state)
{
    (void)state;
    run_in_fiber(do_write);
}

/* The peer sends no more, and reads nothing for a while: that is waited for asleep. */
static void do_write_to_one_who_only_reads(void *arg)
{
    (void)arg;
    struct ends ends;
    open_ends(&ends);
    EXPECT_INT(shutdown(ends.peer, SHUT_WR), 0);
    char *bytes = calloc(1, MUCH);
    mongoc_iovec_t part = {.iov_base = bytes, .iov_len = MUCH};
    double before_ms = cpu_ms();
    EXPECT(mongoc_stream_writev(ends.stream, &part, 1, 500) < MUCH);
    EXPECT(cpu_ms() - before_ms < 250);
    free(bytes);
    close_ends(&ends);
}

static void test_write_to_one_who_only_reads(void **state)
{
    (void)state;
    run_in_fiber(do_write_to_one_who_only_reads);
}

static void send_slowly(void *arg)
{
    int fd = *(int *)arg;
    for (int i = 0; i < 10; i++) {
        EXPECT_INT(send(fd, &"abcdefghij"[i], 1, 0), 1);
        sl_fiber_sleep(3);
    }
}

static void do_read(void *arg)
{
    (void)arg;
    struct ends ends;
    open_ends(&ends);
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("slow", send_slowly, &ends.peer);
    char first[4], second[6];
    mongoc_iovec_t parts[] = {
        {.iov_base = first,  .iov_len = 4},
        {.iov_base = second, .iov_len = 6}
    };
    EXPECT_INT(mongoc_stream_readv(ends.stream, parts, 2, 10, 10000), 10);
    EXPECT(memcmp(first, "abcd", 4) == 0 && memcmp(second, "efghij", 6) == 0);
    sl_fiber_join(fiber);
    close_ends(&ends);
}

static void test_read(void **state)
{
    (void)state;
    run_in_fiber(do_read);
}

/* --- ends of waiting --- */

static void do_limits(void *arg)
{
    (void)arg;
    struct ends ends;
    char byte;
    open_ends(&ends);

    EXPECT_INT(mongoc_stream_read(ends.stream, &byte, 1, 1, 0), -1);
    EXPECT_INT(errno, EAGAIN);
    EXPECT(mongoc_stream_should_retry(ends.stream));

    EXPECT_INT(mongoc_stream_read(ends.stream, &byte, 1, 1, 20), -1);
    EXPECT(mongoc_stream_timed_out(ends.stream) && !ends.link.timed_out);

    ends.link.deadline_ms = sl_deadline_in(30); /* the command's own limit comes first */
    uint64_t start_ms = sl_loop_now_ms();
    EXPECT_INT(mongoc_stream_read(ends.stream, &byte, 1, 1, 60000), -1);
    EXPECT(ends.link.timed_out && sl_loop_now_ms() - start_ms < 5000);
    ends.link.deadline_ms = SL_FOREVER;

    sl_mongo_rush(true);
    EXPECT_INT(mongoc_stream_read(ends.stream, &byte, 1, 1, 60000), -1);
    sl_mongo_rush(false);

    EXPECT(!mongoc_stream_check_closed(ends.stream));
    close(ends.peer);
    ends.peer = -1;
    EXPECT(mongoc_stream_check_closed(ends.stream));
    errno = EAGAIN;
    EXPECT_INT(mongoc_stream_read(ends.stream, &byte, 1, 1, 1000), -1);
    EXPECT_INT(errno, 0); /* else the driver would try for ever */
    EXPECT(!mongoc_stream_should_retry(ends.stream));
    EXPECT_INT(mongoc_stream_write(ends.stream, &byte, 1, 1000), -1);
    close_ends(&ends);
}

static void test_limits(void **state)
{
    (void)state;
    run_in_fiber(do_limits);
}

static void wait_for_byte(void *arg)
{
    struct ends *ends = arg;
    char byte;
    EXPECT_INT(mongoc_stream_read(ends->stream, &byte, 1, 1, 60000), -1);
    EXPECT(ends->link.cancelled);
    mongoc_stream_poll_t poll = {.stream = ends->stream, .events = POLLIN};
    EXPECT_INT(mongoc_stream_poll(&poll, 1, 60000), 1);
    EXPECT_INT(poll.revents, POLLERR);
}

static void do_cancel(void *arg)
{
    (void)arg;
    struct ends ends;
    open_ends(&ends);
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("waiting", wait_for_byte, &ends);
    sl_fiber_sleep(10);
    sl_fiber_cancel(fiber);
    sl_fiber_join(fiber);
    close_ends(&ends);
}

static void test_cancel(void **state)
{
    (void)state;
    run_in_fiber(do_cancel);
}

static void do_poll(void *arg)
{
    (void)arg;
    struct ends one, two;
    open_ends(&one);
    open_ends(&two);
    mongoc_stream_poll_t polls[] = {
        {.stream = one.stream, .events = POLLIN},
        {.stream = two.stream, .events = POLLIN}
    };
    EXPECT_INT(mongoc_stream_poll(polls, 2, 0), 0);
    EXPECT_INT(mongoc_stream_poll(polls, 2, 20), 0);
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("slow", send_slowly, &two.peer);
    EXPECT_INT(mongoc_stream_poll(polls, 2, 10000), 1);
    EXPECT_INT(polls[0].revents, 0);
    EXPECT_INT(polls[1].revents, POLLIN);
    sl_fiber_join(fiber);

    /* The command's time is up: an error, or the scanner would ask again at once, for ever. */
    polls[1].events = 0;
    one.link.deadline_ms = sl_deadline_in(20);
    EXPECT_INT(mongoc_stream_poll(polls, 2, 60000), 2);
    EXPECT_INT(polls[0].revents, POLLERR);
    close_ends(&one);
    close_ends(&two);
}

static void test_poll(void **state)
{
    (void)state;
    run_in_fiber(do_poll);
}

/* --- what cannot connect --- */

static void expect_broken(const mongoc_host_list_t *host, const char *why)
{
    char byte = 0;
    struct sl_mongo_link link = {.deadline_ms = SL_FOREVER};
    mongoc_uri_t *uri = mongoc_uri_new("mongodb://h/");
    mongoc_stream_t *stream = sl_mongo_connect(uri, host, &link, NULL);
    if (EXPECT(stream != NULL)) { /* NULL would lock up the driver */
        mongoc_stream_poll_t poll = {.stream = stream, .events = POLLOUT};
        EXPECT_INT(mongoc_stream_poll(&poll, 1, 5000), 1);
        EXPECT_INT(poll.revents, POLLERR);
        EXPECT_INT(mongoc_stream_write(stream, &byte, 1, 100), -1);
        EXPECT_INT(mongoc_stream_read(stream, &byte, 1, 1, 100), -1);
        EXPECT(mongoc_stream_check_closed(stream));
        mongoc_stream_destroy(stream);
    }
    EXPECT_INT(link.trouble.code, SL_CLOSED);
    if (!EXPECT(strstr(link.trouble.message, why) != NULL))
        fprintf(stderr, "  trouble: %s\n", link.trouble.message);
    mongoc_uri_destroy(uri);
}

static void do_broken(void *arg)
{
    (void)arg;
    mongoc_host_list_t host = {
        .host = "no such name", .host_and_port = "no such name:1", .port = 1};
    expect_broken(&host, "cannot connect to no such name:1: ");

    host = (mongoc_host_list_t){.host = "/nowhere/mongodb.sock",
                                .host_and_port = "/nowhere/mongodb.sock",
                                .family = AF_UNIX};
    expect_broken(&host, "no such file");

    host = (mongoc_host_list_t){.host = "127.0.0.1", .host_and_port = "127.0.0.1:1", .port = 1};
    expect_broken(&host, "cannot connect to 127.0.0.1:1: connection refused");

    sl_mongo_rush(true);
    expect_broken(&host, "shutting down");
    sl_mongo_rush(false);
}

static void test_broken(void **state)
{
    (void)state;
    run_in_fiber(do_broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),  cmocka_unit_test(test_write_to_one_who_only_reads),
        cmocka_unit_test(test_read),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_cancel), cmocka_unit_test(test_poll),
        cmocka_unit_test(test_broken),
    };
    mongoc_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
