/* The server that http/client is tested against: whole answers and patterns, and every way in which
 * an answer can go wrong; and what each test starts with. */
#ifndef SL_TEST_HTTP_CLIENT_PEER_H
#define SL_TEST_HTTP_CLIENT_PEER_H

#include "http/client.h"

#include "http/harness.h"
#include "http/peer.h"

enum { PATTERN_BYTES = 64 * 1024, ENDLESS_BYTES = 1 << 30, BIG_BYTES = 3 * 1024 * 1024 + 17 };

static inline char pattern(size_t offset)
{
    return (char)('a' + offset % 23);
}

/* A body whose byte at each offset is known. */
static inline void send_pattern(struct peer_link *link, size_t total)
{
    char head[128], piece[PATTERN_BYTES];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", total);
    if (!peer_say(link, head))
        return;
    for (size_t at = 0; at < total;) {
        size_t size = total - at < sizeof piece ? total - at : sizeof piece;
        for (size_t i = 0; i < size; i++)
            piece[i] = pattern(at + i);
        if (!peer_send(link, piece, size))
            return;
        at += size;
    }
}

static inline void send_echo(struct peer_link *link)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
             link->request_length);
    peer_say(link, head);
    peer_send(link, link->request, link->request_length);
}

static inline void send_many_headers(struct peer_link *link, unsigned count, size_t value_length)
{
    char value[8192];
    memset(value, 'x', sizeof value);
    value[value_length < sizeof value ? value_length : sizeof value - 1] = 0;
    peer_say(link, "HTTP/1.1 200 OK\r\n");
    for (unsigned i = 0; i < count; i++)
        if (!peer_say(link, "X-Junk: ") || !peer_say(link, value) || !peer_say(link, "\r\n"))
            return;
    peer_say(link, "Content-Length: 0\r\n\r\n");
}

/* Answers that end the connection: what is said, and then the socket is closed. */
static const struct {
    const char *path, *said;
} last_words[] = {
    {"/truncated",         "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"           },
    {"/chunked-truncated", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
    {"/half-head",         "HTTP/1.1 200 OK\r\nContent-Len"                                     },
    {"/silent-close",      ""                                                                   },
    {"/garbage",           "what do you want?\r\n\r\n"                                          },
    {"/until-close",       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"              },
};

/* Answers after which the connection stays. */
static const struct {
    const char *path, *said;
} answers[] = {
    {"/plain",   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"                                    },
    {"/empty",   "HTTP/1.1 204 No Content\r\n\r\n"                                                      },
    {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: 1\r\nETag: late\r\n\r\n"       },
    {"/interim", "HTTP/1.1 103 Early Hints\r\nETag: \"early\"\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nETag: \"final\"\r\nContent-Length: 2\r\n\r\nok"    },
    {"/denied",  "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n"
                "Content-Length: 4\r\n\r\nno!!"                                          },
    {"/moved",   "HTTP/1.1 302 Found\r\nLocation: /plain\r\nContent-Length: 0\r\n\r\n"                  },
    {"/busy",    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n"
              "Content-Length: 0\r\n\r\n"                                                  },
    {"/fields",  "HTTP/1.1 206 Partial Content\r\nETag:  \"0x8DC\"  \r\n"
                "Date: Sun, 22 Nov 2026 03:10:00 GMT\r\n"
                "Retry-After: Sun, 22 Nov 2026 03:10:30 GMT\r\n"
                "Content-Type: Application/JSON; charset=utf-8\r\n"
                "Content-Range: bytes 100-104/1000\r\n"
                "x-ms-error-code: AuthenticationFailed\r\nContent-Length: 5\r\n\r\nhello"},
};

static inline bool serve_one(struct peer_link *link)
{
    for (size_t i = 0; i < sizeof last_words / sizeof *last_words; i++)
        if (peer_asked(link, last_words[i].path)) {
            peer_say(link, last_words[i].said);
            return false;
        }
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (peer_asked(link, answers[i].path))
            return peer_say(link, answers[i].said);

    if (peer_asked(link, "/echo")) {
        send_echo(link);
    } else if (peer_asked(link, "/big")) {
        send_pattern(link, BIG_BYTES);
    } else if (peer_asked(link, "/endless")) {
        send_pattern(link, ENDLESS_BYTES);
    } else if (peer_asked(link, "/many-headers")) {
        send_many_headers(link, 300, 1);
    } else if (peer_asked(link, "/long-headers")) {
        send_many_headers(link, 50, 4000);
    } else if (peer_asked(link, "/stalled")) {
        peer_say(link, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
        peer_wait_end(link);
    } else if (peer_asked(link, "/export")) {
        return false; /* took it, and dies without a word */
    } else if (peer_asked(link, "/mute")) {
        peer_wait_end(link);
    } else {
        return peer_say(link, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
    return true;
}

static inline void serve(struct peer_link *link)
{
    while (peer_read_request(link) && serve_one(link))
        ;
}

/* --- what each test starts with --- */

struct setup {
    struct peer peer;
    struct sl_http *http;
    char url[256];
};

static inline const char *url_of(struct setup *setup, const char *path)
{
    snprintf(setup->url, sizeof setup->url, "%s%s", setup->peer.origin, path);
    return setup->url;
}

static inline void with_server(void (*body)(void *))
{
    static struct setup setup;
    const struct sl_http_options options = {.connect_timeout_ms = 2000, .version = "9.8"};
    struct sl_err err = {0};
    memset(&setup, 0, sizeof setup);
    peer_start(&setup.peer, serve, NULL);
    setup.http = sl_http_new(&options, &err);
    assert_non_null(setup.http);
    run_fiber(body, &setup);
    peer_stop(&setup.peer);
}

#endif
