#include "loop/dns.h"

#include <arpa/inet.h>
#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "loop/dns_own.h"
#include "loop/fiber.h"

static const char CONF[] = "/etc/resolv.conf";

enum {
    CACHE_SIZE = 32,
    TTL_MAX_S = 60,
    SOCKETS_MAX = 16,
    SERVER_MS = 500, /* then the next server is asked: a connection may take 2 s in all */
    ROUNDS = 4,      /* each with twice the patience */
};

struct cached {
    char host[SL_HOST_BYTES];
    uint64_t until_ms;
    struct sl_addresses addresses;
};

struct socket_watch {
    uv_poll_t poll;
    ares_socket_t fd;
};

struct query {
    struct sl_dns_question question; /* first */
    char host[SL_HOST_BYTES];
    int ttl_s;
    struct sl_addresses addresses;
};

static struct {
    ares_channel channel;
    bool started;
    struct timespec configured; /* when CONF was written, as far as it is known */
    uv_timer_t timer;
    struct socket_watch *sockets[SOCKETS_MAX];
    struct cached cache[CACHE_SIZE];
    unsigned next_slot;
} dns;

/* --- c-ares on the loop --- */

static void arm_timer(void);

static void process(ares_socket_t read_fd, ares_socket_t write_fd)
{
    ares_process_fd(dns.channel, read_fd, write_fd);
    arm_timer();
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void arm_timer(void)
{
    struct timeval room, *wait = ares_timeout(dns.channel, NULL, &room);
    if (!wait) {
        uv_timer_stop(&dns.timer);
        return;
    }
    uv_update_time(sl_loop());
    uv_timer_start(&dns.timer, on_timer,
                   (uint64_t)wait->tv_sec * 1000 + (uint64_t)wait->tv_usec / 1000 + 1, 0);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    ares_socket_t fd = ((struct socket_watch *)poll)->fd;
    bool failed = status < 0;
    process(failed || (events & UV_READABLE) ? fd : ARES_SOCKET_BAD,
            failed || (events & UV_WRITABLE) ? fd : ARES_SOCKET_BAD);
}

static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    (void)ctx;
    struct socket_watch **slot = NULL, **empty = NULL;
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        if (dns.sockets[i] && dns.sockets[i]->fd == fd)
            slot = &dns.sockets[i];
        else if (!dns.sockets[i] && !empty)
            empty = &dns.sockets[i];
    }
    if (!readable && !writable) {
        if (slot) {
            uv_close((uv_handle_t *)&(*slot)->poll, sl_handle_free);
            *slot = NULL;
        }
        return;
    }
    if (!slot) {
        if (!empty)
            return; /* c-ares will time out and try again */
        slot = empty;
        *slot = SL_NEW(struct socket_watch);
        (*slot)->fd = fd;
        if (uv_poll_init(sl_loop(), &(*slot)->poll, fd)) {
            free(*slot);
            *slot = NULL;
            return; /* as above */
        }
        uv_unref((uv_handle_t *)&(*slot)->poll);
    }
    uv_poll_start(&(*slot)->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                  on_socket);
}

static bool open_channel(void)
{
    struct ares_options options = {.timeout = SERVER_MS, .tries = ROUNDS};
    options.sock_state_cb = on_socket_state;
    return ares_init_options(&dns.channel, &options,
                             ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) ==
           ARES_SUCCESS;
}

static bool is_configured_anew(void)
{
    struct stat conf;
    if (stat(CONF, &conf) != 0 || (conf.st_ctim.tv_sec == dns.configured.tv_sec &&
                                   conf.st_ctim.tv_nsec == dns.configured.tv_nsec))
        return false;
    dns.configured = conf.st_ctim; /* changes with the right to read it, too */
    return true;
}

/* The machine's name servers may change: it was not on the network, or is on another one. Whoever
 * waits for an answer of the old ones fails, and asks again. */
static ares_channel *refresh_channel(void)
{
    ares_channel old = dns.channel;
    if (!is_configured_anew() || !open_channel()) {
        dns.channel = old;
        return &dns.channel;
    }
    ares_destroy(old);
    return &dns.channel;
}

ares_channel *sl_dns_channel(void)
{
    if (dns.started)
        return refresh_channel();
    is_configured_anew();
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS || !open_channel())
        return NULL;
    uv_timer_init(sl_loop(), &dns.timer);
    uv_unref((uv_handle_t *)&dns.timer);
    dns.started = true;
    return &dns.channel;
}

void sl_dns_close(void)
{
    if (!dns.started)
        return;
    ares_destroy(dns.channel);
    ares_library_cleanup();
    uv_close((uv_handle_t *)&dns.timer, NULL);
    dns.started = false;
}

/* --- answers --- */

static void set_port(struct sl_addresses *addresses, uint16_t port)
{
    for (size_t i = 0; i < addresses->count; i++) {
        struct sockaddr_storage *address = &addresses->item[i].address;
        if (address->ss_family == AF_INET)
            ((struct sockaddr_in *)address)->sin_port = htons(port);
        else
            ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    }
}

static void to_cache(const struct query *query)
{
    struct cached *slot = &dns.cache[dns.next_slot++ % CACHE_SIZE];
    memcpy(slot->host, query->host, sizeof slot->host);
    slot->addresses = query->addresses;
    slot->until_ms = sl_deadline_in((uint64_t)(query->ttl_s < 0 ? 0 : query->ttl_s) * 1000);
}

static void on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *answer)
{
    (void)timeouts;
    struct query *query = ctx;
    query->ttl_s = TTL_MAX_S;
    for (struct ares_addrinfo_node *node = answer ? answer->nodes : NULL;
         node && query->addresses.count < SL_ADDRESSES_MAX; node = node->ai_next) {
        size_t i = query->addresses.count++;
        memcpy(&query->addresses.item[i].address, node->ai_addr, node->ai_addrlen);
        query->addresses.item[i].length = (socklen_t)node->ai_addrlen;
        if (node->ai_ttl < query->ttl_s)
            query->ttl_s = node->ai_ttl;
    }
    if (answer)
        ares_freeaddrinfo(answer);
    if (status == ARES_SUCCESS && query->addresses.count)
        to_cache(query); /* also when it comes too late: the next one need not wait */
    if (!sl_dns_answered(&query->question, status))
        free(query);
}

static bool literal(const char *host, struct sl_addresses *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->item[0].address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->item[0].address;
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        ret->item[0].length = sizeof *v4;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        ret->item[0].length = sizeof *v6;
    } else {
        return false;
    }
    ret->count = 1;
    return true;
}

static bool from_cache(const char *host, struct sl_addresses *ret)
{
    uint64_t now_ms = sl_loop_now_ms();
    for (unsigned i = 0; i < CACHE_SIZE; i++) {
        if (now_ms < dns.cache[i].until_ms && !strcmp(dns.cache[i].host, host)) {
            *ret = dns.cache[i].addresses;
            return true;
        }
    }
    return false;
}

bool sl_dns_answered(struct sl_dns_question *question, int status)
{
    question->done = true;
    question->status = status;
    if (question->fiber)
        sl_fiber_wake(question->fiber);
    return question->fiber != NULL;
}

int sl_dns_await(struct sl_dns_question *question, uint64_t deadline_ms)
{
    arm_timer();
    while (!question->done) {
        int rc = sl_fiber_park(deadline_ms);
        if (rc != SL_OK && !question->done) {
            question->fiber = NULL;
            return rc;
        }
    }
    return SL_OK;
}

int sl_dns_resolve(const char *host, uint16_t port, uint64_t deadline_ms, struct sl_addresses *ret,
                   struct sl_err *err)
{
    if (strlen(host) > 255)
        return sl_err_set(err, SL_CLOSED, "cannot resolve a host name of over 255 bytes");
    if (literal(host, ret) || from_cache(host, ret)) {
        set_port(ret, port);
        return SL_OK;
    }
    ares_channel *channel = sl_dns_channel();
    if (!channel)
        return sl_err_set(err, SL_CLOSED, "cannot resolve %s: the resolver does not start", host);

    struct query *query = SL_NEW(struct query);
    query->question.fiber = sl_fiber_self();
    snprintf(query->host, sizeof query->host, "%s", host);
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(*channel, host, NULL, &hints, on_answer, query);
    int rc = sl_dns_await(&query->question, deadline_ms);
    if (rc != SL_OK)
        return sl_err_set(err, rc, "cannot resolve %s: %s", host,
                          rc == SL_TIMEOUT ? "no answer in time" : "cancelled");
    if (query->question.status != ARES_SUCCESS || !query->addresses.count) {
        rc = sl_err_set(err, SL_CLOSED, "cannot resolve %s: %s", host,
                        ares_strerror(query->question.status));
    } else {
        *ret = query->addresses;
        set_port(ret, port);
    }
    free(query);
    return rc;
}

void sl_address_text(const struct sockaddr *address, char *out, size_t size)
{
    out[0] = 0;
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, out, (socklen_t)size);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, out,
                  (socklen_t)size);
}
