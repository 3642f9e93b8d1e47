/* A server with bad manners: raw sockets, a thread a connection, a function that says what to do
 * with each. It shares nothing with the code under test. */
#ifndef SL_TEST_HTTP_PEER_H
#define SL_TEST_HTTP_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PEER_CONNECTIONS_MAX = 64 };

struct peer;

struct peer_link {
    struct peer *peer;
    int fd;
    pthread_t thread;
    char request[32 * 1024]; /* the last one read, ended by NUL */
    size_t request_length, pending;
};

struct peer {
    int fd;
    unsigned port;
    char origin[64]; /* "http://127.0.0.1:port" */
    void (*serve)(struct peer_link *link);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    bool stopping;
    struct peer_link *links[PEER_CONNECTIONS_MAX];
    unsigned link_count;
    atomic_uint connections, requests;
    atomic_ullong sent_bytes;
    atomic_bool broken; /* a send failed: the other side is gone */
    atomic_bool ended;  /* the other side closed while we waited */
};

/* Sends all; false when the other side is gone. */
static inline bool peer_send(struct peer_link *link, const void *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t sent = send(link->fd, (const char *)bytes + at, size - at, MSG_NOSIGNAL);
        if (sent <= 0) {
            atomic_store(&link->peer->broken, true);
            return false;
        }
        at += (size_t)sent;
        atomic_fetch_add(&link->peer->sent_bytes, (unsigned long long)sent);
    }
    return true;
}

static inline bool peer_say(struct peer_link *link, const char *text)
{
    return peer_send(link, text, strlen(text));
}

/* Waits until the other side closes. */
static inline void peer_wait_end(struct peer_link *link)
{
    char byte;
    while (recv(link->fd, &byte, 1, 0) > 0)
        ;
    atomic_store(&link->peer->ended, true);
}

static inline size_t peer_body_length(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");
    return field ? strtoul(field + 17, NULL, 10) : 0;
}

/* Reads one HTTP request with its body into link->request; false at the end of the connection. */
static inline bool peer_read_request(struct peer_link *link)
{
    size_t used = link->pending;
    memmove(link->request, link->request + link->request_length, used);
    for (;;) {
        link->request[used] = 0;
        char *end = strstr(link->request, "\r\n\r\n");
        if (end) {
            size_t whole = (size_t)(end + 4 - link->request) + peer_body_length(link->request);
            if (used >= whole) {
                link->request_length = whole;
                link->pending = used - whole;
                atomic_fetch_add(&link->peer->requests, 1);
                return true;
            }
        }
        ssize_t got = recv(link->fd, link->request + used, sizeof link->request - 1 - used, 0);
        if (got <= 0)
            return false;
        used += (size_t)got;
    }
}

static inline bool peer_asked(const struct peer_link *link, const char *path)
{
    const char *at = strchr(link->request, ' ');
    size_t length = strlen(path);
    return at && !strncmp(at + 1, path, length) && strchr(" ?", at[1 + length]);
}

static inline void *peer_serve_link(void *arg)
{
    struct peer_link *link = arg;
    link->peer->serve(link);
    shutdown(link->fd, SHUT_RDWR);
    return NULL;
}

static inline void *peer_accept(void *arg)
{
    struct peer *peer = arg;
    for (;;) {
        int fd = accept(peer->fd, NULL, NULL);
        pthread_mutex_lock(&peer->lock);
        if (fd < 0 || peer->stopping || peer->link_count == PEER_CONNECTIONS_MAX) {
            pthread_mutex_unlock(&peer->lock);
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        struct peer_link *link = calloc(1, sizeof *link);
        link->peer = peer;
        link->fd = fd;
        peer->links[peer->link_count++] = link;
        atomic_fetch_add(&peer->connections, 1);
        pthread_create(&link->thread, NULL, peer_serve_link, link);
        pthread_mutex_unlock(&peer->lock);
    }
}

static inline void peer_start(struct peer *peer, void (*serve)(struct peer_link *link), void *ctx)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int small = 64 * 1024;
    memset(peer, 0, sizeof *peer);
    peer->serve = serve;
    peer->ctx = ctx;
    peer->ctx = ctx;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(peer->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    if (bind(peer->fd, (struct sockaddr *)&address, length) || listen(peer->fd, 64))
        abort();
    getsockname(peer->fd, (struct sockaddr *)&address, &length);
    peer->port = ntohs(address.sin_port);
    snprintf(peer->origin, sizeof peer->origin, "http://127.0.0.1:%u", peer->port);
    pthread_mutex_init(&peer->lock, NULL);
    pthread_create(&peer->thread, NULL, peer_accept, peer);
}

static inline void peer_stop(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    peer->stopping = true;
    for (unsigned i = 0; i < peer->link_count; i++)
        shutdown(peer->links[i]->fd, SHUT_RDWR);
    pthread_mutex_unlock(&peer->lock);
    shutdown(peer->fd, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    close(peer->fd);
    for (unsigned i = 0; i < peer->link_count; i++) {
        pthread_join(peer->links[i]->thread, NULL);
        close(peer->links[i]->fd);
        free(peer->links[i]);
    }
    pthread_mutex_destroy(&peer->lock);
}

#endif
