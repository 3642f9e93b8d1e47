#include "floor.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void floor_fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-floor: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/* --- the way of a change --- */

struct floor_row *floor_next_row(struct floor *floor)
{
    if (floor->count == FLOOR_ROWS_MAX)
        floor_fail("request", "too many rows wait");
    return &floor->rows[(floor->first + floor->count) % FLOOR_ROWS_MAX];
}

void floor_took(struct floor *floor)
{
    floor->count++;
    if (!floor->options.get_url) {
        floor_marked(floor);
        return;
    }
    floor->front->answer();
    if (floor->count == 1)
        floor->front->ask();
}

void floor_marked(struct floor *floor)
{
    floor_publish(&floor->rows[floor->first]);
    floor->first = (floor->first + 1) % FLOOR_ROWS_MAX;
    if (--floor->count && floor->options.get_url)
        floor->front->ask();
}

void floor_confirmed(struct floor *floor)
{
    if (!floor->options.get_url)
        floor->front->answer();
}

/* --- sockets --- */

int floor_connect(const char *host, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        floor_fail(host, "no connection");
    return fd;
}

void floor_send(const struct floor_peer *peer, const void *data, size_t length)
{
    if (send(peer->fd, data, length, MSG_NOSIGNAL) != (ssize_t)length)
        floor_fail("send", "the peer is gone, or slow");
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct floor_peer *peer = poll->data;
    (void)events;
    if (status < 0)
        floor_fail("poll", uv_strerror(status));
    ssize_t got =
        recv(peer->fd, peer->data + peer->length, FLOOR_PIECE_BYTES - peer->length, MSG_DONTWAIT);
    if (got <= 0) {
        if (!peer->may_leave)
            floor_fail("receive", "the peer is gone");
        uv_poll_stop(poll);
        close(peer->fd);
        return;
    }
    peer->length += (size_t)got;
    peer->data[peer->length] = '\0';
    size_t used = peer->used(peer->floor, peer->data, peer->length);
    peer->length -= used;
    memmove(peer->data, peer->data + used, peer->length);
}

void floor_watch(struct floor *floor, struct floor_peer *peer, int fd)
{
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    peer->floor = floor;
    peer->fd = fd;
    peer->poll.data = peer;
    uv_poll_init(uv_default_loop(), &peer->poll, fd);
    uv_poll_start(&peer->poll, UV_READABLE, on_readable);
}

/* --- the command line --- */

int main(int argc, char **argv)
{
    static struct floor floor;
    if (argc != 7 && argc != 8) {
        fprintf(stderr, "usage: [TOKEN=…] bench-floor sockets|libraries PORT AMQP_URL QUEUE "
                        "MONGO_URL DATABASE [GET_URL]\n");
        return 2;
    }
    floor.front = !strcmp(argv[1], "sockets") ? &floor_sockets : &floor_libraries;
    floor.options = (struct floor_options){
        .port = (uint16_t)strtoul(argv[2], NULL, 10),
        .amqp_url = argv[3],
        .queue = argv[4],
        .mongo_url = argv[5],
        .database = argv[6],
        .get_url = argv[7],
        .token = getenv("TOKEN"),
    };
    floor_wire_start(&floor);
    floor.front->start(&floor);
    fprintf(stderr, "ready\n");
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
