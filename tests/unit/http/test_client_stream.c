/* http/client: streams, with their backpressure, broken off and cancelled. */
#include "cpu.h"
#include "http/client_peer.h"

#include <stdlib.h>

static struct sl_http_stream *open_stream(struct setup *setup, const char *path)
{
    struct sl_http_request request = {.url = url_of(setup, path), .timeout_ms = 5000};
    struct sl_http_stream *stream = NULL;
    struct sl_http_response head = {0};
    struct sl_err err = {0};
    EXPECT_INT(sl_http_open(setup->http, &request, &stream, &head, &err), SL_OK);
    EXPECT_INT(head.status, 200);
    EXPECT(!head.body);
    sl_http_response_done(&head);
    return stream;
}

/* Reads size bytes of the pattern from offset on in pieces of at most piece; how many came. */
static size_t read_pattern(struct sl_http_stream *stream, size_t offset, size_t size, size_t piece,
                           int *ret_rc)
{
    char *buf = malloc(piece);
    struct sl_err err;
    size_t at = 0, wrong = 0;
    *ret_rc = SL_OK;
    while (at < size && *ret_rc == SL_OK) {
        size_t got = 0, want = size - at < piece ? size - at : piece;
        *ret_rc = sl_http_read(stream, buf, want, &got, sl_deadline_in(5000), &err);
        for (size_t i = 0; i < got; i++)
            wrong += buf[i] != pattern(offset + at + i);
        at += got;
    }
    EXPECT_INT(wrong, 0);
    free(buf);
    return at;
}

static void read_big(void *arg)
{
    static const size_t pieces[] = {1000, 16384, 333000};
    struct setup *setup = arg;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        int rc;
        struct sl_http_stream *stream = open_stream(setup, "/big");
        EXPECT_INT(read_pattern(stream, 0, SIZE_MAX, pieces[i], &rc), BIG_BYTES);
        EXPECT_INT(rc, SL_END);
        EXPECT_INT(read_pattern(stream, 0, 1, 1, &rc), 0);
        EXPECT_INT(rc, SL_END); /* and stays so */
        sl_http_close(stream);
    }
    sl_http_free(setup->http);
}

static void test_stream_whole(void **state)
{
    (void)state;
    with_server(read_big);
}

static void read_broken(void *arg)
{
    struct setup *setup = arg;
    static const struct {
        const char *path;
        int rc;
        size_t size;
    } cases[] = {
        {"/truncated",         SL_CLOSED,  10},
        {"/chunked-truncated", SL_CLOSED,  5 },
        {"/stalled",           SL_TIMEOUT, 10},
        {"/chunked",           SL_END,     5 },
        {"/until-close",       SL_END,     9 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_http_stream *stream = open_stream(setup, cases[i].path);
        struct sl_err err = {0};
        char buf[200];
        size_t total = 0, got = 0;
        int rc;
        uint64_t patience_ms = cases[i].rc == SL_TIMEOUT ? 200 : 10000;
        while ((rc = sl_http_read(stream, buf, 3, &got, sl_deadline_in(patience_ms), &err)) ==
               SL_OK)
            total += got;
        EXPECT_INT(rc, cases[i].rc);
        EXPECT_INT(total, cases[i].size);
        sl_http_close(stream);
    }
    sl_http_free(setup->http);
}

static void test_stream_broken(void **state)
{
    (void)state;
    with_server(read_broken);
}

/* Suspends until the server has been able to send nothing for a while; what it sent until then. */
static unsigned long long sent_when_still(struct peer *peer)
{
    unsigned long long before = 0, now = atomic_load(&peer->sent_bytes);
    int still = 0; /* four times in a row: its thread may have to wait for a processor */
    for (int i = 0; i < 50 && still < 4; i++) {
        before = now;
        sl_fiber_sleep(200);
        now = atomic_load(&peer->sent_bytes);
        still = before == now ? still + 1 : 0;
    }
    return now;
}

static bool is_broken(void *arg)
{
    return atomic_load(&((struct peer *)arg)->broken);
}

static void stop_the_socket(void *arg)
{
    enum { STEP = 8 * 1024 * 1024, LIMIT = 1024 * 1024 };
    struct setup *setup = arg;
    int rc;
    struct sl_http_stream *stream = open_stream(setup, "/endless");
    size_t at = read_pattern(stream, 0, 1000, 1000, &rc);

    unsigned long long sent = sent_when_still(&setup->peer);
    EXPECT(sent > 1000);
    EXPECT(sent < LIMIT);
    double before_ms = cpu_ms();
    sl_fiber_sleep(300);
    EXPECT(cpu_ms() - before_ms < 100); /* it waits, it does not spin */
    EXPECT_INT(atomic_load(&setup->peer.sent_bytes), (long long)sent);

    at += read_pattern(stream, at, STEP, 50000, &rc);
    EXPECT_INT(rc, SL_OK);
    EXPECT_INT(at, STEP + 1000);
    sent = sent_when_still(&setup->peer);
    EXPECT(sent < at + 16UL * LIMIT); /* the kernel's window has grown meanwhile */

    sl_http_close(stream);
    EXPECT(wait_until(is_broken, &setup->peer));
    sl_http_free(setup->http);
}

static void test_backpressure(void **state)
{
    (void)state;
    with_server(stop_the_socket);
}

struct victim {
    struct setup *setup;
    const char *path;
    bool streams;
    bool waits; /* about to wait for what will not come */
    int rc;
};

static void be_cancelled(void *arg)
{
    struct victim *victim = arg;
    struct sl_err err;
    if (victim->streams) {
        struct sl_http_stream *stream = open_stream(victim->setup, victim->path);
        char buf[100];
        size_t got;
        victim->waits = true;
        while ((victim->rc = sl_http_read(stream, buf, sizeof buf, &got, SL_FOREVER, &err)) ==
               SL_OK)
            ;
        sl_http_close(stream);
    } else {
        struct sl_http_request request = {.url = url_of(victim->setup, victim->path)};
        struct sl_http_response response;
        victim->waits = true;
        victim->rc = sl_http_request(victim->setup->http, &request, &response, &err);
    }
}

static bool has_ended(void *arg)
{
    return atomic_load(&((struct peer *)arg)->ended);
}

static bool has_request(void *arg)
{
    return atomic_load(&((struct peer *)arg)->requests) > 0;
}

static void cancel_in_the_middle(void *arg)
{
    struct setup *setup = arg;
    struct victim victims[] = {
        {setup, "/mute",    false, false, SL_OK},
        {setup, "/stalled", true,  false, SL_OK},
    };
    for (size_t i = 0; i < sizeof victims / sizeof *victims; i++) {
        atomic_store(&setup->peer.ended, false);
        atomic_store(&setup->peer.requests, 0);
        struct sl_fiber *fiber = sl_fiber_spawn_joinable("victim", be_cancelled, &victims[i]);
        EXPECT(wait_until(has_request, &setup->peer));
        while (!victims[i].waits)
            sl_fiber_yield();
        uint64_t before_ms = sl_loop_now_ms();
        sl_fiber_cancel(fiber);
        sl_fiber_join(fiber);
        EXPECT(sl_loop_now_ms() - before_ms < 10000); /* it would wait for a minute, or for ever */
        EXPECT_INT(victims[i].rc, SL_CANCELED);
        EXPECT(wait_until(has_ended, &setup->peer)); /* the socket was closed at once */
    }
    sl_http_free(setup->http);
}

static void test_cancel(void **state)
{
    (void)state;
    with_server(cancel_in_the_middle);
}

struct crowd {
    struct setup *setup;
    unsigned done;
};

static void one_of_many(void *arg)
{
    struct crowd *crowd = arg;
    int rc;
    struct sl_http_stream *stream = open_stream(crowd->setup, "/big");
    EXPECT_INT(read_pattern(stream, 0, SIZE_MAX, 10000, &rc), BIG_BYTES);
    EXPECT_INT(rc, SL_END);
    sl_http_close(stream);
    crowd->done++;
}

static bool all_done(void *arg)
{
    return ((struct crowd *)arg)->done == 10;
}

static void many_at_once(void *arg)
{
    struct setup *setup = arg;
    struct crowd crowd = {setup, 0};
    for (int i = 0; i < 10; i++)
        sl_fiber_spawn("one", one_of_many, &crowd);
    EXPECT(wait_until(all_done, &crowd));
    sl_http_free(setup->http);
}

static void test_many_streams(void **state)
{
    (void)state;
    with_server(many_at_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_whole), cmocka_unit_test(test_stream_broken),
        cmocka_unit_test(test_backpressure), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_many_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
