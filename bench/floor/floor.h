/* What one change takes of any program that carries it from an HTTP request through RabbitMQ into
 * MongoDB: as few requests, messages and commands as sluice sends, smaller ones, and nothing that
 * sluice does with them. No check, version, guard or ledger, no second try, one client. What goes
 * wrong ends the program.
 *
 *     a posted row    request → publish → confirmed → answer; delivered → upsert → acknowledge
 *     a doorbell      request → answer, ask Dataverse → mark → publish; the rest as above
 */
#ifndef BENCH_FLOOR_FLOOR_H
#define BENCH_FLOOR_FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

enum { FLOOR_ROW_BYTES = 4096, FLOOR_ROWS_MAX = 64, FLOOR_PIECE_BYTES = 64 * 1024 };

struct floor_options {
    uint16_t port; /* where it listens, on loopback */
    const char *amqp_url, *queue;
    const char *mongo_url, *database;
    const char *get_url, *token; /* what a doorbell asks for, and with which; NULL: posted rows */
};

struct floor_row {
    char text[FLOOR_ROW_BYTES];
    size_t length;
};

struct floor {
    struct floor_options options;
    const struct floor_front *front;
    struct floor_row rows[FLOOR_ROWS_MAX]; /* that came and are not published yet, a ring */
    size_t first, count;
};

/* How requests come in, and how Dataverse is asked. */
struct floor_front {
    void (*start)(struct floor *floor);
    void (*answer)(void); /* the request whose row was taken last */
    void (*ask)(void);
};

extern const struct floor_front floor_sockets;   /* bytes alone */
extern const struct floor_front floor_libraries; /* libmicrohttpd, yajl, libcurl */

/* --- the way of a change (floor.c) --- */

/* A row to be filled; then it was taken, with its length set. */
struct floor_row *floor_next_row(struct floor *floor);
void floor_took(struct floor *floor);
void floor_marked(struct floor *floor);    /* MongoDB has the mark */
void floor_confirmed(struct floor *floor); /* RabbitMQ has the row */

/* --- RabbitMQ and MongoDB, by bytes that were made before (wire.c) --- */

void floor_wire_start(struct floor *floor);
void floor_publish(const struct floor_row *row);
void floor_mark(void); /* Dataverse has answered: then comes floor_marked */

/* --- sockets (floor.c) --- */

/* What has come of a peer's and was not used yet. used gives how much of it is done with. */
struct floor_peer {
    struct floor *floor;
    size_t (*used)(struct floor *floor, const char *data, size_t length);
    uv_poll_t poll;
    int fd;
    bool may_leave;
    size_t length;
    char data[FLOOR_PIECE_BYTES + 1]; /* ended by NUL */
};

void floor_watch(struct floor *floor, struct floor_peer *peer, int fd);
int floor_connect(const char *host, uint16_t port);
void floor_send(const struct floor_peer *peer, const void *data, size_t length);

_Noreturn void floor_fail(const char *what, const char *why);

#endif
