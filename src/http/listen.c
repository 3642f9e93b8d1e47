#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static int bad(const char *text, struct sl_err *err)
{
    return sl_err_set(err, SL_CONFIG,
                      "cannot listen on '%s': write host:port, like 127.0.0.1:9464 or [::1]:9464",
                      text);
}

static int fill_v4(const char *host, uint16_t port, struct sockaddr_storage *ret,
                   socklen_t *ret_length)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    *ret_length = sizeof *v4;
    return inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &v4->sin_addr);
}

static int fill_v6(const char *host, uint16_t port, struct sockaddr_storage *ret,
                   socklen_t *ret_length)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *ret_length = sizeof *v6;
    return inet_pton(AF_INET6, host, &v6->sin6_addr);
}

int sl_listen_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length,
                    struct sl_err *err)
{
    struct sockaddr_storage address = {0};
    char host[64], *end;
    const char *colon = strrchr(text, ':');
    if (!colon || colon - text >= (ptrdiff_t)sizeof host || colon[1] < '0' || colon[1] > '9')
        return bad(text, err);
    size_t length = (size_t)(colon - text);
    memcpy(host, text, length);
    host[length] = 0;

    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || port > UINT16_MAX)
        return bad(text, err);

    int ok;
    if (!length || !strcmp(host, "*")) {
        ok = fill_v6("::", (uint16_t)port, &address, ret_length);
    } else if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = 0;
        ok = fill_v6(host + 1, (uint16_t)port, &address, ret_length);
    } else {
        ok = fill_v4(host, (uint16_t)port, &address, ret_length);
    }
    if (ok != 1)
        return bad(text, err);
    *ret = address;
    return SL_OK;
}

/* Where an address leads. */
struct target {
    struct sockaddr_storage at;
    uint16_t port;
    bool any; /* every address of this machine: of IPv4, or of both when family is AF_INET6 */
};

static bool find_target(const char *text, struct target *ret)
{
    socklen_t length;
    *ret = (struct target){0};
    if (sl_listen_parse(text, &ret->at, &length, NULL) != SL_OK)
        return false;
    if (ret->at.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&ret->at;
        ret->port = v6->sin6_port;
        ret->any = IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&ret->at;
        ret->port = v4->sin_port;
        ret->any = v4->sin_addr.s_addr == INADDR_ANY;
    }
    return ret->port != 0;
}

bool sl_listen_overlap(const char *a, const char *b)
{
    struct target one, other;
    if (!find_target(a, &one) || !find_target(b, &other) || one.port != other.port)
        return false;
    if (one.at.ss_family == other.at.ss_family)
        return one.any || other.any || !memcmp(&one.at, &other.at, sizeof one.at);
    return one.at.ss_family == AF_INET6 ? one.any : other.any;
}

bool sl_listen_is_local(const char *text)
{
    struct target target;
    if (!find_target(text, &target) && target.at.ss_family == AF_UNSPEC)
        return true;
    if (target.at.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&target.at;
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    }
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&target.at;
    return (v4->sin_addr.s_addr & htonl(IN_CLASSA_NET)) == htonl(INADDR_LOOPBACK & IN_CLASSA_NET);
}

static int bind_to(const struct sockaddr_storage *address, socklen_t length)
{
    int on = 1, off = 0;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ss_family == AF_INET6) /* [::] takes IPv4 too */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (!bind(fd, (const struct sockaddr *)address, length) && !listen(fd, SOMAXCONN))
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* ":8080" on a machine without IPv6: every IPv4 address. */
static int bind_any_v4(const char *text)
{
    struct sockaddr_storage address = {0};
    socklen_t length = 0;
    char v4[64];
    snprintf(v4, sizeof v4, "0.0.0.0%s", strrchr(text, ':'));
    sl_listen_parse(v4, &address, &length, NULL);
    return bind_to(&address, length);
}

/* The port lies at the same place in an IPv4 address. */
static uint16_t port_of(int fd)
{
    struct sockaddr_in6 address = {0};
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length))
        return 0;
    return ntohs(address.sin6_port);
}

/* --- sockets without a server --- */

struct kept {
    struct kept *next;
    int fd;
    char text[];
};

static struct kept *kept;

void sl_listen_keep(const char *text, int fd)
{
    size_t size = strlen(text) + 1;
    struct kept *one = sl_calloc(1, sizeof *one + size);
    one->next = kept;
    one->fd = fd;
    memcpy(one->text, text, size);
    kept = one;
}

static int take(struct kept **at)
{
    struct kept *one = *at;
    int fd = one->fd;
    *at = one->next;
    free(one);
    return fd;
}

/* -1: there is none. Those that would be in the way of this address are closed. */
static int take_kept(const char *text)
{
    for (struct kept **at = &kept; *at;) {
        if (!strcmp((*at)->text, text))
            return take(at);
        if (sl_listen_overlap((*at)->text, text))
            close(take(at));
        else
            at = &(*at)->next;
    }
    return -1;
}

void sl_listen_drop_kept(void)
{
    while (kept)
        close(take(&kept));
}

int sl_listen_open(const char *text, int *ret_fd, uint16_t *ret_port, struct sl_err *err)
{
    struct sockaddr_storage address = {0};
    socklen_t length = 0;
    int rc = sl_listen_parse(text, &address, &length, err);
    if (rc != SL_OK)
        return rc;

    int fd = take_kept(text);
    if (fd < 0)
        fd = bind_to(&address, length);
    if (fd < 0 && errno == EAFNOSUPPORT && (*text == ':' || *text == '*'))
        fd = bind_any_v4(text);
    if (fd < 0) {
        int cause = errno;
        sl_err_set(err, SL_CONFIG, "cannot listen on '%s': %s", text,
                   cause == EADDRINUSE ? "another program has this port" : strerror(cause));
        if (err)
            err->cause = cause;
        return SL_CONFIG;
    }
    *ret_fd = fd;
    *ret_port = port_of(fd);
    return SL_OK;
}
