/* Names: literals, /etc/hosts, a name that cannot exist, and a loop that never stands still. */
#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "loop/dns.h"
#include "loop/in_fiber.h"

static void text_of(const struct sl_addresses *found, size_t i, char out[64])
{
    sl_address_text((const struct sockaddr *)&found->item[i].address, out, 64);
}

static void resolve_literals(void *arg)
{
    (void)arg;
    static const struct {
        const char *host;
        int family;
    } rows[] = {
        {"127.0.0.1",     AF_INET },
        {"10.1.2.3",      AF_INET },
        {"::1",           AF_INET6},
        {"2001:db8::2:1", AF_INET6},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_addresses found;
        struct sl_err err;
        char text[64];
        REQUIRE(sl_dns_resolve(rows[i].host, 5672, 0, &found, &err) == SL_OK);
        REQUIRE(found.count == 1);
        const struct sockaddr_storage *address = &found.item[0].address;
        EXPECT(address->ss_family == rows[i].family);
        text_of(&found, 0, text);
        EXPECT(!strcmp(text, rows[i].host));
        if (rows[i].family == AF_INET) {
            EXPECT(((const struct sockaddr_in *)address)->sin_port == htons(5672));
            EXPECT(found.item[0].length == sizeof(struct sockaddr_in));
        } else {
            EXPECT(((const struct sockaddr_in6 *)address)->sin6_port == htons(5672));
            EXPECT(found.item[0].length == sizeof(struct sockaddr_in6));
        }
    }
}

static void literals_need_no_resolver(void **state)
{
    (void)state;
    run_in_fiber(resolve_literals, NULL);
}

static void resolve_localhost(void *arg)
{
    (void)arg;
    for (uint16_t port = 80; port < 83; port++) { /* the second and third may come from the cache */
        struct sl_addresses found;
        struct sl_err err;
        bool loopback = false;
        REQUIRE(sl_dns_resolve("localhost", port, sl_deadline_in(5000), &found, &err) == SL_OK);
        EXPECT(found.count >= 1);
        for (size_t i = 0; i < found.count; i++) {
            char text[64];
            text_of(&found, i, text);
            const struct sockaddr_in *v4 = (const struct sockaddr_in *)&found.item[i].address;
            if (!strcmp(text, "127.0.0.1"))
                loopback = v4->sin_port == htons(port);
        }
        EXPECT(loopback);
    }
}

static void localhost_comes_from_the_hosts_file(void **state)
{
    (void)state;
    run_in_fiber(resolve_localhost, NULL);
}

/* Notes the longest time between two of its turns. */
struct ticker {
    bool stop;
    uint64_t longest_ns;
};

static void tick(void *arg)
{
    struct ticker *ticker = arg;
    uint64_t last = sl_now_ns();
    while (!ticker->stop) {
        sl_fiber_sleep(1);
        uint64_t now = sl_now_ns();
        if (now - last > ticker->longest_ns)
            ticker->longest_ns = now - last;
        last = now;
    }
}

/* Whether it was in time, and the loop went on meanwhile. */
static bool resolve_nothing(void)
{
    enum { DEADLINE_MS = 3000 };
    struct ticker ticker = {0};
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("tick", tick, &ticker);
    struct sl_addresses found;
    struct sl_err err = {0};
    uint64_t start = sl_now_ms();
    int rc = sl_dns_resolve("no-such-host.invalid", 80, sl_deadline_in(DEADLINE_MS), &found, &err);
    EXPECT(rc == SL_CLOSED || rc == SL_TIMEOUT); /* a name server's no, or none that answers */
    EXPECT(err.code == (enum sl_code)rc);
    EXPECT(strstr(err.message, "no-such-host.invalid") != NULL);
    bool in_time = sl_now_ms() - start < DEADLINE_MS + 1000;
    ticker.stop = true;
    sl_fiber_join(fiber);
    return in_time && ticker.longest_ns < 1000 * 1000000ull; /* a blocking lookup takes seconds */
}

static void resolve_nothing_again(void *arg)
{
    (void)arg; /* the machine may stand still in one of them */
    EXPECT(resolve_nothing() || resolve_nothing() || resolve_nothing());
}

static void a_name_that_cannot_exist_fails_in_time(void **state)
{
    (void)state;
    run_in_fiber(resolve_nothing_again, NULL);
}

static void resolve_shortly(void *arg)
{
    int *rc = arg;
    struct sl_addresses found;
    struct sl_err err;
    *rc = sl_dns_resolve("cancelled.invalid", 80, sl_deadline_in(60000), &found, &err);
}

static void cancel_a_lookup(void *arg)
{
    (void)arg;
    int rc = SL_OK;
    uint64_t start = sl_now_ms();
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("lookup", resolve_shortly, &rc);
    sl_fiber_yield();
    sl_fiber_yield();
    sl_fiber_cancel(fiber);
    sl_fiber_join(fiber);
    EXPECT(rc == SL_CANCELED || rc == SL_CLOSED); /* the refusal may have been quicker */
    EXPECT(sl_now_ms() - start < 5000);
}

static void a_lookup_can_be_cancelled(void **state)
{
    (void)state;
    run_in_fiber(cancel_a_lookup, NULL);
}

static void refuse_long_names(void *arg)
{
    (void)arg;
    char host[300];
    memset(host, 'a', sizeof host - 1);
    host[sizeof host - 1] = 0;
    struct sl_addresses found;
    struct sl_err err = {0};
    EXPECT(sl_dns_resolve(host, 80, sl_deadline_in(1000), &found, &err) == SL_CLOSED);
    host[255] = 0;
    EXPECT(sl_dns_resolve(host, 80, sl_deadline_in(1000), &found, &err) != SL_OK);
}

static void names_too_long_are_refused(void **state)
{
    (void)state;
    run_in_fiber(refuse_long_names, NULL);
}

static int close_all(void **state)
{
    sl_dns_close();
    sl_dns_close();
    return loop_closes(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_need_no_resolver),
        cmocka_unit_test(localhost_comes_from_the_hosts_file),
        cmocka_unit_test(a_name_that_cannot_exist_fails_in_time),
        cmocka_unit_test(a_lookup_can_be_cancelled),
        cmocka_unit_test(names_too_long_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
