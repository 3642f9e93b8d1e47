/* How a connection to a member begins: name, socket, TLS around it. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop/dns.h"
#include "loop/fiber.h"
#include "mongo/stream.h"

struct target {
    struct sockaddr_storage address;
    socklen_t length;
};

/* A stream that fails at once; its reason waits in the link for the client's message. */
static mongoc_stream_t *refuse(struct sl_mongo_link *link, const mongoc_host_list_t *host,
                               const char *why)
{
    snprintf(link->trouble, sizeof link->trouble, "cannot connect to %s: %s", host->host_and_port,
             why);
    return sl_mongo_stream_new(-1, link);
}

static void unix_target(const mongoc_host_list_t *host, struct target *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strnlen(host->host, sizeof address.sun_path - 1);
    memcpy(address.sun_path, host->host,
           length); /* a longer path does not exist: connect says so */
    memcpy(&ret->address, &address, sizeof address);
    ret->length = sizeof address;
}

static int find_target(const mongoc_host_list_t *host, uint64_t deadline_ms, struct target *ret,
                       struct sl_err *err)
{
    if (host->family == AF_UNIX) {
        unix_target(host, ret);
        return SL_OK;
    }
    struct sl_addresses found;
    int rc = sl_dns_resolve(host->host, host->port, deadline_ms, &found, err);
    if (rc != SL_OK)
        return rc;
    /* mongod listens on IPv4 unless told otherwise: prefer it where a name has both. */
    size_t chosen = 0;
    while (chosen < found.count && found.item[chosen].address.ss_family != AF_INET)
        chosen++;
    if (chosen == found.count)
        chosen = 0;
    ret->address = found.item[chosen].address;
    ret->length = found.item[chosen].length;
    return SL_OK;
}

/* A socket that has begun to connect, or -1 with errno. */
static int begin_connect(const struct target *target)
{
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (target->address.ss_family != AF_UNIX) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    if (connect(fd, (const struct sockaddr *)&target->address, target->length) < 0 &&
        errno != EINPROGRESS) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static uint64_t connect_end(const mongoc_uri_t *uri, const struct sl_mongo_link *link)
{
    int32_t limit_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 2000);
    uint64_t end_ms = sl_deadline_in(limit_ms > 0 ? (uint64_t)limit_ms : 2000);
    return link->deadline_ms < end_ms ? link->deadline_ms : end_ms;
}

/* Takes stream. */
static mongoc_stream_t *wrap_tls(mongoc_stream_t *stream, struct sl_mongo_link *link,
                                 const mongoc_host_list_t *host)
{
    /* The options are not written to; the driver's declaration only lacks the const. */
    mongoc_stream_t *secure = mongoc_stream_tls_new_with_hostname(
        stream, host->host, (mongoc_ssl_opt_t *)(uintptr_t)link->tls, 1);
    if (secure)
        return secure;
    mongoc_stream_destroy(stream);
    return refuse(link, host, "are tlsCAFile and tlsCertificateKeyFile readable and valid?");
}

mongoc_stream_t *sl_mongo_connect(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
                                  void *user_data, bson_error_t *error)
{
    struct sl_mongo_link *link = user_data;
    struct target target;
    struct sl_err err = {0};
    (void)error;

    if (sl_mongo_rushing() || sl_fiber_cancelled())
        return refuse(link, host, "shutting down");
    if (find_target(host, connect_end(uri, link), &target, &err) != SL_OK)
        return refuse(link, host, err.message);
    int fd = begin_connect(&target);
    if (fd < 0)
        return refuse(link, host, strerror(errno));
    mongoc_stream_t *stream = sl_mongo_stream_new(fd, link);
    return link->tls ? wrap_tls(stream, link, host) : stream;
}
