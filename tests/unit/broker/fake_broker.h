/* A broker that follows a script, in a thread: for what a real RabbitMQ does not do on demand. It
 * serves one connection, waits for methods and sends prepared frames, right or wrong. */
#ifndef FAKE_BROKER_H
#define FAKE_BROKER_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/frame.h"

enum step_kind {
    STEP_END,    /* reads until the client is gone */
    STEP_CUT,    /* closes the connection */
    STEP_WAIT,   /* for the method `id` of the client */
    STEP_QUIET,  /* the client may send nothing for 100 ms */
    STEP_METHOD, /* sends frames on `channel` */
    STEP_HEADER,
    STEP_BODY,
    STEP_RAW, /* sends bytes as they are */
};

struct step {
    enum step_kind kind;
    uint32_t id;
    uint16_t channel;
    const char *bytes;
    size_t size;
};

#define WAIT(id)                                                                                   \
    {                                                                                              \
        STEP_WAIT, id, 0, NULL, 0                                                                  \
    }
#define METHOD(channel, literal)                                                                   \
    {                                                                                              \
        STEP_METHOD, 0, channel, (literal), sizeof(literal) - 1                                    \
    }
#define HEADER(channel, literal)                                                                   \
    {                                                                                              \
        STEP_HEADER, 0, channel, (literal), sizeof(literal) - 1                                    \
    }
#define BODY(channel, literal)                                                                     \
    {                                                                                              \
        STEP_BODY, 0, channel, (literal), sizeof(literal) - 1                                      \
    }
#define RAW(literal)                                                                               \
    {                                                                                              \
        STEP_RAW, 0, 0, (literal), sizeof(literal) - 1                                             \
    }
#define QUIET                                                                                      \
    {                                                                                              \
        STEP_QUIET, 0, 0, NULL, 0                                                                  \
    }
#define CUT                                                                                        \
    {                                                                                              \
        STEP_CUT, 0, 0, NULL, 0                                                                    \
    }

struct fake_broker {
    int listener;
    uint16_t port;
    pthread_t thread;
    const struct step *steps[4]; /* scripts, one after the other */
    bool noisy;                  /* the client spoke when it should not */
};

static bool fake_read(int fd, void *out, size_t size)
{
    return recv(fd, out, size, MSG_WAITALL) == (ssize_t)size;
}

/* Reads frames until that method came; false when the client is gone. */
static bool fake_wait(int fd, uint32_t id)
{
    uint8_t head[SL_FRAME_HEAD_BYTES];
    while (fake_read(fd, head, sizeof head)) {
        size_t size = (size_t)sl_be32(head + 3) + 1;
        uint8_t *payload = malloc(size + 4);
        bool here = fake_read(fd, payload, size);
        bool found = here && head[0] == SL_FRAME_METHOD && sl_be32(payload) == id;
        free(payload);
        if (!here || found)
            return here;
    }
    return false;
}

static void fake_send(int fd, const void *bytes, size_t size)
{
    send(fd, bytes, size, MSG_NOSIGNAL);
}

static void fake_send_frame(int fd, const struct step *step)
{
    static const uint8_t end = SL_FRAME_END_BYTE;
    uint8_t head[SL_FRAME_HEAD_BYTES];
    sl_frame_head(head, (enum sl_frame_type)(step->kind - STEP_METHOD + SL_FRAME_METHOD),
                  step->channel, step->size);
    fake_send(fd, head, sizeof head);
    fake_send(fd, step->bytes, step->size);
    fake_send(fd, &end, 1);
}

/* False: the connection is over. */
static bool fake_do(struct fake_broker *broker, int fd, const struct step *step)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    switch (step->kind) {
    case STEP_WAIT:
        return fake_wait(fd, step->id);
    case STEP_QUIET:
        broker->noisy |= poll(&readable, 1, 100) != 0;
        return true;
    case STEP_RAW:
        fake_send(fd, step->bytes, step->size);
        return true;
    case STEP_CUT:
    case STEP_END:
        return false;
    default:
        fake_send_frame(fd, step);
        return true;
    }
}

static void *fake_serve(void *arg)
{
    struct fake_broker *broker = arg;
    char rest[4096];
    int fd = accept(broker->listener, NULL, NULL);
    bool going = fd >= 0 && fake_read(fd, rest, 8);
    enum step_kind last = STEP_END;
    for (int i = 0; i < 4 && going && broker->steps[i]; i++)
        for (const struct step *step = broker->steps[i]; step->kind != STEP_END && going; step++) {
            last = step->kind;
            going = fake_do(broker, fd, step);
        }
    while (last != STEP_CUT && recv(fd, rest, sizeof rest, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void fake_start(struct fake_broker *broker)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    broker->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(broker->listener, (struct sockaddr *)&address, size) || listen(broker->listener, 1))
        abort();
    getsockname(broker->listener, (struct sockaddr *)&address, &size);
    broker->port = ntohs(address.sin_port);
    pthread_create(&broker->thread, NULL, fake_serve, broker);
}

static void fake_stop(struct fake_broker *broker)
{
    shutdown(broker->listener, SHUT_RDWR);
    pthread_join(broker->thread, NULL);
    close(broker->listener);
}

#endif
