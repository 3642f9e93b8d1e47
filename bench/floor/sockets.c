/* The front by bytes alone: a request is what ends where its length says, an answer is written as
 * it stands here, and a question to Dataverse as it was made at the start. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "floor.h"

static const char HEAD_END[] = "\r\n\r\n", LENGTH[] = "\r\ncontent-length:";

static struct floor_peer client, dataverse;
static char *question;

static void answer(void)
{
    static const char accepted[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    floor_send(&client, accepted, strlen(accepted));
}

/* The whole length of the request or answer at data, or 0 while it has not come. */
static size_t whole(const char *data, size_t length, const char **ret_body)
{
    const char *body = strstr(data, HEAD_END), *size = strcasestr(data, LENGTH);
    if (!body)
        return 0;
    *ret_body = body += strlen(HEAD_END);
    size_t end = (size_t)(body - data) + (size ? strtoul(size + strlen(LENGTH), NULL, 10) : 0);
    return length < end ? 0 : end;
}

static size_t read_request(struct floor *floor, const char *data, size_t length)
{
    const char *body;
    size_t end = whole(data, length, &body);
    if (!end)
        return 0;
    struct floor_row *row = floor_next_row(floor);
    row->length = end - (size_t)(body - data);
    if (row->length > sizeof row->text)
        floor_fail("request", "too long a row");
    memcpy(row->text, body, row->length);
    floor_took(floor);
    return end;
}

static size_t read_answer(struct floor *floor, const char *data, size_t length)
{
    (void)floor;
    static const char chunked_end[] = "\r\n0\r\n\r\n";
    const char *body;
    size_t end = whole(data, length, &body), last = strlen(chunked_end);
    if (!end)
        return 0;
    if (strncmp(data, "HTTP/1.1 200 ", 13) != 0)
        floor_fail("Dataverse", "no 200");
    if (!strcasestr(data, LENGTH)) { /* it comes in chunks, and nothing comes behind it */
        if (length < last || memcmp(data + length - last, chunked_end, last) != 0)
            return 0;
        end = length;
    }
    floor_mark();
    return end;
}

static void ask(void)
{
    floor_send(&dataverse, question, strlen(question));
}

static void on_client(uv_poll_t *poll, int status, int events)
{
    int listener;
    (void)status, (void)events;
    uv_fileno((uv_handle_t *)poll, &listener);
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || client.floor)
        floor_fail("accept", "one client, once");
    client.used = read_request;
    client.may_leave = true;
    floor_watch(poll->data, &client, fd);
}

static void listen_at(struct floor *floor, uint16_t port)
{
    static uv_poll_t poll;
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 8) != 0)
        floor_fail("listen", "the port is taken");
    poll.data = floor;
    uv_poll_init(uv_default_loop(), &poll, fd);
    uv_poll_start(&poll, UV_READABLE, on_client);
}

/* url is http://127.0.0.1:PORT/PATH. */
static void connect_dataverse(struct floor *floor)
{
    char host[64], port[6];
    int path = 0;
    const char *url = floor->options.get_url;
    if (sscanf(url, "http://%63[0-9.]:%5[0-9]%n", host, port, &path) != 2)
        floor_fail("Dataverse", "no http://ADDRESS:PORT/PATH");
    if (asprintf(&question,
                 "GET %s HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: Bearer %s\r\n"
                 "Accept: application/json\r\nOData-Version: 4.0\r\n\r\n",
                 url + path, host, port, floor->options.token) < 0)
        abort();
    dataverse.used = read_answer;
    floor_watch(floor, &dataverse, floor_connect(host, (uint16_t)strtoul(port, NULL, 10)));
}

static void start(struct floor *floor)
{
    if (floor->options.get_url)
        connect_dataverse(floor);
    listen_at(floor, floor->options.port);
}

const struct floor_front floor_sockets = {start, answer, ask};
