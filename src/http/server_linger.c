/* Hanging up politely: closing a socket with unread bytes in it resets the connection, and a reset
 * may overtake the answer that was sent before. So a duplicate of the descriptor stays open, and
 * what still comes is thrown away, until the peer has seen the end and closes too. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/server_own.h"

enum {
    LINGERS_MOST = 32,
    LINGER_MS = 2000,
    PIECE_BYTES = 64 * 1024, /* read a loop turn */
    LINGER_BYTES = 16 * 1024 * 1024,
};

struct sl_linger {
    struct sl_linger *previous, *next;
    struct sl_http_server *server;
    int fd;
    size_t read_bytes;
    uv_poll_t poll;
    uv_timer_t timer;
};

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct sl_linger *linger = handle->data;
    uv_close((uv_handle_t *)&linger->poll, on_poll_closed);
}

static void end(struct sl_linger *linger)
{
    struct sl_http_server *server = linger->server;
    if (linger->previous)
        linger->previous->next = linger->next;
    else
        server->lingers = linger->next;
    if (linger->next)
        linger->next->previous = linger->previous;
    server->linger_count--;
    sl_wake_all(&server->quiet);
    uv_poll_stop(&linger->poll);
    close(linger->fd);
    uv_close((uv_handle_t *)&linger->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *timer)
{
    end(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct sl_linger *linger = poll->data;
    static char waste[PIECE_BYTES];
    (void)events;
    ssize_t got = status < 0 ? 0 : recv(linger->fd, waste, sizeof waste, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0 && (linger->read_bytes += (size_t)got) < LINGER_BYTES)
        return;
    end(linger);
}

void sl_linger_begin(struct sl_http_server *server, int fd)
{
    int copy = server->linger_count < LINGERS_MOST ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy < 0)
        return;
    shutdown(copy, SHUT_WR); /* the peer sees the end of our answer */
    struct sl_linger *linger = SL_NEW(struct sl_linger);
    linger->server = server;
    linger->fd = copy;
    linger->next = server->lingers;
    if (linger->next)
        linger->next->previous = linger;
    server->lingers = linger;
    server->linger_count++;
    linger->poll.data = linger->timer.data = linger;
    uv_poll_init(sl_loop(), &linger->poll, copy);
    uv_timer_init(sl_loop(), &linger->timer);
    uv_poll_start(&linger->poll, UV_READABLE, on_readable);
    uv_update_time(sl_loop());
    uv_timer_start(&linger->timer, on_timer, LINGER_MS, 0);
}

bool sl_linger_needed(int fd)
{
    int unread = 0;
    return !ioctl(fd, FIONREAD, &unread) && unread > 0;
}

void sl_linger_end_all(struct sl_http_server *server)
{
    while (server->lingers)
        end(server->lingers);
}
